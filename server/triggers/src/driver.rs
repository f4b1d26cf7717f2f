//! The thread: findings and commands in, decisions on the disk, events to their targets.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;

use serde_json::json;
use server_base::Journal;
use server_registry::Environment;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::book::{Book, World};
use crate::config::Config;
use crate::courier::{Courier, Delivered, RunState, Trouble};
use crate::decision::{Decision, Served};
use crate::event::Event;
use crate::files::{Files, Pending, Saved};
use crate::handle::{Ask, Triggers};
use crate::limits::{
    AT_ONCE_MAX, ATTEMPTS_MAX, INBOX_MAX, LOOK, OUTBOX_MAX, RETRY_AFTER_MAX, TURN,
};
use crate::metrics;
use crate::moment::Moment;
use crate::pause::{draw, pause};

/// What the thread works with.
pub struct Options {
    /// Rules and targets.
    pub config: Config,
    /// Where secrets may be.
    pub environment: Environment,
    /// Where what happens is written down; `None`: a restart forgets.
    pub folder: Option<PathBuf>,
    /// Where decisions are told to people.
    pub audit: Option<Arc<Journal>>,
    /// Which versions answer.
    pub served: Box<dyn Fn() -> Vec<Served> + Send>,
}

/// Takes up what the process before has left, and starts the thread. It ends when it is told to, or
/// when nobody holds the handle any more.
pub fn start(options: Options) -> io::Result<Triggers> {
    let (asks, inbox) = mpsc::channel(INBOX_MAX);
    let driver = Driver::new(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("triggers".to_owned())
        .spawn(move || runtime.block_on(driver.run(inbox)))?;
    Ok(Triggers::new(asks))
}

/// What comes back from a target.
enum Done {
    Delivered(Result<Delivered, Trouble>),
    Looked(Result<RunState, Trouble>),
}

pub(crate) struct Driver {
    pub(crate) config: Arc<Config>,
    courier: Arc<Courier>,
    pub(crate) files: Files,
    pub(crate) served: Box<dyn Fn() -> Vec<Served> + Send>,
    pub(crate) book: Book,
    pub(crate) outbox: Vec<Pending>,
    /// By key; what is under way has its key in `busy`.
    tasks: JoinSet<(String, Done)>,
    busy: BTreeSet<String>,
    /// When targets are next asked about runs.
    look_at: Moment,
    /// Is what is here not yet on the disk?
    pub(crate) is_dirty: bool,
    /// Does the disk refuse it? That is said once.
    is_refused: bool,
    /// Who waits until what they have told is written down.
    told: Vec<SyncSender<bool>>,
}

impl Driver {
    pub(crate) fn new(options: Options) -> io::Result<Driver> {
        let Options { config, environment, folder, audit, served } = options;
        let courier = Courier::new(&config, environment);
        for fault in courier.lacks(&config) {
            tracing::warn!(fault, "a trigger's target cannot be told yet");
        }
        let files = Files::open(folder.as_deref(), audit)?;
        let Saved { book, outbox, .. } = files.read()?;
        if !outbox.is_empty() {
            tracing::info!(events = outbox.len(), "taking up events that were not delivered");
        }
        Ok(Driver {
            config: Arc::new(config),
            courier: Arc::new(courier),
            files,
            served,
            book,
            outbox,
            tasks: JoinSet::new(),
            busy: BTreeSet::new(),
            look_at: Moment(0),
            is_dirty: false,
            is_refused: false,
            told: Vec::new(),
        })
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Ask>) {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => self.turn(Moment::now()),
                Some(done) = self.tasks.join_next() => {
                    let now = Moment::now();
                    self.done(done, now);
                    self.turn(now);
                }
                ask = inbox.recv() => match ask {
                    Some(Ask::Stop { ended }) => {
                        self.keep();
                        drop(ended);
                        return;
                    }
                    Some(ask) => self.answer(ask, Moment::now()),
                    None => return self.keep(),
                },
            }
            // What came together is written down once.
            if !self.told.is_empty() && inbox.is_empty() {
                self.keep();
            }
        }
    }

    /// Everything that is due.
    pub(crate) fn turn(&mut self, now: Moment) {
        let served = (self.served)();
        let config = Arc::clone(&self.config);
        let world = World { config: &config, room: self.room(), now };
        for decision in self.book.turn(&served, world) {
            self.decide(decision, now);
        }
        self.is_dirty |= std::mem::take(&mut self.book.is_changed);
        self.keep();
        metrics::pending(self.outbox.len());
        if self.is_dirty {
            // A decision is on the disk before it is done.
            return;
        }
        self.send(now);
        if now >= self.look_at || self.look_at > now.after(LOOK) {
            self.look_at = now.after(LOOK);
            self.look();
        }
    }

    /// Waits for what is under way, and takes note of it.
    #[cfg(test)]
    pub(crate) async fn settle(&mut self, now: Moment) {
        while let Some(done) = self.tasks.join_next().await {
            self.done(done, now);
        }
        self.keep();
    }

    pub(crate) fn found(&mut self, finding: &server_base::Finding, now: Moment) {
        if !self.book.found(finding, &self.config, now) {
            metrics::dropped(1);
        }
        self.is_dirty |= std::mem::take(&mut self.book.is_changed);
    }

    pub(crate) fn room(&self) -> usize {
        OUTBOX_MAX.saturating_sub(self.outbox.len())
    }

    pub(crate) fn decide(&mut self, decision: Decision, now: Moment) {
        self.is_dirty = true;
        match decision {
            Decision::Fire { event, is_dry_run } => self.fires(*event, is_dry_run, now),
            Decision::Skip { event, why } => {
                let (trigger, model, cause) = (&event.rule, &event.model, event.cause.label());
                tracing::info!(trigger, model, cause, why = why.label(), "a trigger does not fire");
                metrics::decided(&event, why.label());
                self.files.audit(&event, "skipped", &json!({ "reason": why.label() }), now);
            }
        }
    }

    fn fires(&mut self, event: Event, is_dry_run: bool, now: Moment) {
        let result = if is_dry_run { "dry_run" } else { "fired" };
        let (trigger, model, cause, key) =
            (&event.rule, &event.model, event.cause.label(), &event.key);
        tracing::info!(
            trigger,
            model,
            version = event.version,
            cause,
            key,
            result,
            "a trigger fires"
        );
        metrics::decided(&event, result);
        let Some(rule) = self.config.rules.iter().find(|it| it.name == event.rule) else { return };
        let more = json!({
            "target": rule.target, "window": event.window, "alarms": event.alarms,
            "reason": event.evidence.text,
        });
        self.files.audit(&event, result, &more, now);
        if !is_dry_run {
            let target = rule.target.clone();
            self.outbox.push(Pending { event, target, attempts: 0, due: now });
        }
    }

    /// Writes down what has changed. If that fails it is tried again in the next turn; who waits for it does not
    /// wait any longer, nor for lines of the audit that are said after it.
    fn keep(&mut self) {
        let told = std::mem::take(&mut self.told);
        let answer = |is_kept| {
            for it in &told {
                // It has room for that, or has gone.
                let _ = it.try_send(is_kept);
            }
        };
        if !self.is_dirty {
            return answer(true);
        }
        match self.files.write(&self.book, &self.outbox, || answer(true)) {
            Ok(()) => (self.is_dirty, self.is_refused) = (false, false),
            Err(error) => {
                answer(false);
                if !std::mem::replace(&mut self.is_refused, true) {
                    tracing::error!(%error, "triggers cannot be written down: nothing is delivered until they can");
                }
            }
        }
    }

    /// Begins deliveries that are due.
    fn send(&mut self, now: Moment) {
        for pending in &self.outbox {
            let key = &pending.event.key;
            if self.tasks.len() >= AT_ONCE_MAX {
                return;
            }
            // What is due later than any pause allows was put off by a clock that has been set back.
            let waits = pending.due > now && pending.due <= now.after(RETRY_AFTER_MAX);
            if waits || self.busy.contains(key) {
                continue;
            }
            self.busy.insert(key.clone());
            let (config, courier) = (Arc::clone(&self.config), Arc::clone(&self.courier));
            let Pending { event, target, .. } = pending.clone();
            self.tasks.spawn(async move {
                let delivered = match config.targets.get(&target) {
                    Some(it) => courier.deliver((&target, it), &event, now).await,
                    None => Err(Trouble::Never(format!("there is no target {target} any more"))),
                };
                (event.key, Done::Delivered(delivered))
            });
        }
    }

    /// Asks about runs.
    fn look(&mut self) {
        for ((rule, _), entry) in &self.book.entries {
            let rule = self.config.rules.iter().find(|it| it.name == *rule);
            let (Some(rule), Some(flight)) = (rule, &entry.flight) else { continue };
            let Some(run) = flight.run.clone() else { continue };
            if self.tasks.len() >= AT_ONCE_MAX || self.busy.contains(&flight.key) {
                continue;
            }
            self.busy.insert(flight.key.clone());
            let (config, courier) = (Arc::clone(&self.config), Arc::clone(&self.courier));
            let (name, key) = (rule.target.clone(), flight.key.clone());
            self.tasks.spawn(async move {
                let looked = match config.targets.get(&name) {
                    Some(it) => courier.look((&name, it), &run).await,
                    None => Err(Trouble::Never(format!("there is no target {name} any more"))),
                };
                (key, Done::Looked(looked))
            });
        }
    }

    fn done(&mut self, done: Result<(String, Done), tokio::task::JoinError>, now: Moment) {
        let Ok((key, done)) = done else {
            // A panic of ours: whatever it was is tried again.
            self.busy.clear();
            return;
        };
        self.busy.remove(&key);
        match done {
            Done::Delivered(delivered) => self.delivered(&key, delivered, now),
            Done::Looked(Ok(RunState::Running)) => {}
            Done::Looked(Ok(state)) => self.ended(&key, state == RunState::Succeeded, now),
            Done::Looked(Err(trouble)) => {
                tracing::debug!(key, ?trouble, "a run cannot be asked about");
            }
        }
    }

    fn delivered(&mut self, key: &str, delivered: Result<Delivered, Trouble>, now: Moment) {
        let Some(place) = self.outbox.iter().position(|it| it.event.key == key) else { return };
        self.is_dirty = true;
        self.outbox[place].attempts += 1;
        let Pending { event, target, attempts, due: _ } = self.outbox[place].clone();
        let (trigger, model) = (&event.rule, &event.model);
        let (words, after) = match delivered {
            Ok(Delivered { run, was_there, note }) => {
                self.outbox.remove(place);
                self.book.begun(key, run.clone());
                let result = if was_there { "duplicate" } else { "delivered" };
                tracing::info!(trigger, model, target, run, attempts, result, "a target was told");
                if let Some(note) = &note {
                    tracing::warn!(trigger, model, target, note, "a target may not act");
                }
                metrics::tried(&target, result);
                let more =
                    json!({ "target": target, "attempts": attempts, "run": run, "note": note });
                return self.files.audit(&event, result, &more, now);
            }
            Err(Trouble::Again { after, words }) if attempts < ATTEMPTS_MAX => (words, after),
            Err(Trouble::Again { words, .. } | Trouble::Never(words)) => {
                let pending = self.outbox.remove(place);
                return self.dead(&pending, &words, now);
            }
        };
        let wait = pause(attempts, after, draw());
        self.outbox[place].due = now.after(wait);
        tracing::warn!(
            trigger,
            model,
            target,
            attempts,
            words,
            wait_s = wait.as_secs(),
            "a target could not be told"
        );
        metrics::tried(&target, "retried");
        let more = json!({
            "target": target, "attempts": attempts, "reason": words, "retry_s": wait.as_secs(),
        });
        self.files.audit(&event, "retry", &more, now);
    }

    fn dead(&mut self, pending: &Pending, words: &str, now: Moment) {
        let Pending { event, target, attempts, due: _ } = pending;
        let (trigger, model) = (&event.rule, &event.model);
        tracing::error!(trigger, model, target, attempts, words, "a target was not told; given up");
        metrics::tried(target, "dead");
        self.files.dead(pending, words, now);
        let more = json!({ "target": target, "attempts": attempts, "reason": words });
        self.files.audit(event, "dead", &more, now);
        // What has not arrived must not keep the next alarm from being one.
        self.book.ended(&event.key, false);
    }

    fn ended(&mut self, key: &str, is_well: bool, now: Moment) {
        let mut entries = self.book.entries.iter();
        let found = entries.find(|(_, it)| it.flight.as_ref().is_some_and(|it| it.key == key));
        let Some((rule, model)) = found.map(|(of, _)| of.clone()) else { return };
        let result = if is_well { "run_succeeded" } else { "run_failed" };
        tracing::info!(trigger = rule, model, key, result, "a run has ended");
        self.files.audit_run((&rule, &model, key), result, now);
        self.book.ended(key, is_well);
        self.is_dirty = true;
    }

    fn answer(&mut self, ask: Ask, now: Moment) {
        // Nobody who listens any more is no error.
        match ask {
            Ask::Found { findings, taken } => {
                findings.iter().for_each(|it| self.found(it, now));
                self.told.push(taken);
            }
            Ask::Show { reply } => drop(reply.send(self.views(now))),
            Ask::Fire { rule, asked, reply } => {
                let fired = self.fire(&rule, &asked, now);
                self.turn(now);
                drop(reply.send(fired));
            }
            Ask::Mute { rule, until, reply } => {
                let muted = self.mute(&rule, until, now);
                self.keep();
                drop(reply.send(muted));
            }
            Ask::Stop { ended } => drop(ended),
        }
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
