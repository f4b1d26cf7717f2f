//! What counts as a wrong answer, and which answers are looked at.

use std::sync::Arc;

use super::{floats, shown, signature};
use crate::case::Case;
use crate::check::{Checker, Expectations, Tolerance, compare};
use crate::tensor::{Datatype, Tensor};

#[test]
fn tolerance_is_absolute_plus_relative() {
    let tolerance = Tolerance::new(0.01, 0.1).unwrap();
    let table = [
        (1.0, 1.0, true),
        (1.0, 1.109, true),
        (1.0, 1.111, false),
        (-1.0, -1.109, true),
        (0.0, 0.0099, true),
        (0.0, 0.0101, false),
        (f32::NAN, f32::NAN, true),
        (f32::NAN, 0.0, false),
        (0.0, f32::NAN, false),
        (f32::INFINITY, f32::INFINITY, true),
        (f32::INFINITY, f32::NEG_INFINITY, false),
        (1.0, f32::INFINITY, false),
    ];
    for (expected, got, same) in table {
        let result = compare(&[floats(&[1], &[expected])], &[floats(&[1], &[got])], tolerance);
        assert_eq!(result.is_ok(), same, "{expected} and {got}: {result:?}");
    }
}

#[test]
fn an_infinite_expectation_does_not_accept_everything() {
    let infinite = [floats(&[1], &[f32::INFINITY])];
    assert!(compare(&infinite, &[floats(&[1], &[5.0])], Tolerance::SAME).is_err());
}

#[test]
fn the_first_wrong_element_is_named() {
    let expected = [floats(&[3], &[1.0, 2.0, 3.0])];
    let got = [floats(&[3], &[1.0, 2.5, 9.0])];
    let message = shown(compare(&expected, &got, Tolerance::SAME));
    assert_eq!(message, "output \"y\" element 1 is 2.5, expected 2");
}

#[test]
fn integers_must_be_equal() {
    let bytes = |byte: u8| {
        Tensor::new("y".to_owned(), Datatype::Uint8, vec![1], vec![byte].into()).unwrap()
    };
    let wide = Tolerance::new(10.0, 10.0).unwrap();
    assert!(compare(&[bytes(1)], &[bytes(1)], wide).is_ok());
    assert!(compare(&[bytes(1)], &[bytes(2)], wide).is_err());
}

#[test]
fn shapes_types_and_names_must_agree() {
    let expected = [floats(&[1, 2], &[1.0, 2.0])];
    let flat = [floats(&[2], &[1.0, 2.0])];
    assert!(shown(compare(&expected, &flat, Tolerance::SAME)).contains("has shape [2]"));
    assert!(shown(compare(&expected, &[], Tolerance::SAME)).contains("\"y\" is missing"));
    let data = expected[0].data().clone();
    let other = Tensor::new("y".to_owned(), Datatype::Int32, vec![1, 2], data).unwrap();
    assert!(shown(compare(&expected, &[other], Tolerance::SAME)).contains("is INT32"));
}

fn expectations(rows: usize) -> Expectations {
    let cases = [Case { rows, ..Case::default() }, Case { rows, ..Case::default() }];
    Expectations::new(signature(&["x:FP32:-1x4"], &["y:FP32:-1x2"]), Tolerance::SAME, &cases)
}

#[test]
fn without_a_recording_answers_are_held_to_the_metadata() {
    let table = [
        (floats(&[2, 2], &[0.0; 4]), "ok"),
        (floats(&[1, 2], &[0.0; 2]), "has 1 rows, the request had 2"),
        (floats(&[2, 3], &[0.0; 6]), "the metadata says [-1, 2]"),
        (floats(&[4], &[0.0; 4]), "the metadata says [-1, 2]"),
    ];
    for (answer, expected) in table {
        let message = shown(expectations(2).check(0, vec![answer]));
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
}

#[test]
fn the_same_request_must_get_the_same_answer() {
    let expectations = expectations(1);
    expectations.check(0, vec![floats(&[1, 2], &[1.0, 2.0])]).unwrap();
    expectations.check(1, vec![floats(&[1, 2], &[5.0, 6.0])]).unwrap();
    expectations.check(0, vec![floats(&[1, 2], &[1.00001, 2.0])]).unwrap();
    let other = expectations.check(0, vec![floats(&[1, 2], &[5.0, 6.0])]);
    assert!(shown(other).contains("element 0 is 5, expected 1"));
}

#[test]
fn the_first_answer_to_each_request_and_one_in_n_are_checked() {
    let mut checker = Checker::new(Arc::new(expectations(1)), 4);
    let due: Vec<bool> = [0, 0, 1, 0, 1, 1, 1, 1].map(|it| checker.due(it)).to_vec();
    assert_eq!(due, [true, false, true, true, false, false, false, true]);

    let mut never = Checker::new(Arc::new(expectations(1)), 0);
    assert!(!never.due(0));
}

#[test]
fn findings_keep_the_first_wrong_answer() {
    let mut checker = Checker::new(Arc::new(expectations(1)), 1);
    checker.look(0, Ok(vec![floats(&[1, 2], &[1.0, 2.0])]));
    checker.look(1, Ok(Vec::new()));
    checker.look(0, Err(anyhow::anyhow!("no JSON")));
    let findings = &checker.findings;
    assert_eq!((findings.checked, findings.wrong), (3, 2));
    assert_eq!(findings.first_wrong.as_deref(), Some("case 1: output \"y\" is missing, got []"));
}
