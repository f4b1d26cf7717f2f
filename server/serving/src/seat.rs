//! Where an instance does its work: on a thread of its own, or as a task of the data runtime.
//!
//! A hop to another thread and back costs more than a small model's run. So an instance whose
//! runs are short moves onto the runtime's own threads, where nothing has to be woken, and one
//! whose runs have become long moves back, before it keeps connections waiting. A task never runs
//! for longer than `TASK_RUN` as far as the learned cost can tell.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cores::{Claim, Claimant};
use crate::instance::Runner;
use crate::priority::{give_way, run_delay};

/// The longest that a run may keep a thread of the runtime from its other tasks.
const TASK_RUN: Duration = Duration::from_micros(500);

/// Runs this short are worth moving: a hop there and back takes as long.
const SHORT_RUN: Duration = Duration::from_micros(250);

/// So many short runs in a row move an instance onto the runtime, the first time.
const PATIENCE: u32 = 32;

/// After each return to a thread, so many times as many; the memory of it has this bound.
const PATIENCE_GROWTH: u32 = 8;
const PATIENCE_MAX: u32 = 1 << 20;

/// An overlong run counts as much as so many good ones, and so much moves the instance back: one
/// in sixteen, as a busy machine causes now and then, is put up with.
const DEBT: u32 = 16;
const DEBT_MAX: u32 = 64;

/// An instance at work, wherever that is.
pub(crate) struct Seat {
    runner: Runner,
    claimant: Claimant,
    pace: Pace,
    /// Tells the control plane that the instance is gone, by being dropped after it.
    _end: End,
}

/// See [`Seat`].
pub(crate) struct End(pub(crate) SyncSender<()>);

impl Drop for End {
    fn drop(&mut self) {
        // The channel has room for every instance; nobody listening is no error.
        let _ = self.0.try_send(());
    }
}

impl Seat {
    pub(crate) fn new(runner: Runner, claimant: Claimant, end: End) -> Seat {
        Seat { runner, claimant, pace: Pace::default(), _end: end }
    }

    /// Serves on this thread until the lane is closed and empty, or the instance has moved.
    pub(crate) fn serve(mut self) {
        give_way();
        let servable = Arc::clone(self.runner.servable());
        loop {
            let most = servable.cost().most(servable.plan().batching.rows_max);
            let Some(deadline) = servable.lane().due(most) else { return };
            let claim = Claim { deadline, run: Some(most.run).filter(|it| !it.is_zero()) };
            let asked = Instant::now();
            let slot = self.claimant.enter(claim);
            let now = Instant::now();
            // Another instance may have taken it, or nobody wants it any more.
            let Some(pulled) = servable.lane().take(most, now) else { continue };
            servable.metrics().scheduled(now - asked);
            let pressed = pulled.batch.len() > 1 || servable.lane().waiting().0 > 0;
            let runtime = servable.runtime().filter(|_| servable.plan().inline);
            let before = runtime.as_ref().and_then(|_| run_delay());
            let took = self.runner.execute(pulled);
            drop(slot);
            let Some(runtime) = runtime else { continue };
            // What the processor did for others meanwhile, it would not do during a task.
            if self.pace.may_move_in(charged(took, before, run_delay()), pressed) {
                self.tell("runs are short: they run on the data runtime");
                drop(runtime.spawn(self.serve_inside()));
                return;
            }
        }
    }

    /// The same as a task of the runtime.
    async fn serve_inside(mut self) {
        let servable = Arc::clone(self.runner.servable());
        loop {
            let mut most = servable.cost().most(servable.plan().batching.rows_max);
            most.units = servable.cost().within(TASK_RUN, most.units);
            most.run = most.run.min(TASK_RUN);
            let number = self.runner.number();
            let Some(pulled) = servable.lane().pull_task(number, most).await else { return };
            // Asking the kernel takes longer than anything else here: not while all goes well.
            let before = if self.pace.is_in_doubt() { run_delay() } else { None };
            let mut took = self.runner.execute(pulled);
            if before.is_some() {
                took = charged(took, before, run_delay());
            }
            if self.pace.must_move_out(took) {
                self.tell("runs are long: they run on threads");
                match self.move_out() {
                    None => return,
                    Some(stayed) => self = stayed,
                }
            }
            // Answers leave, and what has arrived meanwhile comes in, before the next batch.
            tokio::task::yield_now().await;
        }
    }

    /// Goes on on a thread; comes back if the system gives none.
    fn move_out(self) -> Option<Seat> {
        let name = self.runner.thread_name();
        let (give, take) = sync_channel(1);
        let spawned = thread::Builder::new().name(name).spawn(move || {
            if let Ok(seat) = take.recv() {
                Seat::serve(seat);
            }
        });
        match spawned {
            Ok(_) => give.send(self).err().map(|it| it.0),
            Err(error) => {
                tracing::warn!(%error, "cannot start an instance thread; it goes on as a task");
                Some(self)
            }
        }
    }

    fn tell(&self, what: &str) {
        let servable = self.runner.servable();
        tracing::debug!(model = %servable.model(), version = %servable.version(), what);
    }
}

