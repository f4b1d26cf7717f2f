//! When to try again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use crate::limits::{PAUSE_MAX, PAUSE_MIN, RETRY_AFTER_MAX};

/// The pause after so many attempts: doubled each time, up to a half longer by `draw` in `0..=1`, and
/// never shorter than the target asks for.
pub(crate) fn pause(attempts: u32, asked: Option<Duration>, draw: f64) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(PAUSE_MAX);
    let own = doubled.mul_f64(1.0 + 0.5 * draw.clamp(0.0, 1.0));
    own.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX))
}

/// Between 0 and 1: not for secrets, only so that replicas do not come all at once.
pub(crate) fn draw() -> f64 {
    let hash = RandomState::new().build_hasher().finish();
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_heed_the_target() {
        let check = |attempts, asked: Option<u64>, draw, expect: f64| {
            let pause = pause(attempts, asked.map(Duration::from_secs), draw);
            assert_eq!(pause.as_secs_f64(), expect, "{attempts} {asked:?} {draw}");
        };
        check(1, None, 0.0, 5.0);
        check(1, None, 1.0, 7.5);
        check(4, None, 0.0, 40.0);
        check(99, None, 0.0, 900.0);
        check(1, Some(60), 0.5, 60.0);
        check(99, Some(60), 0.0, 900.0);
        check(1, Some(1 << 40), 0.0, 3600.0);
    }
}
