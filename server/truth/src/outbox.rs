//! Labels on their way to where others read them: what lies here on the disk is handed to a sink, on a
//! thread of its own, and how far that came is remembered for good.
//!
//! The files of labels are the queue: what a sink cannot take now waits where it lies anyway, so nobody
//! who brings labels waits for a sink, and what waits is bounded by what is kept of labels. A label is
//! delivered at least once, under the same id each time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use server_base::{ModelName, files};

use crate::dataset::{self, FILE};
use crate::label::Label;
use crate::metrics::SinkMetrics;

/// Bytes of lines that are handed on at a time: some ten thousand labels.
const PIECE_BYTES: usize = 2 << 20;

/// How long to wait after a failure: so long at first, then twice as long each time.
const PAUSE: Duration = Duration::from_millis(100);

/// And never longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A cursor names a place for each model and day.
const CURSOR_BYTES_MAX: u64 = 16 << 20;

/// A label as a sink is given it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The same each time it is delivered, and nobody else's.
    pub id: String,
    /// What is true of which row.
    pub label: Label,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_us: i64,
}

/// Takes labels for good.
pub trait LabelSink: Send {
    /// What it is called: of all sinks of a server another.
    fn name(&self) -> &'static str;

    /// Labels of one model, in the order in which they came. `name` is that of where they begin, the same
    /// in every attempt; what follows there may be more than it was. Says how many it has: it may leave some
    /// out for good, if nobody would ever take them, and counts those itself.
    fn put(&mut self, model: &ModelName, name: &str, labels: &[Sent]) -> io::Result<usize>;

    /// Everything that there was has been put there.
    fn idle(&mut self);
}

/// What is delivered, and how often.
pub struct Delivered {
    /// The log's folder: `labels` and `truth` are in it.
    pub folder: PathBuf,
    /// Which replica it is: part of each id.
    pub log: String,
    /// How long labels may wait for others.
    pub roll: Duration,
    /// Called on the thread, to have it give way to those that answer requests.
    pub give_way: fn(),
}

/// See the module. One for each sink.
pub struct Outbox {
    stop: Sender<Instant>,
    thread: JoinHandle<bool>,
}

impl Outbox {
    /// Delivers from now on, where it was left.
    pub fn start(delivered: Delivered, sink: Box<dyn LabelSink>) -> io::Result<Outbox> {
        let (stop, stopped) = bounded(1);
        let name = format!("labels/{}", sink.name());
        let (roll, give_way) = (delivered.roll, delivered.give_way);
        let mut courier = Courier::open(delivered, sink)?;
        let thread = thread::Builder::new().name(name).spawn(move || {
            give_way();
            courier.run(roll, &stopped)
        })?;
        Ok(Outbox { stop, thread })
    }

    /// All of them deliver what has come. False: not all of it by then; the rest comes after the next start.
    pub fn stop_all(all: Vec<Outbox>, by: Instant) -> bool {
        // First of all: one that hangs takes nothing of the others' time.
        for it in &all {
            // A thread that has ended hears nothing more.
            let _ = it.stop.send(by);
        }
        let ended: Vec<bool> = all.into_iter().map(|it| it.ended(by)).collect();
        ended.into_iter().all(|it| it)
    }

