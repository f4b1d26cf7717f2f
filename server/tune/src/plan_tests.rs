use std::fs;
use std::sync::Arc;

use backend_fake::Fake;
use tempfile::TempDir;

use super::*;

const DOUBLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";

/// A repository with one model of two versions.
fn repository(toml: &str) -> TempDir {
    let root = tempfile::tempdir().expect("scratch");
    for version in ["1", "2"] {
        let folder = root.path().join("m").join(version);
        fs::create_dir_all(&folder).expect("folders");
        fs::write(folder.join("model.fake"), DOUBLE).expect("write");
    }
    if !toml.is_empty() {
        fs::write(root.path().join("m/model.toml"), toml).expect("write");
    }
    root
}

/// Plans on two cores.
fn plan(toml: &str, change: impl FnOnce(&mut Wishes)) -> Result<Plan, TuneError> {
    let root = repository(toml);
    let mut wishes = Wishes { goal_p99_ms: 10.0, seconds: 1.0, rows: 1, ..Wishes::default() };
    change(&mut wishes);
    let missing = [("tract", "not here"), ("openvino", "not here")];
    let missing = missing.map(|(name, why)| (name, why.to_owned())).to_vec();
    let engines = Engines::new(vec![Arc::new(Fake::new())], missing);
    Plan::new(&wishes, (root.path(), "m"), &engines, 2)
}

/// What can be tried, as words `instances×threads/batch`, and what cannot.
#[track_caller]
fn check(toml: &str, change: impl FnOnce(&mut Wishes), expect: &str) {
    let plan = plan(toml, change).unwrap_or_else(|it| panic!("{it}"));
    let word = |it: Setting| {
        let batch = it.batch.map_or("-".to_owned(), |it| it.to_string());
        format!("{}×{}/{batch}", it.instances, it.threads)
    };
    let mut words: Vec<String> = plan.settings().into_iter().map(word).collect();
    words.extend(plan.skipped.iter().map(|it| format!("{} left out: {}", it.count, it.reason)));
    assert_eq!(words.join(" "), expect, "{toml}");
}

#[track_caller]
fn refused(toml: &str, change: impl FnOnce(&mut Wishes), expect: &[&str]) {
    match plan(toml, change) {
        Err(TuneError::Wishes(faults)) => assert_eq!(faults, expect, "{toml}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{toml} was not refused"),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

const MANY: &str = "instances times threads is more than the cores (2)";

#[test]
fn everything_that_the_cores_are_for_is_compared() {
    let many = format!("1 left out: {MANY}");
    check("", |it| it.batch_sizes = some("8"), &format!("1×1/8 1×2/8 2×1/8 {many}"));
    let all = "1×1/1 1×1/8 1×1/32 1×2/1 1×2/8 1×2/32 2×1/1 2×1/8 2×1/32";
    check("", |_| {}, &format!("{all} 3 left out: {MANY}"));
    let one = |it: &mut Wishes| (it.cores, it.batch_sizes) = (Some(1), some("4"));
    check("", one, "1×1/4");
}

#[test]
fn what_the_model_says_is_compared_as_well() {
    let one = |it: &mut Wishes| (it.instances, it.threads) = (some("1"), some("1"));
    check("max_batch_size = 16", one, "1×1/1 1×1/8 1×1/16 1×1/32");
    check("max_batch_size = 0", one, "1×1/-");
    let rows = |it: &mut Wishes| (it.instances, it.threads, it.rows) = (some("1"), some("1"), 20);
    check("", rows, "1×1/20 1×1/32");
    // The server's own reader decides: nobody waits where nobody can join.
    let waits = "[dynamic_batching]\nmax_queue_delay_us = 100";
    let reason = "1 left out: dynamic_batching.max_queue_delay_us: 100 holds requests back for \
                  others to join them, and max_batch_size = 1 joins none";
    check(waits, one, &format!("1×1/8 1×1/32 {reason}"));
}

#[test]
fn the_search_has_a_bound_that_is_said_before() {
    let made = plan("", |_| {}).expect("a plan");
    assert_eq!((made.settings_max(), made.points_max()), (5, 45));
    assert_eq!(made.time_max(), Duration::from_millis(1_250) * 45);
    assert_eq!(made.now, Setting { engine: "fake", instances: 2, threads: 1, batch: Some(32) });
    assert_eq!(made.version, Version(2));
    let long = |it: &mut Wishes| it.seconds = 60.0;
    let text = "up to 45 points would take up to 56 min, more than 30: name fewer values, less \
                --seconds, or --force";
    refused("", long, &[text]);
    plan("", |it| (it.seconds, it.force) = (60.0, true)).expect("as wished");
}

#[test]
fn contradictions_are_refused_all_at_once() {
    let four = |it: &mut Wishes| (it.instances, it.threads) = (some("4"), some("4"));
    let text = format!("--instances, --threads: every combination is left out: {MANY}");
    refused("", four, &[&text]);
    let joined = "--batch-sizes: model.toml says max_batch_size = 0, never to join requests";
    refused("max_batch_size = 0", |it| it.batch_sizes = some("8"), &[joined]);
    let rows = "--rows: 9 rows of a request fit in no batch, the largest is 8";
    let missing = "--version: m has no version 7; it has 1, 2";
    let goal = "--goal-p99-ms: 0 is not a number above 0, up to 60000";
    let many = |it: &mut Wishes| {
        (it.batch_sizes, it.rows, it.version, it.goal_p99_ms) = (some("1,8"), 9, some("7"), 0.0);
    };
    refused("", many, &[goal, missing, rows]);
    let engine = "--engines: openvino is not available here: not here";
    refused("", |it| it.engines = some("openvino"), &[engine]);
    let bf16 = "nothing is left to compare of fake: precision: \"bf16\" needs engine = \"openvino\" (or \
                \"onnxruntime\", on aarch64)";
    let precise = "precision = \"bf16\"\nengine = \"openvino\"";
    refused(precise, |it| it.engines = some("fake"), &[bf16]);
}

#[test]
fn what_is_wrong_in_the_repository_is_not_the_callers_fault() {
    let faults = |it: Result<Plan, TuneError>| match it {
        Err(TuneError::Configuration(faults)) => faults,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    };
    let found = faults(plan("max_batch_size = -1\nhots = 1", |_| {}));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("m/model.toml: max_batch_size: -1 is not"), "{found:?}");
    let root = repository("");
    let engines = Engines::new(vec![Arc::new(Fake::new())], Vec::new());
    let wishes = Wishes { goal_p99_ms: 1.0, seconds: 1.0, rows: 1, ..Wishes::default() };
    let found = faults(Plan::new(&wishes, (root.path(), "other"), &engines, 2));
    assert!(found[0].starts_with("no model \"other\" in "), "{found:?}");
    let found = faults(Plan::new(&wishes, (root.path(), "../m"), &engines, 2));
    assert!(found[0].contains("path traversal"), "{found:?}");
}
