//! The log as a whole: started before the first model is loaded, stopped after the last request.

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use server_base::{PredictionLog, Subject, VersionLog};

use crate::catalogue::{Catalogue, Position};
use crate::delivery::{self, Delivery, Source};
use crate::files::{Disk, Files, create_folder};
use crate::hive::check_name;
use crate::metrics::LogMetrics;
use crate::queue::{Bounds, Queue};
use crate::recover::Found;
use crate::redact::Key;
use crate::rows::Form;
use crate::schema::Columns;
use crate::sink::Sink;
use crate::version::{Handle, Version};
use crate::writer::{Room, Writer};

/// Records that wait. Each is about a kilobyte, so bytes are mostly what bounds them.
const RECORDS_MAX: usize = 65_536;

/// Segments of the disk's budget: the smaller they are, the sooner their room comes back.
const SEGMENTS: u64 = 16;

/// No segment is longer, so that it is checked quickly when the server starts.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Rows that were synced last may take that part of what may wait in memory, beside it, until sinks have them: 16 MiB
/// if nobody says otherwise. At full speed a sync is for two or three, and sinks are one or two syncs behind.
const RECENT_PART: usize = 4;

/// How long records that nobody waits for may be unsynced.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// How the log is kept.
pub struct Options {
    /// Where segments and cursors lie.
    pub folder: PathBuf,
    /// Bytes of records that wait in memory.
    pub queue_bytes_max: usize,
    /// Bytes of segments on the disk.
    pub disk_bytes_max: u64,
    /// How long rows may wait for others before a sink delivers them.
    pub roll: Duration,
    /// The machine's name, which is written into every file.
    pub host: String,
    /// What values are hashed with.
    pub key: Option<Key>,
    /// Called on each sink's thread, to have it give way to those that answer requests.
    pub give_way: fn(),
}

/// Why the log cannot be kept.
#[derive(Debug)]
pub enum StartError {
    /// Another process keeps it.
    Locked(PathBuf),
    /// The folder cannot be used.
    Folder(PathBuf, io::Error),
    /// A sink cannot be started.
    Sink(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Locked(folder) => {
                write!(out, "{}: another process writes its log there", folder.display())
            }
            StartError::Folder(folder, _) => {
                write!(out, "cannot keep a log in {}", folder.display())
            }
            StartError::Sink(_) => out.write_str("cannot start a sink of the prediction log"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Locked(_) => None,
            StartError::Folder(_, error) | StartError::Sink(error) => Some(error),
        }
    }
}

/// A log that is being kept.
pub struct Log {
    queue: Arc<Queue>,
    catalogue: Arc<Catalogue>,
    metrics: Arc<LogMetrics>,
    key: Option<Key>,
    host: String,
    threads: Mutex<Option<Threads>>,
    /// Held as long as the log is.
    _lock: File,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Log").finish_non_exhaustive()
    }
}

struct Threads {
    writer: JoinHandle<()>,
    sinks: Vec<JoinHandle<()>>,
}

/// Makes the sinks; told which log it is, so that its files are nobody else's.
pub type MakeSinks<'a> = &'a dyn Fn(&str) -> io::Result<Vec<Box<dyn Sink>>>;

impl Log {
    /// On the real disk.
    pub fn start(options: Options, sinks: MakeSinks<'_>) -> Result<Arc<Log>, StartError> {
        Log::start_on(Arc::new(Disk), options, sinks)
    }

