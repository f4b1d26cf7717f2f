//! Where rows go from the segments.

use std::io;
use std::ops::AddAssign;

use arrow_array::RecordBatch;
use server_base::{ModelName, Version};

use crate::catalogue::Position;

/// Rows of one version and hour.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// Hours since 1970, UTC: of the requests, by the wall clock.
    pub hour: u32,
    /// The rows. The schema's metadata say more of the version.
    pub batch: RecordBatch,
}

/// What nobody is told of: it cannot be told in a sink's form, or is more than a receiver takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Requests, answers or rows, whichever the sink tells of.
    pub events: usize,
    /// Rows that are not delivered because of that.
    pub rows: usize,
}

impl AddAssign for LeftOut {
    fn add_assign(&mut self, other: LeftOut) {
        self.events += other.events;
        self.rows += other.rows;
    }
}

/// Takes rows somewhere else. Called from one thread of its own, so it may block; while it does, its
/// rows stay on the disk.
///
/// Rows come at least once: those that were taken and not flushed come again, also to the next
/// process. Whoever reads tells them apart by `event_id` and `row_index`.
pub trait Sink: Send {
    /// The value of the `sink` label on `/metrics`, and part of its cursor's file name.
    fn name(&self) -> &'static str;

    /// Takes rows. After an error all that was not flushed comes again.
    fn write(&mut self, rows: &Rows) -> io::Result<()>;

    /// What was taken since the last flush is there to stay when it returns, but for what it says is left
    /// out. Who calls counts that, once it is known that nothing comes again. `from` is where in the log
    /// that begins, `of` which log it is: together they name it for ever.
    fn flush(&mut self, from: Position, of: &str) -> io::Result<LeftOut>;

    /// Forgets what was taken since the last flush: it comes again.
    fn reset(&mut self);

    /// Has it taken as much as it should before a flush?
    fn is_full(&self) -> bool;

    /// Nothing has come for a while.
    fn idle(&mut self) {}
}

#[cfg(test)]
pub(crate) mod conformance {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::fixture;

    /// Event and row of every row that somebody would find.
    pub(crate) type Delivered = dyn Fn(&Path) -> Vec<(String, u32)>;

    /// What every sink does. `make` makes one that delivers into the folder.
    #[track_caller]
    pub(crate) fn check(make: &dyn Fn(&Path) -> Box<dyn Sink>, delivered: &Delivered) {
        let folder = tempfile::tempdir().expect("scratch");
        let at = |offset| Position { segment: 1, offset };
        let (first, second) = (fixture::rows("m", 480_000, 3), fixture::rows("n", 480_001, 2));
        let keys = |all: &[&Rows]| all.iter().flat_map(|it| fixture::keys(&it.batch)).collect();
        let there = || delivered(folder.path());
        let set = |it: Vec<(String, u32)>| it.into_iter().collect::<BTreeSet<_>>();

        let mut sink = make(folder.path());
        sink.flush(at(0), "log").expect("nothing to flush");
        assert_eq!(there(), [], "nothing was written");
        sink.write(&first).expect("takes rows");
        let left_out = sink.flush(at(0), "log").expect("flushes");
        assert_eq!(left_out, LeftOut::default(), "all are there");
        assert_eq!(set(there()), keys(&[&first]));

        sink.write(&second).expect("takes rows");
        sink.reset();
        sink.write(&second).expect("the same again");
        sink.flush(at(100), "log").expect("flushes");
        assert_eq!(set(there()), keys(&[&first, &second]));

        // A process that died before its cursor was written: the next one does it over.
        drop(sink);
        let mut sink = make(folder.path());
        sink.write(&second).expect("takes rows");
        sink.write(&first).expect("and more");
        sink.flush(at(100), "log").expect("flushes");
        assert_eq!(set(there()), keys(&[&first, &second]), "nothing that was not sent");
    }
}
