//! The one thread that decides what is loaded.
//!
//! A turn: take messages (or notice that it is time to look at the folder), bring the books up to
//! date, do the next actions, publish, answer. It never loads and never waits for a model; loader threads
//! do, and report back as messages. It is the table's only writer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use server_base::{ModelName, Version};
use server_serving::{Serving, Table, Workers};
use tokio::sync::watch;

use crate::commands::{Commands, Reply};
use crate::handle::{Entry, Readiness};
use crate::load::Loaded;
use crate::loader::{Job, Loader};
use crate::metrics;
use crate::models::Model;
use crate::policy::Action;
use crate::repository::{self, Found};
use crate::settle::{Part, Settling};
use crate::start::Options;
use crate::state::Event;

/// Commands and reports that may wait for the manager, which handles each in microseconds.
pub(crate) const MESSAGES_MAX: usize = 1_024;

/// How long readiness waits for folders that are being written when the server starts: long enough
/// for a copy's last file, short enough that a copy without end keeps nobody waiting.
const FIRST_REST_MAX: Duration = Duration::from_secs(10);

/// What the manager is told.
pub(crate) enum Message {
    Loaded(u64, Result<Box<Loaded>, String>),
    Unloaded(u64, bool),
    Load(ModelName, Reply),
    Unload(ModelName, Reply),
    Stop(Instant, Sender<bool>),
}

/// What the manager shows and is served by.
pub(crate) struct Ends {
    pub(crate) loader: Loader,
    pub(crate) index: Arc<ArcSwap<Vec<Entry>>>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) changed: Arc<watch::Sender<u64>>,
}

/// The manager's books.
pub(crate) struct Manager {
    options: Options,
    artifacts: Vec<&'static str>,
    serving: Arc<Serving>,
    loader: Loader,
    settling: Settling,
    models: BTreeMap<ModelName, Model>,
    /// Which model an artifact belongs to.
    owners: HashMap<u64, ModelName>,
    /// The version that answers requests without a version.
    newest: HashMap<ModelName, Version>,
    next_id: u64,
    /// Taken out of the table; to be given to a loader once the table without them is published.
    retiring: Vec<(u64, Workers)>,
    commands: Commands,
    index: Arc<ArcSwap<Vec<Entry>>>,
    readiness: Arc<Readiness>,
    changed: Arc<watch::Sender<u64>>,
    started: Instant,
    /// Has it seen the folder once?
    is_running: bool,
    /// Did the last scan see folders that are being written?
    unsettled: bool,
}

impl Manager {
    /// With nothing loaded yet.
    pub(crate) fn new(
        options: Options,
        artifacts: Vec<&'static str>,
        serving: Arc<Serving>,
        ends: Ends,
    ) -> Manager {
        let Ends { loader, index, readiness, changed } = ends;
        Manager {
            settling: Settling::new(options.rest),
            options,
            artifacts,
            serving,
            loader,
            models: BTreeMap::new(),
            owners: HashMap::new(),
            newest: HashMap::new(),
            next_id: 0,
            retiring: Vec::new(),
            commands: Commands::default(),
            index,
            readiness,
            changed,
            started: Instant::now(),
            is_running: false,
            unsettled: false,
        }
    }

