use super::*;
use crate::fixture::{floats, of_classes, of_values, subject};

use backend_api::Shape;
use bytes::Bytes;

const ROWS: &[Dim] = &[Dim::Rows];
const THREE: &[Dim] = &[Dim::Rows, Dim::Fixed(3)];

fn config(task: Task, classes: &[&str]) -> TruthConfig {
    let classes = classes.iter().map(|it| (*it).to_owned()).collect();
    TruthConfig { task, classes, ..TruthConfig::default() }
}

#[test]
fn the_output_tells_what_is_compared() {
    let kind = |dtype, dims: &[Dim], task| {
        Form::new(&subject(1, &[("y", dtype, dims)]), &config(task, &[])).map(|it| it.kind)
    };
    assert_eq!(kind(DType::Fp32, THREE, Task::Auto), Ok(Kind::Scores));
    assert_eq!(kind(DType::Fp32, ROWS, Task::Auto), Ok(Kind::Value));
    assert_eq!(kind(DType::Fp32, ROWS, Task::Classification), Ok(Kind::Scores));
    assert_eq!(kind(DType::Int64, ROWS, Task::Auto), Ok(Kind::Class));
    assert_eq!(kind(DType::Int64, ROWS, Task::Regression), Ok(Kind::Value));
    assert_eq!(kind(DType::Bytes, ROWS, Task::Auto), Ok(Kind::Class));
    kind(DType::Bytes, ROWS, Task::Regression).expect_err("no number");
    kind(DType::Fp32, THREE, Task::Regression).expect_err("three numbers");
    kind(DType::Int64, THREE, Task::Auto).expect_err("three classes at once");
}

#[test]
fn what_cannot_be_compared_is_named() {
    let two = [("a", DType::Fp32, THREE), ("b", DType::Fp32, THREE)];
    let fault =
        |subject: &Subject, config: &TruthConfig| Form::new(subject, config).expect_err("a fault");
    let of =
        |output: &str| TruthConfig { output: Some(output.to_owned()), ..TruthConfig::default() };
    assert_eq!(fault(&subject(1, &two), &of("c")), "truth.output: \"c\" is none of a, b");
    let both = fault(&subject(1, &two), &TruthConfig::default());
    assert_eq!(both, "truth.output: is not given, and there are a, b");
    let names = fault(&subject(1, &two[..1]), &config(Task::Auto, &["x", "y"]));
    assert!(names.starts_with("truth.classes: 2 names for 3 classes"), "{names}");
    let mut hidden = subject(1, &two[..1]);
    hidden.config.hashed.push("a".to_owned());
    assert_eq!(fault(&hidden, &of("a")), "truth.output: \"a\" is kept out of the log");
    let limits = vec![(server_base::Metric::Mae, 1.0)];
    let limit = fault(&subject(1, &two[..1]), &TruthConfig { limits, ..TruthConfig::default() });
    assert!(limit.starts_with("truth.mae_max: "), "{limit}");
}

#[test]
fn labels_fit_or_are_named() {
    let text = |it: &str| Given::Text(it.into());
    let named = of_classes(1, 3, &config(Task::Auto, &["cat", "dog", "3"]));
    let numbered = of_classes(1, 3, &TruthConfig::default());
    let value = of_values(1, &TruthConfig::default());
    for (form, good) in [
        (&named, text("cat")),
        (&named, Given::Number(3.0)),
        (&numbered, Given::Number(2.0)),
        (&numbered, text("2")),
        (&numbered, Given::Bool(true)),
        (&value, text("1.5")),
    ] {
        assert_eq!(form.check(&good), Ok(()), "{good:?}");
    }
    for (form, bad, what) in [
        (&named, text("cow"), "value \"cow\": expected one of cat, dog, 3"),
        (&named, Given::Number(1.0), "value 1: expected one of cat, dog, 3"),
        (&numbered, Given::Number(3.0), "value 3: expected a class from 0 to 2"),
        (&numbered, Given::Number(0.5), "value 0.5: expected a class from 0 to 2"),
        (&value, text("high"), "value \"high\": expected a number"),
    ] {
        assert_eq!(form.check(&bad), Err(what.to_owned()));
    }
}

#[test]
fn answers_are_read_row_by_row() {
    let scores = |it: &[f32]| Guess::Scores(it.iter().copied().collect());
    let form = of_classes(1, 2, &TruthConfig::default());
    let tensor = floats(&[2, 2], &[0.25, 0.75, 1.0, 0.0]);
    assert_eq!(form.read(&tensor, 2), [scores(&[0.25, 0.75]), scores(&[1.0, 0.0])]);
    // One probability is that of the second class.
    let one = config(Task::Classification, &[]);
    let one = Form::new(&subject(1, &[("p", DType::Fp32, ROWS)]), &one).expect("a form");
    assert_eq!(
        one.read(&floats(&[2], &[0.25, 1.0]), 2),
        [scores(&[0.75, 0.25]), scores(&[0.0, 1.0])]
    );
    assert_eq!(form.read(&tensor, 3), [], "four numbers are no three rows");
    let class =
        Form::new(&subject(1, &[("c", DType::Int64, ROWS)]), &config(Task::Auto, &["a", "b"]));
    let data: Vec<u8> = [1_i64, 7].iter().flat_map(|it| it.to_le_bytes()).collect();
    let data = Tensor::new(DType::Int64, Shape::new(&[2]).expect("a shape"), Bytes::from(data));
    let read = class.expect("a form").read(&data.expect("a tensor"), 2);
    assert_eq!(read, [Guess::Class("b".into()), Guess::Class("7".into())]);
}

#[test]
fn a_threshold_moves_the_choice_of_two() {
    let of = |threshold| of_classes(1, 2, &TruthConfig { threshold, ..TruthConfig::default() });
    assert_eq!(of(0.5).chosen(&[0.5, 0.5]), 0);
    assert_eq!(of(0.5).chosen(&[0.4, 0.6]), 1);
    assert_eq!(of(0.3).chosen(&[0.7, 0.3]), usize::from(f64::from(0.3_f32) >= 0.3));
    assert_eq!(of(0.7).chosen(&[0.4, 0.6]), 0);
    assert_eq!(of(0.5).chosen(&[0.2, 0.6, 0.6]), 1, "the first of equal ones");
}
