use std::collections::BTreeMap;

use super::*;
use crate::fixture::{of_classes, of_values};

use server_base::TruthConfig;

#[derive(serde::Deserialize)]
struct Case {
    task: String,
    classes: usize,
    answers: Vec<Vec<f64>>,
    labels: Vec<f64>,
    expected: BTreeMap<String, f64>,
}

fn cases() -> Vec<(Form, Case)> {
    let text = include_str!("../tests/data/sklearn.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("cases");
    let form = |case: &Case| match case.task.as_str() {
        "regression" => of_values(1, &TruthConfig::default()),
        _ => of_classes(1, case.classes, &TruthConfig::default()),
    };
    cases.into_iter().map(|it| (form(&it), it)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "they are an FP32's")]
fn count(tally: &mut Tally, (form, case): &(Form, Case), rows: std::ops::Range<usize>, way: Way) {
    for row in rows {
        let answer = &case.answers[row];
        let guess = match answer.as_slice() {
            [value] => Guess::Value(*value),
            scores => Guess::Scores(scores.iter().map(|it| *it as f32).collect()),
        };
        assert!(tally.count(form, &guess, &Given::Number(case.labels[row]), way), "it fits");
    }
}

#[track_caller]
fn check(tally: &Tally, case: &Case) {
    let found: BTreeMap<String, f64> =
        tally.metrics().into_iter().map(|(it, value)| (it.label().to_owned(), value)).collect();
    assert!(found.keys().eq(case.expected.keys()), "{found:?}");
    for (metric, expected) in &case.expected {
        let error = if metric == "auc" { tally.auc().expect("a curve").1 + 1e-12 } else { 1e-6 };
        assert!(error < 0.01, "{error} says nothing");
        let got = found[metric];
        assert!((got - expected).abs() <= error, "{metric}: {got} is not {expected} ± {error}");
    }
}

#[test]
fn numbers_are_those_of_scikit_learn() {
    for case in cases() {
        let mut tally = Tally::default();
        count(&mut tally, &case, 0..case.1.labels.len(), Way::In);
        check(&tally, &case.1);
    }
}

#[test]
fn parts_add_up_and_what_is_taken_out_leaves_nothing() {
    for case in cases() {
        let (all, half) = (case.1.labels.len(), case.1.labels.len() / 3);
        let (mut first, mut second) = (Tally::default(), Tally::default());
        count(&mut first, &case, 0..half + 5, Way::In);
        count(&mut first, &case, half..half + 5, Way::Out);
        count(&mut second, &case, half..all, Way::In);
        first.merge(&second);
        check(&first, &case.1);
    }
}

#[test]
fn what_is_no_probability_has_an_accuracy_and_no_more() {
    let form = of_classes(1, 3, &TruthConfig::default());
    let mut tally = Tally::default();
    let logits = Guess::Scores([-3.0, 8.0, 1.0].into_iter().collect());
    assert!(tally.count(&form, &logits, &Given::Number(1.0), Way::In));
    assert!(!tally.count(&form, &logits, &Given::Number(3.0), Way::In), "there is no fourth");
    assert_eq!(tally.metrics(), [(Metric::Accuracy, 1.0)]);
    assert_eq!(Tally::default().metrics(), []);
}

#[test]
fn an_answer_that_is_no_number_harms_no_sum() {
    let form = of_values(1, &TruthConfig::default());
    let mut tally = Tally::default();
    for value in [f64::NAN, f64::INFINITY] {
        assert!(tally.count(&form, &Guess::Value(value), &Given::Number(1.0), Way::In));
    }
    assert_eq!((tally.rows, tally.metrics()), (2, Vec::new()));
    tally.count(&form, &Guess::Value(3.0), &Given::Number(1.0), Way::In);
    assert_eq!(tally.metrics(), [(Metric::Mae, 2.0), (Metric::Rmse, 2.0), (Metric::Bias, 2.0)]);
}

#[test]
fn a_loss_is_between_nothing_and_one() {
    let config = TruthConfig { error_max: Some(4.0), ..TruthConfig::default() };
    let (value, classes) = (of_values(1, &config), of_classes(1, 2, &config));
    let one = Given::Number(1.0);
    assert_eq!(loss(&value, &Guess::Value(2.0), &one), Some(0.25));
    assert_eq!(loss(&value, &Guess::Value(99.0), &one), Some(1.0));
    assert_eq!(loss(&value, &Guess::Value(f64::NAN), &one), Some(1.0));
    assert_eq!(loss(&of_values(1, &TruthConfig::default()), &Guess::Value(2.0), &one), None);
    let sure = Guess::Scores([0.1, 0.9].into_iter().collect());
    assert_eq!(loss(&classes, &sure, &one), Some(0.0));
    assert_eq!(loss(&classes, &sure, &Given::Number(0.0)), Some(1.0));
}
