use super::*;
use crate::config::{Defaults, LoadPolicy, ModelConfig};
use crate::policy::Transition;

fn parse(text: &str) -> Result<Option<LogConfig>, Vec<String>> {
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        load: LoadPolicy::Eager,
        engines: Vec::new(),
    };
    ModelConfig::parse(text, &defaults).map(|it| it.log)
}

fn low(output: &str, place: usize) -> LowConfidence {
    let below = Share::new(0.6).expect("a share");
    LowConfidence { output: output.to_owned(), place, below }
}

#[test]
fn probabilities_are_those_of_an_output_that_there_is() {
    let spec = |name: &str, dtype| backend_api::TensorSpec {
        name: name.into(),
        dtype,
        dims: vec![backend_api::Dim::Rows],
        quantization: None,
    };
    let outputs = vec![spec("label", DType::Int64), spec("p", DType::Fp32)];
    let signature = Signature { inputs: Vec::new(), outputs };
    for (output, expect) in [
        ("p", Ok(low("p", 1))),
        ("q", Err("log.low_confidence: \"q\" is none of label, p")),
        (
            "label",
            Err("log.low_confidence: \"label\" is INT64, expected floating-point probabilities"),
        ),
    ] {
        assert_eq!(found(low(output, 0), &signature), expect.map_err(str::to_owned));
    }
}

#[test]
fn a_section_is_what_turns_the_log_on() {
    assert_eq!(parse(""), Ok(None));
    assert_eq!(parse("[log]"), Ok(Some(LogConfig::default())));
    let text = "[log]\nmode = 'at_least_once'\nsample = 0.25\nerrors = false\nslow_ms = 50\n\
                low_confidence = { output = 'p', below = 0.6 }\ndisagreement = true\n\
                inputs = ['x']\noutputs = []\nhash = ['x']\nfeatures = { x = ['a', 'b'] }\n\
                max_columns = 8\nmax_value_bytes = 100";
    let expect = LogConfig {
        mode: LogMode::AtLeastOnce,
        sample: Share::new(0.25).expect("a share"),
        errors: false,
        slow_over: Some(Duration::from_millis(50)),
        low_confidence: Some(low("p", 0)),
        disagreement: true,
        inputs: Some(vec!["x".to_owned()]),
        outputs: Some(Vec::new()),
        hashed: vec!["x".to_owned()],
        features: [("x".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into(),
        columns_max: 8,
        value_bytes_max: 100,
    };
    assert_eq!(parse(text), Ok(Some(expect)));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, fault) in [
        ("sample = 1.5", "log.sample: 1.5 is no share from 0 to 1"),
        ("mode = 'sure'", "log.mode: \"sure\" is none of best_effort, at_least_once, fail_closed"),
        ("inputs = 'x'", "log.inputs: \"x\" is no list of names in quotes"),
        (
            "low_confidence = 0.6",
            "log.low_confidence: 0.6 is not like { output = \"probabilities\", below = 0.6 }",
        ),
        (
            "low_confidence = { output = 'p', below = 2 }",
            "log.low_confidence: below: 2 is no share from 0 to 1",
        ),
        ("features = { x = 1 }", "log.features: x: 1 is no list of names in quotes"),
        (
            "mode = 'fail_closed'\nsample = 0.5",
            "log.sample: mode = \"fail_closed\" answers nothing that is not logged: sample must be 1",
        ),
    ] {
        let faults = parse(&format!("[log]\n{text}")).expect_err(text);
        assert_eq!(faults, [fault], "{text}");
    }
}
