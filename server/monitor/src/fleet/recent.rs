//! What time it was when the messages of a partition were written, as far as the last of them tell.

use std::collections::VecDeque;

/// Times that are looked at, of all partitions together: more than a replica sends at once, whose messages lie
/// behind one another. As many rows wait.
const TIMES: usize = 10_240;

/// They are kept as the least of each of so many heaps.
const HEAPS: usize = 16;

/// See the module. A message was written at its time or later; one whose clock is ahead was written before it.
/// So the least of some in a row is no later than the truth as long as one clock among theirs was not ahead.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Times to a heap.
    size: usize,
    least: VecDeque<i64>,
    /// Of the heap that is not full: how many there are, and the least.
    open: (usize, i64),
    last: Option<i64>,
}

impl Recent {
    /// Of one of so many partitions.
    pub(crate) fn new(partitions: usize) -> Recent {
        let size = (TIMES / HEAPS / partitions.max(1)).max(4);
        Recent { size, least: VecDeque::new(), open: (0, i64::MAX), last: None }
    }

    /// The next message is of that time.
    pub(crate) fn add(&mut self, time: i64) {
        // Rows of a request are one clock's word.
        if self.last.replace(time) == Some(time) {
            return;
        }
        let (count, least) = self.open;
        self.open = (count + 1, least.min(time));
        if count + 1 == self.size {
            self.least.push_back(self.open.1);
            if self.least.len() > HEAPS {
                self.least.pop_front();
            }
            self.open = (0, i64::MAX);
        }
    }

    /// What comes next was written at that time or later. `None`: there were too few to say.
    pub(crate) fn least(&self) -> Option<i64> {
        let all = self.least.iter().copied().min()?;
        (self.least.len() == HEAPS).then(|| all.min(self.open.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after so many times of 2,560 partitions, of which 64 are looked at.
    #[track_caller]
    fn check(times: impl IntoIterator<Item = i64>, expect: Option<i64>) {
        let mut recent = Recent::new(2_560);
        times.into_iter().for_each(|it| recent.add(it));
        assert_eq!(recent.least(), expect);
    }

    #[test]
    fn the_least_of_the_last_counts() {
        check(0..63, None);
        check(0..64, Some(0));
        check(0..67, Some(0));
        check(0..68, Some(4));
        check(0..1_000, Some(1_000 - 64));
        // Whatever clocks are ahead, as long as there is another; and those of one request are one.
        check((0..640).map(|it| if it % 32 == 0 { it } else { it + 1_000 }), Some(576));
        check((0..64).chain(std::iter::repeat_n(9_000, 1_000)), Some(0));
        // After a quiet night.
        check((0..64).chain(9_000..9_063), Some(60));
        check((0..64).chain(9_000..9_064), Some(9_000));
    }
}
