//! Rows that wait for those which belong before them.
//!
//! They come file by file and go by time. Whatever is shown again while it waits is found, since equal
//! rows have equal times; what is shown again afterwards is late. So nothing counts twice, and nothing
//! has to be remembered beyond what waits.

use std::ops::AddAssign;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_array::{Array as _, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;
use arrow_select::take::take_record_batch;

use super::cursor::{Cursor, Place};
use super::stream::Offsets;

/// Rows that are handed on at a time.
const PIECE_ROWS: usize = 8_192;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    parts: Vec<Part>,
    bytes: usize,
}

#[derive(Debug)]
struct Part {
    batch: RecordBatch,
    /// Those that wait.
    rows: Vec<u32>,
    bytes: usize,
    /// Where in a stream they come again.
    from: Option<Arc<Offsets>>,
}

impl Part {
    fn new(batch: RecordBatch, rows: Vec<u32>, from: Option<Arc<Offsets>>) -> Part {
        let bytes = batch.get_array_memory_size() + rows.len() * size_of::<u32>();
        Part { batch, rows, bytes, from }
    }

    /// Lets go of the others, once most are.
    fn shrink(&mut self) -> Result<(), ArrowError> {
        if self.rows.is_empty() || self.rows.len() * 2 > self.batch.num_rows() {
            return Ok(());
        }
        let rows = UInt32Array::from(std::mem::take(&mut self.rows));
        let batch = take_record_batch(&self.batch, &rows)?;
        let from = self.from.take();
        *self = Part::new(batch, (0..).take(rows.len()).collect(), from);
        Ok(())
    }
}

/// What has become of rows that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Came {
    /// They wait.
    pub(crate) waiting: u64,
    /// Their time is over.
    pub(crate) late: u64,
    /// Their time cannot be yet.
    pub(crate) ahead: u64,
    /// The time of the newest that is neither.
    pub(crate) newest: Option<i64>,
}

impl AddAssign for Came {
    fn add_assign(&mut self, more: Came) {
        self.waiting += more.waiting;
        self.late += more.late;
        self.ahead += more.ahead;
        self.newest = self.newest.max(more.newest);
    }
}

/// What says which row it is, and when.
struct Names<'a> {
    times: &'a TimestampMicrosecondArray,
    events: &'a StringArray,
    rows: &'a UInt32Array,
}

impl<'a> Names<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Names<'a>, ArrowError> {
        let column = |name: &str| {
            let wrong = || ArrowError::SchemaError(format!("the log has no column {name}"));
            batch.column_by_name(name).filter(|it| it.null_count() == 0).ok_or_else(wrong)
        };
        let wrong = || ArrowError::SchemaError("a row's name is of another type".to_owned());
        Ok(Names {
            times: column("event_time")?.as_primitive_opt().ok_or_else(wrong)?,
            events: column("event_id")?.as_string_opt::<i32>().ok_or_else(wrong)?,
            rows: column("row_index")?.as_primitive_opt::<UInt32Type>().ok_or_else(wrong)?,
        })
    }

    fn key(&self, row: usize) -> (i64, &'a str, u32) {
        (self.times.value(row), self.events.value(row), self.rows.value(row))
    }
}

impl Waiting {
    /// Takes rows of a file, or of a stream `from` there; those whose turn is over are left out, and those of
    /// a time beyond the `latest`.
    pub(crate) fn add(
        &mut self,
        (cursor, latest): (&Cursor, i64),
        batch: RecordBatch,
        from: Option<&Arc<Offsets>>,
    ) -> Result<Came, ArrowError> {
        let names = Names::of(&batch)?;
        let mut came = Came::default();
        let mut rows = Vec::new();
        for (row, time) in (0..).zip(names.times.values()) {
            match cursor.place(*time, latest) {
                Place::Waits => {
                    rows.push(row);
                    came.newest = came.newest.max(Some(*time));
                }
                Place::Late => came.late += 1,
                Place::Before => {}
                Place::Ahead => came.ahead += 1,
            }
        }
        came.waiting = rows.len() as u64;
        if !rows.is_empty() {
            let part = Part::new(batch, rows, from.cloned());
            self.bytes += part.bytes;
            self.parts.push(part);
        }
        Ok(came)
    }

    /// Where in a stream they come again.
    pub(crate) fn from(&self) -> impl Iterator<Item = &Offsets> {
        self.parts.iter().filter_map(|it| it.from.as_deref())
    }