    /// On those files.
    pub fn start_on(
        files: Arc<dyn Files>,
        options: Options,
        sinks: MakeSinks<'_>,
    ) -> Result<Arc<Log>, StartError> {
        let folder = options.folder.clone();
        let at_folder = |error| StartError::Folder(folder.clone(), error);
        create_folder(&*files, &folder).map_err(at_folder)?;
        let lock = lock(&folder)?;
        let name = name(&*files, &folder).map_err(at_folder)?;
        let found = Found::look(&*files, &folder).map_err(at_folder)?;
        let sinks = sinks(&name).map_err(StartError::Sink)?;
        let cursors: Vec<Position> =
            sinks.iter().map(|it| delivery::cursor(&*files, &folder, &**it)).collect();
        let names: Vec<&'static str> = sinks.iter().map(|it| it.name()).collect();
        let metrics = Arc::new(LogMetrics::new(&names, found.cut));
        let recent_bytes_max = options.queue_bytes_max / RECENT_PART;
        let catalogue =
            Arc::new(Catalogue::new(&found.segments, cursors.clone(), recent_bytes_max));
        let bounds = Bounds { records_max: RECORDS_MAX, bytes_max: options.queue_bytes_max };
        let queue = Arc::new(Queue::new(bounds));
        // Behind every segment that a cursor may know of, so that none is taken for another.
        let known = delivery::known(&*files, &folder).map_err(at_folder)?;
        let known = known.map_or(0, |it| it.segment.saturating_add(1));
        let room = Room {
            folder: folder.clone(),
            segment_bytes: (options.disk_bytes_max / SEGMENTS).clamp(1, SEGMENT_BYTES_MAX),
            disk_bytes_max: options.disk_bytes_max,
            sync_interval: SYNC_INTERVAL,
        };
        let writer = Writer::new(
            (Arc::clone(&files), room),
            Arc::clone(&queue),
            Arc::clone(&catalogue),
            Arc::clone(&metrics),
            found.next().max(known),
        );
        let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name).spawn(run).map_err(StartError::Sink)
        };
        let mut threads = Threads {
            writer: spawn("log".to_owned(), Box::new(|| writer.run()))?,
            sinks: Vec::new(),
        };
        for (place, (sink, cursor)) in sinks.into_iter().zip(cursors).enumerate() {
            let source = Source {
                files: Arc::clone(&files),
                folder: folder.clone(),
                log: name.clone(),
                catalogue: Arc::clone(&catalogue),
            };
            let thread = format!("log/{}", sink.name());
            let delivery = Delivery::new(source, (place, sink, cursor), options.roll);
            let run = move || {
                (options.give_way)();
                delivery.run();
            };
            threads.sinks.push(spawn(thread, Box::new(run))?);
        }
        let (key, host, threads) = (options.key, options.host, Mutex::new(Some(threads)));
        Ok(Arc::new(Log { queue, catalogue, metrics, key, host, threads, _lock: lock }))
    }

    /// Sets the gauges that are read off at scrape time.
    pub fn observe(&self) {
        self.metrics.observe(&self.queue, &self.catalogue);
    }

    /// Writes down what has come, and has the sinks deliver it. False: they were not done by then, and
    /// deliver the rest after the next start.
    pub fn stop(&self, by: Instant) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Threads { writer, sinks }) = threads else { return true };
        self.queue.close();
        if !ended(writer, by) {
            return false;
        }
        self.catalogue.close(by);
        let ended = sinks.into_iter().all(|it| ended(it, by));
        ended && (0..self.metrics.sinks()).all(|it| self.catalogue.lag(it) == 0)
    }
}

/// Waits for a thread, but not for one that the disk or a sink holds for longer.
fn ended(thread: JoinHandle<()>, by: Instant) -> bool {
    while !thread.is_finished() {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(Duration::from_millis(1)));
    }
    thread.join().is_ok()
}

impl PredictionLog for Log {
    fn open(&self, subject: Subject) -> Result<Arc<dyn VersionLog>, String> {
        let key = self.key.clone();
        if !subject.config.hashed.is_empty() && key.is_none() {
            return Err("log.hash: there is no key, which --log-key-file names".to_owned());
        }
        let columns = Columns::new(&subject)?.on(&self.host);
        check_name(subject.model.as_str())?;
        let version = Version::new(Form { subject, columns, key });
        Ok(Arc::new(Handle { version, queue: Arc::clone(&self.queue) }))
    }
}

/// One process at a time.
fn lock(folder: &Path) -> Result<File, StartError> {
    let at_folder = |error| StartError::Folder(folder.to_path_buf(), error);
    let file = File::create(folder.join("lock")).map_err(at_folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(folder.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(at_folder(error)),
    }
}

/// Sixteen hexadecimal digits that were drawn when the folder was first used.
fn name(files: &dyn Files, folder: &Path) -> io::Result<String> {
    let path = folder.join("name");
    let is_name = |it: &[u8]| it.len() == 16 && it.iter().all(u8::is_ascii_hexdigit);
    let known = files.read(&path, 0, 17).ok().filter(|it| is_name(it));
    if let Some(text) = known.and_then(|it| String::from_utf8(it).ok()) {
        return Ok(text);
    }
    let name = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    files.replace(&path, name.as_bytes())?;
    Ok(name)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "log_fault_tests.rs"]
mod fault_tests;

#[cfg(test)]
#[path = "log_forward_tests.rs"]
mod forward_tests;

#[cfg(test)]
#[path = "log_recent_tests.rs"]
mod recent_tests;