    /// Works until it is told to stop, or nobody is left to tell it anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>, first: &Found) {
        self.observe(first, &BTreeSet::new());
        let mut next_scan = Instant::now() + self.scan_pause();
        loop {
            self.act();
            let wait = next_scan.saturating_duration_since(Instant::now());
            let message = match inbox.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What else has come in is taken in the same turn: a thousand models that come up
            // together are not published a thousand times.
            for message in message.into_iter().chain(inbox.try_iter().take(MESSAGES_MAX)) {
                if let Message::Stop(by, reply) = message {
                    let _ = reply.send(self.stop(by));
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
            Message::Loaded(id, result) => self.loaded(id, result),
            Message::Unloaded(id, clean) => {
                if !clean {
                    let model = self.owners.get(&id).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(
                        model,
                        "a retired version still runs requests; leaving it behind"
                    );
                }
                self.happen(id, Event::Drained);
                self.owners.remove(&id);
            }
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
            Message::Stop(..) => {} // handled by `run`
        }
    }

    /// Looks at the folder; `at_once` names models that need not have rested.
    fn scan(&mut self, at_once: &BTreeSet<ModelName>) {
        match repository::scan(&self.options.repository, &self.artifacts) {
            Ok(found) => self.observe(&found, at_once),
            // A repository that is out of reach for a while unloads nothing.
            Err(error) => {
                metrics::scanned(1);
                tracing::warn!(repository = %self.options.repository.display(), %error, "cannot scan");
            }
        }
        self.commands.looked(&self.models);
    }

    fn observe(&mut self, found: &Found, at_once: &BTreeSet<ModelName>) {
        metrics::scanned(found.faults());
        for stranger in &found.strangers {
            tracing::debug!(stranger, "not a model");
        }
        for name in found.models.keys() {
            let (defaults, is_new) = (&self.options.defaults, self.is_running);
            let model = || Model::new(name.clone(), defaults, is_new);
            self.models.entry(name.clone()).or_insert_with(model);
        }
        self.is_running = true;
        let (now, today) = (Instant::now(), SystemTime::now());
        self.unsettled = false;
        for (name, model) in &mut self.models {
            let settling = &mut self.settling;
            let unsettled =
                model.observe(found.models.get(name), &self.options.defaults, |part, look| {
                    let settled = settling.is_settled((name.clone(), part), look, (now, today));
                    settled || at_once.contains(name)
                });
            self.unsettled |= unsettled;
        }
        self.settling.keep(|(name, part)| match (found.models.get(name), part) {
            (None, _) => false,
            (Some(Ok(model)), Part::Version(version)) => model.versions.contains_key(version),
            // Of a folder that cannot be read nothing is known to be gone.
            (Some(Ok(_)), Part::Config) | (Some(Err(_)), _) => true,
        });
    }

    /// Does all that can be done now, and shows the result.
    fn act(&mut self) {
        let names: Vec<ModelName> = self.models.keys().cloned().collect();
        for name in names {
            self.act_on(&name);
        }
        self.models.retain(|_, it| !it.is_gone());
        // All is stored before anybody is told, so that whoever looks then sees all of it.
        let is_shown_anew = self.publish();
        let is_ready_anew = self.settle();
        if is_shown_anew || is_ready_anew {
            self.changed.send_modify(|it| *it = it.wrapping_add(1));
        }
        for (id, workers) in std::mem::take(&mut self.retiring) {
            if let Err(Job::Unload(id, workers)) = self.loader.give(Job::Unload(id, workers)) {
                self.retiring.push((id, workers));
            }
        }
        self.commands.answer(&self.models);
    }

    fn act_on(&mut self, name: &ModelName) {
        let Some(model) = self.models.get_mut(name) else { return };
        let (next_id, owners) = (&mut self.next_id, &mut self.owners);
        model.want(|| {
            *next_id += 1;
            owners.insert(*next_id, name.clone());
            *next_id
        });
        while let Some(action) = self.models.get(name).and_then(Model::next_action) {
            let done = match action {
                Action::Load(id) => self.load(name, id),
                Action::Retire(id) => self.retire(name, id),
            };
            if !done {
                return; // no room at the loaders; the next report brings another turn
            }
        }
    }

    fn load(&mut self, name: &ModelName, id: u64) -> bool {
        let Some(job) = self.models.get(name).and_then(|it| it.load_job(id)) else { return false };
        if self.loader.give(Job::Load(id, Box::new(job))).is_err() {
            return false;
        }
        self.happen(id, Event::Load)
    }

    fn retire(&mut self, name: &ModelName, id: u64) -> bool {
        let workers = self.models.get_mut(name).and_then(|it| it.take_workers(id));
        let retired = self.happen(id, Event::Retire);
        match workers {
            Some(workers) => self.retiring.push((id, workers)),
            None => drop(self.owners.remove(&id)), // it was never loaded, so nothing drains
        }
        retired
    }

    fn loaded(&mut self, id: u64, result: Result<Box<Loaded>, String>) {
        let Some(name) = self.owners.get(&id).cloned() else { return };
        let Some(model) = self.models.get_mut(&name) else { return };
        let Some(version) = model.version_of(id) else { return };
        match result {
            Ok(loaded) => {
                let plan = loaded.workers.servable().plan();
                tracing::info!(
                    model = %name, %version, engine = loaded.engine, instances = plan.instances,
                    cores_per_run = plan.width, weight = plan.weight,
                    max_batch_size = plan.batching.rows_max,
                    max_queue_delay_us = plan.batching.delay_max.as_secs_f64() * 1e6,
                    took_s = loaded.took.as_secs_f64(), "model version is available"
                );
                model.keep(id, Some(*loaded));
                self.happen(id, Event::Loaded);
            }
            Err(reason) => {
                tracing::error!(model = %name, %version, reason, "model version cannot be loaded");
                model.keep(id, None);
                self.happen(id, Event::LoadFailed { reason });
                self.owners.remove(&id); // nothing more can happen to it
            }
        }
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

    /// Puts table and index up. True if the index says something new.
    fn publish(&mut self) -> bool {
        let mut table = HashMap::new();
        let mut index = Vec::new();
        for (name, model) in &self.models {
            let entry = model.table_entry();
            if entry.ready().is_empty() {
                self.newest.remove(name); // whatever comes next replaces nothing
            }
            if let Some(newest) = entry.ready().last().map(|it| it.version()) {
                let before = self.newest.insert(name.clone(), newest);
                if let Some(before) = before.filter(|it| *it != newest) {
                    tracing::info!(model = %name, from = %before, to = %newest, "version switch");
                    metrics::switched(name, before, newest);
                }
            }
            index.extend(model.index());
            table.insert(name.clone(), entry);
        }
        self.newest.retain(|name, _| self.models.contains_key(name));
        self.serving.publish(Table::new(table));
        let is_new = **self.index.load() != index;
        if is_new {
            self.index.store(Arc::new(index));
        }
        is_new
    }

    /// Brings the readiness up to date. True if it has changed.
    fn settle(&mut self) -> bool {
        let was_ready = self.readiness.is_ready();
        let unserved = self.models.values().filter(|it| !it.is_available()).count();
        self.readiness.set_unserved(unserved);
        let resting = !self.unsettled || self.started.elapsed() >= FIRST_REST_MAX;
        let pending = self.models.values().any(Model::is_pending);
        if resting && !pending && self.readiness.settle() {
            let (models, took_s) = (self.models.len(), self.started.elapsed().as_secs_f64());
            tracing::info!(models, unserved, took_s, "the initial models have settled");
        }
        was_ready != self.readiness.is_ready()
    }

    /// Closes every lane, waits until all is answered.
    fn stop(mut self, by: Instant) -> bool {
        self.serving.publish(Table::default());
        let ids: Vec<u64> = self.owners.keys().copied().collect();
        for id in ids {
            let owner = self.owners.get(&id).and_then(|it| self.models.get_mut(it));
            let workers = owner.and_then(|it| it.take_workers(id));
            self.retiring.extend(workers.map(|it| (id, it)));
        }
        // All are told before the first is waited for.
        let workers: Vec<Workers> = self.retiring.drain(..).map(|(_, it)| it).collect();
        workers.iter().for_each(Workers::close);
        let mut clean = true;
        for it in workers {
            clean &= it.stop(by);
        }
        clean
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