/// A run's time without what the machine did for others meanwhile, as far as that was asked. What the run waited
/// for by itself is its own: it would keep a thread of the runtime for as long.
fn charged(took: Duration, before: Option<Duration>, after: Option<Duration>) -> Duration {
    let delay = before.zip(after).map(|(then, now)| now.saturating_sub(then));
    took.saturating_sub(delay.unwrap_or_default())
}

/// When an instance moves: a little memory, so that it does not move back and forth.
struct Pace {
    /// Short runs in a row.
    short: u32,
    /// How many are asked for.
    patience: u32,
    /// Rises with overlong runs, falls with others.
    debt: u32,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { short: 0, patience: PATIENCE, debt: 0 }
    }
}

impl Pace {
    /// Where requests wait for one another, a run may be as long as a task's: each of them is spared
    /// the hop, and the run is not interrupted by every one that arrives.
    fn may_move_in(&mut self, took: Duration, pressed: bool) -> bool {
        let short = if pressed { TASK_RUN } else { SHORT_RUN };
        self.short = if took <= short { self.short + 1 } else { 0 };
        self.short >= self.patience
    }

    /// Was a run overlong of late? Those that follow are to be told apart from a busy machine: on a thread, they would
    /// wait for the processor all the same, and longer.
    fn is_in_doubt(&self) -> bool {
        self.debt > 0
    }

    fn must_move_out(&mut self, took: Duration) -> bool {
        self.debt = if took > TASK_RUN { self.debt + DEBT } else { self.debt.saturating_sub(1) };
        let out = self.debt >= DEBT_MAX;
        if out {
            let patience = self.patience.saturating_mul(PATIENCE_GROWTH).min(PATIENCE_MAX);
            *self = Pace { patience, ..Pace::default() };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as words `count*µs`, with a `+` where more requests wait; where the instance is after each.
    #[track_caller]
    fn check(runs: &str, expect: &str) {
        let (mut pace, mut inside, mut told) = (Pace::default(), false, Vec::new());
        for word in runs.split_whitespace() {
            let (count, took) = word.split_once('*').expect("count*µs");
            let (took, pressed) = took.strip_suffix('+').map_or((took, false), |it| (it, true));
            let took = Duration::from_micros(took.parse().expect("µs"));
            for _ in 0..count.parse().expect("count") {
                inside = if inside {
                    !pace.must_move_out(took)
                } else {
                    pace.may_move_in(took, pressed)
                };
            }
            told.push(if inside { "in" } else { "out" });
        }
        assert_eq!(told.join(" "), expect, "{runs}");
    }

    #[test]
    fn short_runs_move_in_and_long_ones_out() {
        check("31*10 1*10", "out in");
        check("31*10 1*300 31*10 1*10", "out out out in");
        check("32*10 3*900 1*900", "in in out");
        check("32*400+ 3*900 1*900", "in in out");
        check("99*501+", "out");
    }

    #[test]
    fn a_disturbance_now_and_then_is_put_up_with() {
        check("32*10 1*900 16*10 1*900 16*10 3*900", "in in in in in in");
    }

    #[test]
    fn a_run_is_not_blamed_for_what_the_machine_did_for_others() {
        let check = |took, before, after, expect| {
            let time = |it: Option<u64>| it.map(Duration::from_micros);
            let charged = charged(Duration::from_micros(took), time(before), time(after));
            assert_eq!(charged, Duration::from_micros(expect), "{took} {before:?} {after:?}");
        };
        check(900, Some(100), Some(970), 30);
        check(20, Some(100), Some(130), 0); // clocks differ
        check(900, None, Some(130), 900);
        check(900, Some(100), None, 900);
        check(900, None, None, 900);
    }

    /// Whole lives of runs `took`, of which the processor was with others for `delay`: is it inside in the end,
    /// and how often was it?
    #[track_caller]
    fn live((took, delay): (u64, u64), expect: (bool, u32)) {
        let (mut pace, mut inside, mut entered) = (Pace::default(), false, 0);
        let time = Duration::from_micros;
        for _ in 0..10_000 {
            if inside {
                let doubted = pace.is_in_doubt().then_some(time(0));
                inside = !pace.must_move_out(charged(time(took), doubted, Some(time(delay))));
            } else {
                inside =
                    pace.may_move_in(charged(time(took), Some(time(0)), Some(time(delay))), true);
                entered += u32::from(inside);
            }
        }
        assert_eq!((inside, entered), expect, "{took} µs, {delay} of them for others");
    }

    /// An engine that blocks while a device, another session or its own threads compute.
    #[test]
    fn a_run_that_waits_for_what_it_needs_is_as_long_as_the_clock_says() {
        live((5_000, 0), (false, 0));
        live((5_000, 4_400), (false, 0));
        live((5_000, 4_900), (true, 1));
        live((100, 0), (true, 1));
    }

    #[test]
    fn who_came_back_waits_longer() {
        check("32*10 4*900 255*10 1*10", "in out out in");
    }
}
