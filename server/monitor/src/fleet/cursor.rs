//! How far a version's log has been read: up to which time its rows are counted, and which files of the
//! hours around it were read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use server_feedback::hour_of;

use super::listing::Page;
use super::{Listed, Object};

pub(crate) const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Hours in front of the watermark in which files are still looked for: what comes later than that is
/// not even counted, and its names need not be remembered.
const LOOK_BACK_HOURS: u32 = 2;

/// How far a row's time may be in front of this machine's clock, if that is more than the lateness: clocks
/// that differ by more are wrong, and do not say when it came.
const AHEAD_MICROS: i64 = MICROS_AN_HOUR;

/// Files whose names are remembered.
const NAMES_MAX: usize = 500_000;

/// Text that their names take when they are written down: half a million of the usual length is half of that.
/// Beyond it the next process could not read what this one has written.
const NAMES_BYTES_MAX: usize = 128 << 20;

/// See the module. Times are microseconds since 1970, of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub(crate) struct Cursor {
    /// Rows up to here are nobody's business.
    begin: i64,
    /// Rows up to here have been counted; what comes later of them is late.
    watermark: i64,
    /// Files that were read, each with the time of its newest row.
    read: BTreeMap<String, i64>,
    /// What their names take as text, at the most.
    #[serde(skip)]
    bytes: usize,
    /// How often they have changed since it was made or read.
    #[serde(skip)]
    changes: u64,
}

/// As it was written down.
#[derive(Deserialize)]
struct Saved {
    begin: i64,
    watermark: i64,
    read: BTreeMap<String, i64>,
}

impl From<Saved> for Cursor {
    fn from(saved: Saved) -> Cursor {
        let Saved { begin, watermark, read } = saved;
        let bytes = read.keys().map(|it| text_bytes(it)).sum();
        Cursor { begin, watermark, read, bytes, changes: 0 }
    }
}

/// What a name and a time take as JSON, at the most.
fn text_bytes(path: &str) -> usize {
    let escaped = |it: u8| it < b' ' || it == b'"' || it == b'\\';
    let path: usize = path.bytes().map(|it| if escaped(it) { 6 } else { 1 }).sum();
    path + "\"\":-9223372036854775808,".len()
}

/// Where a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits for its turn.
    Waits,
    /// Its turn is over.
    Late,
    /// It is of a time before that which is watched.
    Before,
    /// It is of a clock that is wrong.
    Ahead,
}

/// The last time that rows can be of, if the clock shows `now`.
pub(crate) fn latest(now: i64, lateness: i64) -> i64 {
    now.saturating_add(lateness.max(AHEAD_MICROS))
}

impl Cursor {
    /// With nothing read.
    pub(crate) fn new(begin: i64) -> Cursor {
        Cursor { begin, watermark: begin, read: BTreeMap::new(), bytes: 0, changes: 0 }
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Moves on, never back. True: it did.
    pub(crate) fn advance(&mut self, to: i64) -> bool {
        let moves = to > self.watermark;
        self.watermark = self.watermark.max(to);
        moves
    }

    /// The first hour in which files are looked for.
    pub(crate) fn first_hour(&self) -> u32 {
        let hour = u32::try_from(self.watermark.div_euclid(MICROS_AN_HOUR)).unwrap_or(0);
        let begin = u32::try_from(self.begin.div_euclid(MICROS_AN_HOUR)).unwrap_or(0);
        hour.saturating_sub(LOOK_BACK_HOURS).max(begin)
    }

    /// The hour of the first row that has not been counted.
    pub(crate) fn next_hour(&self) -> u32 {
        u32::try_from((self.watermark + 1).div_euclid(MICROS_AN_HOUR)).unwrap_or(0)
    }

    /// Are there as many files as can be remembered?
    pub(crate) fn is_full(&self) -> bool {
        self.read.len() >= NAMES_MAX || self.bytes >= NAMES_BYTES_MAX
    }

    /// Tells what is remembered of files from what was before; the time up to which rows are counted is not
    /// looked at.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn is_read(&self, path: &str) -> bool {
        self.read.contains_key(path)
    }

