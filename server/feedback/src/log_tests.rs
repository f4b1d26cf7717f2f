use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use server_base::Unlogged;

use super::*;
use crate::faults::Faulty;
use crate::fixture;
use crate::parquet::ParquetSink;
use crate::parquet::tests::delivered;
use crate::sink::{LeftOut, Rows};

pub(super) const LONG: Duration = Duration::from_secs(20);

pub(super) struct House {
    pub(super) log: Arc<Log>,
    pub(super) m: Arc<dyn VersionLog>,
    told: Receiver<(String, Result<(), Unlogged>)>,
    tell: Sender<(String, Result<(), Unlogged>)>,
}

pub(super) fn options(folder: &Path) -> Options {
    Options {
        folder: folder.join("wal"),
        queue_bytes_max: 1 << 20,
        disk_bytes_max: 64 << 20,
        roll: Duration::from_millis(10),
        host: "here".to_owned(),
        key: None,
        give_way: || {},
    }
}

pub(super) fn parquet(folder: &Path) -> impl Fn(&str) -> io::Result<Vec<Box<dyn Sink>>> {
    let folder = folder.join("parquet");
    move |log| Ok(vec![Box::new(ParquetSink::new(folder.clone(), log)?)])
}

impl House {
    pub(super) fn new(files: Arc<dyn Files>, options: Options, sinks: MakeSinks<'_>) -> House {
        let log = Log::start_on(files, options, sinks).expect("starts");
        let m = log.open(fixture::subject("m")).expect("opens");
        let (tell, told) = bounded(1 << 16);
        House { log, m, told, tell }
    }

    /// Commits a record and returns its id.
    pub(super) fn commit(&self, hour: u32) -> String {
        let record = fixture::record(fixture::hour(hour), 1);
        let (event, tell) = (record.event.to_string(), self.tell.clone());
        let name = event.clone();
        self.m.commit(&record, Box::new(move |it| drop(tell.send((name, it)))));
        event
    }

    pub(super) fn told(&self) -> (String, Result<(), Unlogged>) {
        self.told.recv_timeout(LONG).expect("told")
    }

    pub(super) fn stop(&self) -> bool {
        self.log.stop(Instant::now() + LONG)
    }
}

pub(super) fn events(folder: &Path) -> BTreeSet<String> {
    delivered(&folder.join("parquet")).into_iter().map(|(event, _)| event).collect()
}

#[test]
fn what_is_told_durable_is_delivered() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sent = BTreeSet::new();
    for round in 0..3 {
        let house = House::new(Arc::new(Disk), options(folder.path()), &parquet(folder.path()));
        for n in 0..50 {
            // Clocks jump: back, by years, and before 1970.
            sent.insert(house.commit([480_000, 470_000, 0][(n + round) % 3]));
            house.m.offer(&fixture::record(fixture::hour(480_000), 1));
        }
        for _ in 0..50 {
            assert_eq!(house.told().1, Ok(()));
        }
        assert!(house.stop());
        assert!(events(folder.path()).is_superset(&sent));
    }
    assert_eq!(delivered(&folder.path().join("parquet")).len(), 300, "and what was offered");
    let segments = fs::read_dir(folder.path().join("wal")).expect("a folder");
    let segments = segments
        .filter(|it| it.as_ref().is_ok_and(|it| it.path().extension() == Some("wal".as_ref())));
    assert!(segments.count() <= 1, "what is delivered is deleted, but for the last");
}

#[test]
fn only_one_process_keeps_a_log() {
    let folder = tempfile::tempdir().expect("scratch");
    let house = House::new(Arc::new(Disk), options(folder.path()), &parquet(folder.path()));
    let second = Log::start(options(folder.path()), &parquet(folder.path()));
    assert!(matches!(second.err(), Some(StartError::Locked(_))));
    assert!(house.stop());
}

