//! The thread that goes round: now and then, and seldomer while the store is away.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use server_base::Version;
use server_drift::random::Random;
use server_truth::Judge;

use super::follower::{Follower, Options, Round};
use super::judging::{Judged, Judging};
use super::metrics;
use crate::house::Monitors;

/// While the store does not answer the pause doubles, up to this.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Pauses vary by this share, so that not everybody asks at once.
const JITTER_PERCENT: u64 = 20;

/// Something that goes round.
trait Rounds: Send + 'static {
    fn round(&mut self) -> io::Result<Round>;

    /// Writes down what is not yet.
    fn checkpoint(&mut self) -> io::Result<()>;
}

impl Rounds for Follower {
    fn round(&mut self) -> io::Result<Round> {
        Follower::round(self)
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        Follower::checkpoint(self)
    }
}

impl Rounds for Judging {
    fn round(&mut self) -> io::Result<Round> {
        Judging::round(self)
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        Judging::checkpoint(self)
    }
}

/// A thread that goes round.
struct Running {
    is_ready: Arc<AtomicBool>,
    lives: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
    ended: Receiver<()>,
}

impl Running {
    fn start(
        name: &str,
        (mut rounds, stop): (impl Rounds, Arc<AtomicBool>),
        interval: Duration,
    ) -> io::Result<Running> {
        let is_ready = Arc::<AtomicBool>::default();
        let lives = Arc::new(AtomicBool::new(true));
        let (wake, woken) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let pace = Pace { interval, failed: 0, random: Random::new(u64::from(std::process::id())) };
        let (stopped, ready) = (Arc::clone(&stop), Arc::clone(&is_ready));
        let alive = Arc::clone(&lives);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let whole = AssertUnwindSafe(|| go(&mut rounds, pace, (&stopped, &ready), &woken));
            if catch_unwind(whole).is_err() {
                metrics::failed("panic");
                tracing::error!("the log is not followed any more: an error of the program, which is to be started anew");
            }
            // Whoever asks is not told that all is well.
            ready.store(false, Ordering::Relaxed);
            alive.store(false, Ordering::Relaxed);
            drop(end);
        })?;
        Ok(Running { is_ready, lives, stop, wake, ended })
    }

    fn tell(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(());
    }

    fn stop(self, within: Duration) -> bool {
        self.tell();
        matches!(self.ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }
}

/// A log that is being followed.
pub struct Fleet {
    monitors: Arc<Monitors>,
    running: Running,
}

impl Fleet {
    /// Follows it from now on, and looks for more each `interval`.
    pub fn start(options: Options, interval: Duration) -> io::Result<Fleet> {
        let stop = Arc::<AtomicBool>::default();
        let follower = Follower::open(options, Arc::clone(&stop))?;
        let monitors = Arc::clone(follower.monitors());
        let running = Running::start("fleet", (follower, stop), interval)?;
        Ok(Fleet { monitors, running })
    }

    /// What has been found.
    pub fn monitors(&self) -> &Arc<Monitors> {
        &self.monitors
    }

    /// Has everything been read once that was there at the start, and does it go on?
    pub fn is_ready(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let is_ready = Arc::clone(&self.running.is_ready);
        move || is_ready.load(Ordering::Relaxed)
    }

    /// It is to end; nobody waits for it yet.
    pub fn tell(&self) {
        self.running.tell();
    }

    /// Ends it between two files. False: it had not ended by then, which loses nothing.
    pub fn stop(self, within: Duration) -> bool {
        self.running.stop(within)
    }
}

/// Labels of a log that are being held against its predictions.
pub struct Performance {
    judge: Arc<Mutex<Judge>>,
    running: Running,
}

impl Performance {
    /// From now on, and looks for more each `interval`.
    pub fn start(options: Judged, interval: Duration) -> io::Result<Performance> {
        let stop = Arc::<AtomicBool>::default();
        let judging = Judging::open(options, Arc::clone(&stop))?;
        let judge = Arc::clone(judging.judge());
        let running = Running::start("fleet/labels", (judging, stop), interval)?;
        Ok(Performance { judge, running })
    }

