use super::*;

/// Reads a plan as an operator would write it.
fn read(text: &str) -> Result<Plan, String> {
    serde_json::from_str::<Plan>(text).map_err(|it| it.to_string())
}

/// Every one of `expected` must be in the error.
#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let error = read(text).expect_err(text);
    for part in expected {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn nothing_said_is_a_plan() {
    let plan = read("{}").expect("the default");
    let splits: Vec<String> = plan.splits().iter().map(Weight::to_string).collect();
    assert_eq!(splits, ["1 %", "5 %", "25 %", "50 %"]);
    assert_eq!(plan.guards().len(), 2);
    assert_eq!(plan.stages(), 5);
    assert_eq!(plan.slow_above(Duration::from_millis(10)), Some(Duration::from_millis(12)));
    assert_eq!(plan.slow_above(Duration::MAX), Some(Duration::MAX));
    assert!((plan.log_worse() - 40.0_f64.ln()).abs() < 1e-12);
    assert!((plan.log_good_enough() - 20.0_f64.ln()).abs() < 1e-12);
}

#[test]
fn a_plan_is_read_back_as_it_was_written() {
    let texts = [
        "{}",
        r#"{"steps": "0.5, 12.25,100", "latency": false, "non_finite": true}"#,
        r#"{"shadow_rows": 0, "step_duration_s_min": 0, "duration_s_max": 1}"#,
        r#"{"steps": "100", "latency": false, "flip_rate_max": 0.05, "alpha": 0.01}"#,
        r#"{"difference_max": 0, "output_drift_max": 0.02, "loss_increase_max": 0.125, "shadow_rows": 100}"#,
    ];
    for text in texts {
        let plan = read(text).expect(text);
        let written = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(read(&written).expect("it was written"), plan, "{text}");
    }
}

#[test]
fn values_out_of_bounds_are_named() {
    refused(r#"{"steps": ""}"#, &["steps: ", "\"\" is not a percentage"]);
    refused(r#"{"steps": "1,x,100"}"#, &["steps: ", "\"x\" is not a percentage"]);
    refused(r#"{"steps": "5,5,100"}"#, &["steps: 5 % after 5 %", "each to be more"]);
    refused(r#"{"steps": "50,25,100"}"#, &["steps: 25 % after 50 %"]);
    refused(r#"{"steps": "1,50"}"#, &["steps: \"1,50\" does not end with 100"]);
    refused(r#"{"steps": "0,100"}"#, &["steps: 0 % in \"0,100\""]);
    let many: Vec<String> = (1..=21).map(|it| it.to_string()).collect();
    refused(&format!(r#"{{"steps": "{}"}}"#, many.join(",")), &["21 steps, expected at most 20"]);
    refused(r#"{"shadow_percent": "101"}"#, &["shadow_percent: \"101\" is not a percentage"]);
    refused(
        r#"{"step_requests_min": 0}"#,
        &["step_requests_min: 0 is not", "from 1 to 1000000000"],
    );
    refused(r#"{"duration_s_max": 9999999}"#, &["duration_s_max: 9999999", "to 2678400"]);
    refused(r#"{"error_ratio_max": 0.5}"#, &["error_ratio_max: 0.5 is not a number from 1 to 100"]);
    refused(r#"{"alpha": 0}"#, &["alpha: 0 is not", "from 0.000001 to 0.5"]);
    refused(r#"{"promote_margin": 0}"#, &["promote_margin: 0 is not", "from 0.01 to 10"]);
    refused(r#"{"flip_rate_max": 1}"#, &["flip_rate_max: 1 is not", "to 0.999"]);
    refused(r#"{"difference_max": -1}"#, &["difference_max: -1 is not"]);
    refused(r#"{"step_requests_min": -1}"#, &["-1", "u64"]);
    refused(r#"{"stepps": "1,100"}"#, &["stepps"]);
    let alpha = Some(f64::NAN);
    RawPlan { alpha, ..RawPlan::default() }.validate().expect_err("NaN is no chance");
}

#[test]
fn every_fault_is_reported_at_once() {
    refused(
        r#"{"steps": "7", "alpha": 2, "shadow_rows": 5000000000}"#,
        &["steps: ", "alpha: ", "shadow_rows: "],
    );
}

#[test]
fn contradictions_are_refused() {
    refused(
        r#"{"duration_s_max": 1200, "step_duration_s_min": 300}"#,
        &["duration_s_max: 1200 is over before 4 steps of 300 seconds", "more than 1200"],
    );
    read(r#"{"duration_s_max": 1201, "step_duration_s_min": 300}"#).expect("just possible");
    refused(
        r#"{"steps": "100", "shadow_rows": 0, "latency": false}"#,
        &["steps: 100 alone and shadow_rows 0 compare nothing"],
    );
    refused(r#"{"steps": "100"}"#, &["latency cannot be compared", "latency = false"]);
    refused(r#"{"latency": false, "p99_tolerance": 0.1}"#, &["p99_tolerance: is given"]);
    refused(
        r#"{"shadow_rows": 0, "flip_rate_max": 0.05}"#,
        &["flip_rate_max: 0.05 is watched on shadow rows", "shadow_rows is 0", "at least 1"],
    );
    refused(
        r#"{"shadow_rows": 99, "difference_max": 0.5}"#,
        &["difference_max: 0.5", "shadow_rows is 99", "at least 100"],
    );
    refused(r#"{"step_labels_min": 5}"#, &["step_labels_min: 5", "expected loss_increase_max"]);
    refused(r#"{"shadow_percent": "0"}"#, &["shadow_percent: 0 copies nothing"]);
}
