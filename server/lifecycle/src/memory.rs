//! What loaded versions take of the memory: measured where that can be done, else estimated.
//!
//! Engines allocate for themselves, so the only thing that can be measured is how much the process
//! grows while a version is loaded, and only if nothing else is loaded or unloaded meanwhile. What
//! is freed is not always given back, so a later load may grow the process by less than it takes:
//! the size on disk is the least that is believed.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The least a version is taken for: an engine's books of a tiny model.
pub(crate) const LEAST: u64 = 1 << 20;

/// No model is believed to take more than so many times its size on disk before it was measured.
const RATIO_MAX: f64 = 4.0;

/// How large the process is, in bytes; `None` where the system does not say.
#[derive(Clone)]
pub struct Gauge(Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl Gauge {
    /// One of another kind than the system's.
    pub fn new(read: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Gauge {
        Gauge(Arc::new(read))
    }
}

impl Default for Gauge {
    fn default() -> Gauge {
        Gauge::new(resident)
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauge")
    }
}

/// Memory that the process holds.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Weighs loads. Shared by the loader threads.
#[derive(Debug, Default)]
pub(crate) struct Scale {
    gauge: Gauge,
    begun: AtomicU64,
    running: AtomicUsize,
}

impl Scale {
    pub(crate) fn new(gauge: Gauge) -> Scale {
        Scale { gauge, ..Scale::default() }
    }

    /// Does the work; says by how much the process grew, if nothing else was done meanwhile.
    pub(crate) fn weigh<T>(&self, work: impl FnOnce() -> T) -> (T, Option<u64>) {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let alone = self.running.fetch_add(1, Ordering::SeqCst) == 0;
        let before = alone.then(|| (self.gauge.0)()).flatten();
        let done = work();
        let after = before.and_then(|_| (self.gauge.0)());
        let undisturbed = self.begun.load(Ordering::SeqCst) == number;
        self.running.fetch_sub(1, Ordering::SeqCst);
        let grown = before.zip(after).filter(|_| undisturbed);
        (done, grown.map(|(before, after)| after.saturating_sub(before)))
    }
}

/// What has been learned about sizes on disk and in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lesson {
    on_disk: f64,
    in_memory: f64,
}

impl Lesson {
    /// What a version takes that takes so much on disk and was, or was not, measured.
    pub(crate) fn learn(&mut self, on_disk: u64, measured: Option<u64>) -> u64 {
        let Some(measured) = measured else { return self.estimate(on_disk) };
        let bytes = measured.max(on_disk).max(LEAST);
        self.on_disk += on_disk as f64;
        self.in_memory += bytes as f64;
        bytes
    }

    /// Models of one server resemble each other.
    pub(crate) fn estimate(&self, on_disk: u64) -> u64 {
        let ratio = (self.in_memory / self.on_disk.max(LEAST as f64)).clamp(1.0, RATIO_MAX);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let bytes = (on_disk as f64 * ratio) as u64;
        bytes.max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_weighed() {
        assert!(Gauge::default().0().is_some_and(|it| it > LEAST), "a test takes more than that");
    }

    #[test]
    fn growth_counts_only_if_nothing_else_was_done() {
        let size = Arc::new(AtomicU64::new(5));
        let read = Arc::clone(&size);
        let scale = Scale::new(Gauge::new(move || Some(read.load(Ordering::SeqCst))));
        let grow = |to: u64| size.store(to, Ordering::SeqCst);
        assert_eq!(scale.weigh(|| grow(8)), ((), Some(3)));
        assert_eq!(scale.weigh(|| grow(6)), ((), Some(0)), "what shrinks has not grown");
        let (inner, outer) = scale.weigh(|| scale.weigh(|| grow(9)).1);
        assert_eq!((inner, outer), (None, None));
        assert_eq!(scale.weigh(|| grow(10)), ((), Some(1)));
    }

    #[test]
    fn estimates_follow_what_was_measured() {
        let mut lesson = Lesson::default();
        let mib = |it: u64| it << 20;
        assert_eq!((lesson.estimate(7), lesson.estimate(mib(9))), (LEAST, mib(9)));
        assert_eq!(lesson.learn(mib(10), Some(mib(4))), mib(10), "no less than on disk");
        assert_eq!(lesson.learn(mib(10), Some(mib(30))), mib(30));
        assert_eq!(lesson.estimate(mib(3)), mib(6));
        assert_eq!(lesson.learn(mib(3), None), mib(6), "nothing is learned from a guess");
        assert_eq!(lesson.estimate(mib(3)), mib(6));
        // Thousands of tiny models say nothing about a large one.
        let mut lesson = Lesson::default();
        (0..100).for_each(|_| assert_eq!(lesson.learn(100, Some(mib(5))), mib(5)));
        assert_eq!(lesson.estimate(mib(10)), mib(40));
    }
}
