use super::*;
use crate::counts::Pairs;
use crate::evidence::BURN_IN;

fn plan(text: &str) -> Plan {
    serde_json::from_str(text).expect(text)
}

/// What holds of the tests, first stage with both versions, as words.
#[track_caller]
fn check(keys: &str, counts: Counts, expected: &[&str]) {
    let plan = plan(keys);
    let phase = Phase::Canary { step: 0 };
    let ledger = Ledger::default();
    let guards = Guards::new(&plan, &ledger, phase, &counts, Some(Duration::from_millis(12)));
    let found = guards.worse().into_iter().chain(guards.good_enough());
    let holding: Vec<String> = found
        .inspect(|it| assert!(it.log_e.is_finite() && it.log_threshold.is_finite(), "{it:?}"))
        .filter(Finding::holds)
        .map(|it| format!("{}: {:?}", it.guard, it.question))
        .collect();
    assert_eq!(holding, expected, "{keys}");
}

fn arms(stable: [u64; 3], canary: [u64; 3]) -> Counts {
    let arm = |[requests, errors, slow]: [u64; 3]| Arm { requests, errors, slow, non_finite: 0 };
    Counts { stable: arm(stable), canary: arm(canary), ..Counts::default() }
}

const TENTH: &str = r#"{"steps": "10,100"}"#;

#[test]
fn nothing_counted_proves_nothing() {
    check(TENTH, Counts::default(), &[]);
    check(TENTH, arms([9_000, 0, 0], [0, 0, 0]), &[]);
    check(TENTH, arms([0, 0, 0], [100, 100, 0]), &[]);
}

#[test]
fn errors_are_compared_with_the_stable_ones() {
    check(TENTH, arms([9_000, 90, 90], [1_000, 10, 10]), &[]);
    check(TENTH, arms([9_000, 90, 90], [1_000, 40, 10]), &["errors: Worse"]);
    check(TENTH, arms([9_000, 360, 90], [1_000, 40, 10]), &[]);
    check(
        r#"{"steps": "10,100", "error_ratio_max": 5}"#,
        arms([9_000, 90, 90], [1_000, 40, 10]),
        &[],
    );
}

