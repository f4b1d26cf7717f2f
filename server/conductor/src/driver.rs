//! The thread that drives all rollouts, once a second and whenever an operator says something.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_base::{Journal, ModelName, Version};
use server_lifecycle::{Declared, Direction, Lifecycle};
use server_replicas::{Saved, Wish};
use server_rollout::{Command, Moment, Plan, Rollout, Subject};
use server_serving::Serving;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::declared::{Due, due, is_in_the_way};
use crate::files::Files;
use crate::handle::{Ask, Conductor, ConductorError, View};
use crate::metrics;
use crate::prints::Prints;
use crate::ride::Ride;
use crate::share::Share;
use crate::shared::{Rides, Shared};
use crate::world::{Beside, World};

/// Operators that wait to be heard.
const ASKS_MAX: usize = 64;

/// Rollouts at a time, those that are over included until another of their model begins.
const RIDES_MAX: usize = 1_000;

/// How rollouts are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where they outlive the process; `None`: they do not.
    pub folder: Option<PathBuf>,
    /// Where replicas meet that drive their rollouts together; then only the log of decisions is kept in `folder`.
    pub share: Option<Share>,
    /// What this machine is called, for the name of the replica.
    pub host: String,
    /// Where decisions are written down.
    pub audit: Option<Arc<Journal>>,
    /// How often every rollout is looked at. The tests are valid however often that is.
    pub interval: Duration,
}

/// What was under way when the process before ended, or is under way elsewhere.
pub struct Kept {
    files: Files,
    rides: Rides,
    every: Duration,
    shared: Option<Shared>,
}

/// Reads what is on the disk.
pub fn read(options: &Options) -> io::Result<Kept> {
    let files = Files::open(options.folder.as_deref(), options.audit.clone())?;
    let every = options.interval;
    if let Some(share) = &options.share {
        let mut shared = Shared::open(share, &options.host, every, moment())?;
        let rides = shared.read(moment())?;
        return Ok(Kept { files, rides, every, shared: Some(shared) });
    }
    let mut rides = Rides::new();
    for saved in files.read()? {
        let model = saved.rollout.subject().model().clone();
        tracing::info!(%model, state = ?saved.rollout.state(), "taking up a rollout");
        rides.insert(model, Ride::new(saved));
    }
    Ok(Kept { files, rides, every, shared: None })
}

impl Kept {
    /// What models are to be from their first load on: what was rolled back must not come first.
    pub fn directions(&self) -> BTreeMap<ModelName, Direction> {
        let now = moment();
        self.rides
            .iter()
            .filter_map(|(model, it)| Some((model.clone(), it.direction(now)?)))
            .collect()
    }

    /// Takes it up, tells what was decided and may not have been told, and starts the thread. It ends when nobody
    /// holds the handle any more.
    pub fn start(
        self,
        lifecycle: Lifecycle,
        serving: Arc<Serving>,
        beside: Beside,
    ) -> io::Result<Conductor> {
        let Kept { files, mut rides, every, shared } = self;
        let world = World::new((&serving, &lifecycle), &files, &beside);
        rides.values_mut().for_each(|it| it.tell_rest(&world));
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (said, prints) = (BTreeMap::new(), Prints::new(beside.contents.clone()));
        let driver =
            Driver { lifecycle, serving, files, beside, rides, every, shared, prints, said };
        thread::Builder::new()
            .name("conductor".to_owned())
            .spawn(move || runtime.block_on(driver.run(inbox)))?;
        Ok(Conductor { asks })
    }
}