/// A bug of ours: nobody waits for a log that is gone.
#[test]
fn a_writer_that_panics_leaves_nobody_waiting() {
    let folder = tempfile::tempdir().expect("scratch");
    let files = Arc::new(Faulty::default());
    let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
    house.commit(480_000);
    assert_eq!(house.told().1, Ok(()));
    files.fail_once("panic");
    let refused = (0..1_000).find_map(|_| {
        house.commit(480_000);
        // What the writer held when it ended is forgotten: serving answers for it.
        house.told.recv_timeout(Duration::from_millis(100)).ok().filter(|it| it.1.is_err())
    });
    assert_eq!(refused.expect("refused").1, Err(Unlogged::Closed));
}

#[test]
fn segments_are_numbered_behind_every_cursor() {
    let folder = tempfile::tempdir().expect("scratch");
    let wal = folder.path().join("wal");
    fs::create_dir_all(&wal).expect("made");
    let other = crate::recover::cursor_text(Position { segment: 77, offset: 9 });
    fs::write(wal.join("unused.cursor"), other).expect("written");
    let house = House::new(Arc::new(Disk), options(folder.path()), &parquet(folder.path()));
    house.commit(480_000);
    assert_eq!(house.told().1, Ok(()));
    assert!(house.stop());
    let cursor = fs::read(wal.join("parquet.cursor")).expect("it was delivered");
    let cursor = crate::recover::parse_cursor(&cursor).expect("whole");
    assert!(cursor.segment >= 78, "{cursor:?}");
}

#[test]
fn a_name_that_no_folder_can_have_is_refused() {
    let folder = tempfile::tempdir().expect("scratch");
    let house = House::new(Arc::new(Disk), options(folder.path()), &parquet(folder.path()));
    let refused = house.log.open(fixture::subject(&"=".repeat(84))).err().expect("refused");
    assert_eq!(refused, "log: the model's name takes 258 bytes as a folder: at most 255");
    assert!(house.log.open(fixture::subject(&"=".repeat(83))).is_ok());
}

/// Whatever fails once: the record goes to another segment, and only then is it told.
#[test]
fn one_failure_of_the_disk_costs_a_segment() {
    for fault in ["sync", "append", "half"] {
        let folder = tempfile::tempdir().expect("scratch");
        let files = Arc::new(Faulty::default());
        let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
        let first = house.commit(480_000);
        assert_eq!(house.told(), (first.clone(), Ok(())));
        files.fail_once(fault);
        let second = house.commit(480_000);
        assert_eq!(house.told(), (second.clone(), Ok(())), "{fault}");
        assert_eq!(files.synced_after_failure(), 0, "{fault}: nobody asks that file again");
        assert_eq!(files.created(), 2, "{fault}");
        assert!(house.stop());
        assert!(events(folder.path()).is_superset(&BTreeSet::from([first, second])), "{fault}");
    }
}

#[test]
fn a_disk_that_stays_broken_is_said_to_be() {
    let folder = tempfile::tempdir().expect("scratch");
    let files = Arc::new(Faulty::default());
    let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
    files.break_down(true);
    let lost = house.commit(480_000);
    assert_eq!(house.told(), (lost, Err(Unlogged::Disk)));
    // For a second it is left alone.
    let refused = house.commit(480_000);
    assert_eq!(house.told(), (refused, Err(Unlogged::Disk)));
    files.break_down(false);
    let kept = loop {
        let event = house.commit(480_000);
        if house.told() == (event.clone(), Ok(())) {
            break event;
        }
    };
    assert!(house.stop());
    assert!(events(folder.path()).contains(&kept));
}

