//! Rollouts that several replicas drive together: one decides, all do it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::process;
use std::time::{Duration, Instant};

use server_base::ModelName;
use server_replicas::{
    Decision, Member, Now, Record, ReplicaId, Saved, ShareError, Shown, Standing, Wish,
};
use server_rollout::{Command, Moment};

use crate::declared::Due;
use crate::handle::ConductorError;
use crate::metrics;
use crate::ride::{Ride, told};
use crate::share::{AnyStore, Share};
use crate::world::World;

/// A leader may miss so many turns.
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

    /// Reads what the others did, says what was seen, and decides what is this replica's to decide.
    pub(crate) async fn turn(&mut self, rides: &mut Rides, world: &World<'_>, wall: Moment) {
        let now = self.now(wall);
        let mut faults = Vec::new();
        match self.member.refresh(now) {
            Ok((records, unread)) => {
                faults.extend(unread);
                for it in records {
                    follow(rides, world, it, wall).await;
                }
            }
            Err(fault) => faults.push(fault),
        }
        let mut seen = BTreeMap::new();
        for (model, ride) in rides.iter_mut() {
            seen.insert(model.clone(), ride.look(world, wall).await);
        }
        faults.extend(self.member.report(now, seen).err());
        let models: Vec<ModelName> = rides.keys().cloned().collect();
        for model in models {
            match self.member.decide(model.as_str(), now) {
                Ok(None | Some(Decision::Refused)) => {}
                Ok(Some(Decision::None(saved))) => {
                    rides.entry(model.clone()).and_modify(|it| it.show(*saved));
                }
                Ok(Some(made @ Decision::Made { .. })) => self.made(rides, world, made, wall).await,
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

    /// What is written down is done.
    async fn made(&self, rides: &mut Rides, world: &World<'_>, made: Decision, wall: Moment) {
        let Decision::Made { record, evidence } = made else { return };
        let model = record.saved.rollout.subject().model();
        if evidence.is_empty() && !record.saved.is_forgotten {
            tracing::info!(%model, term = record.term, leader = %record.leader, "this replica leads a rollout");
        }
        evidence.iter().for_each(|it| told(world, it));
        follow(rides, world, *record, wall).await;
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
        match self.member.command(&name, command, self.now(wall)) {
            Err(fault) => Err(ConductorError::Share(chain(&fault))),
            Ok(None) if rides.get(&name).is_some_and(|it| !it.saved().is_forgotten) => {
                Err(ConductorError::Busy)
            }
            Ok(None) => Err(unknown()),
            Ok(Some(Err(refused))) => Err(refused.into()),
            Ok(Some(Ok(made))) => {
                self.made(rides, world, made, wall).await;
                Ok(())
            }
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
        match self.member.forget(model, self.now(wall)) {
            Err(fault) => Err(ConductorError::Share(chain(&fault))),
            Ok(None) => Err(ConductorError::Busy),
            Ok(Some(made)) => {
                self.made(rides, world, made, wall).await;
                Ok(())
            }
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
        let made = match due {
            Due::Withdraw => self.member.withdraw(model, now),
            Due::Note => self.member.note(model, wish, now),
            Due::Nothing | Due::Begin { .. } => return,
        };
        match made {
            Ok(Some(made)) => self.made(rides, world, made, wall).await,
            Ok(None) => {} // others wrote all the time: in the next turn
            Err(fault) => self.say(&[fault]),
        }
    }

    /// Reads what was shared before, for the first load.
    pub(crate) fn read(&mut self, wall: Moment) -> io::Result<Rides> {
        let read = self.member.refresh(self.now(wall)).map_err(io::Error::other)?;
        let (records, faults) = read;
        self.say(&faults);
        let ride = |it: Record| {
            let model = it.saved.rollout.subject().model().clone();
            (model, Ride::shared(it.saved, it.begun))
        };
        Ok(records.into_iter().map(ride).collect())
    }

    /// Begins a rollout, unless one of the model is under way anywhere.
    pub(crate) async fn begin(
        &mut self,
        rides: &mut Rides,
        world: &World<'_>,
        saved: Saved,
        wall: Moment,
    ) -> Result<(), ConductorError> {
        let model = saved.rollout.subject().model().as_str().to_owned();
        match self.member.begin(saved, self.now(wall)) {
            Err(fault) => Err(ConductorError::Share(chain(&fault))),
            Ok(None) => Err(ConductorError::UnderWay { model }),
            Ok(Some(record)) => {
                follow(rides, world, record, wall).await;
                Ok(())
            }
        }
    }

    /// Who takes part.
    pub(crate) fn shown(&self, model: &ModelName, wall: Moment) -> Option<Shown> {
        let shown = self.member.shown(model, self.now(wall))?;
        Some(Shown { fault: self.said.clone(), ..shown })
    }

    fn say(&mut self, faults: &[ShareError]) {
        let text = faults.iter().map(chain).collect::<Vec<_>>().join("; ");
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

/// Another rollout of the model begins anew; the same one goes on.
async fn follow(rides: &mut Rides, world: &World<'_>, record: Record, wall: Moment) {
    let model = record.saved.rollout.subject().model().clone();
    let ride = match rides.entry(model) {
        std::collections::btree_map::Entry::Occupied(it) => {
            let ride = it.into_mut();
            if ride.begun() != record.begun {
                *ride = Ride::shared(record.saved.clone(), record.begun);
            }
            ride
        }
        std::collections::btree_map::Entry::Vacant(it) => {
            it.insert(Ride::shared(record.saved.clone(), record.begun))
        }
    };
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
