//! Wakes a task at an instant.
//!
//! Used by the open loop. The runtime's own timers have steps of 1 ms, which would be the
//! generator's lateness. On Linux a timer descriptor in the same poll wakes within the scheduler's
//! latency (some 50 µs on an idle virtual core); spinning takes a whole core and needs no waking.

use std::io;
use std::time::Instant;

pub(crate) enum Pacer {
    Sleep(Timer),
    Spin,
}

impl Pacer {
    /// Must be called within the runtime that will wait.
    pub(crate) fn new(spin: bool) -> io::Result<Pacer> {
        if spin { Ok(Pacer::Spin) } else { Ok(Pacer::Sleep(Timer::new()?)) }
    }

    /// Returns at `instant`, or at once if it has passed.
    pub(crate) async fn until(&mut self, instant: Instant) -> io::Result<()> {
        match self {
            Pacer::Sleep(timer) => timer.until(instant).await,
            Pacer::Spin => {
                // Each turn also polls the connections.
                while Instant::now() < instant {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }
}

#[cfg(target_os = "linux")]
use descriptor::Timer;

#[cfg(not(target_os = "linux"))]
use coarse::Timer;

#[cfg(target_os = "linux")]
mod descriptor {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    pub(crate) struct Timer {
        timer: AsyncFd<OwnedFd>,
    }

    impl Timer {
        /// Must be called within the runtime that will wait.
        #[expect(
            deprecated,
            reason = "sound here, an OwnedFd is one descriptor until it is dropped; the successor is \
                      unsafe, which this crate forbids"
        )]
        pub(crate) fn new() -> io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Timer { timer: AsyncFd::new(timer)? })
        }

        /// Returns at `instant`, or at once if it has passed.
        pub(crate) async fn until(&mut self, instant: Instant) -> io::Result<()> {
            let wait = instant.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            let at = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: wait.subsec_nanos().into(),
                },
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &at)?;
            loop {
                let mut ready = self.timer.readable_mut().await?;
                let mut expirations = [0_u8; 8];
                match rustix::io::read(ready.get_inner(), &mut expirations) {
                    Ok(_) => {
                        ready.clear_ready();
                        return Ok(());
                    }
                    Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    use std::io;
    use std::time::Instant;

    pub(crate) struct Timer;

    impl Timer {
        pub(crate) fn new() -> io::Result<Timer> {
            Ok(Timer)
        }

        pub(crate) async fn until(&mut self, instant: Instant) -> io::Result<()> {
            tokio::time::sleep_until(instant.into()).await;
            Ok(())
        }
    }
}
