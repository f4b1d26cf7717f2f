//! What a thread used of a core, and how long it waited for one.
//!
//! Read by `station` at both ends of the counted time. A load thread that waits for a core measures
//! its neighbours: its answers came earlier than it could see them.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreTime {
    /// User and system time.
    pub(crate) used: Duration,
    /// Ready to run, without a core to run on. Zero where the system does not say.
    pub(crate) waited: Duration,
}

impl CoreTime {
    /// Of the calling thread, since it began.
    pub(crate) fn now() -> CoreTime {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
        let used = Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or(0));
        CoreTime { used, waited: waited().unwrap_or_default() }
    }

    pub(crate) fn since(self, earlier: CoreTime) -> CoreTime {
        CoreTime {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// The second number of the scheduler's statistics: ns in the queue of a core.
fn waited() -> Option<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let waited = statistics.split_whitespace().nth(1)?;
    Some(Duration::from_nanos(waited.parse().ok()?))
}