#[test]
fn a_slow_machine_is_not_the_candidates_fault() {
    check(TENTH, arms([9_000, 90, 90], [1_000, 10, 60]), &["latency: Worse"]);
    check(TENTH, arms([9_000, 90, 540], [1_000, 10, 60]), &[]);
    // More often than the stable version, which is faster than its limit, but not too often.
    check(TENTH, arms([9_000, 90, 0], [1_000, 10, 5]), &[]);
    check(r#"{"steps": "10,100", "latency": false}"#, arms([9_000, 90, 90], [1_000, 10, 60]), &[]);
}

#[test]
fn a_share_that_callers_made_greater_is_no_fault() {
    // Twice as many errors as a tenth of the requests would bring, from twice as many requests.
    check(TENTH, arms([8_000, 800, 80], [2_000, 200, 20]), &[]);
}

#[test]
fn few_errors_are_good_enough_by_themselves() {
    let good = ["errors: GoodEnough", "latency: GoodEnough"];
    check(TENTH, arms([90_000, 0, 450], [10_000, 0, 50]), &good);
    check(TENTH, arms([9_000, 0, 45], [1_000, 0, 5]), &[]);
    check(TENTH, arms([90_000, 9_000, 450], [10_000, 500, 50]), &good);
    // Torn reads: more errors than requests, and the largest counters there are.
    check(TENTH, arms([10, 0, 0], [1, 30, 0]), &[]);
    check(TENTH, arms([u64::MAX; 3], [u64::MAX; 3]), &[]);
}

#[test]
fn labels_and_differences_of_shadow_rows_are_compared() {
    let keys = r#"{"steps": "10,100", "flip_rate_max": 0.05, "difference_max": 0.1}"#;
    let pairs = |flips, mean| Counts {
        pairs: Pairs {
            pairs: 500,
            flips,
            non_finite: 0,
            difference: Moments { n: 500, mean, m2: 500.0 },
            ..Pairs::default()
        },
        ..Counts::default()
    };
    check(keys, pairs(25, 0.1), &[]);
    check(keys, pairs(70, 0.1), &["flips: Worse"]);
    check(keys, pairs(25, 0.5), &["difference: Worse"]);
    check(keys, pairs(25, -0.5), &["difference: Worse"]);
    let mut many = pairs(25, 0.1);
    many.pairs.difference.n = 1_000_000;
    many.pairs.difference.m2 = 1e6;
    check(keys, many, &[]);
    let mut early = pairs(2, 0.5);
    early.pairs.difference.n = BURN_IN - 1;
    check(keys, early, &[]);
}

#[test]
fn shares_of_classes_are_compared() {
    let keys = r#"{"steps": "10,100", "output_drift_max": 0.05}"#;
    let pairs = |n: u64, mean: f64| {
        let mut counts = Counts::default();
        counts.pairs.pairs = n;
        for (class, mean) in counts.pairs.classes.iter_mut().zip([mean, -mean, 0.0]) {
            // So many rows of a hundred are of another class.
            *class = Moments { n, mean, m2: 0.1 * n as f64 };
        }
        counts
    };
    check(keys, pairs(2_000, 0.05), &[]);
    check(keys, pairs(2_000, 0.15), &["output drift: Worse"]);
    check(keys, pairs(2_000, -0.15), &["output drift: Worse"]);
    check(keys, pairs(BURN_IN - 1, 0.9), &[]);
    check(r#"{"steps": "10,100"}"#, pairs(2_000, 0.9), &[]);
}

#[test]
fn losses_are_compared_on_rows_of_both_or_of_one() {
    let keys = r#"{"steps": "10,100", "loss_increase_max": 0.1}"#;
    let of = |n, mean| Moments { n, mean, m2: n as f64 };
    let labels = |stable, canary, paired| Counts {
        labels: Labels { stable, canary, paired },
        ..Counts::default()
    };
    let none = Moments::default();
    check(keys, labels(of(5_000, 1.0), of(500, 1.5), none), &["loss: Worse"]);
    check(keys, labels(of(5_000, 1.0), of(500, 1.1), none), &[]);
    check(keys, labels(of(5_000, 1.0), of(500, 0.1), none), &[]);
    check(keys, labels(of(5_000, 1.0), of(99, 9.0), none), &[]);
    check(keys, labels(none, none, of(500, 0.5)), &["loss: Worse"]);
    check(keys, labels(none, none, of(500, -0.5)), &[]);
    // Losses without any spread.
    let flat = |mean| Moments { n: 500, mean, m2: 0.0 };
    check(keys, labels(flat(1.0), flat(2.0), none), &["loss: Worse"]);
    check(keys, labels(flat(1.0), flat(1.0), none), &[]);
}

#[test]
fn findings_say_what_was_compared() {
    let plan = plan(TENTH);
    let counts = arms([9_000, 90, 90], [1_000, 40, 10]);
    let ledger = Ledger::default();
    let limit = Some(Duration::from_millis(12));
    let guards = Guards::new(&plan, &ledger, Phase::Canary { step: 0 }, &counts, limit);
    let words = guards.worse().into_iter().map(|it| it.words).collect::<Vec<String>>();
    assert!(
        words[0].starts_with(
            "errors: candidate 40 of 1000 (4.00 %), stable 90 of 9000 (1.00 %), \
             more than 1 times as often: e-value "
        ),
        "{words:?}"
    );
    assert!(words[0].ends_with("rolled back from 40.00 on"), "{words:?}");
    assert!(words[1].starts_with("slow answers above 12.0ms: candidate 10 of 1000"), "{words:?}");
}