    /// A file was read; `newest`: the time of its newest row.
    pub(crate) fn was_read(&mut self, path: String, newest: i64) {
        let bytes = text_bytes(&path);
        if self.read.insert(path, newest).is_none() {
            self.bytes += bytes;
        }
        self.changes += 1;
    }

    /// Files with rows that have not been counted: a process that starts reads them again.
    pub(crate) fn unfinished(&self) -> BTreeSet<String> {
        let open = self.read.iter().filter(|it| *it.1 > self.watermark);
        open.map(|it| it.0.clone()).collect()
    }

    /// Lets go of names that no list will show again.
    pub(crate) fn forget(&mut self) {
        self.forget_before(self.first_hour());
    }

    /// Lets go of names of hours whose rows have all been counted. Files of these that are listed again are read
    /// again, and all that is in them is late.
    pub(crate) fn forget_counted(&mut self) {
        self.forget_before(self.next_hour());
    }

    fn forget_before(&mut self, from: u32) {
        let watermark = self.watermark;
        let before = self.read.len();
        self.read.retain(|path, newest| {
            *newest > watermark || hour_of(path).is_some_and(|it| it >= from)
        });
        if self.read.len() < before {
            self.bytes = self.read.keys().map(|it| text_bytes(it)).sum();
            self.changes += 1;
        }
    }

    /// Have rows been counted up to a time that cannot be yet?
    pub(crate) fn is_beyond(&self, latest: i64) -> bool {
        self.watermark > self.begin && self.watermark > latest
    }

    pub(crate) fn place(&self, time: i64, latest: i64) -> Place {
        if time > latest {
            Place::Ahead
        } else if time > self.watermark {
            Place::Waits
        } else if time > self.begin {
            Place::Late
        } else {
            Place::Before
        }
    }
}

/// What of a list is to be read, and what that tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Files that were not read yet, hour by hour, of an hour in the order in which they were written.
    pub(crate) objects: Vec<Object>,
    /// Up to where all rows are there once these have been read.
    pub(crate) until: i64,
    /// There are more than a list holds: the next turn goes on there.
    pub(crate) next: Option<Page>,
}

impl Turn {
    /// Of a list, or a part of it, made when rows up to `settled` had to be there. What is in `again` is read
    /// once more.
    pub(crate) fn new(
        (cursor, again): (&Cursor, &BTreeSet<String>),
        listed: Listed,
        settled: i64,
    ) -> Turn {
        let Listed { mut objects, next } = listed;
        let until = match &next {
            // Of the hour in which a list is cut nobody knows what is missing.
            Some(path) => hour_of(path).map_or(cursor.watermark(), |it| settled.min(start_of(it))),
            None => settled,
        };
        objects.retain(|it| !cursor.is_read(&it.path) || again.contains(&it.path));
        objects.sort_by_cached_key(|it| (hour_of(&it.path), it.written, it.path.clone()));
        Turn { objects, until, next: next.map(|after| Page { after, settled }) }
    }

    /// Up to where rows are there when the first `read` files have been read: to the hour of the next.
    pub(crate) fn settled(&self, read: usize) -> i64 {
        let next = self.objects.get(read).and_then(|it| hour_of(&it.path));
        next.map_or(self.until, |hour| self.until.min(start_of(hour)))
    }
}

/// The last microsecond before an hour.
pub(crate) fn start_of(hour: u32) -> i64 {
    i64::from(hour) * MICROS_AN_HOUR - 1
}

#[cfg(test)]
mod tests {
    use server_feedback::hour_folder;

    use super::*;

    const NOON: i64 = 500_004 * MICROS_AN_HOUR;

    fn path(hour: u32, name: &str) -> String {
        format!("{}/{name}.parquet", hour_folder(500_004 + hour))
    }

    fn object(hour: u32, name: &str, written: i64) -> Object {
        Object { path: path(hour, name), size: 1, written: NOON + written }
    }

