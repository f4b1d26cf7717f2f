//! Rollouts that several replicas drive together: one decides, all do it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::process;
use std::time::{Duration, Instant};

use server_base::ModelName;
use server_replicas::{
    Decision, Member, News, Now, Record, ReplicaId, Saved, ShareError, Shown, Standing, Wish,
};
use server_rollout::{Command, Moment};

use crate::declared::Due;
use crate::handle::ConductorError;
use crate::metrics;
use crate::ride::Ride;
use crate::share::{AnyStore, Share};
use crate::world::World;

/// A leader may miss so many intervals.
const LEASE_TURNS: u32 = 10;

/// This replica's part.
pub(crate) struct Shared {
    member: Member<AnyStore>,
    began: Instant,
    /// What went wrong last, which is said once.
    said: Option<String>,
    /// Who has other bytes of a candidate, which is said once.
    differ: BTreeMap<ModelName, String>,
}

pub(crate) type Rides = BTreeMap<ModelName, Ride>;

impl Shared {
    /// Meets the others.
    pub(crate) fn open(
        share: &Share,
        host: &str,
        every: Duration,
        now: Moment,
    ) -> io::Result<Shared> {
        let id = identity(host, now)?;
        let (store, lease_min) = share.open(&id)?;
        let lease = every.saturating_mul(LEASE_TURNS).max(lease_min);
        tracing::info!(replica = %id, at = %share, "sharing rollouts");
        let (member, began) = (Member::new(id, store, lease), Instant::now());
        Ok(Shared { member, began, said: None, differ: BTreeMap::new() })
    }

    fn now(&self, wall: Moment) -> Now {
        Now { wall, own: self.began.elapsed() }
    }

    /// Says what was seen, reads what the others did, and decides what is this replica's to decide.
    pub(crate) async fn turn(&mut self, rides: &mut Rides, world: &World<'_>, wall: Moment) {
        let now = self.now(wall);
        let mut seen = BTreeMap::new();
        for (model, ride) in rides.iter_mut() {
            seen.insert(model.clone(), ride.look(world, wall).await);
        }
        // Its own sign comes first: to read takes the longer the more there is, and may fail.
        let mut faults: Vec<ShareError> = self.member.report(now, seen).err().into_iter().collect();
        faults.extend(self.member.refresh(now));
        self.follow(rides, world, wall).await;
        let models: Vec<ModelName> = rides.keys().cloned().collect();
        for model in models {
            match self.member.decide(model.as_str(), now) {
                Ok(None | Some(Decision::Refused)) => {}
                Ok(Some(Decision::None(counted))) => act_by(rides, world, *counted, wall).await,
                Ok(Some(Decision::Made)) => self.follow(rides, world, wall).await,
                Err(fault) => faults.push(fault),
            }
            let leads = self.member.standing(model.as_str(), now) == Standing::Leads;
            metrics::leads(&model, leads);
            rides.get(&model).into_iter().for_each(|it| metrics::stands(&model, it.rollout()));
            self.compare(&model, now);
        }
        metrics::replicas(self.member.living(now));
        self.say(&faults);
    }

    /// Says once who has other bytes of the candidate than who leads.
    fn compare(&mut self, model: &ModelName, now: Now) {
        let Some(shown) = self.member.shown(model, now) else { return };
        metrics::differ(model, shown.replicas.iter().filter(|it| it.digest_differs).count());
        match shown.differs {
            Some(words) if self.differ.get(model) != Some(&words) => {
                tracing::warn!(%model, words, "replicas have other bytes of a version; it is not promoted");
                self.differ.insert(model.clone(), words);
            }
            Some(_) => {}
            None if self.differ.remove(model).is_some() => {
                tracing::info!(%model, "replicas have the same bytes again");
            }
            None => {}
        }
    }

    /// Tells what was decided here, and acts by all that was read or written.
    async fn follow(&mut self, rides: &mut Rides, world: &World<'_>, wall: Moment) {
        for News { decided, record } in self.member.news() {
            for (telling, it) in &decided {
                world.tell((it, *telling), world.digest(&it.subject).as_deref());
            }
            act_by(rides, world, record, wall).await;
        }
    }

    /// What an operator said to this replica.
    pub(crate) async fn command(
        &mut self,
        rides: &mut Rides,
        world: &World<'_>,
        (model, command): (&str, Command),
        wall: Moment,
    ) -> Result<(), ConductorError> {
        let unknown = || ConductorError::NoRollout { model: model.to_owned() };
        let name = ModelName::new(model).map_err(|_| unknown())?;
        let said = self.member.command(&name, command, self.now(wall));
        self.follow(rides, world, wall).await;
        match said {
            Err(fault) => Err(ConductorError::Share(chain(&fault))),
            Ok(None) if rides.get(&name).is_some_and(|it| !it.saved().is_forgotten) => {
                Err(ConductorError::Busy)
            }
            Ok(None) => Err(unknown()),
            Ok(Some(Err(refused))) => Err(refused.into()),
            Ok(Some(Ok(_))) => Ok(()),
        }
    }