#[test]
fn a_disk_that_hangs_fills_the_queue_and_nothing_else() {
    let folder = tempfile::tempdir().expect("scratch");
    let files = Arc::new(Faulty::default());
    let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
    let gate = files.hang();
    house.commit(480_000);
    // Each takes a kilobyte of a megabyte; nobody waits for anything.
    for _ in 0..3_000 {
        house.commit(480_000);
    }
    let (_, full) = house.told();
    assert_eq!(full, Err(Unlogged::Queue));
    assert!(house.log.queue.filled().1 <= 1 << 20);
    drop(gate);
    assert!(house.stop());
    let told: Vec<_> = house.told.try_iter().collect();
    let durable = told.iter().filter(|(_, it)| it.is_ok()).map(|(event, _)| event.clone());
    let durable: BTreeSet<String> = durable.collect();
    assert!(durable.len() > 500 && told.len() == 3_000, "{} of {}", durable.len(), told.len());
    assert_eq!(events(folder.path()), durable);
    let late = house.commit(480_000);
    assert_eq!(house.told(), (late, Err(Unlogged::Closed)));
}

/// Takes nothing until the gate opens.
struct Stuck {
    opens: Arc<AtomicBool>,
    inner: ParquetSink,
}

impl Sink for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.inner.write(rows)
    }

    fn flush(&mut self, from: Position, of: &str) -> io::Result<LeftOut> {
        if !self.opens.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.inner.flush(from, of)
    }

    fn reset(&mut self) {
        self.inner.reset();
    }

    fn is_full(&self) -> bool {
        self.inner.is_full()
    }
}

#[test]
fn a_sink_that_is_stuck_ends_at_the_disk_budget() {
    let folder = tempfile::tempdir().expect("scratch");
    let options = Options { disk_bytes_max: 256 << 10, ..options(folder.path()) };
    let opens = Arc::new(AtomicBool::new(false));
    let make = |log: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        let inner = ParquetSink::new(folder.path().join("parquet"), log)?;
        Ok(vec![Box::new(Stuck { opens: Arc::clone(&opens), inner })])
    };
    let house = House::new(Arc::new(Disk), options, &make);
    let mut durable = BTreeSet::new();
    let refused = loop {
        let event = house.commit(480_000);
        match house.told().1 {
            Ok(()) => assert!(durable.insert(event)),
            Err(why) => break why,
        }
    };
    assert_eq!(refused, Unlogged::Budget);
    assert!(house.log.catalogue.size() <= 256 << 10);
    opens.store(true, Ordering::Relaxed);
    let more = loop {
        let event = house.commit(480_000);
        if house.told().1.is_ok() {
            break event;
        }
    };
    durable.insert(more);
    assert!(house.stop());
    assert!(events(folder.path()).is_superset(&durable), "of {}", durable.len());
}

#[test]
fn a_log_without_a_key_hashes_nothing() {
    let folder = tempfile::tempdir().expect("scratch");
    let house = House::new(Arc::new(Disk), options(folder.path()), &parquet(folder.path()));
    let mut subject = fixture::subject("m");
    subject.config.hashed = vec!["x".to_owned()];
    let opened = house.log.open(subject).err();
    assert_eq!(opened.as_deref(), Some("log.hash: there is no key, which --log-key-file names"));
    assert!(house.stop());
}

/// Counts how often it hears that nothing has come.
struct Idle(Arc<Mutex<usize>>);

impl Sink for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn write(&mut self, _rows: &Rows) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self, _from: crate::catalogue::Position, _of: &str) -> io::Result<LeftOut> {
        Ok(LeftOut::default())
    }

    fn reset(&mut self) {}

    fn is_full(&self) -> bool {
        false
    }

    fn idle(&mut self) {
        *self.0.lock().expect("nobody panics") += 1;
    }
}

/// Retention by age has to come by also where nobody asks any more.
#[test]
fn a_sink_hears_that_nothing_comes() {
    let folder = tempfile::tempdir().expect("scratch");
    let count = Arc::new(Mutex::new(0));
    let make = |_: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        Ok(vec![Box::new(Idle(Arc::clone(&count)))])
    };
    let house = House::new(Arc::new(Disk), options(folder.path()), &make);
    assert!(house.stop());
    assert!(*count.lock().expect("nobody panics") > 0);
}
