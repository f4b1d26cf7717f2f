use std::fs;

use backend_fake::Fake;

use super::*;
use crate::setting::Setting;
use crate::wishes::Wishes;

/// Searches a scripted model on one core, two steps and two batch sizes; the goal is far.
fn search(
    script: &str,
    change: impl FnOnce(&mut Wishes),
) -> Result<(Plan, Outcome, Vec<String>), TuneError> {
    let root = tempfile::tempdir().expect("scratch");
    fs::create_dir_all(root.path().join("m/1")).expect("folders");
    fs::write(root.path().join("m/1/model.fake"), script).expect("write");
    let mut wishes = Wishes {
        goal_p99_ms: 60_000.0,
        seconds: 0.02,
        rows: 1,
        cores: Some(1),
        batch_sizes: Some("4,8".to_owned()),
        concurrency: Some("1,2".to_owned()),
        ..Wishes::default()
    };
    change(&mut wishes);
    let engines = Engines::new(vec![Arc::new(Fake::new())], Vec::new());
    let mut plan = Plan::new(&wishes, (root.path(), "m"), &engines, 1)?;
    let mut told = Vec::new();
    let outcome = run(&mut plan, &engines, &mut |it| told.push(it.to_owned()))?;
    Ok((plan, outcome, told))
}

#[track_caller]
fn refused(script: &str, change: impl FnOnce(&mut Wishes), expect: &[&str]) {
    match search(script, change) {
        Err(TuneError::Wishes(faults)) => assert_eq!(faults, expect, "{script}"),
        Err(other) => panic!("{other}"),
        Ok((_, outcome, _)) => panic!("{outcome:?}"),
    }
}

const DOUBLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
const FREE: &str = "input x FP32 rows,S\noutput y FP32 rows,S = copy x\n";
const ALONE: &str = "input x FP32 3,2\noutput y FP32 3,2 = copy x\n";

#[test]
fn every_setting_is_loaded_and_asked() {
    let (_, outcome, told) = search(DOUBLE, |_| {}).expect("a search");
    let asked: Vec<(Option<usize>, usize)> =
        outcome.points.iter().map(|it| (it.setting.batch, it.concurrency)).collect();
    assert_eq!(asked, [(Some(4), 1), (Some(4), 2), (Some(8), 1), (Some(8), 2)], "{told:#?}");
    for point in &outcome.points {
        assert_eq!(point.failure, None, "{point:?}");
    }
    assert_eq!(told.len(), 6, "a line for each setting and each point: {told:#?}");
    let Choice::Best(place) = outcome.choice else { panic!("{:?}", outcome.choice) };
    let best = outcome.best.expect("the file of the best");
    assert_eq!(best.setting, outcome.points[place].setting);
    let rows = best.setting.batch.expect("a batch");
    assert!(best.text.contains(&format!("max_batch_size = {rows}")), "{}", best.text);
}

#[test]
fn free_axes_need_a_length() {
    let text = "--axis: the length of S is not known: say --axis S=LENGTH, or axes in [warmup]; the \
                inputs are x FP32 [rows,S]";
    let unknown = "--axis: the inputs have no free axis T; free are: S";
    refused(FREE, |_| {}, &[text]);
    refused(FREE, |it| it.axes = vec!["T=1".to_owned()], &[text, unknown]);
    let (_, outcome, _) = search(FREE, |it| it.axes = vec!["S=3".to_owned()]).expect("a search");
    assert!(matches!(outcome.choice, Choice::Best(_)), "{outcome:?}");
}

#[test]
fn a_model_that_is_not_batched_has_no_batch_size_to_choose() {
    let text = "--batch-sizes: the model takes one request at a time: it has no batch axis, or its \
                rows depend on their neighbours";
    refused(ALONE, |_| {}, &[text]);
    let (plan, outcome, _) = search(ALONE, |it| it.batch_sizes = None).expect("a search");
    let only = Setting { engine: "fake", instances: 1, threads: 1, batch: None };
    assert_eq!(plan.settings(), [only]);
    let text = outcome.best.expect("a best one").text;
    assert!(!text.contains("max_batch_size"), "{text}");
    let rows = "--rows: 2 rows, and the model takes one";
    refused(ALONE, |it| (it.batch_sizes, it.rows) = (None, 2), &[rows]);
}

#[test]
fn what_cannot_be_loaded_or_answered_is_told() {
    let broken = "input x FP32 rows,2\noutput y FP32 rows,2 = copy x\non 0 fail\n";
    let (_, outcome, told) = search(broken, |_| {}).expect("a search");
    assert_eq!(outcome.choice, Choice::Nothing);
    assert!(told[1].starts_with("  cannot be loaded: instance 0 failed to start"), "{told:?}");
    let strange = "input x INT64 rows,8\noutput y INT64 rows,8 = copy x\non 1 fail\n";
    let (_, outcome, told) = search(strange, |_| {}).expect("a search");
    assert_eq!(outcome.choice, Choice::Nothing, "{told:#?}");
    let failures = outcome.points.iter().filter(|it| it.failure.is_some()).count();
    assert_eq!(failures, outcome.points.len(), "{told:#?}");
}

#[test]
fn a_goal_that_nothing_meets_names_the_nearest() {
    let slow = "input x FP32 rows,2\noutput y FP32 rows,2 = copy x\nrun_us 2000\n";
    let change = |it: &mut Wishes| (it.goal_p99_ms, it.seconds) = (0.001, 0.1);
    let (_, outcome, told) = search(slow, change).expect("a search");
    assert!(matches!(outcome.choice, Choice::Closest(_)), "{told:#?}");
    assert!(outcome.best.is_none());
}