    /// What shows how right a model is, of one version or of all, as the API has it.
    pub fn shown(&self) -> impl Fn(&str, Option<Version>) -> Option<Value> + Send + Sync + use<> {
        let judge = Arc::clone(&self.judge);
        move |model, version| {
            judge.lock().unwrap_or_else(PoisonError::into_inner).shown(model, version)
        }
    }

    /// It is to end; nobody waits for it yet.
    pub fn tell(&self) {
        self.running.tell();
    }

    /// Does it go on? A start reads all that labels may still come for, which takes its time.
    pub fn lives(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let lives = Arc::clone(&self.running.lives);
        move || lives.load(Ordering::Relaxed)
    }

    /// Ends it between two files. False: it had not ended by then, which loses nothing.
    pub fn stop(self, within: Duration) -> bool {
        self.running.stop(within)
    }
}

fn go(
    rounds: &mut impl Rounds,
    mut pace: Pace,
    (stop, is_ready): (&AtomicBool, &AtomicBool),
    woken: &Receiver<()>,
) {
    while !stop.load(Ordering::Relaxed) {
        let ended = rounds.round();
        if let Err(error) = &ended {
            tracing::warn!(%error, "the log cannot be followed: it is tried again");
        }
        let pause = pace.after(&ended);
        if matches!(ended, Ok(Round::Whole)) {
            is_ready.store(true, Ordering::Relaxed);
        }
        match woken.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Err(error) = rounds.checkpoint() {
        tracing::warn!(%error, "the last rows are read again by the next process");
    }
}

/// How long to wait for the next round.
struct Pace {
    interval: Duration,
    failed: u32,
    random: Random,
}

impl Pace {
    fn after(&mut self, ended: &io::Result<Round>) -> Duration {
        let pause = match ended {
            Ok(Round::Cut) => return Duration::ZERO,
            Ok(Round::Whole) => {
                self.failed = 0;
                self.interval
            }
            Ok(Round::Stopped) => return Duration::ZERO,
            Err(_) | Ok(Round::Failed) => {
                self.failed = (self.failed + 1).min(16);
                (self.interval * 2_u32.pow(self.failed)).min(PAUSE_MAX.max(self.interval))
            }
        };
        let percent = 100 - JITTER_PERCENT + self.random.below(2 * JITTER_PERCENT + 1);
        pause * u32::try_from(percent).unwrap_or(100) / 100
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvError;

    use super::*;

    /// Ends well once, and then not at all.
    struct Fragile(bool);

    impl Rounds for Fragile {
        fn round(&mut self) -> io::Result<Round> {
            assert!(!std::mem::replace(&mut self.0, true), "an error of the program");
            Ok(Round::Whole)
        }

        fn checkpoint(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_follows_no_more_is_not_ready() {
        let stop = Arc::default();
        let running = Running::start("test", (Fragile(false), stop), Duration::ZERO);
        let running = running.expect("a thread");
        assert_eq!(running.ended.recv(), Err(RecvError), "it ends");
        assert!(!running.is_ready.load(Ordering::Relaxed));
        assert!(!running.lives.load(Ordering::Relaxed));
    }

    #[test]
    fn pauses_grow_while_the_store_is_away() {
        let random = Random::new(1);
        let mut pace = Pace { interval: Duration::from_secs(10), failed: 0, random };
        let mut check = |ended: io::Result<Round>, (low, high): (u64, u64)| {
            let pause = pace.after(&ended);
            let range = Duration::from_secs(low)..=Duration::from_secs(high);
            assert!(range.contains(&pause), "{pause:?}");
        };
        let away = || Err(io::Error::other("away"));
        check(Ok(Round::Whole), (8, 12));
        check(Ok(Round::Cut), (0, 0));
        check(Ok(Round::Failed), (16, 24));
        check(Ok(Round::Whole), (8, 12));
        for range in [(16, 24), (32, 48), (64, 96), (128, 192), (240, 360), (240, 360)] {
            check(away(), range);
        }
        check(Ok(Round::Whole), (8, 12));
    }
}
