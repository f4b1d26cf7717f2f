//! The thread that joins, and the handle that everybody else has.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use serde_json::Value;
use server_base::{Findings, Kind, ModelName, Subject, TruthConfig, Version};
use server_rollout::Labels;

use crate::book::{Book, Joined, Row};
use crate::dataset::{self, Dataset};
use crate::form::Form;
use crate::kept;
use crate::label::Label;
use crate::memory::{self, Memory};
use crate::metrics;
use crate::retention::{Keep, Retention};
use crate::tap::Seen;
use crate::watch::Watch;

/// Requests with labels that wait. Each is a megabyte at the most, as every command's body.
const ASKS_MAX: usize = 64;

/// How often what was predicted is looked at: labels come later than that.
const REST: Duration = Duration::from_millis(50);

/// The same while no model is judged.
const LONG_REST: Duration = Duration::from_secs(1);

/// How often windows are looked at, and predictions are written down.
const TURN: Duration = Duration::from_secs(1);

/// How truth is kept.
pub struct Options {
    /// The log's folder: `labels` and `truth` are in it.
    pub folder: PathBuf,
    /// Memory for what waits for labels, of all models.
    pub bytes_max: usize,
    /// Which labels are kept on the disk.
    pub keep: Keep,
    /// Who is told of complete windows.
    pub findings: Arc<dyn Findings>,
    /// Called on the thread, to have it give way to those that answer requests.
    pub give_way: fn(),
}

/// Why labels are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TruthError {
    /// The model asks for none.
    #[error(
        "model {0:?} takes no labels: expected [log] and [truth] in its model.toml, and a server with --log-dir"
    )]
    NoTruth(String),
    /// One of them cannot be.
    #[error("labels[{place}]: {what}")]
    Invalid {
        /// Which, from 0.
        place: usize,
        /// The value, and what was expected.
        what: String,
    },
    /// Too many wait.
    #[error("too many labels wait for the disk")]
    Busy,
    /// They cannot be kept.
    #[error("labels cannot be written down: {0}")]
    Disk(String),
    /// The server stops.
    #[error("the server is stopping")]
    Closed,
}

impl TruthError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            TruthError::NoTruth(_) | TruthError::Invalid { .. } => Kind::Invalid,
            TruthError::Busy => Kind::Overloaded,
            TruthError::Disk(_) | TruthError::Closed => Kind::Unavailable,
        }
    }
}

/// What became of the labels of a request. All are on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Recorded {
    /// All of them.
    pub recorded: u64,
    /// They have met their predictions.
    pub joined: u64,
    /// Of these: there was another label before.
    pub corrected: u64,
    /// There is no prediction of that id yet.
    pub waiting: u64,
}

/// Who is told what became of labels.
pub type ToldLabels = Box<dyn FnOnce(Result<Recorded, TruthError>) + Send>;

/// Who is told how right a model is, as JSON.
pub type ToldShown = Box<dyn FnOnce(Option<Value>) + Send>;

enum Ask {
    Record { model: ModelName, labels: Vec<Label>, told: ToldLabels },
    Show { model: String, version: Option<Version>, told: ToldShown },
    Stop,
}

/// See the module.
pub struct Truth {
    asks: Sender<Ask>,
    pub(crate) pending: crate::tap::Pending,
    book: Mutex<Book>,
    /// How labels of a model are checked at the door.
    forms: Mutex<BTreeMap<ModelName, Arc<Form>>>,
    labels: PathBuf,
    memory: Mutex<Memory>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Truth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Truth").finish_non_exhaustive()
    }
}

impl Truth {
    /// Starts it.
    pub fn start(options: Options) -> io::Result<Arc<Truth>> {
        let Options { folder, bytes_max, keep, findings, give_way } = options;
        let (labels, kept) = (folder.join("labels"), folder.join("truth"));
        [&labels, &kept].into_iter().try_for_each(fs::create_dir_all)?;
        fs::File::open(&folder)?.sync_all()?; // their names are there after a crash too
        let (asks, inbox) = bounded(ASKS_MAX);
        let truth = Arc::new(Truth {
            asks,
            pending: crate::tap::Pending::default(),
            book: Mutex::new(Book::new(bytes_max)),
            forms: Mutex::default(),
            labels: labels.clone(),
            memory: Mutex::new(Memory::new(kept)),
            thread: Mutex::default(),
        });
        let mut worker = Worker {
            truth: Arc::clone(&truth),
            dataset: Dataset::new(labels),
            retention: Retention::new(keep),
            untold: crate::untold::Untold::new(findings),
            turned: Instant::now(),
        };
        let thread = thread::Builder::new().name("truth".to_owned()).spawn(move || {
            give_way();
            worker.run(&inbox);
        })?;
        *lock(&truth.thread) = Some(thread);
        Ok(truth)
    }

