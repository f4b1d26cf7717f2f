//! A point in time that outlives the process: what is written down must still mean something
//! after a restart, so it is the wall clock's, and nothing breaks if that is set back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// How long after `earlier`; nothing if the clock was set back in between.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// So much later; the end of time if there is no such moment.
    pub fn after(self, duration: Duration) -> Moment {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(ms))
    }
}