    /// What it takes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|it| it.rows.len() as u64).sum()
    }

    /// The time in the middle of them, if they must go before their time.
    pub(crate) fn middle(&self) -> Option<i64> {
        let mut times = Vec::new();
        for part in &self.parts {
            let names = Names::of(&part.batch).ok()?;
            times.extend(part.rows.iter().map(|it| names.times.value(*it as usize)));
        }
        let middle = times.len() / 2;
        (!times.is_empty()).then(|| *times.select_nth_unstable(middle).1)
    }

    /// Leaves out rows of a later time. How many there were.
    pub(crate) fn shed(&mut self, latest: i64) -> Result<u64, ArrowError> {
        let before = self.rows();
        self.keep(|it| it <= latest)?;
        Ok(before - self.rows())
    }

    fn keep(&mut self, stays: impl Fn(i64) -> bool) -> Result<(), ArrowError> {
        for part in &mut self.parts {
            let Part { batch, rows, .. } = part;
            let names = Names::of(batch)?;
            rows.retain(|it| stays(names.times.value(*it as usize)));
            part.shrink()?;
        }
        self.parts.retain(|it| !it.rows.is_empty());
        self.bytes = self.parts.iter().map(|it| it.bytes).sum();
        Ok(())
    }

    /// Rows up to that time, in their order, a piece at a time; and how many were there twice.
    pub(crate) fn release(&mut self, until: i64) -> Result<(Vec<RecordBatch>, u64), ArrowError> {
        let names: Result<Vec<Names<'_>>, _> =
            self.parts.iter().map(|it| Names::of(&it.batch)).collect();
        let names = names?;
        let mut due: Vec<(usize, usize)> = Vec::new();
        for (n, (part, names)) in self.parts.iter().zip(&names).enumerate() {
            let rows = part.rows.iter().map(|it| *it as usize);
            due.extend(rows.filter(|it| names.times.value(*it) <= until).map(|it| (n, it)));
        }
        let key = |it: &(usize, usize)| names.get(it.0).map(|names| names.key(it.1));
        due.sort_by(|a, b| key(a).cmp(&key(b)));
        let all = due.len();
        due.dedup_by(|a, b| key(a) == key(b));
        let twice = (all - due.len()) as u64;
        let batches: Vec<&RecordBatch> = self.parts.iter().map(|it| &it.batch).collect();
        let pieces = due.chunks(PIECE_ROWS).map(|it| interleave_record_batch(&batches, it));
        let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
        self.keep(|it| it > until)?;
        Ok((pieces, twice))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::ArrayRef;

    use super::*;

    /// Rows by time and name.
    fn batch(rows: &[(i64, &str)]) -> RecordBatch {
        let times = rows.iter().map(|it| it.0).collect::<Vec<_>>();
        let events = rows.iter().map(|it| it.1).collect::<Vec<_>>();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("event_id", Arc::new(StringArray::from(events))),
            ("row_index", Arc::new(UInt32Array::from(vec![0; rows.len()]))),
            (
                "event_time",
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
            ),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    /// Files in the order in which they come, each followed by the watermark: what goes on, and how many
    /// rows were late, there twice, and wait in the end.
    #[track_caller]
    fn check(files: &[(&[(i64, &str)], i64)], expect: (&str, u64, u64, u64)) {
        let (mut cursor, mut waiting) = (Cursor::new(0), Waiting::default());
        let (mut gone, mut late, mut twice) = (Vec::new(), 0, 0);
        for (rows, watermark) in files {
            late += waiting.add((&cursor, 99), batch(rows), None).expect("rows").late;
            cursor.advance(*watermark);
            let (pieces, again) = waiting.release(cursor.watermark()).expect("rows");
            twice += again;
            for it in &pieces {
                let names = Names::of(it).expect("names");
                gone.extend((0..it.num_rows()).map(|row| names.events.value(row).to_owned()));
            }
        }
        assert_eq!((gone.join("").as_str(), late, twice, waiting.rows()), expect);
        assert_eq!(waiting.bytes() == 0, waiting.rows() == 0);
    }

    #[test]
    fn rows_go_by_their_time() {
        let (a, b) = ([(1, "a"), (4, "d"), (9, "g")], [(2, "b"), (3, "c"), (5, "e"), (8, "f")]);
        check(&[(&a, 0), (&b, 5)], ("abcde", 0, 0, 2));
        check(&[(&a, 0), (&b, 9)], ("abcdefg", 0, 0, 0));
        check(&[(&a, 0), (&b, 0)], ("", 0, 0, 7));
    }

    #[test]
    fn what_comes_after_its_time_is_late() {
        check(&[(&[(5, "e")], 5), (&[(2, "b"), (5, "x"), (6, "f")], 9)], ("ef", 2, 0, 0));
        check(&[(&[(-3, "z"), (1, "a")], 9)], ("a", 0, 0, 0));
    }

    #[test]
    fn what_comes_twice_goes_once() {
        let file: &[(i64, &str)] = &[(1, "a"), (2, "b"), (7, "g")];
        check(&[(file, 0), (file, 3)], ("ab", 0, 2, 2));
        check(&[(file, 0), (file, 7)], ("abg", 0, 3, 0));
        // Also if a part of it has gone already.
        check(&[(file, 3), (file, 7)], ("abg", 2, 1, 0));
    }

    #[test]
    fn rows_of_one_moment_are_told_apart_by_name() {
        check(&[(&[(1, "b"), (1, "a")], 0), (&[(1, "a"), (1, "c")], 1)], ("abc", 0, 1, 0));
    }

    #[test]
    fn what_cannot_be_yet_is_left_out() {
        let mut waiting = Waiting::default();
        let rows = [(1, "a"), (5, "b"), (6, "c"), (9, "d")];
        let cursor = Cursor::new(0);
        let came = waiting.add((&cursor, 8), batch(&rows), None).expect("rows");
        assert_eq!(came, Came { waiting: 3, late: 0, ahead: 1, newest: Some(6) });
        assert_eq!(waiting.shed(5).expect("rows"), 1);
        assert_eq!(waiting.shed(5).expect("rows"), 0);
        assert_eq!(waiting.rows(), 2);
    }

    #[test]
    fn the_middle_leaves_half() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.middle(), None);
        let rows: Vec<(i64, &str)> = (1..=9).map(|it| (10 - it, "x")).collect();
        waiting.add((&Cursor::new(0), 99), batch(&rows), None).expect("rows");
        assert_eq!(waiting.middle(), Some(5));
        let before = waiting.bytes();
        waiting.release(5).expect("rows");
        assert_eq!(waiting.rows(), 4);
        assert!(waiting.bytes() < before, "the others take no memory");
    }
}
