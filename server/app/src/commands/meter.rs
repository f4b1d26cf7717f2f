//! How far a download is, on a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use server_registry::Progress;

/// How often it is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Of a bar, in characters: the line fits into half of the narrowest terminals.
const BAR_WIDTH: u64 = 24;

/// What a new rate counts beside those before it: about the last two seconds decide.
const RATE_WEIGHT: f64 = 0.1;

/// A bar, bytes and their rate. Elsewhere than on a terminal it is silent.
#[derive(Default)]
pub(crate) struct Meter(Mutex<State>);

#[derive(Clone, Copy, Default)]
struct State {
    expected: u64,
    moved: u64,
    drawn: Option<Drawn>,
}

#[derive(Clone, Copy)]
struct Drawn {
    at: Instant,
    moved: u64,
    /// Bytes a second.
    rate: Option<f64>,
}

impl Meter {
    fn update(&self, change: impl FnOnce(&mut State)) {
        let Ok(mut state) = self.0.lock() else { return };
        change(&mut state);
        let now = Instant::now();
        let due = state.drawn.is_none_or(|it| now.duration_since(it.at) >= DRAW_EVERY);
        if due && io::stderr().is_terminal() {
            state.draw(now);
            let _ = write!(io::stderr().lock(), "\r{}\x1b[K", state.line());
        }
    }

    /// Leaves the line to what comes next.
    pub(crate) fn done(&self) {
        let Ok(mut state) = self.0.lock() else { return };
        if state.drawn.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
        *state = State::default();
    }
}

impl Progress for Meter {
    fn expects(&self, bytes: u64) {
        self.update(|it| it.expected += bytes);
    }

    fn moved(&self, bytes: u64) {
        self.update(|it| it.moved += bytes);
    }
}

impl State {
    fn draw(&mut self, now: Instant) {
        // What was there before the first time was not fetched now.
        let rate = self.drawn.map(|last| {
            let seconds = now.duration_since(last.at).as_secs_f64().max(1e-3);
            let rate = self.moved.saturating_sub(last.moved) as f64 / seconds;
            last.rate.map_or(rate, |before| before + RATE_WEIGHT * (rate - before))
        });
        self.drawn = Some(Drawn { at: now, moved: self.moved, rate });
    }

    fn line(&self) -> String {
        let State { expected, moved, .. } = *self;
        let mut line = String::new();
        let mib = |bytes: u64| bytes >> 20;
        // Archives and what nobody has declared may bring more than was expected.
        if let Some(done) = (moved.min(expected) * 100).checked_div(expected) {
            let full = usize::try_from(done * BAR_WIDTH / 100).unwrap_or_default();
            let empty = usize::try_from(BAR_WIDTH).unwrap_or_default() - full;
            let (full, empty) = ("#".repeat(full), "-".repeat(empty));
            let _ =
                write!(line, "[{full}{empty}] {done:3} %  {} of {} MiB", mib(moved), mib(expected));
        } else {
            let _ = write!(line, "{} MiB", mib(moved));
        }
        if let Some(rate) = self.drawn.and_then(|it| it.rate) {
            let _ = write!(line, "  {:.1} MiB/s", rate / f64::from(1 << 20));
            let left = expected.saturating_sub(moved) as f64 / rate;
            if left.is_finite() && expected > moved {
                let _ = write!(line, "  {} s left", left.ceil());
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_bar_shows_how_far_it_is_and_how_fast() {
        let mut state = State { expected: 400 * MIB, moved: 80 * MIB, drawn: None };
        let start = Instant::now();
        state.draw(start);
        assert_eq!(state.line(), "[####--------------------]  20 %  80 of 400 MiB");
        state.moved += 20 * MIB;
        state.draw(start + Duration::from_millis(200));
        let expect = "[######------------------]  25 %  100 of 400 MiB  100.0 MiB/s  3 s left";
        assert_eq!(state.line(), expect);
        // A pause shows, and not at once.
        state.draw(start + Duration::from_millis(300));
        assert!(state.line().contains("90.0 MiB/s  4 s left"), "{}", state.line());
        state.moved = 400 * MIB;
        assert!(state.line().starts_with("[########################] 100 %"), "{}", state.line());
    }

    #[test]
    fn what_is_not_expected_has_no_bar() {
        let mut state = State { expected: 0, moved: 3 * MIB, drawn: None };
        assert_eq!(state.line(), "3 MiB");
        (state.expected, state.moved) = (MIB, 9 * MIB);
        assert_eq!(state.line(), "[########################] 100 %  9 of 1 MiB");
        state.draw(Instant::now());
        state.draw(Instant::now());
        assert!(!state.line().contains("left"), "nothing is known of when it ends");
    }
}