    fn ended(self, by: Instant) -> bool {
        while !self.thread.is_finished() {
            if Instant::now() >= by {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().unwrap_or(false)
    }
}

/// How far one model's labels are delivered: of each day's file so many bytes. A clock that is set back makes
/// an earlier day's file grow again.
type Places = BTreeMap<String, u64>;

struct Courier {
    labels: PathBuf,
    log: String,
    path: PathBuf,
    places: BTreeMap<String, Places>,
    sink: Box<dyn LabelSink>,
    metrics: SinkMetrics,
}

impl Courier {
    fn open(delivered: Delivered, sink: Box<dyn LabelSink>) -> io::Result<Courier> {
        let Delivered { folder, log, .. } = delivered;
        let kept = folder.join("truth");
        fs::create_dir_all(&kept)?;
        let path = kept.join(format!("{}.labels.cursor", sink.name()));
        let metrics = SinkMetrics::new(sink.name());
        let places = places(&path);
        Ok(Courier { labels: folder.join("labels"), log, path, places, sink, metrics })
    }

    /// Until it is to stop. True: everything was delivered.
    fn run(&mut self, roll: Duration, stopped: &Receiver<Instant>) -> bool {
        let mut pause = PAUSE;
        loop {
            let rest = match self.turn() {
                Ok(()) => {
                    pause = PAUSE;
                    roll
                }
                Err(error) => {
                    tracing::warn!(sink = self.sink.name(), %error, "labels cannot be delivered now");
                    self.metrics.failures.increment(1);
                    let rest = pause;
                    pause = (2 * pause).min(PAUSE_MAX);
                    rest
                }
            };
            match stopped.recv_timeout(rest) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(_) => return self.turn().is_ok(),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Delivers everything that is there.
    fn turn(&mut self) -> io::Result<()> {
        let mut done = Ok(());
        let mut lag = 0;
        for name in names(&self.labels, "model=")? {
            // One that cannot be delivered does not hold up the others: a name may be refused.
            if let Ok(model) = ModelName::new(&name) {
                // Nor does one that the program fails at, which would do so for ever.
                let delivered = catch_unwind(AssertUnwindSafe(|| self.model(&model)));
                let failed = |_| Err(io::Error::other(format!("{model}: an error of the program")));
                done = done.and(delivered.unwrap_or_else(failed));
                lag += self.lag(&name);
            }
        }
        self.metrics.lag.set(lag as f64);
        self.sink.idle();
        done
    }

    fn model(&mut self, model: &ModelName) -> io::Result<()> {
        let folder = self.labels.join(format!("model={model}"));
        let days = names(&folder, "date=")?;
        // What is deleted is not to be remembered for ever.
        self.places.entry(model.to_string()).or_default().retain(|day, _| days.contains(day));
        for day in days {
            let path = folder.join(format!("date={day}")).join(FILE);
            while let Some(length) = length(&path)? {
                let at = self.place(model.as_str(), &day);
                if at == length {
                    break;
                }
                // A file that has become shorter is another, or lost its end in a crash: what is there now
                // has other ids than what was, or the same and is the same.
                let from = if at > length { 0 } else { at };
                let file = match File::open(&path) {
                    // Its time was over.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    opened => opened?,
                };
                let piece = dataset::piece(file, from, PIECE_BYTES)?;
                if piece.end == from {
                    break; // half a line
                }
                self.put(model, &day, (from, piece))?;
            }
        }
        Ok(())
    }

    /// Up to where a day is delivered.
    fn place(&self, model: &str, day: &str) -> u64 {
        self.places.get(model).and_then(|it| it.get(day)).copied().unwrap_or(0)
    }

    fn put(
        &mut self,
        model: &ModelName,
        day: &str,
        (from, piece): (u64, dataset::Piece),
    ) -> io::Result<()> {
        let id = |us: i64, at: u64| format!("{}-{us:x}-{at:x}", self.log);
        let sent: Vec<Sent> = piece
            .labels
            .into_iter()
            .map(|(at, label, us)| Sent { id: id(us, at), label, recorded_us: us })
            .collect();
        let name = format!("{}-{}-{from:010x}", self.log, day.replace('-', ""));
        let taken = if sent.is_empty() { 0 } else { self.sink.put(model, &name, &sent)? };
        self.places.entry(model.to_string()).or_default().insert(day.to_owned(), piece.end);
        let text = serde_json::to_vec(&self.places)?;
        files::replace(&self.path, &self.path.with_extension("cursor.new"), &text)?;
        self.metrics.rows.increment(taken as u64);
        Ok(())
    }

    /// Bytes of labels that wait.
    fn lag(&self, model: &str) -> u64 {
        let folder = self.labels.join(format!("model={model}"));
        let of_day = |day: String| {
            let bytes = length(&folder.join(format!("date={day}")).join(FILE));
            let (bytes, at) = (bytes.ok().flatten().unwrap_or(0), self.place(model, &day));
            // One that has become shorter is delivered anew.
            bytes.checked_sub(at).unwrap_or(bytes)
        };
        names(&folder, "date=").unwrap_or_default().into_iter().map(of_day).sum()
    }
}

/// What an earlier process has left; without it everything is delivered once more, under the same ids.
fn places(path: &Path) -> BTreeMap<String, Places> {
    if fs::metadata(path).is_ok_and(|it| it.len() > CURSOR_BYTES_MAX) {
        return BTreeMap::new();
    }
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// `None`: it is not there.
fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        about => Ok(Some(about?.len())),
    }
}

/// What comes after the prefix in the names of folders, in their order.
fn names(folder: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(name.to_string_lossy().strip_prefix(prefix).map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
