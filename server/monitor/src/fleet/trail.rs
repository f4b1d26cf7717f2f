//! Where in a stream which time was: so that a process that needs what is of a time or later knows where to
//! begin, whatever brokers know of times.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::stream::Offsets;

/// Places of a partition that are remembered. What is read without need is a part in half as many of what is
/// needed.
const PLACES_MAX: usize = 64;

/// How far places are apart, at least, while they are few.
const STEP_US: i64 = 1_000_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Trail {
    /// Nothing that is of that time or later lies before what is remembered.
    from_us: i64,
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug)]
struct Partition {
    /// Offsets, and the latest time of what lies before each.
    places: VecDeque<(i64, i64)>,
    /// How far times of places are apart, at least.
    step_us: i64,
    /// How far that is, and the latest time before it.
    end: (i64, i64),
}

impl Partition {
    /// What lies before is of an earlier time than `from_us`.
    fn new(offset: i64, from_us: i64) -> Partition {
        let first = (offset, from_us.saturating_sub(1));
        Partition { places: VecDeque::from([first]), step_us: STEP_US, end: first }
    }

    fn add(&mut self, offset: i64, time_us: i64) {
        let (end, newest) = self.end;
        // It was read before.
        if offset < end {
            return;
        }
        let is_due = |last: &(i64, i64)| newest.saturating_sub(last.1) >= self.step_us;
        if self.places.back().is_some_and(is_due) {
            self.places.push_back((offset, newest));
        }
        if self.places.len() > PLACES_MAX {
            let mut place = 0;
            self.places.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.step_us = self.step_us.saturating_mul(2);
        }
        self.end = (offset + 1, newest.max(time_us));
    }
}

impl Trail {
    /// Nothing yet: what was passed by is of an earlier time.
    pub(crate) fn new(from_us: i64) -> Trail {
        Trail { from_us, partitions: BTreeMap::new() }
    }

    /// What lies before these is of an earlier time.
    pub(crate) fn at(from_us: i64, offsets: &Offsets) -> Trail {
        let new =
            |(partition, offset): (&i32, &i64)| (*partition, Partition::new(*offset, from_us));
        Trail { from_us, partitions: offsets.iter().map(new).collect() }
    }

    /// Does it know where that time was?
    pub(crate) fn covers(&self, time_us: i64) -> bool {
        time_us >= self.from_us
    }

    /// Of each partition an offset that nothing lies before which is of that time or later. What was before is
    /// forgotten.
    pub(crate) fn since(&mut self, time_us: i64) -> Offsets {
        self.from_us = self.from_us.max(time_us);
        let place = |(partition, it): (&i32, &mut Partition)| {
            while it.places.get(1).is_some_and(|next| next.1 < time_us) {
                it.places.pop_front();
            }
            it.places.front().map(|first| (*partition, first.0))
        };
        self.partitions.iter_mut().filter_map(place).collect()
    }

    /// Reading goes on there. What was taken away, or is another partition of that number, is none of it.
    pub(crate) fn begin(&mut self, at: &Offsets, there: &BTreeMap<i32, Range<i64>>) {
        self.partitions.retain(|it, _| at.contains_key(it));
        for (number, offset) in at {
            let is_other = |it: &Partition| {
                let first = it.places.front().map_or(i64::MAX, |it| it.0);
                *offset < first || there.get(number).is_none_or(|there| it.end.0 > there.end)
            };
            let known = self.partitions.entry(*number);
            let known = known.or_insert_with(|| Partition::new(*offset, self.from_us));
            if is_other(known) {
                *known = Partition::new(*offset, self.from_us);
            }
        }
    }

    /// A message lies there, and is of that time.
    pub(crate) fn add(&mut self, partition: i32, offset: i64, time_us: i64) {
        if let Some(it) = self.partitions.get_mut(&partition) {
            it.add(offset, time_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn trail(partitions: i32) -> Trail {
        let mut trail = Trail::new(0);
        let (at, there) = (0..partitions).map(|it| ((it, 0), (it, 0..100_000))).unzip();
        trail.begin(&at, &there);
        trail
    }

    /// A message a second, in two partitions; each is up to three seconds late.
    #[test]
    fn nothing_that_is_needed_lies_before_it_and_little_else_behind_it() {
        let mut trail = trail(2);
        let time = |offset: i64| (offset * 2 - offset * 7 % 4) * SECOND;
        for offset in 0..5_000 {
            (0..2).for_each(|it| trail.add(it, offset, time(offset)));
            // It comes again, after something has failed.
            trail.add(0, offset / 2, 90_000 * SECOND);
        }
        for since in [1, 100, 4_711, 9_000, 9_990] {
            let found = trail.since(since * SECOND);
            assert_eq!(found[&0], found[&1]);
            let needed = (0..5_000).find(|it| time(*it) >= since * SECOND).expect("there is one");
            // Of ten thousand seconds, a part in thirty-two.
            assert!((needed - 160..=needed).contains(&found[&0]), "{since} s: {found:?} {needed}");
        }
        assert!(trail.covers(9_990 * SECOND) && !trail.covers(9_989 * SECOND));
        assert!(trail.partitions[&0].places.len() < PLACES_MAX);
    }

    #[test]
    fn a_partition_that_is_another_is_begun_anew() {
        let mut trail = trail(2);
        for offset in 0..1_000 {
            (0..2).for_each(|it| trail.add(it, offset, offset * SECOND));
        }
        let at = Offsets::from([(0, 7), (1, 900), (2, 3)]);
        let there = BTreeMap::from([(0, 7..90), (1, 0..1_000), (2, 3..9)]);
        trail.begin(&at, &there);
        let found = trail.since(990 * SECOND);
        assert_eq!((found[&0], found[&2]), (7, 3));
        assert!((900..=990).contains(&found[&1]), "{found:?}");
        trail.begin(&Offsets::from([(1, 5)]), &BTreeMap::from([(1, 0..1_000)]));
        assert_eq!(trail.since(990 * SECOND), Offsets::from([(1, 5)]));
    }
}
