//! Tails of distributions against SciPy's, see `data/README.md`.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]

use serde_json::Value;
use server_drift::Sample;
use server_drift::kolmogorov::kolmogorov_above;
use server_drift::smirnov::kolmogorov_smirnov;
use server_drift::special::{chi_square_above, normal_two_sided};

fn rows(table: &str) -> Vec<Vec<f64>> {
    let tables: Value = serde_json::from_str(include_str!("data/special.json")).expect("JSON");
    serde_json::from_value(tables[table].clone()).expect("rows of numbers")
}

/// `of` takes a row without its last number, which is what it must answer.
#[track_caller]
fn check(table: &str, relative: f64, of: impl Fn(&[f64]) -> f64) {
    let rows = rows(table);
    assert!(rows.len() > 30, "{table} has {} rows", rows.len());
    let mut worst = (0.0, Vec::new());
    for row in rows {
        let (expect, arguments) = row.split_last().expect("a row");
        let got = of(arguments);
        let off = (got - expect).abs() / expect;
        assert!(off <= relative, "{table}{arguments:?} is {got:e}, not {expect:e}: {off:e} off");
        if off > worst.0 {
            worst = (off, arguments.to_vec());
        }
    }
    eprintln!("{table}: at most {:e} off, at {:?}", worst.0, worst.1);
}

#[test]
fn chi_square_tails() {
    check("chi_square", 1e-11, |it| chi_square_above(it[0], it[1]));
    assert!(chi_square_above(1.0, 0.0).is_nan());
    assert_eq!(chi_square_above(f64::INFINITY, 3.0), 0.0);
    assert_eq!(chi_square_above(0.0, 3.0), 1.0);
}

#[test]
fn normal_tails() {
    check("normal", 1e-12, |it| normal_two_sided(it[0]));
}

#[test]
fn kolmogorov_tails() {
    check("kolmogorov", 1e-9, |it| kolmogorov_above(it[0] as u64, it[1]));
    assert_eq!(kolmogorov_above(10, 0.0), 1.0);
    assert_eq!(kolmogorov_above(10, 1.0), 0.0);
    assert!(kolmogorov_above(10, f64::NAN).is_nan());
}

#[test]
fn two_samples_exactly() {
    check("smirnov", 1e-9, |it| {
        // Samples that differ at one place, by the distance that is asked for.
        let (n, m) = (it[0] as usize, it[1] as usize);
        let low = (it[2] * n as f64).round() as usize;
        let left = Sample::new((0..n).map(|at| f64::from(u8::from(at >= low))));
        let right = Sample::new((0..m).map(|_| 1.0));
        let found = kolmogorov_smirnov(&left, &right);
        assert!((found.statistic - it[2]).abs() < 1e-12);
        found.p
    });
}
