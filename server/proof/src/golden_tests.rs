use super::*;

use backend_api::{Axis, GraphTensor};

fn line(x: &str, y: &str) -> String {
    format!(
        "{{\"request\": {{\"id\": \"7\", \"inputs\": [{{\"name\": \"x\", \"shape\": [1, 2], \
         \"datatype\": \"FP32\", \"data\": {x}}}]}}, \"response\": {{\"model_name\": \"m\", \
         \"outputs\": [{{\"name\": \"y\", \"shape\": [1, 2], \"datatype\": \"FP32\", \"data\": {y}}}]}}}}\n"
    )
}

/// Doubles its input.
fn signature() -> Signature {
    let axes = || vec![Axis::Named("N".to_owned()), Axis::Fixed(2)];
    let tensor =
        |name: &str| GraphTensor { name: name.to_owned(), dtype: DType::Fp32, axes: axes() };
    Signature::of_graph(vec![tensor("x")], vec![tensor("y")])
}

fn double(inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let x = inputs[0].view::<f32>().expect("floats");
    if x.contains(&13.0) {
        return Err("13".to_owned());
    }
    let doubled: Vec<f32> = x.iter().map(|it| it * 2.0).collect();
    Ok(vec![Tensor::from_elements(inputs[0].shape().dims(), &doubled).expect("as many")])
}

fn run(text: &str, mismatches_max: usize) -> Result<Report, String> {
    let folder = tempfile::tempdir().expect("scratch");
    let path = folder.path().join("golden.jsonl");
    fs::write(&path, text).expect("written");
    let tolerance = Tolerance { absolute: 0.01, relative: 0.0 };
    let golden = Golden { path, tolerance, mismatches_max };
    golden.check(&signature(), &mut double).map(|it| it.0).map_err(|it| it.reason)
}

#[track_caller]
fn check_error(text: &str, expect: &str) {
    assert_eq!(run(text, 0).expect_err("is refused"), expect);
}

#[test]
fn answers_as_recorded_are_reported() {
    let text = line("[1, 2]", "[2, 4]") + "\n" + &line("[[0.5, -3]]", "[[1.005, -6]]");
    let report = run(&text, 0).expect("agrees");
    assert_eq!((report.requests, report.elements, report.mismatches), (2, 4, 0));
    assert!((report.difference_max - 0.005).abs() < 1e-6, "{}", report.difference_max);
    assert_eq!(report.to_string(), "2 requests, 4 elements, 0 off, largest difference 5.000e-3");
}

#[test]
fn other_answers_are_named_with_place_and_both_numbers() {
    let text = line("[1, 2]", "[2, 4]") + &line("[3, 4]", "[6, 8.5]") + &line("[0, 0]", "[1, 1]");
    check_error(
        &text,
        "golden.jsonl: answers are not as recorded, 3 requests, 6 elements, 3 off, largest difference \
         1.000e0, and mismatches_max is 0: line 2, output 'y'[1]: expected 8.5, got 8; line 3, output \
         'y'[0]: expected 1, got 0; line 3, output 'y'[1]: expected 1, got 0",
    );
    assert_eq!(run(&text, 3).expect("allowed").mismatches, 3);
    assert!(run(&text, 2).is_err());
}

#[test]
fn another_shape_is_never_allowed() {
    let text = line("[1, 2]", "[2, 4]");
    let wide = text.replace("\"y\", \"shape\": [1, 2]", "\"y\", \"shape\": [2, 1]");
    check_error(&wide, "golden.jsonl: line 1: output 'y' was FP32 [2,1], and is FP32 [1,2]");
    let whole = text.replace("\"FP32\", \"data\": [2, 4]", "\"INT64\", \"data\": [2, 4]");
    check_error(&whole, "golden.jsonl: line 1: output 'y' was INT64 [1,2], and is FP32 [1,2]");
    let named = text.replace("\"y\"", "\"z\"");
    check_error(&named, "golden.jsonl: line 1: the model gives no output 'z'");
}

#[test]
fn requests_that_cannot_be_asked_refuse_it() {
    check_error(&line("[13, 0]", "[26, 0]"), "golden.jsonl: line 1: the run failed: 13");
    check_error(
        &line("[1]", "[2, 4]"),
        "golden.jsonl: line 1: 'x': shape [1,2] has 2 elements, data has 1",
    );
    let other = line("[1, 2]", "[2, 4]").replace("\"x\"", "\"z\"");
    check_error(&other, "golden.jsonl: line 1: input 'x' is missing");
    let typed = line("[1, 2]", "[2, 4]").replacen("FP32", "float", 1);
    check_error(&typed, "golden.jsonl: line 1: 'x': \"float\" is no datatype");
    check_error("\n\n", "golden.jsonl: it holds no requests");
    assert!(
        run("{\"request\": 1}", 0).expect_err("no request").starts_with("golden.jsonl: line 1: ")
    );
    let many = line("[1, 2]", "[2, 4]").repeat(LINES_MAX + 1);
    check_error(&many, "golden.jsonl: line 1001: more than 1000 lines");
}

#[test]
fn a_versions_own_file_goes_before_its_models() {
    let model = tempfile::tempdir().expect("scratch");
    let version = model.path().join("3");
    fs::create_dir(&version).expect("made");
    let find = || Golden::find("g.jsonl", &version, Tolerance::default(), 0).map(|it| it.path);
    assert_eq!(find(), None);
    fs::write(model.path().join("g.jsonl"), "").expect("written");
    assert_eq!(find(), Some(model.path().join("g.jsonl")));
    fs::write(version.join("g.jsonl"), "").expect("written");
    assert_eq!(find(), Some(version.join("g.jsonl")));
}