    /// May this replica say what is due about a model's file? One that lags behind must not undo what others
    /// have begun: where there was a rollout it is who leads.
    pub(crate) fn may_say(&self, model: &ModelName, wall: Moment) -> bool {
        let leads = self.member.standing(model.as_str(), self.now(wall)) != Standing::Follows;
        leads || self.member.record(model.as_str()).is_none()
    }

    /// What came of a rollout holds no longer.
    pub(crate) async fn forget(
        &mut self,
        rides: &mut Rides,
        world: &World<'_>,
        model: &ModelName,
        wall: Moment,
    ) -> Result<(), ConductorError> {
        let said = self.member.forget(model, self.now(wall));
        self.follow(rides, world, wall).await;
        match said {
            Err(fault) => Err(ConductorError::Share(chain(&fault))),
            Ok(None) => Err(ConductorError::Busy),
            Ok(Some(_)) => Ok(()),
        }
    }

    /// What is due about a model's file, other than to begin.
    pub(crate) async fn settle(
        &mut self,
        rides: &mut Rides,
        world: &World<'_>,
        (model, due, wish): (&ModelName, Due, Wish),
        wall: Moment,
    ) {
        let now = self.now(wall);
        let said = match due {
            Due::Withdraw => self.member.withdraw(model, now),
            Due::Note => self.member.note(model, wish, now),
            Due::Nothing | Due::Begin { .. } => return,
        };
        self.follow(rides, world, wall).await;
        match said {
            Ok(_) => {} // nothing, where others wrote all the time: in the next turn
            Err(fault) => self.say(&[fault]),
        }
    }

    /// Reads what was shared before, for the first load.
    pub(crate) fn read(&mut self, wall: Moment) -> io::Result<Rides> {
        let mut faults = self.member.refresh(self.now(wall));
        // Who starts without having read all could load what was rolled back.
        let unreached = faults.iter().position(|it| matches!(it, ShareError::Store(_)));
        if let Some(fault) = unreached.map(|it| faults.swap_remove(it)) {
            return Err(io::Error::other(fault));
        }
        self.say(&faults);
        let ride = |News { record: it, .. }| {
            let model = it.saved.rollout.subject().model().clone();
            (model, Ride::shared(it.saved, it.begun))
        };
        Ok(self.member.news().into_iter().map(ride).collect())
    }

    /// Begins a rollout, unless one of the model is under way anywhere.
    pub(crate) async fn begin(
        &mut self,
        rides: &mut Rides,
        world: &World<'_>,
        saved: Saved,
        wall: Moment,
    ) -> Result<(), ConductorError> {
        let model = saved.rollout.subject().model().clone();
        let begun = self.member.begin(saved, self.now(wall));
        self.follow(rides, world, wall).await;
        match begun {
            Err(fault) => Err(ConductorError::Share(chain(&fault))),
            Ok(false) if rides.get(&model).is_some_and(Ride::is_over) => Err(ConductorError::Busy),
            Ok(false) => Err(ConductorError::UnderWay { model: model.as_str().to_owned() }),
            Ok(true) => Ok(()),
        }
    }

    /// Who takes part.
    pub(crate) fn shown(&self, model: &ModelName, wall: Moment) -> Option<Shown> {
        let shown = self.member.shown(model, self.now(wall))?;
        Some(Shown { fault: self.said.clone(), ..shown })
    }

    fn say(&mut self, faults: &[ShareError]) {
        let mut texts: Vec<String> = faults.iter().map(chain).collect();
        texts.dedup();
        let text = texts.join("; ");
        if text.is_empty() {
            if self.said.take().is_some() {
                tracing::info!("shared rollouts can be read and written again");
            }
            return;
        }
        metrics::share_failed();
        if self.said.as_ref() != Some(&text) {
            tracing::error!(error = text, "rollouts are not shared; they stay as they are");
            self.said = Some(text);
        }
    }
}

/// The only way into a ride: another rollout of the model begins anew; the same one goes on.
async fn act_by(rides: &mut Rides, world: &World<'_>, record: Record, wall: Moment) {
    let model = record.saved.rollout.subject().model().clone();
    let new = |it: &Record| Ride::shared(it.saved.clone(), it.begun);
    let ride = rides.entry(model).or_insert_with(|| new(&record));
    if ride.begun() != record.begun {
        ride.leave(world.serving);
        *ride = new(&record);
    }
    ride.follow(world, record.saved, wall).await;
}

/// A process that is started anew is another replica, on whatever host.
fn identity(host: &str, now: Moment) -> io::Result<ReplicaId> {
    let plain = |it: char| if it.is_ascii_alphanumeric() || it == '-' { it } else { '-' };
    let host: String = host.trim().chars().map(plain).take(64).collect();
    let host = if host.is_empty() { "replica" } else { &host };
    ReplicaId::new(&format!("{host}-{}-{:x}", process::id(), now.0)).map_err(io::Error::other)
}

fn chain(error: &ShareError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
