//! Schedules are exact where they are constant, and right on average where they are not.

use std::time::Duration;

use crate::arrivals::{Arrival, Arrivals};

fn micros(arrivals: Arrivals, count: usize) -> Vec<u128> {
    arrivals.take(count).map(|it| it.as_micros()).collect()
}

#[test]
fn constant_gaps_are_exact() {
    let table: [(f64, &[u128]); 3] = [
        (1000.0, &[0, 1000, 2000, 3000]),
        (0.5, &[0, 2_000_000, 4_000_000]),
        (3.0, &[0, 333_333, 666_666, 1_000_000]),
    ];
    for (rate, expected) in table {
        let arrivals = Arrivals::new(Arrival::Constant, rate, 1);
        assert_eq!(micros(arrivals, expected.len()), expected, "rate {rate}");
    }
}

#[test]
fn constant_gaps_do_not_drift() {
    let mut arrivals = Arrivals::new(Arrival::Constant, 30_000.0, 1);
    assert_eq!(arrivals.nth(30_000 * 3600), Some(Duration::from_secs(3600)));
}

#[test]
fn shares_of_constant_arrivals_interleave() {
    let whole = Arrivals::new(Arrival::Constant, 1000.0, 1);
    assert_eq!(micros(whole.clone().share(0, 3), 3), [0, 3000, 6000]);
    assert_eq!(micros(whole.share(2, 3), 3), [2000, 5000, 8000]);
}

#[test]
fn poisson_gaps_have_the_mean_and_spread_of_an_exponential() {
    const COUNT: usize = 100_000;
    for threads in [1, 4] {
        let arrivals = Arrivals::new(Arrival::Poisson, 2000.0, 7).share(0, threads);
        let offsets: Vec<f64> = arrivals.take(COUNT).map(|it| it.as_secs_f64()).collect();
        let expected = threads as f64 / 2000.0;
        let mean = offsets[COUNT - 1] / COUNT as f64;
        assert!((mean / expected - 1.0).abs() < 0.01, "mean gap {mean}, expected {expected}");

        let gaps: Vec<f64> = offsets.windows(2).map(|it| it[1] - it[0]).collect();
        let variance = gaps.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / COUNT as f64;
        let spread = variance.sqrt() / mean;
        assert!((spread - 1.0).abs() < 0.02, "an exponential has a spread of 1, got {spread}");
        assert!(gaps.iter().all(|&it| it >= 0.0));
    }
}

#[test]
fn a_seed_gives_one_schedule_and_threads_differ() {
    let poisson =
        |seed, thread| micros(Arrivals::new(Arrival::Poisson, 100.0, seed).share(thread, 2), 10);
    assert_eq!(poisson(1, 0), poisson(1, 0));
    assert_ne!(poisson(1, 0), poisson(2, 0));
    assert_ne!(poisson(1, 0), poisson(1, 1));
}
