//! The golden cases: what Evidently 0.7.23 answers, see `data/README.md`.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]

use serde_json::Value;
use server_drift::column::Kind;
use server_drift::random::Random;
use server_drift::{Comparison, Sample, Values, compare};

/// Distances, relative.
const DISTANCE: f64 = 1e-12;
/// p-values, absolute, and relative where they are above 1e-12.
const P: (f64, f64) = (1e-10, 1e-6);

fn golden() -> Value {
    serde_json::from_str(include_str!("data/golden.json")).expect("JSON")
}

/// `num(seed, n, mu=0, sd=1)`, `cat(seed, n, k[, skew])`, or `[0]*n+[1]`.
fn column(recipe: &str) -> (Values, Kind) {
    if let Some(rest) = recipe.strip_prefix("[0]*") {
        let n: usize = rest.strip_suffix("+[1]").expect("a list").parse().expect("a number");
        let mut values = vec![0.0; n];
        values.push(1.0);
        return (Values::Numbers { values, whole: true }, Kind::Categorical);
    }
    let (name, arguments) = recipe.trim_end_matches(')').split_once('(').expect("a call");
    let skew = arguments.ends_with(",skew");
    let numbers: Vec<f64> = arguments.split(',').filter_map(|it| it.trim().parse().ok()).collect();
    let mut random = Random::new(numbers[0] as u64);
    let n = numbers[1] as usize;
    let at = |index: usize, default: f64| numbers.get(index).copied().unwrap_or(default);
    if name == "num" {
        let (mu, sd) = (at(2, 0.0), at(3, 1.0));
        let values = (0..n).map(|_| random.normal() * sd + mu).collect();
        return (Values::Numbers { values, whole: false }, Kind::Numerical);
    }
    let k = numbers[2] as u64;
    let mut draw = || {
        let first = random.below(k);
        if skew { first.min(random.below(k)) } else { first }
    };
    let values = (0..n).map(|_| draw() as f64).collect();
    (Values::Numbers { values, whole: true }, Kind::Categorical)
}

fn compared(case: &Value) -> Comparison {
    let (reference, kind) = column(case["ref"].as_str().expect("ref"));
    let (current, _) = column(case["cur"].as_str().expect("cur"));
    compare(&reference, &current, Some(kind)).expect("comparable")
}

#[track_caller]
fn check(case: &str, name: &str, got: f64, expect: f64) {
    let off = (got - expect).abs();
    let good = if ["ks", "chisquare", "z"].contains(&name) {
        off <= P.0 && (expect <= 1e-12 || off <= P.1 * expect || name == "z")
    } else {
        off <= DISTANCE * expect.abs()
    };
    assert!(good, "{case}: {name} is {got:e}, not {expect:e}");
}

#[test]
fn the_generator_is_the_recipe_s() {
    let golden = golden();
    let pinned = &golden["splitmix64_check"];
    let mut random = Random::new(1);
    for expect in pinned["seed1_first3_u64"].as_array().expect("three") {
        assert_eq!(random.bits().to_string(), expect.as_str().expect("text"));
    }
    for recipe in ["num(1,3)", "cat(15,8,5)", "cat(16,8,5,skew)"] {
        let (Values::Numbers { values, .. }, _) = column(recipe) else { panic!("numbers") };
        let expect = pinned[recipe].as_array().expect("numbers");
        assert_eq!(values.len(), expect.len());
        for (got, expect) in values.iter().zip(expect) {
            assert_eq!(Some(*got), expect.as_f64(), "{recipe}");
        }
    }
}

#[test]
fn golden_cases_are_evidently_s() {
    let golden = golden();
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 8);
    for case in cases {
        let name = case["name"].as_str().expect("name");
        let got = compared(case);
        let shown = serde_json::to_value(&got).expect("JSON");
        assert_eq!(shown["type"], case["type"], "{name}");
        assert_eq!(shown["default"], case["default_test"], "{name}");
        for (statistic, expect) in case["evidently"].as_object().expect("statistics") {
            let value = shown[statistic].as_f64();
            let value = value.unwrap_or_else(|| panic!("{name} has no {statistic}"));
            check(name, statistic, value, expect.as_f64().expect("a number"));
        }
        if let Some(expect) = case["ks_D"].as_f64() {
            check(name, "ks_statistic", got.statistics.ks_statistic.expect("D"), expect);
        }
    }
}

#[test]
fn large_samples_are_judged_by_the_law_of_one() {
    let golden = golden();
    let case = &golden["ks_asymp"];
    let got = compared(case).statistics;
    check("ks_asymp", "ks_statistic", got.ks_statistic.expect("D"), case["D"].as_f64().expect("D"));
    check("ks_asymp", "ks", got.ks.expect("p"), case["evidently_p"].as_f64().expect("p"));
}

#[test]
fn a_sample_leaves_out_what_is_no_number() {
    let sample = Sample::new([f64::NAN, 2.0, f64::INFINITY, -0.0, 0.0, f64::NEG_INFINITY]);
    assert_eq!(sample.values(), [0.0, 0.0, 2.0]);
    assert_eq!(sample.distinct(), 2);
}
