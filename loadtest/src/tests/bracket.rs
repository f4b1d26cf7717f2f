//! The search ends at the limit, in few probes, wherever the limit is.

use crate::bracket::{Bracket, Edge};

/// Plays a server that is good up to `limit`. Returns the rates tried and how it ended.
fn play(mut bracket: Bracket, limit: f64) -> (Vec<f64>, Edge) {
    let mut tried = Vec::new();
    loop {
        match bracket.next() {
            Ok(rate) => {
                tried.push(rate);
                bracket.record(rate, rate <= limit);
                assert!(tried.len() < 50, "no end: {tried:?}");
            }
            Err(edge) => return (tried, edge),
        }
    }
}

#[test]
fn the_limit_is_found_within_the_precision() {
    for limit in [0.7, 12.4, 999.0, 1000.0, 18_342.0, 130_000.0] {
        for precision in [0.005, 0.02, 0.1] {
            let (tried, edge) = play(Bracket::new(None, None, precision), limit);
            let good = tried.iter().copied().filter(|&it| it <= limit).fold(0.0, f64::max);
            assert_eq!(edge, Edge::Inside, "{limit}: {tried:?}");
            assert!(limit / good <= 1.0 + precision + 0.002, "{limit}: {good} of {tried:?}");
            assert!(tried.len() <= 16, "{limit}, {precision}: {tried:?}");
        }
    }
}

#[test]
fn strides_come_before_halves() {
    let (tried, _) = play(Bracket::new(None, None, 0.2), 5000.0);
    assert_eq!(tried, [1000.0, 4000.0, 16_000.0, 8000.0, 5657.0, 4757.0]);
    let (tried, _) = play(Bracket::new(None, None, 0.5), 100.0);
    assert_eq!(tried, [1000.0, 250.0, 62.5, 125.0, 88.39]);
}

#[test]
fn the_ends_are_kept_to() {
    // from and to, limit: the rates tried, and the end
    let table = [
        ((Some(100.0), Some(200.0)), 500.0, vec![100.0, 200.0], Edge::Above),
        ((Some(100.0), Some(200.0)), 50.0, vec![100.0], Edge::Below),
        ((None, Some(500.0)), 600.0, vec![500.0], Edge::Above),
        ((Some(2000.0), None), 1500.0, vec![2000.0], Edge::Below),
    ];
    for ((from, to), limit, expected, end) in table {
        let (tried, edge) = play(Bracket::new(from, to, 0.02), limit);
        assert_eq!((tried, edge), (expected, end), "{from:?} to {to:?}, limit {limit}");
    }
}
