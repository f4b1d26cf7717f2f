//! The one thread that decides what is loaded.
//!
//! A turn: take messages (or notice that it is time to look at the folder), bring the books up to
//! date, do the next actions, publish, answer. It never loads and never waits for a model; loader threads
//! do, and report back as messages. It is the table's only writer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use backend_api::Device;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use server_base::ModelName;
use server_serving::Workers;

use crate::commands::{Commands, Reply};
use crate::direction::Direction;
use crate::handle::LifecycleError;
use crate::loader::{End, Job, Loader};
use crate::metrics;
use crate::models::Model;
use crate::placement::Need;
use crate::policy::Action;
use crate::rooms::Rooms;
use crate::scanner::{Found, Scanner};
use crate::settle::{Part, Settling};
use crate::shelf::Shelf;
use crate::start::Options;
use crate::state::Event;

/// Commands and reports that may wait for the manager, which handles each in microseconds.
pub(crate) const MESSAGES_MAX: usize = 1_024;

/// How long readiness waits for folders that are being written when the server starts: long enough
/// for a copy's last file, short enough that a copy without end keeps nobody waiting.
const FIRST_REST_MAX: Duration = Duration::from_secs(10);

/// What the manager is told.
pub(crate) enum Message {
    Loaded(u64, Box<End>),
    Unloaded(u64, bool),
    /// The device of one that answers has failed.
    Lost(u64, String, Device),
    Load(ModelName, Reply),
    Unload(ModelName, Reply),
    Direct(ModelName, Option<Direction>, Reply),
    /// The bell has rung: what for stands beside it.
    Asked,
    Stop(Instant, Sender<bool>),
}

/// What became of an action.
enum Ended {
    Done,
    /// The loaders are busy: it is tried again when one of them has reported.
    Busy,
    /// Others bring the model's next turn, if there is to be one.
    Waits,
}

/// What the manager sees, shows and is served by.
pub(crate) struct Ends {
    pub(crate) scanner: Scanner,
    pub(crate) loader: Loader,
    pub(crate) rooms: Rooms,
    pub(crate) shelf: Shelf,
    /// Since when everything is there that others bring, if it was before the first scan.
    pub(crate) supplied: Option<Instant>,
}

/// The manager's books.
pub(crate) struct Manager {
    options: Options,
    scanner: Scanner,
    loader: Loader,
    rooms: Rooms,
    shelf: Shelf,
    settling: Settling,
    models: BTreeMap<ModelName, Model>,
    /// Models with something to load for which the loaders have no room; those that requests wait
    /// for come first.
    stuck: BTreeSet<(bool, ModelName)>,
    /// Which model an artifact belongs to.
    owners: HashMap<u64, ModelName>,
    next_id: u64,
    /// Taken out of the table; to be given to a loader once the table without them is published.
    retiring: Vec<(u64, Workers)>,
    commands: Commands,
    /// Has it seen the folder once?
    is_running: bool,
    /// Did the last scan see folders that are being written?
    unsettled: bool,
    supplied: Option<Instant>,
}

impl Manager {
    /// With nothing loaded yet.
    pub(crate) fn new(options: Options, ends: Ends) -> Manager {
        let Ends { scanner, loader, rooms, shelf, supplied } = ends;
        Manager {
            settling: Settling::new(options.rest),
            options,
            scanner,
            loader,
            rooms,
            shelf,
            models: BTreeMap::new(),
            stuck: BTreeSet::new(),
            owners: HashMap::new(),
            next_id: 0,
            retiring: Vec::new(),
            commands: Commands::default(),
            is_running: false,
            unsettled: false,
            supplied,
        }
    }

