use std::collections::BTreeSet;
use std::fs;

use crossbeam_channel::bounded;
use server_base::Unlogged;

use super::tests::{House, LONG, events, options, parquet};
use super::*;
use crate::faults::Faulty;
use crate::fixture;
use crate::parquet::ParquetSink;
use crate::parquet::tests::delivered;
use crate::sink::{LeftOut, Rows};

/// Two of a group, one of which cannot be rows: a bug of ours, or a value that Arrow has no room for.
#[test]
fn rows_that_cannot_be_made_cost_nobody_else() {
    let folder = tempfile::tempdir().expect("scratch");
    let files = Arc::new(Faulty::default());
    let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
    let mut subject = fixture::subject("hashed");
    subject.config.hashed = vec!["x".to_owned()];
    let bad = Handle {
        version: Version::new(fixture::form(subject)),
        queue: Arc::clone(&house.log.queue),
    };
    let gate = files.hang();
    house.commit(480_000);
    let (tell, told) = bounded(1);
    let record = fixture::record(fixture::hour(480_000), 1);
    bad.commit(
        &record,
        Box::new(move |it| {
            let _ = tell.send(it);
        }),
    );
    let good = house.commit(480_000);
    drop(gate);
    assert_eq!(told.recv_timeout(LONG), Ok(Err(Unlogged::Record)));
    assert_eq!(house.told().1, Ok(()));
    assert_eq!(house.told(), (good, Ok(())));
    assert_eq!(files.created(), 1, "the disk has done nothing wrong");
    assert!(house.stop());
}

/// Each is 12 MiB of rows out of 480 KB of tensors.
#[test]
fn records_of_many_rows_fill_the_queue_by_their_rows() {
    let folder = tempfile::tempdir().expect("scratch");
    let options = Options { queue_bytes_max: 64 << 20, ..options(folder.path()) };
    let files = Arc::new(Faulty::default());
    let house = House::new(files.clone(), options, &parquet(folder.path()));
    let gate = files.hang();
    house.commit(480_000);
    for _ in 0..8 {
        house.m.offer(&fixture::record(fixture::hour(480_000), 30_000));
    }
    let (records, bytes) = house.log.queue.filled();
    assert!((5..=6).contains(&records), "{records} of {bytes} bytes");
    drop(gate);
    assert_eq!(house.told().1, Ok(()));
    assert!(house.stop());
    assert!(delivered(&folder.path().join("parquet")).len() >= 4 * 30_000);
}

#[test]
fn a_full_disk_does_not_collect_empty_segments() {
    for fault in ["append", "half", "sync"] {
        let folder = tempfile::tempdir().expect("scratch");
        let files = Arc::new(Faulty::default());
        let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
        files.fail_twice(fault);
        let lost = house.commit(480_000);
        assert_eq!(house.told(), (lost, Err(Unlogged::Disk)), "{fault}");
        let left = fs::read_dir(folder.path().join("wal")).expect("a folder");
        let is_segment = |it: &io::Result<fs::DirEntry>| {
            it.as_ref().is_ok_and(|it| it.path().extension() == Some("wal".as_ref()))
        };
        let left = left.filter(is_segment).count();
        assert_eq!((left, house.log.catalogue.size()), (0, 0), "{fault}");
        assert!(house.stop());
    }
}

#[test]
fn the_folder_is_on_the_disk_before_what_is_in_it() {
    let folder = tempfile::tempdir().expect("scratch");
    let files = Arc::new(Faulty::default());
    let options = Options { folder: folder.path().join("a/b/wal"), ..options(folder.path()) };
    let house = House::new(files.clone(), options, &parquet(folder.path()));
    let synced = files.folders_synced();
    let names = ["a/b", "a", ""].map(|it| folder.path().join(it));
    assert!(names.iter().all(|it| synced.contains(it)), "{synced:?}");
    assert!(house.stop());
}

/// Takes rows at the third attempt.
struct Shaky {
    panics: usize,
    inner: ParquetSink,
}

impl Sink for Shaky {
    fn name(&self) -> &'static str {
        "shaky"
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        if self.panics > 0 {
            self.panics -= 1;
            panic!("a bug that a test asked for");
        }
        self.inner.write(rows)
    }

    fn flush(&mut self, from: Position, of: &str) -> io::Result<LeftOut> {
        self.inner.flush(from, of)
    }

    fn reset(&mut self) {
        assert!(self.panics != 1, "another");
        self.inner.reset();
    }

    fn is_full(&self) -> bool {
        self.inner.is_full()
    }
}

#[test]
fn a_sink_that_panics_is_tried_again() {
    let folder = tempfile::tempdir().expect("scratch");
    let make = |log: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        let inner = ParquetSink::new(folder.path().join("parquet"), log)?;
        Ok(vec![Box::new(Shaky { panics: 2, inner })])
    };
    let house = House::new(Arc::new(Disk), options(folder.path()), &make);
    let sent = house.commit(480_000);
    assert_eq!(house.told(), (sent.clone(), Ok(())));
    while house.log.catalogue.lag(0) > 0 {
        std::thread::yield_now();
    }
    assert!(house.stop());
    assert_eq!(events(folder.path()), BTreeSet::from([sent]));
}
