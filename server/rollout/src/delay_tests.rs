//! How soon each test finds what it is there for, and how often it finds what is not: the seeds
//! are fixed, so that the same numbers come every time.

use crate::counts::CLASSES;
use crate::evidence::{BURN_IN, log_e_above, log_e_mean, log_e_more_often, log_mean};
use crate::loss::log_e_moments;
use crate::moments::Moments;
use crate::random::Random;

/// So many that the medians stand still: with 301 the first was a thousand requests later.
const SEEDS: u64 = 2001;

/// 1/α with α = 0.05.
fn enough() -> f64 {
    20.0_f64.ln()
}

/// The median of when it was found; `None`: in most runs never.
fn median(mut found: Vec<Option<u64>>) -> Option<u64> {
    found.sort_by_key(|it| it.unwrap_or(u64::MAX));
    found[found.len() / 2]
}

fn share_found(found: &[Option<u64>]) -> f64 {
    found.iter().flatten().count() as f64 / found.len() as f64
}

/// One in a hundred requests fails, at the candidate `times` as many; it has a tenth of the
/// requests, and every thousand of them are looked at. After how many?
fn errors(times: f64, requests_max: u64, seeds: u64) -> Vec<Option<u64>> {
    let run = |seed| {
        let mut random = Random::new(seed);
        let (mut canary, mut stable) = (0, 0);
        (1..=requests_max / 1_000).map(|it| it * 1_000).find(|_| {
            canary += random.binomial(100, 0.01 * times);
            stable += random.binomial(900, 0.01);
            log_e_more_often(canary, stable, 0.1, 1.0) >= enough()
        })
    };
    (0..seeds).map(run).collect()
}

/// One in a hundred is allowed, `p` is true, every 200 are looked at. After how many?
fn exceedances(p: f64, rows_max: u64, seeds: u64) -> Vec<Option<u64>> {
    let run = |seed| {
        let mut random = Random::new(seed);
        let mut events = 0;
        (1..=rows_max / 200).map(|it| it * 200).find(|&rows| {
            events += random.binomial(200, p);
            log_e_above(events, rows, 0.01) >= enough()
        })
    };
    (0..seeds).map(run).collect()
}

/// Differences with a mean of `shift` standard deviations, each looked at. After how many?
fn shifts(shift: f64, rows_max: u64, seeds: u64) -> Vec<Option<u64>> {
    let run = |seed| {
        let mut random = Random::new(seed);
        let mut moments = Moments::default();
        (1..=rows_max).find(|&rows| {
            moments.add(random.normal() + shift);
            let log_e = log_e_mean(moments.mean, rows as f64, moments.variance());
            rows >= BURN_IN && log_e >= enough()
        })
    };
    (0..seeds).map(run).collect()
}

/// Rows of which the share `drift` moves from one class to another, and one in twenty from any of
/// three to any other; every ten are looked at. After how many?
fn moves(drift: f64, rows_max: u64, seeds: u64) -> Vec<Option<u64>> {
    let run = |seed| {
        let mut random = Random::new(seed);
        let mut classes = [Moments::default(); CLASSES];
        (1..=rows_max / 10).map(|it| it * 10).find(|_| {
            for _ in 0..10 {
                let shares = random.moved(drift);
                for (class, share) in classes.iter_mut().zip(shares) {
                    class.add(share);
                }
            }
            log_mean(&classes.map(|it| log_e_moments(it.mean, &it))) >= enough()
        })
    };
    (0..seeds).map(run).collect()
}

#[track_caller]
fn within(found: Vec<Option<u64>>, at_most: u64) {
    let median = median(found);
    assert!(median.is_some_and(|it| it <= at_most), "{median:?}, at most {at_most}");
}

#[test]
fn more_errors_are_found_soon() {
    within(errors(2.0, 200_000, SEEDS), 14_000);
    within(errors(5.0, 200_000, SEEDS), 2_000);
    within(errors(20.0, 200_000, SEEDS), 1_000);
}

#[test]
fn slow_answers_are_found_soon() {
    within(exceedances(0.02, 100_000, SEEDS), 1_800);
    within(exceedances(0.05, 100_000, SEEDS), 200);
}

#[test]
fn shifts_are_found_soon() {
    within(shifts(0.1, 10_000, SEEDS), 740);
    within(shifts(0.2, 10_000, SEEDS), 230);
}

#[test]
fn classes_that_move_are_found_soon() {
    within(moves(0.02, 20_000, SEEDS), 1_600);
    within(moves(0.05, 5_000, SEEDS), 480);
    within(moves(0.1, 5_000, SEEDS), 220);
}

#[test]
fn what_is_no_worse_is_seldom_found() {
    let found = [
        errors(1.0, 200_000, 200),
        exceedances(0.01, 20_000, 200),
        shifts(0.0, 5_000, 500),
        moves(0.0, 5_000, 200),
    ];
    let found = found.map(|it| share_found(&it));
    assert!(found.iter().all(|it| *it <= 0.05), "{found:?}");
}
