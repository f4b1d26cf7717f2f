use std::sync::Arc;

use backend_fake::Fake;

use super::*;

/// Wishes without fault.
pub(crate) fn wishes() -> Wishes {
    Wishes { goal_p99_ms: 10.0, seconds: 1.0, rows: 1, ..Wishes::default() }
}

/// An engine that is there, one that is not.
pub(crate) fn engines() -> Engines {
    let missing = ("onnxruntime", "no libonnxruntime.so in /opt".to_owned());
    Engines::new(vec![Arc::new(Fake::new())], vec![missing])
}

/// The faults of wishes on four cores.
#[track_caller]
fn check(change: impl FnOnce(&mut Wishes), expect: &[&str]) {
    let mut wishes = wishes();
    change(&mut wishes);
    let mut faults = Vec::new();
    wishes.check(&engines(), 4, &mut faults);
    assert_eq!(faults, expect, "{wishes:#?}");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn lists_are_read_in_rising_order() {
    let read = Wishes {
        instances: some("2, 1,2"),
        concurrency: some("8,1"),
        engines: some("fake"),
        axes: vec!["S=128".to_owned(), "?=2".to_owned()],
        version: some("3"),
        ..wishes()
    };
    let mut faults = Vec::new();
    let read = read.check(&engines(), 4, &mut faults);
    assert_eq!(faults, [""; 0]);
    assert_eq!((read.instances, read.threads), (Some(vec![1, 2]), None));
    assert_eq!((read.concurrency, read.engines), (vec![1, 8], Some(vec!["fake"])));
    assert_eq!(read.axes, [("S".to_owned(), 128), (String::new(), 2)].into());
    assert_eq!((read.version, read.cores), (Some(Version(3)), 4));
    assert_eq!(read.goal, Duration::from_millis(10));
}

#[test]
fn every_fault_is_said_with_its_flag() {
    check(|_| {}, &[]);
    let all_at_once = |it: &mut Wishes| {
        it.goal_p99_ms = 0.0;
        it.instances = some("");
        it.threads = some("0,2,x");
        it.batch_sizes = some("65537");
        it.concurrency = some("0");
        it.version = some("stable");
        it.rows = 0;
        it.seconds = f64::NAN;
    };
    let faults = [
        "--instances: the list is empty",
        "--threads: \"0\", \"x\" is not a whole number from 1 to 256",
        "--batch-sizes: \"65537\" is not a whole number from 1 to 65536",
        "--concurrency: \"0\" is not a whole number from 1 to 4096",
        "--version: \"stable\" is not a number from 1",
        "--seconds: NaN is not a number from 0.02 to 60",
        "--rows: 0 is not a number from 1 to 65536",
        "--goal-p99-ms: 0 is not a number above 0, up to 60000",
    ];
    check(all_at_once, &faults);
    let faults = ["--goal-p99-ms: NaN is not a number above 0, up to 60000"];
    check(|it| it.goal_p99_ms = f64::NAN, &faults);
    let many = "--instances: 9 values, at most 8 can be compared";
    check(|it| it.instances = some("1,2,3,4,5,6,7,8,9"), &[many]);
    check(|it| it.cores = Some(5), &["--cores: 5, and this process may use 4"]);
    check(|it| it.cores = Some(0), &["--cores: 0 is not a whole number from 1"]);
    check(|it| it.cores = Some(4), &[]);
}

#[test]
fn engines_are_known_and_there() {
    let missing = "--engines: onnxruntime is not available here: no libonnxruntime.so in /opt";
    let unknown = "--engines: \"tensorflow\" is none of fake, onnxruntime";
    check(|it| it.engines = some("onnxruntime,tensorflow,fake"), &[missing, unknown]);
    check(|it| it.engines = some(" "), &["--engines: the list is empty"]);
    check(|it| it.engines = some("auto"), &["--engines: \"auto\" is none of fake, onnxruntime"]);
}

#[test]
fn axes_have_one_length_each() {
    let axes = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
    let wrong = |it: &str| format!("--axis: {it:?} is not NAME=LENGTH, LENGTH from 1");
    for text in ["S", "S=0", "=3", "S=x"] {
        check(|it| it.axes = axes(&[text]), &[&wrong(text)]);
    }
    check(|it| it.axes = axes(&["S=1", "S=1"]), &[]);
    let contradicts = "--axis: S=2 contradicts another length of that axis";
    check(|it| it.axes = axes(&["S=1", "S=2"]), &[contradicts]);
}

#[test]
fn what_measures_nothing_writes_and_draws_nothing() {
    let written = "--write: --dry-run measures nothing, so there is nothing to write";
    let drawn = "--picture: --dry-run measures nothing, so there is nothing to draw";
    let change = |it: &mut Wishes| {
        (it.dry_run, it.write, it.picture) = (true, true, Some("here.svg".into()));
    };
    check(change, &[written, drawn]);
    let folder = "--picture: there is no folder /no/such/folder";
    check(|it| it.picture = Some("/no/such/folder/it.svg".into()), &[folder]);
    check(|it| it.picture = Some("/".into()), &["--picture: / is a folder"]);
}
