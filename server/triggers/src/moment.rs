//! A point of the wall clock: what is written down must mean something after a restart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use server_base::calendar;

/// Milliseconds since 1970.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The time of the wall clock.
    pub fn now() -> Moment {
        SystemTime::now().into()
    }

    /// So much later.
    pub fn after(self, pause: Duration) -> Moment {
        Moment(self.0.saturating_add(ms(pause)))
    }

    /// Zero if `earlier` is not: a clock that was set back ends no wait early.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        Moment(ms(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// As RFC 3339 writes it, in UTC.
pub(crate) fn rfc3339(moment: Moment) -> String {
    calendar::of_ms(i64::try_from(moment.0).unwrap_or(i64::MAX))
}