    #[test]
    fn a_row_waits_or_is_late_or_of_no_interest() {
        let mut cursor = Cursor::new(NOON);
        assert!(cursor.advance(NOON + 5));
        assert!(!cursor.advance(NOON + 4), "time does not go back");
        for (time, expect) in [
            (0, Place::Before),
            (1, Place::Late),
            (5, Place::Late),
            (6, Place::Waits),
            (9, Place::Ahead),
        ] {
            assert_eq!(cursor.place(NOON + time, NOON + 8), expect, "{time}");
        }
        assert!(cursor.is_beyond(NOON + 4) && !cursor.is_beyond(NOON + 5));
        // Nothing of it was counted: it is to begin then.
        assert!(!Cursor::new(NOON).is_beyond(0));
    }

    #[test]
    fn names_are_forgotten_when_no_list_shows_them() {
        let mut cursor = Cursor::new(NOON);
        for hour in 0..6 {
            cursor.was_read(path(hour, "a"), NOON + i64::from(hour) * MICROS_AN_HOUR + 7);
        }
        cursor.advance(NOON + 4 * MICROS_AN_HOUR + 7);
        assert_eq!(cursor.unfinished(), BTreeSet::from([path(5, "a")]));
        assert_eq!(cursor.first_hour(), 500_006);
        cursor.forget();
        let known: Vec<bool> = (0..6).map(|hour| cursor.is_read(&path(hour, "a"))).collect();
        assert_eq!(known, [false, false, true, true, true, true]);
    }

    /// What is read of a list, and up to where rows are there after each file.
    #[track_caller]
    fn check(listed: &[Object], (is_cut, settled): (bool, i64), expect: (&[&str], &[i64])) {
        let mut cursor = Cursor::new(NOON);
        cursor.was_read(path(1, "known"), NOON);
        let again = BTreeSet::from([path(3, "again")]);
        cursor.was_read(path(3, "again"), NOON + 4 * MICROS_AN_HOUR);
        let next = listed.last().map(|it| it.path.clone()).filter(|_| is_cut);
        let page = next.clone().map(|after| Page { after, settled: NOON + settled });
        let listed = Listed { objects: listed.to_vec(), next };
        let turn = Turn::new((&cursor, &again), listed, NOON + settled);
        assert_eq!(turn.next, page);
        let names = turn.objects.iter().map(|it| it.path.rsplit('/').next().unwrap_or_default());
        let names: Vec<&str> = names.map(|it| it.trim_end_matches(".parquet")).collect();
        let settled: Vec<i64> =
            (0..=turn.objects.len()).map(|it| turn.settled(it) - NOON).collect();
        assert_eq!((names.as_slice(), settled.as_slice()), expect);
    }

    #[test]
    fn an_hour_is_settled_when_the_next_begins() {
        const HOUR: i64 = MICROS_AN_HOUR;
        let all = [object(1, "b", 9), object(1, "c", 8), object(1, "known", 0), object(2, "a", 1)];
        let end = 2 * HOUR + 5;
        check(&all, (false, end), (&["c", "b", "a"], &[HOUR - 1, HOUR - 1, 2 * HOUR - 1, end]));
        // What need not be there yet is not settled.
        check(
            &all,
            (false, HOUR + 3),
            (&["c", "b", "a"], &[HOUR - 1, HOUR - 1, HOUR + 3, HOUR + 3]),
        );
        // A list that is cut says nothing of its last hour.
        let cut = [HOUR - 1, HOUR - 1, 2 * HOUR - 1, 2 * HOUR - 1];
        check(&all, (true, end), (&["c", "b", "a"], &cut));
        check(&all[..3], (true, end), (&["c", "b"], &[HOUR - 1, HOUR - 1, HOUR - 1]));
        check(&[], (false, end), (&[], &[end]));
        let again = [object(1, "known", 0), object(3, "again", 0)];
        check(&again, (false, end), (&["again"], &[end, end]));
    }
}