    /// A version is judged from now on, and what was known of it before a restart counts. An error: it
    /// cannot be, as it is configured.
    pub(crate) fn open(
        &self,
        subject: &Subject,
        config: &TruthConfig,
    ) -> Result<Arc<Form>, String> {
        let form = Form::new(subject, config)?;
        let (model, version) = (&subject.model, subject.version);
        let since = config.window.saturating_add(config.horizon);
        let now = now_us();
        let since = now.saturating_sub(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let (files, folder) = {
            let memory = lock(&self.memory);
            (memory.files(model), memory.folder())
        };
        // Held while files are read: what comes meanwhile comes after them.
        let mut book = lock(&self.book);
        let known = book.form_of(model.as_str(), version).cloned();
        let form = book.open(model, form);
        lock(&self.forms).insert(model.clone(), Arc::clone(&form));
        if known.is_none_or(|it| !it.is_like(&form)) {
            if let Some(it) = kept::read(&folder, (model, version), &form) {
                book.resume(model, version, it);
            }
            let mut found = 0_u64;
            memory::read(&files, version, |row| {
                found += u64::from(book.predicted(model, row, now))
            });
            if found > 0 {
                // As of when they were recorded: a window of another version may be over and not judged yet.
                dataset::read(&self.labels, model, (since.max(0), now), |label, recorded_us| {
                    book.recorded(model, label, recorded_us);
                });
                tracing::info!(%model, %version, rows = found, "predictions from before are judged on");
            }
        }
        Ok(form)
    }

    /// A version is not judged any more.
    pub(crate) fn close(&self, model: &ModelName, version: Version) {
        let mut book = lock(&self.book);
        book.close(model, version);
        if book.model(model.as_str()).is_none() {
            lock(&self.forms).remove(model);
        }
    }

    /// Labels of one model. They are on the disk before anybody is told.
    pub fn record(&self, model: &str, labels: Vec<Label>, told: ToldLabels) {
        let found =
            lock(&self.forms).get_key_value(model).map(|(name, it)| (name.clone(), Arc::clone(it)));
        let Some((name, form)) = found else {
            return told(Err(TruthError::NoTruth(model.to_owned())));
        };
        for (place, label) in labels.iter().enumerate() {
            if let Err(what) = form.check(&label.value) {
                return told(Err(TruthError::Invalid { place, what }));
            }
        }
        let ask = Ask::Record { model: name, labels, told };
        let (why, ask) = match self.asks.try_send(ask) {
            Ok(()) => return,
            Err(TrySendError::Full(ask)) => (TruthError::Busy, ask),
            Err(TrySendError::Disconnected(ask)) => (TruthError::Closed, ask),
        };
        if let Ask::Record { told, .. } = ask {
            told(Err(why));
        }
    }

    /// How right a model is; nothing if it is not judged. Who cannot be heard now is told nothing.
    pub fn show(&self, model: &str, version: Option<Version>, told: ToldShown) {
        // A closure that is dropped tells its caller so.
        drop(self.asks.try_send(Ask::Show { model: model.to_owned(), version, told }));
    }

    /// From now on losses of these versions' predictions are counted.
    pub fn watch(&self, model: &str, stable: Version, canary: Version) {
        lock(&self.book).watch(model, Some(Watch::new(now_us(), stable, canary)));
    }

    /// Losses since they are watched.
    pub fn losses(&self, model: &str) -> Labels {
        lock(&self.book).losses(model)
    }

    /// Ends what has come. False: it was not done by then.
    pub fn stop(&self, by: Instant) -> bool {
        let Some(thread) = lock(&self.thread).take() else { return true };
        let left = by.saturating_duration_since(Instant::now());
        if self.asks.send_timeout(Ask::Stop, left).is_err() {
            return false;
        }
        while !thread.is_finished() {
            if Instant::now() >= by {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread.join().is_ok()
    }
}

struct Worker {
    truth: Arc<Truth>,
    dataset: Dataset,
    retention: Retention,
    untold: crate::untold::Untold,
    turned: Instant,
}

impl Worker {
    fn run(&mut self, inbox: &Receiver<Ask>) {
        loop {
            let rest = if lock(&self.truth.book).is_empty() { LONG_REST } else { REST };
            let first = match inbox.recv_timeout(rest) {
                Ok(ask) => Some(ask),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let asks: Vec<Ask> = first.into_iter().chain(inbox.try_iter().take(ASKS_MAX)).collect();
            // What was predicted before somebody brought the truth of it is known before that.
            self.gather();
            let is_last = asks.iter().any(|it| matches!(it, Ask::Stop));
            self.answer(asks);
            if is_last || self.turned.elapsed() >= TURN {
                self.turned = Instant::now();
                self.turn();
            }
            if is_last {
                return;
            }
        }
    }

    /// Takes predictions over from the requests.
    fn gather(&mut self) {
        let now = now_us();
        let seen = self.truth.pending.take();
        let mut memory = lock(&self.truth.memory);
        for Seen { model, form, id, time_us, rows, tensor } in &seen {
            let id = String::from_utf8_lossy(id);
            for (row, guess) in (0_u32..).zip(form.read(tensor, *rows)) {
                let row = Row { id: &id, row, version: form.version, time_us: *time_us, guess };
                memory.keep(model, &row);
                lock(&self.truth.book).predicted(model, row, now);
            }
        }
    }

    fn answer(&mut self, asks: Vec<Ask>) {
        let mut groups: BTreeMap<ModelName, Vec<(Vec<Label>, ToldLabels)>> = BTreeMap::new();
        for ask in asks {
            match ask {
                Ask::Record { model, labels, told } => {
                    groups.entry(model).or_default().push((labels, told));
                }
                Ask::Show { model, version, told } => {
                    told(lock(&self.truth.book).shown(&model, version));
                }
                Ask::Stop => {}
            }
        }
        for (model, group) in groups {
            self.record(&model, group);
        }
    }

    /// One write and one sync for all of a model that waited.
    fn record(&mut self, model: &ModelName, group: Vec<(Vec<Label>, ToldLabels)>) {
        let now = now_us();
        let all: Vec<&[Label]> = group.iter().map(|(it, _)| it.as_slice()).collect();
        if let Err(error) = self.dataset.append(model, &all, now) {
            tracing::error!(%model, %error, "labels cannot be written down");
            metrics::disk_failed("labels");
            let why = TruthError::Disk(error.kind().to_string());
            return group.into_iter().for_each(|(_, told)| told(Err(why.clone())));
        }
        for (labels, told) in group {
            let mut recorded = Recorded::default();
            for label in &labels {
                recorded.recorded += 1;
                match lock(&self.truth.book).labelled(model, label, now) {
                    Joined::Now => recorded.joined += 1,
                    Joined::Again => {
                        recorded.joined += 1;
                        recorded.corrected += 1;
                    }
                    Joined::Waits => recorded.waiting += 1,
                }
            }
            told(Ok(recorded));
        }
    }

    fn turn(&mut self) {
        if let Err(error) = lock(&self.truth.memory).flush() {
            tracing::warn!(%error, "predictions cannot be written down: a restart forgets them");
            metrics::disk_failed("predictions");
        }
        self.retention.sweep(&self.truth.labels, now_us());
        let (findings, changed) = {
            let mut book = lock(&self.truth.book);
            (book.tick(now_us()), book.changed())
        };
        // Before it is written down: if it ends in between, nobody else knows that there was an alarm.
        let changed = self.untold.tell(findings, changed);
        if !changed.is_empty() {
            // Bound first: a lock in the same statement would be held until all is on the disk.
            let folder = lock(&self.truth.memory).folder();
            kept::write_all(&folder, &changed);
        }
    }
}

/// Nothing under these locks can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A point in time as files have it.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn now_us() -> i64 {
    micros(SystemTime::now())
}

#[cfg(test)]
#[path = "truth_tests.rs"]
mod tests;
