//! The thread that drives all rollouts, once a second and whenever an operator says something.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_base::{ModelName, Version};
use server_lifecycle::{Declared, Direction, Lifecycle};
use server_rollout::{Moment, Plan, Rollout, Subject};
use server_serving::Serving;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::declared::{Due, Wish, due};
use crate::files::{Files, Saved};
use crate::handle::{Ask, Conductor, ConductorError, View};
use crate::metrics;
use crate::ride::{Ride, World};

/// Operators that wait to be heard.
const ASKS_MAX: usize = 64;

/// Rollouts at a time, those that are over included until another of their model begins.
const RIDES_MAX: usize = 1_000;

/// How rollouts are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where they outlive the process; `None`: they do not.
    pub folder: Option<PathBuf>,
    /// How often every rollout is looked at. The tests are valid however often that is.
    pub interval: Duration,
}

/// What was under way when the process before ended.
pub struct Kept {
    files: Files,
    rides: BTreeMap<ModelName, Ride>,
    every: Duration,
}

/// Reads what is on the disk.
pub fn read(options: &Options) -> io::Result<Kept> {
    let files = Files::open(options.folder.as_deref())?;
    let mut rides = BTreeMap::new();
    for saved in files.read()? {
        let model = saved.rollout.subject().model().clone();
        tracing::info!(%model, state = ?saved.rollout.state(), "taking up a rollout");
        rides.insert(model, Ride::new(saved));
    }
    Ok(Kept { files, rides, every: options.interval })
}

impl Kept {
    /// What models are to be from their first load on: what was rolled back must not come first.
    pub fn directions(&self) -> BTreeMap<ModelName, Direction> {
        let now = moment();
        self.rides.iter().map(|(model, ride)| (model.clone(), ride.direction(now))).collect()
    }

    /// Takes it up, and starts the thread. It ends when nobody holds the handle any more.
    pub fn start(self, lifecycle: Lifecycle, serving: Arc<Serving>) -> io::Result<Conductor> {
        let Kept { files, rides, every } = self;
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let driver = Driver { lifecycle, serving, files, rides, every, said: BTreeMap::new() };
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
    rides: BTreeMap<ModelName, Ride>,
    every: Duration,
    /// Why what a model's file asks for could not begin, said once.
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
        let world =
            World { serving: &self.serving, lifecycle: &self.lifecycle, files: &self.files };
        for (model, ride) in &mut self.rides {
            ride.turn(&world, now).await;
            metrics::stands(model, ride.rollout());
        }
        for declared in self.lifecycle.declared().iter() {
            self.answer_wish(declared, now).await;
        }
    }

    /// Does what a model's file asks for.
    async fn answer_wish(&mut self, declared: &Declared, now: Moment) {
        let Declared { model, version, print: _, plan } = declared;
        let wish = Wish::of(declared);
        let table = self.serving.table();
        let serves = table.model(model.as_str()).and_then(|it| it.main()).map(|it| it.version());
        let last = self.rides.get(model).map(Ride::saved);
        let due = due(wish, serves, last, now);
        if let Due::Begin { from } = due {
            let begun = Asked { from: Some(from), to: *version, is_declared: true };
            let said = self.begin(model.as_str(), begun, Plan::clone(plan)).await.err();
            if said.is_some() && said.as_ref() != self.said.get(model) {
                let error = said.as_ref().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%model, %version, error, "the rollout that model.toml asks for cannot begin");
            }
            match said {
                Some(error) => drop(self.said.insert(model.clone(), error)),
                None => drop(self.said.remove(model)),
            }
            return;
        }
        let world =
            World { serving: &self.serving, lifecycle: &self.lifecycle, files: &self.files };
        let Some(ride) = self.rides.get_mut(model) else { return };
        match due {
            Due::Withdraw => ride.withdraw(&world, now).await,
            Due::Note => ride.note(&world, wish),
            Due::Nothing | Due::Begin { .. } => {}
        }
    }

    async fn answer(&mut self, ask: Ask) {
        // Nobody who listens any more is no error.
        match ask {
            Ask::Start { model, to, from, plan, reply } => {
                let asked = Asked { from, to, is_declared: false };
                let started = self.begin(&model, asked, *plan).await;
                drop(reply.send(started));
            }
            Ask::Command { model, command, reply } => {
                let now = moment();
                let world = World {
                    serving: &self.serving,
                    lifecycle: &self.lifecycle,
                    files: &self.files,
                };
                let done = match self.rides.get_mut(model.as_str()) {
                    None => Err(ConductorError::NoRollout { model }),
                    Some(ride) => match ride.command(&world, command, now).await {
                        Ok(()) => Ok(View::of(ride.saved())),
                        Err(refused) => Err(refused.into()),
                    },
                };
                drop(reply.send(done));
            }
            Ask::Show { reply } => {
                drop(reply.send(self.rides.values().map(|it| View::of(it.saved())).collect()));
            }
        }
    }

    async fn begin(
        &mut self,
        model: &str,
        Asked { from, to, is_declared }: Asked,
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
        let wish = declared.iter().find(|it| it.model == name);
        let wish = wish.map(Wish::of);
        let saved = Saved::new(Rollout::new(subject, plan, now), is_declared, wish);
        self.files.write(&saved).map_err(|it| ConductorError::Disk(it.to_string()))?;
        let mut ride = Ride::new(saved);
        let world =
            World { serving: &self.serving, lifecycle: &self.lifecycle, files: &self.files };
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
}

/// The wall clock's time: what is written down must mean something after a restart.
fn moment() -> Moment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