    /// Works until it is told to stop, or nobody is left to tell it anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>, first: &Found) {
        self.observe(first, &BTreeSet::new());
        let mut next_scan = Instant::now() + self.scan_pause();
        loop {
            self.act();
            let wait = next_scan.saturating_duration_since(Instant::now());
            let wait = wait.min(self.rooms.pause());
            let message = match inbox.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What else has come in is taken in the same turn: a thousand models that come up
            // together are not published a thousand times.
            for message in message.into_iter().chain(inbox.try_iter().take(MESSAGES_MAX)) {
                if let Message::Stop(by, reply) = message {
                    let _ = reply.send(self.stop(by, inbox));
                    return;
                }
                self.handle(message);
            }
            let asked = self.commands.asked();
            if !asked.is_empty() || Instant::now() >= next_scan {
                self.scan(&asked);
                next_scan = Instant::now() + self.scan_pause();
            }
        }
    }

    /// While something is being written, looks often enough to see it come to rest.
    fn scan_pause(&self) -> Duration {
        let interval = self.options.scan_interval;
        if self.unsettled { interval.min(self.options.rest / 2) } else { interval }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Loaded(id, end) => self.loaded(id, *end),
            Message::Unloaded(id, clean) => self.unloaded(id, clean),
            Message::Lost(id, reason, device) => self.lost(id, &reason, device),
            Message::Load(name, reply) => {
                if let Some(model) = self.models.get_mut(&name) {
                    model.set_unloaded(false);
                }
                self.commands.load(name, reply);
            }
            Message::Unload(name, reply) => {
                if let Some(model) = self.models.get_mut(&name) {
                    model.set_unloaded(true);
                }
                self.commands.unload(reply);
            }
            Message::Direct(name, direction, reply) => self.direct(name, direction, reply),
            Message::Asked => {}    // what for is seen to by every turn
            Message::Stop(..) => {} // handled by `run`
        }
    }

    /// One that is not there yet, or again, is directed when it comes.
    fn direct(&mut self, name: ModelName, direction: Option<Direction>, reply: Reply) {
        match self.models.get_mut(&name) {
            Some(model) => {
                model.set_direction(direction.clone());
                // It is done when the table says so.
                self.commands.unload(reply);
            }
            None => {
                let unknown = LifecycleError::Unknown { model: name.to_string() };
                let _ = reply.send(Err(unknown));
            }
        }
        match direction {
            Some(it) => drop(self.options.directions.insert(name, it)),
            None => drop(self.options.directions.remove(&name)),
        }
        self.shelf.direct(&self.options.directions);
    }

    /// Looks at the folder; `at_once` names models that need not have rested.
    fn scan(&mut self, at_once: &BTreeSet<ModelName>) {
        // Asked before the look: what has been brought by now will be seen.
        self.supplied = self.supplied.or_else(|| self.options.is_supplied().then(Instant::now));
        let found = self.scanner.scan();
        for (repository, error) in &found.unread {
            tracing::warn!(repository = %repository.display(), %error, "cannot scan");
        }
        self.observe(&found, at_once);
        for name in at_once {
            // One that was not there before is wanted by command from its first day on.
            let model = self.models.get_mut(name);
            model.into_iter().for_each(|it| it.set_unloaded(false));
        }
        self.commands.looked(&self.models);
    }

    fn observe(&mut self, found: &Found, at_once: &BTreeSet<ModelName>) {
        metrics::scanned(found.faults());
        for stranger in &found.strangers {
            tracing::debug!(stranger, "not a model");
        }
        for name in found.models.keys() {
            if !self.models.contains_key(name) {
                let demand = self.rooms.demand(name);
                let mut model = Model::new(demand, &self.options.defaults, self.is_running);
                model.set_direction(self.options.directions.get(name).cloned());
                self.models.insert(name.clone(), model);
            }
        }
        self.is_running = true;
        let (now, today) = (Instant::now(), SystemTime::now());
        let mut is_new = false;
        self.unsettled = false;
        for (name, model) in &mut self.models {
            let seen = found.models.get(name);
            if model.has_seen(seen) && !at_once.contains(name) {
                continue;
            }
            is_new = true;
            let settling = &mut self.settling;
            let unsettled = model.observe(seen, &self.options.defaults, |part, look| {
                let settled = settling.is_settled((name.clone(), part), look, (now, today));
                settled || at_once.contains(name)
            });
            self.unsettled |= unsettled;
        }
        if is_new {
            self.settling.keep(|(name, part)| {
                match (found.models.get(name).map(|it| &**it), part) {
                    (None, _) => false,
                    (Some(Ok(model)), Part::Version(version)) => {
                        model.versions.contains_key(version)
                    }
                    // Of a folder that cannot be read nothing is known to be gone.
                    (Some(Ok(_)), Part::Config) | (Some(Err(_)), _) => true,
                }
            });
        }
    }

    /// Does all that can be done now, and shows the result.
    fn act(&mut self) {
        for (claim, scarce) in self.rooms.keep(&mut self.models) {
            self.refuse(&claim, &scarce);
        }
        let changed = self.models.iter().filter(|(_, it)| it.is_changed());
        for name in changed.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.act_on(&name);
        }
        while let Some(waits) = self.stuck.first().cloned() {
            if !self.act_on(&waits.1) {
                break; // the next report brings another turn
            }
            self.stuck.remove(&waits);
        }
        let mut gone = Vec::new();
        self.models.retain(|_, it| {
            gone.extend(it.is_gone().then(|| it.lazy.demand().clone()));
            !it.is_gone()
        });
        let overdue = |since: Instant| since.elapsed() >= FIRST_REST_MAX;
        let resting = self.supplied.is_some_and(|it| !self.unsettled || overdue(it));
        self.shelf.show(&mut self.models, &gone, resting);
        for (id, workers) in std::mem::take(&mut self.retiring) {
            if let Err(Job::Unload(id, workers)) = self.loader.give(Job::Unload(id, workers)) {
                self.retiring.push((id, workers));
            }
        }
        self.commands.answer(&self.models);
    }

    /// Takes a model as far as it goes now. False if it would go further and the loaders are busy.
    fn act_on(&mut self, name: &ModelName) -> bool {
        let now = self.rooms.now();
        let Some(model) = self.models.get_mut(name) else { return true };
        model.reckon(now);
        self.rooms.note(model);
        let (next_id, owners) = (&mut self.next_id, &mut self.owners);
        model.want(|| {
            *next_id += 1;
            owners.insert(*next_id, name.clone());
            *next_id
        });
        while let Some(action) = self.models.get(name).and_then(Model::next_action) {
            let ended = match action {
                Action::Load(id) => self.load(name, id),
                Action::Retire(id) => self.retire(name, id),
            };
            match ended {
                Ended::Done => {}
                Ended::Waits => return true,
                Ended::Busy => {
                    let is_patient = self.models.get(name).is_some_and(|it| !it.is_lazy());
                    self.stuck.insert((is_patient, name.clone()));
                    return false;
                }
            }
        }
        true
    }

    /// Says itself whether the loaders were busy: asked later they may not be, and the model is forgotten.
    fn load(&mut self, name: &ModelName, id: u64) -> Ended {
        if !self.loader.has_room() {
            return Ended::Busy;
        }
        let Some(model) = self.models.get_mut(name) else { return Ended::Waits };
        let bytes = model.load_needs(id, &self.rooms.lesson);
        if !self.rooms.may_load(name, id, bytes) {
            return Ended::Waits;
        }
        model.takes(id, bytes, false);
        let (job, cause) = (model.load_job(id), model.load_cause(id));
        let need = Need { bytes, avoid: model.avoids(id) };
        let Some(job) = job else { return Ended::Waits };
        if self.loader.give(Job::Load(id, need, Box::new(job))).is_err() {
            return Ended::Busy;
        }
        metrics::load_begun(cause);
        self.models.get_mut(name).into_iter().for_each(|it| it.begin(id, cause));
        self.happened(id, Event::Load)
    }

    fn retire(&mut self, name: &ModelName, id: u64) -> Ended {
        let workers = self.models.get_mut(name).and_then(|it| it.end(id));
        let retired = self.happened(id, Event::Retire);
        match workers {
            Some(workers) => self.retiring.push((id, workers)),
            None => drop(self.owners.remove(&id)), // it was never loaded, so nothing drains
        }
        retired
    }

    /// What cannot happen is a bug, which is not tried over and over.
    fn happened(&mut self, id: u64, event: Event) -> Ended {
        if self.happen(id, event) { Ended::Done } else { Ended::Waits }
    }

    fn happen(&mut self, id: u64, event: Event) -> bool {
        let Some(name) = self.owners.get(&id) else { return false };
        let Some(model) = self.models.get_mut(name) else { return false };
        let Some(version) = model.version_of(id) else { return false };
        match model.happen(id, event) {
            Ok(state) => {
                tracing::debug!(model = %name, %version, %state, "state");
                true
            }
            Err(illegal) => {
                tracing::error!(model = %name, %version, ?illegal, "a bug in the lifecycle");
                false
            }
        }
    }
}

#[path = "reports.rs"]
mod reports;

#[path = "stopping.rs"]
mod stopping;

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
