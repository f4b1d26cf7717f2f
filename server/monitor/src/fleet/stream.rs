//! A log that is one stream of messages, in partitions, and how far it has been read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use server_base::{ModelName, Version};

use super::recent::Recent;
use crate::house::Who;

/// By partition: the offset of a message.
pub type Offsets = BTreeMap<i32, i64>;

/// What a stream brings.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Its time, in microseconds since 1970; a millisecond may be all that is known of it.
    pub time: Option<i64>,
    /// What kind of event it is, which version it is of, and what its columns are, as it says itself.
    pub kind: Option<&'a str>,
    /// See `kind`.
    pub source: Option<&'a str>,
    /// See `kind`.
    pub columns: Option<&'a str>,
    /// The row.
    pub value: &'a [u8],
}

/// A place that messages of the log are taken from. Partitions may become more.
pub trait Stream: Send {
    /// What it is called: offsets of another are not taken for its own.
    fn name(&self) -> &str;

    /// Of each partition the first offset that there is, and the one behind the last. `NotFound`: nobody has made
    /// the stream, or it is gone.
    fn partitions(&mut self) -> io::Result<BTreeMap<i32, Range<i64>>>;

    /// Of each partition the first offset of a message of that time, in microseconds since 1970, or a later
    /// one. It may be missing: nobody knows.
    fn since(&mut self, time: i64) -> io::Result<Offsets>;

    /// Goes on there, with all partitions and no others.
    fn seek(&mut self, to: &Offsets) -> io::Result<()>;

    /// Waits for a message, a moment. False: none has come. An error: none has come for long, or none will.
    fn next(&mut self, take: &mut dyn FnMut(&Message<'_>)) -> io::Result<bool>;

    /// Of partitions that were read to their end since [`Stream::seek`]: the offset behind all that was there.
    /// The last offsets may be no messages: where a transaction ends there is a mark.
    fn ended(&self) -> &Offsets;
}

/// How far a stream has been read.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    /// What is read next.
    pub(crate) next: Offsets,
    /// What was never read.
    seen: Offsets,
    /// Up to where it was said that messages are gone.
    gone: Offsets,
    /// The last messages since reading began where it did.
    recent: BTreeMap<i32, Recent>,
    /// The stream stands there.
    pub(crate) is_set: bool,
    /// Versions whose rows were all counted, or come again, when the process began.
    covered: BTreeSet<Who>,
    /// Why messages are left out, as far as that was told.
    told: BTreeSet<&'static str>,
}

/// What is written down of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    name: String,
    /// Where the next process begins, and what was never read.
    partitions: Vec<(i32, i64, i64)>,
    /// Versions of which no row before that is needed.
    covered: Vec<(String, u64)>,
}

