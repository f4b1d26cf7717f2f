//! How far a version's log has been read: up to which time its rows are counted, and which files of the
//! hours around it were read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, Serializer};
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

/// Text that they take when they are written down: half a million of the usual length is a good half of that.
/// Beyond it the next process could not read what this one has written.
const NAMES_BYTES_MAX: usize = 128 << 20;

/// See the module. Times are microseconds since 1970, of rows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Saved")]
pub(crate) struct Cursor {
    /// Rows up to here are nobody's business.
    begin: i64,
    /// Rows up to here have been counted; what comes later of them is late.
    watermark: i64,
    /// Files that were read.
    read: BTreeMap<String, Known>,
    /// What they take as text, at the most.
    bytes: usize,
    /// How often they have changed since it was made or read.
    changes: u64,
}

/// What is remembered of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// The time of its newest row that waited.
    newest: i64,
    /// `None`: an earlier release has read it.
    stamp: Option<Stamp>,
}

/// Tells a file from another that has taken its place: bytes, and when it was written. In a folder a server that was
/// killed between a file and its own cursor writes that file once more, under the same name, with the rows that have
/// come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp(u64, i64);

impl Stamp {
    fn of(object: &Object) -> Stamp {
        Stamp(object.size, object.written)
    }
}

/// As it was written down.
#[derive(Deserialize)]
struct Saved {
    begin: i64,
    watermark: i64,
    read: BTreeMap<String, i64>,
    /// Of the files in their order. An earlier release has none, and passes by them.
    #[serde(default)]
    stamps: Vec<Option<Stamp>>,
}

#[derive(Serialize)]
struct Saving<'a> {
    begin: i64,
    watermark: i64,
    #[serde(serialize_with = "newest")]
    read: &'a BTreeMap<String, Known>,
    #[serde(serialize_with = "stamps")]
    stamps: &'a BTreeMap<String, Known>,
}

fn newest<S: Serializer>(read: &&BTreeMap<String, Known>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(read.iter().map(|(path, it)| (path, it.newest)))
}

fn stamps<S: Serializer>(read: &&BTreeMap<String, Known>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(read.values().map(|it| it.stamp))
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Cursor { begin, watermark, read, .. } = self;
        Saving { begin: *begin, watermark: *watermark, read, stamps: read }.serialize(to)
    }
}

impl From<Saved> for Cursor {
    fn from(saved: Saved) -> Cursor {
        let Saved { begin, watermark, read, stamps } = saved;
        let bytes = read.keys().map(|it| text_bytes(it)).sum();
        let stamps = stamps.into_iter().chain(std::iter::repeat(None));
        let known = |((path, newest), stamp)| (path, Known { newest, stamp });
        let read = read.into_iter().zip(stamps).map(known).collect();
        Cursor { begin, watermark, read, bytes, changes: 0 }
    }
}

/// What a file takes as JSON, at the most.
fn text_bytes(path: &str) -> usize {
    let escaped = |it: u8| it < b' ' || it == b'"' || it == b'\\';
    let path: usize = path.bytes().map(|it| if escaped(it) { 6 } else { 1 }).sum();
    path + "\"\":-9223372036854775808,[18446744073709551615,-9223372036854775808],".len()
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

    /// Was it read, and is it the same still? What is read once more counts once: rows that were counted are late,
    /// and of rows that wait one of a name is counted.
    pub(crate) fn is_read(&self, object: &Object) -> bool {
        let known = self.read.get(&object.path);
        known.is_some_and(|it| it.stamp.is_none_or(|stamp| stamp == Stamp::of(object)))
    }

    /// A file was read; `newest`: the time of its newest row.
    pub(crate) fn was_read(&mut self, object: &Object, newest: i64) {
        let known = Known { newest, stamp: Some(Stamp::of(object)) };
        if self.read.insert(object.path.clone(), known).is_none() {
            self.bytes += text_bytes(&object.path);
        }
        self.changes += 1;
    }

    /// A file that was read is not there any more, nor is anything expected of it.
    pub(crate) fn is_gone(&mut self, path: &str) {
        if let Some(it) = self.read.get_mut(path) {
            it.newest = i64::MIN;
            self.changes += 1;
        }
    }

    /// Files with rows that have not been counted: a process that starts reads them again.
    pub(crate) fn unfinished(&self) -> BTreeSet<String> {
        let open = self.read.iter().filter(|it| it.1.newest > self.watermark);
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
        self.read
            .retain(|path, it| it.newest > watermark || hour_of(path).is_some_and(|it| it >= from));
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
        // Two folders may have one of the same name: it is fetched from the first of them.
        objects.dedup_by(|next, it| next.path == it.path);
        objects.retain(|it| !cursor.is_read(it) || again.contains(&it.path));
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
#[path = "cursor_tests.rs"]
mod tests;
