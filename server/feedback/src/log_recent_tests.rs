use std::collections::BTreeSet;

use super::tests::{House, events, options, parquet};
use super::*;
use crate::faults::Faulty;
use crate::parquet::ParquetSink;
use crate::sink::{LeftOut, Rows};

/// Until the first sink has delivered what is on the disk.
fn caught_up(house: &House) {
    while house.log.catalogue.lag(0) > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_sink_that_keeps_up_reads_no_rows_from_the_disk() {
    let folder = tempfile::tempdir().expect("scratch");
    let files = Arc::new(Faulty::default());
    let house = House::new(files.clone(), options(folder.path()), &parquet(folder.path()));
    let mut sent = BTreeSet::new();
    let mut send = || {
        sent.insert(house.commit(480_000));
        assert_eq!(house.told().1, Ok(()));
    };
    // The segment says at its beginning whose rows are in it.
    send();
    caught_up(&house);
    let read = files.read();
    (0..20).for_each(|_| send());
    caught_up(&house);
    assert_eq!(files.read(), read);
    assert!(house.stop());
    assert_eq!(events(folder.path()), sent);
}

/// Fails so many times to deliver.
struct Late {
    fails: usize,
    inner: ParquetSink,
}

impl Sink for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.inner.write(rows)
    }

    fn flush(&mut self, from: Position, of: &str) -> io::Result<LeftOut> {
        if self.fails > 0 {
            self.fails -= 1;
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
fn a_sink_that_goes_back_misses_nothing() {
    let folder = tempfile::tempdir().expect("scratch");
    let make = |log: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        let inner = ParquetSink::new(folder.path().join("parquet"), log)?;
        Ok(vec![Box::new(Late { fails: 2, inner })])
    };
    let house = House::new(Arc::new(Disk), options(folder.path()), &make);
    let mut sent = BTreeSet::new();
    for _ in 0..50 {
        sent.insert(house.commit(480_000));
        assert_eq!(house.told().1, Ok(()));
    }
    caught_up(&house);
    assert!(house.stop());
    assert_eq!(events(folder.path()), sent);
}