impl Saved {
    /// Is it of the stream of that name?
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Positions {
    /// As they were written down, of the stream of that name.
    pub(crate) fn of(saved: Option<Saved>, name: &str) -> Positions {
        let Some(saved) = saved.filter(|it| it.is_of(name)) else { return Positions::default() };
        let covered = saved.covered.into_iter();
        let who = |(model, version): (String, u64)| {
            Some((ModelName::new(&model).ok()?, Version(version)))
        };
        Positions {
            next: saved.partitions.iter().map(|it| (it.0, it.1)).collect(),
            seen: saved.partitions.iter().map(|it| (it.0, it.2)).collect(),
            covered: covered.filter_map(who).collect(),
            ..Positions::default()
        }
    }

    /// What is to be written down, if the next process is to begin at `next`.
    pub(crate) fn saved(&self, name: &str, next: &Offsets, covered: &[&Who]) -> Saved {
        let seen = |it: &i32| self.seen.get(it).copied().unwrap_or(0);
        Saved {
            name: name.to_owned(),
            partitions: next.iter().map(|(part, next)| (*part, *next, seen(part))).collect(),
            covered: covered.iter().map(|it| (it.0.to_string(), it.1.0)).collect(),
        }
    }

    /// What the process before has left to this one. It is asked once.
    pub(crate) fn covered(&mut self) -> BTreeSet<Who> {
        std::mem::take(&mut self.covered)
    }

    /// Is that told for the first time?
    pub(crate) fn is_news(&mut self, why: &'static str) -> bool {
        self.told.insert(why)
    }

    /// Says that the message there is left out, the first of those that are for this reason.
    pub(crate) fn tell(&mut self, (partition, offset): (i32, i64), why: &'static str) {
        if self.is_news(why) {
            tracing::warn!(
                partition,
                offset,
                why,
                "a message of the log is left out, and others of its kind will be"
            );
        }
    }

    /// Does the stream stand where it is to be read, and are its partitions those that are known?
    pub(crate) fn stands(&self, there: &BTreeMap<i32, Range<i64>>) -> bool {
        self.is_set && self.fits(there)
    }

    /// Can it be read on, and are its partitions those that are known?
    pub(crate) fn fits(&self, there: &BTreeMap<i32, Range<i64>>) -> bool {
        let is_inside = |it: (&i32, &Range<i64>)| {
            self.next.get(it.0).is_some_and(|at| (it.1.start..=it.1.end).contains(at))
        };
        self.next.len() == there.len() && there.iter().all(is_inside)
    }

    /// Reading begins there, as far as that is there still; and with the first that there is of partitions that
    /// have come. How many messages were taken away that were still to be read: for the first time, or once more
    /// since rows among them were not counted. Which of those that is nobody can see any more, so all of them are
    /// said to be lost; each is once.
    pub(crate) fn begin(&mut self, mut at: Offsets, there: &BTreeMap<i32, Range<i64>>) -> u64 {
        let mut all_lost = 0;
        at.retain(|it, _| there.contains_key(it));
        for (&partition, range) in there {
            let next = at.entry(partition).or_insert(range.start);
            let seen = self.seen.entry(partition).or_insert(*next);
            let from = *next;
            if from > range.end {
                tracing::error!(
                    partition,
                    from,
                    end = range.end,
                    "a partition ends before what was read of it: it is read anew"
                );
                (*next, *seen) = (range.start, range.start);
                self.gone.remove(&partition);
            } else if from < range.start {
                let said = self.gone.insert(partition, range.start);
                let lost = range.start - said.map_or(from, |it| from.max(it));
                if lost > 0 {
                    all_lost += lost.unsigned_abs();
                    tracing::error!(
                        partition,
                        lost,
                        first = range.start,
                        "messages were taken away before they were read, or before all in them was counted"
                    );
                }
                *next = range.start;
            }
        }
        self.seen.retain(|it, _| there.contains_key(it));
        self.gone.retain(|it, _| there.contains_key(it));
        self.next = at;
        self.recent.clear();
        self.is_set = false;
        all_lost
    }

    /// Was it read before?
    pub(crate) fn is_again(&self, partition: i32, offset: i64) -> bool {
        self.seen.get(&partition).is_some_and(|it| offset < *it)
    }

    /// Those have been read, up to there: partitions and times, in their order.
    pub(crate) fn passed(&mut self, next: Offsets, times: &[(i32, i64)]) {
        for (partition, offset) in &next {
            let seen = self.seen.entry(*partition).or_insert(*offset);
            *seen = (*seen).max(*offset);
        }
        for (partition, time) in times {
            let recent = self.recent.entry(*partition);
            recent.or_insert_with(|| Recent::new(next.len())).add(*time);
        }
        self.next = next;
    }

    /// Is everything read up to there?
    pub(crate) fn has_reached(&self, ends: &Offsets) -> bool {
        ends.iter().all(|it| self.is_at(it))
    }

    fn is_at(&self, (partition, end): (&i32, &i64)) -> bool {
        self.next.get(partition).is_some_and(|it| it >= end)
    }

    /// Up to which time rows were written before those that have been read: what comes behind a message was
    /// written after it, and not all clocks of some in a row are ahead. `None`: of a partition nobody knows.
    pub(crate) fn written(&self, ends: &Offsets, now: i64) -> Option<i64> {
        let time = |it: (&i32, &i64)| {
            if self.is_at(it) { Some(now) } else { self.recent.get(it.0)?.least() }
        };
        ends.iter().map(time).try_fold(now, |least, it| Some(least.min(it?)))
    }
}

/// What is there of `next` and all of `needed`; a partition that one of them does not know begins anew.
pub(crate) fn least<'a>(next: &Offsets, needed: impl Iterator<Item = &'a Offsets>) -> Offsets {
    let mut least = next.clone();
    for it in needed {
        least.retain(|partition, offset| {
            let needed = it.get(partition);
            needed.inspect(|it| *offset = (*offset).min(**it)).is_some()
        });
    }
    least
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
