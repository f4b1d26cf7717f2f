//! How late it is, as far as others bear this machine's clock out. One that is ahead would have windows judged
//! whose labels are still to come, and would have all that comes later left out for good.
//!
//! Files of the log say when they were written, by the clock of their store. From there on time goes by a clock
//! that cannot be set. So whatever this machine's shows, nothing is over that is not; and where nothing is
//! written any more it is over when it is due.

use std::time::Instant;

/// Microseconds since 1970, or since whenever.
type Micros = Box<dyn Fn() -> i64 + Send>;

/// See the module.
pub(crate) struct Clock {
    /// This machine's, which may be set.
    wall: Micros,
    /// Since whenever: it cannot be set.
    passed: Micros,
    /// It was that late, when so much had passed.
    known: (i64, i64),
}

impl Clock {
    /// It was that late already.
    pub(crate) fn new(wall: Micros, known_us: i64) -> Clock {
        let begin = Instant::now();
        let passed = move || i64::try_from(begin.elapsed().as_micros()).unwrap_or(i64::MAX);
        Clock::of((wall, Box::new(passed)), known_us)
    }

    fn of((wall, passed): (Micros, Micros), known_us: i64) -> Clock {
        let known = (known_us, passed());
        Clock { wall, passed, known }
    }

    /// What this machine's clock shows.
    pub(crate) fn wall_us(&self) -> i64 {
        (self.wall)()
    }

    /// Another clock has shown that time.
    pub(crate) fn shown(&mut self, time_us: i64) {
        if time_us > self.borne_out_us() {
            self.known = (time_us, (self.passed)());
        }
    }

    /// It is that late, by others and by what has passed since.
    pub(crate) fn borne_out_us(&self) -> i64 {
        let (known, then) = self.known;
        known.saturating_add((self.passed)().saturating_sub(then))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn time_goes_on_from_what_others_show() {
        let passed = Arc::new(AtomicI64::new(7));
        let of = Arc::clone(&passed);
        let passes = Box::new(move || of.load(Ordering::Relaxed));
        let mut clock = Clock::of((Box::new(|| 9_000), passes), 100);
        assert_eq!((clock.wall_us(), clock.borne_out_us()), (9_000, 100));
        passed.store(27, Ordering::Relaxed);
        assert_eq!(clock.borne_out_us(), 120);
        // What is older than what is known says nothing.
        clock.shown(110);
        assert_eq!(clock.borne_out_us(), 120);
        clock.shown(500);
        assert_eq!(clock.borne_out_us(), 500);
        passed.store(30, Ordering::Relaxed);
        assert_eq!(clock.borne_out_us(), 503);
    }
}