struct Driver {
    lifecycle: Lifecycle,
    serving: Arc<Serving>,
    files: Files,
    beside: Beside,
    rides: Rides,
    every: Duration,
    shared: Option<Shared>,
    prints: Prints,
    /// Why what a model's file asks for could not be done, said once.
    said: BTreeMap<ModelName, ConductorError>,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<Ask>) {
        let mut turns = interval(self.every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => self.turn().await,
                ask = inbox.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
            }
        }
    }

    async fn turn(&mut self) {
        let now = moment();
        let world = World::new((&self.serving, &self.lifecycle), &self.files, &self.beside);
        match &mut self.shared {
            Some(shared) => shared.turn(&mut self.rides, &world, now).await,
            None => {
                for (model, ride) in &mut self.rides {
                    ride.turn(&world, now).await;
                    metrics::stands(model, ride.rollout());
                }
            }
        }
        self.carry_out_orders().await;
        let declared = self.lifecycle.declared();
        self.prints.keep(&declared);
        for it in declared.iter() {
            self.answer_wish(it, now).await;
        }
    }

    /// Does what a model's file asks for.
    async fn answer_wish(&mut self, declared: &Declared, now: Moment) {
        let Declared { model, version, .. } = declared;
        if self.shared.as_ref().is_some_and(|it| !it.may_say(model, now)) {
            return;
        }
        let Some(plan) = &declared.plan else { return self.end_unwanted(declared, now).await };
        let wish = self.wish(declared);
        if wish.content.is_none() && self.shared.is_none() {
            return; // it is being read
        }
        let table = self.serving.table();
        let serves = table.model(model.as_str()).and_then(|it| it.main()).map(|it| it.version());
        let last = self.ride(model.as_str()).map(Ride::saved);
        let due = due(&wish, serves, last, now);
        if let Due::Begin { from } = due {
            let asked = Asked::by_file(from, *version);
            let error = self.begin(model.as_str(), asked, Plan::clone(plan)).await.err();
            // Another replica was faster: in the next turn it is looked at again.
            let error = error.filter(|it| *it != ConductorError::Busy);
            let what = "the rollout that model.toml asks for cannot begin";
            return self.say((model, *version), what, error);
        }
        self.settle((model, due, wish), now).await;
    }

    /// The file asks for no rollout any more. One that was begun for it goes on, unless it wants another version by now:
    /// then it ends, and what came of it is no reason to keep that version waiting.
    async fn end_unwanted(&mut self, declared: &Declared, now: Moment) {
        let Declared { model, version, .. } = declared;
        let wish = Wish { version: version.0, content: None };
        let last = self.ride(model.as_str()).map(Ride::saved);
        let Some(last) = last.filter(|it| it.rollout.subject().canary() != *version) else {
            return;
        };
        let due = due(&wish, None, Some(last), now);
        if due == Due::Withdraw {
            // Whether that was done, and what is left of it then, is seen in the next turn.
            return self.settle((model, due, wish), now).await;
        }
        if !is_in_the_way(last, *version) {
            return;
        }
        let error = self.let_go(model.as_str()).await.err();
        if error.is_none() {
            tracing::info!(%model, %version, "the last rollout is let go: model.toml asks for none, and wants this version");
        }
        // Others wrote all the time, or have begun one: in the next turn it is looked at again.
        let passes = |it: &ConductorError| {
            matches!(it, ConductorError::Busy | ConductorError::UnderWay { .. })
        };
        let what = "the last rollout cannot be let go, and model.toml wants another version";
        self.say((model, *version), what, error.filter(|it| !passes(it)));
    }

    async fn settle(&mut self, (model, due, wish): (&ModelName, Due, Wish), now: Moment) {
        let world = World::new((&self.serving, &self.lifecycle), &self.files, &self.beside);
        if let Some(shared) = &mut self.shared {
            return shared.settle(&mut self.rides, &world, (model, due, wish), now).await;
        }
        let Some(ride) = self.rides.get_mut(model) else { return };
        match due {
            Due::Withdraw => ride.withdraw(&world, now).await,
            Due::Note => ride.note(&world, wish),
            Due::Nothing | Due::Begin { .. } => {}
        }
    }

    /// What a file wants. Replicas go by the number alone.
    fn wish(&mut self, declared: &Declared) -> Wish {
        let content = if self.shared.is_some() { None } else { self.prints.of(declared) };
        Wish { version: declared.version.0, content }
    }

    /// Says once what could not be done, and why.
    fn say(
        &mut self,
        (model, version): (&ModelName, Version),
        what: &str,
        error: Option<ConductorError>,
    ) {
        let Some(error) = error else { return drop(self.said.remove(model)) };
        if self.said.get(model) != Some(&error) {
            tracing::warn!(%model, %version, %error, "{what}");
            self.said.insert(model.clone(), error);
        }
    }

    async fn answer(&mut self, ask: Ask) {
        // Nobody who listens any more is no error.
        match ask {
            Ask::Start { model, to, from, plan, order, reply } => {
                drop(reply.send(self.start(&model, (from, to), *plan, &order).await));
            }
            Ask::Command { model, command, order, reply } => {
                drop(reply.send(self.tell(&model, command, &order).await));
            }
            Ask::Promote { model, to, order, reply } => {
                drop(reply.send(self.promote(&model, to, &order).await));
            }
            Ask::RollBack { model, before, order, reply } => {
                drop(reply.send(self.roll_back(&model, before, &order).await));
            }
            Ask::Forget { model, order, reply } => {
                drop(reply.send(self.forget(&model, &order).await));
            }
            Ask::Show { reply } => {
                let known = self.rides.values().filter(|it| !it.saved().is_forgotten);
                drop(reply.send(known.map(|it| self.view(it)).collect()));
            }
        }
    }

    /// The last one of a model, unless that is forgotten.
    fn ride(&self, model: &str) -> Option<&Ride> {
        self.rides.get(model).filter(|it| !it.saved().is_forgotten)
    }

    /// As operators see it.
    fn view(&self, ride: &Ride) -> View {
        let model = ride.rollout().subject().model();
        let shared = self.shared.as_ref().and_then(|it| it.shown(model, moment()));
        View { shared, ..View::of(ride.saved()) }
    }

    async fn command(&mut self, model: &str, command: Command) -> Result<View, ConductorError> {
        let now = moment();
        let world = World::new((&self.serving, &self.lifecycle), &self.files, &self.beside);
        let unknown = || ConductorError::NoRollout { model: model.to_owned() };
        match &mut self.shared {
            Some(shared) => {
                shared.command(&mut self.rides, &world, (model, command), now).await?;
            }
            None => {
                let ride = self.rides.get_mut(model).filter(|it| !it.saved().is_forgotten);
                let ride = ride.ok_or_else(unknown)?;
                ride.command(&world, command, now).await?;
            }
        }
        self.rides.get(model).map(|it| self.view(it)).ok_or_else(unknown)
    }

    async fn begin(
        &mut self,
        model: &str,
        Asked { from, to, is_declared, is_ordered }: Asked,
        plan: Plan,
    ) -> Result<View, ConductorError> {
        let unknown = || ConductorError::UnknownModel { model: model.to_owned() };
        let name = ModelName::new(model).map_err(|_| unknown())?;
        let now = moment();
        if let Some(ride) = self.rides.get(&name)
            && !ride.is_over()
        {
            return Err(ConductorError::UnderWay { model: model.to_owned() });
        }
        if self.rides.len() >= RIDES_MAX && !self.rides.contains_key(&name) {
            return Err(ConductorError::TooMany { most: RIDES_MAX });
        }
        let stable = match from {
            Some(from) => from,
            None => {
                let table = self.serving.table();
                let entry = table.model(model).ok_or_else(unknown)?;
                let serves = entry
                    .main()
                    .ok_or_else(|| ConductorError::NothingServes { model: model.to_owned() })?;
                serves.version()
            }
        };
        let subject = Subject::new(name.clone(), stable, to)?;
        let declared = self.lifecycle.declared();
        let declared = declared.iter().find(|it| it.model == name && it.plan.is_some());
        let wish = declared.map(|it| self.wish(it));
        let mut saved = Saved::new(Rollout::new(subject, plan, now), is_declared, wish);
        saved.is_ordered = is_ordered;
        let world = World::new((&self.serving, &self.lifecycle), &self.files, &self.beside);
        if let Some(shared) = &mut self.shared {
            shared.begin(&mut self.rides, &world, saved, now).await?;
            return self.rides.get(&name).map(|it| self.view(it)).ok_or_else(unknown);
        }
        self.files.write(&saved).map_err(|it| ConductorError::Disk(it.to_string()))?;
        let mut ride = Ride::new(saved);
        ride.turn(&world, now).await;
        let view = View::of(ride.saved());
        self.rides.insert(name, ride);
        Ok(view)
    }
}

/// Between which versions, and who says so.
struct Asked {
    from: Option<Version>,
    to: Version,
    is_declared: bool,
    /// It takes over as soon as it may.
    is_ordered: bool,
}

impl Asked {
    fn by_file(from: Version, to: Version) -> Asked {
        Asked { from: Some(from), to, is_declared: true, is_ordered: false }
    }
}

/// The wall clock's time: what is written down must mean something after a restart.
fn moment() -> Moment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

#[path = "orders.rs"]
mod orders;

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
