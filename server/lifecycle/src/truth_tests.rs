use super::*;
use crate::config::{Defaults, LoadPolicy};
use crate::policy::Transition;

fn parse(text: &str) -> Result<Option<TruthConfig>, Vec<String>> {
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        load: LoadPolicy::Eager,
        engines: Vec::new(),
    };
    ModelConfig::parse(text, &defaults).map(|it| it.truth)
}

#[test]
fn a_section_is_what_asks_for_it() {
    assert_eq!(parse("[log]"), Ok(None));
    assert_eq!(parse("[log]\n[truth]"), Ok(Some(TruthConfig::default())));
    let text = "[log]\n[truth]\noutput = 'p'\ntask = 'classification'\nclasses = ['no', 'yes']\n\
                threshold = 0.3\nwindow_s = 60\nhorizon_s = 600\nrows_min = 5\nerror_max = 2\n\
                accuracy_min = 0.9\nlog_loss_max = 1\nreference_rows = 500\n\
                accuracy_drop_max = 0.03\nerror_expected = 0.1\nfalse_alarm_windows = 90";
    let expect = TruthConfig {
        output: Some("p".to_owned()),
        task: Task::Classification,
        classes: vec!["no".to_owned(), "yes".to_owned()],
        threshold: 0.3,
        window: Duration::from_secs(60),
        horizon: Duration::from_secs(600),
        rows_min: 5,
        error_max: Some(2.0),
        limits: vec![(Metric::Accuracy, 0.9), (Metric::LogLoss, 1.0)],
        reference_rows: Some(500),
        changes: vec![(Metric::Accuracy, 0.03)],
        error_expected: Some(0.1),
        false_alarm_windows: 90.0,
    };
    assert_eq!(parse(text), Ok(Some(expect)));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, fault) in [
        ("auc_drop_max = 0.1", "truth.auc_drop_max: expected reference_rows beside it"),
        ("error_expected = 1", "truth.error_expected: 1 is no number from 0.000001 to 0.999"),
        ("accuracy_min = 2", "truth.accuracy_min: 2 is no number from 0 to 1"),
        (
            "classes = ['a', 'a']",
            "truth.classes: [\"a\", \"a\"] is no list of at least two different names in quotes",
        ),
        (
            "window_s = 1\nhorizon_s = 86400",
            "truth.horizon_s: 86400 is 86400 windows of window_s = 1: expected at most 200",
        ),
        ("task = 'regression'\nauc_min = 0.5", "truth: auc_min is of another task"),
        ("error_max = 0", "truth.error_max: 0 is no number from "),
    ] {
        let faults = parse(&format!("[log]\n[truth]\n{text}")).expect_err(text);
        assert!(faults.len() == 1 && faults[0].starts_with(fault), "{faults:?}");
    }
    let faults = parse("[truth]").expect_err("nothing to join with");
    assert_eq!(
        faults,
        ["truth: labels are joined with predictions of the log: expected a [log] as well"]
    );
}
