//! How long does a run take?

use std::time::{Duration, Instant};

use backend_api::Tensor;

use crate::Ask;

/// Runs that are not measured: the first ones allocate and plan.
const WARM_UP: usize = 2;

/// No further run is begun after so much time of measured ones, once there are three: a run that
/// takes a minute need not be repeated ten times to be known as slow.
const TIME_MAX: Duration = Duration::from_secs(10);
const RUNS_MIN: usize = 3;

/// The median of so many runs, at least one. `now` tells the time.
pub fn median(
    ask: &mut Ask<'_>,
    inputs: &[Tensor],
    runs: usize,
    now: &dyn Fn() -> Instant,
) -> Result<Duration, String> {
    for _ in 0..WARM_UP {
        ask(inputs)?;
    }
    let (mut taken, mut sum) = (Vec::new(), Duration::ZERO);
    while taken.len() < runs.max(1) && (taken.len() < RUNS_MIN || sum < TIME_MAX) {
        let begun = now();
        ask(inputs)?;
        let took = now().saturating_duration_since(begun);
        sum += took;
        taken.push(took);
    }
    taken.sort_unstable();
    Ok(taken.get(taken.len() / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;

    /// Runs take these milliseconds, in turn, and the last of them from then on. Expects the
    /// median and how many runs there were.
    #[track_caller]
    fn check(takes_ms: &[u64], runs: usize, expect: (u64, usize)) {
        let (start, passed, ran) = (Instant::now(), Cell::new(Duration::ZERO), Cell::new(0));
        let mut ask = |_: &[Tensor]| {
            let takes = takes_ms.get(ran.get()).or(takes_ms.last()).copied().unwrap_or_default();
            passed.set(passed.get() + Duration::from_millis(takes));
            ran.set(ran.get() + 1);
            Ok(Vec::new())
        };
        let median = median(&mut ask, &[], runs, &|| start + passed.get());
        let millis = median.map(|it| u64::try_from(it.as_millis()).expect("few"));
        assert_eq!((millis, ran.get()), (Ok(expect.0), expect.1));
    }

    #[test]
    fn the_first_runs_and_a_slow_one_do_not_count() {
        check(&[900, 900, 3, 5, 800, 4, 3], 5, (4, 7));
        check(&[7], 1, (7, 3));
    }

    #[test]
    fn slow_runs_are_few() {
        check(&[60_000], 100, (60_000, 5));
        check(&[2_500], 100, (2_500, 6));
    }

    #[test]
    fn a_run_that_fails_is_no_time() {
        let mut ask = |_: &[Tensor]| Err("no".to_owned());
        assert_eq!(median(&mut ask, &[], 3, &Instant::now), Err("no".to_owned()));
    }
}
