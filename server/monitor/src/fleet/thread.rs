//! The thread that goes round: now and then, and seldomer while the store is away.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use server_drift::random::Random;

use super::follower::{Follower, Options, Round};
use crate::house::Monitors;

/// While the store does not answer the pause doubles, up to this.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Pauses vary by this share, so that not everybody asks at once.
const JITTER_PERCENT: u64 = 20;

/// A log that is being followed.
pub struct Fleet {
    monitors: Arc<Monitors>,
    is_ready: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
    ended: Receiver<()>,
}

impl Fleet {
    /// Follows it from now on, and looks for more each `interval`.
    pub fn start(options: Options, interval: Duration) -> io::Result<Fleet> {
        let (stop, is_ready) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let follower = Follower::open(options, Arc::clone(&stop))?;
        let monitors = Arc::clone(follower.monitors());
        let (wake, woken) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let pace = Pace { interval, failed: 0, random: Random::new(u64::from(std::process::id())) };
        let (stopped, ready) = (Arc::clone(&stop), Arc::clone(&is_ready));
        thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            go(follower, pace, (&stopped, &ready), &woken);
            drop(end);
        })?;
        Ok(Fleet { monitors, is_ready, stop, wake, ended })
    }

    /// What has been found.
    pub fn monitors(&self) -> &Arc<Monitors> {
        &self.monitors
    }

    /// Has everything been read once that was there at the start?
    pub fn is_ready(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_ready)
    }

    /// Ends it between two files. False: it had not ended by then, which loses nothing.
    pub fn stop(self, within: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(());
        matches!(self.ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }
}

fn go(
    mut follower: Follower,
    mut pace: Pace,
    (stop, is_ready): (&AtomicBool, &AtomicBool),
    woken: &Receiver<()>,
) {
    while !stop.load(Ordering::Relaxed) {
        let ended = follower.round();
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
    if let Err(error) = follower.checkpoint() {
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
            Err(_) => {
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
    use super::*;

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
        for range in [(16, 24), (32, 48), (64, 96), (128, 192), (240, 360), (240, 360)] {
            check(away(), range);
        }
        check(Ok(Round::Whole), (8, 12));
    }
}
