use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::audit::{Audit, By, Done, Record};
use crate::config::LoadPolicy;
use crate::house::{House, constant, house_with, put};
use crate::start::Options;

fn heard(files: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> (House, Receiver<Record>) {
    let (audit, records) = Audit::channel();
    let house = house_with(files, |it| {
        it.audit = audit;
        change(it);
    });
    (house, records)
}

/// Waits for the next record: `version event by`, and that of content there is a digest.
#[track_caller]
fn next(records: &Receiver<Record>) -> String {
    let record = records.recv_timeout(Duration::from_secs(20)).expect("something is done");
    assert!(record.digest.as_ref().is_some_and(|it| it.starts_with("sha256:")), "{record:?}");
    let done = match &record.done {
        Done::Loaded { .. } => "loaded".to_owned(),
        Done::Refused { rule, again, .. } => format!("refused {rule:?} {again:?}"),
        Done::Unloaded { clean } => format!("unloaded {clean}"),
    };
    format!("{} {done} {}", record.version, record.by.label())
}

#[test]
fn every_load_and_unload_is_told_with_who_wanted_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let (house, records) = heard(&[("m/1/model.fake", &constant(1))], |_| {});
    assert_eq!(next(&records), "1 loaded repository");
    house.put("m/2/model.fake", &constant(2));
    assert_eq!(next(&records), "2 loaded repository");
    assert_eq!(next(&records), "1 unloaded true repository");
    runtime.block_on(house.lifecycle.unload("m")).expect("unloads");
    assert_eq!(next(&records), "2 unloaded true command");
    runtime.block_on(house.lifecycle.load("m")).expect("loads");
    assert_eq!(next(&records), "2 loaded command");
    let by = Instant::now() + Duration::from_secs(20);
    assert!(house.lifecycle.stop(by));
    assert_eq!(next(&records), "2 unloaded true shutdown");
    assert!(records.recv_timeout(Duration::from_secs(20)).is_err(), "that was the last");
}

/// A version whose run hangs until the test says so, asked that.
async fn hanging(change: impl FnOnce(&mut Options)) -> (Arc<House>, Receiver<Record>) {
    let script = "input x FP32 rows,1\noutput y FP32 rows,1 = copy x\non 0 hang\n";
    let toml = "[dynamic_batching]\nprobe_rows = false\n[warmup]\nbatch_sizes = []\n";
    let (house, records) = heard(&[("m/1/model.fake", script), ("m/model.toml", toml)], change);
    assert_eq!(next(&records), "1 loaded repository");
    house.shows("m/1:AVAILABLE").await;
    let house = Arc::new(house);
    tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.ask("").await }
    });
    tokio::task::yield_now().await;
    house.fake.hangs().await_waiting(1);
    (house, records)
}

#[tokio::test]
async fn the_end_waits_for_what_is_being_unloaded() {
    let (house, records) = hanging(|_| {}).await;
    house.put("m/2/model.fake", &constant(2));
    assert_eq!(next(&records), "2 loaded repository");
    house.shows("m/1:UNLOADING m/2:AVAILABLE").await;
    let lifecycle = house.lifecycle.clone();
    let stopped = thread::spawn(move || lifecycle.stop(Instant::now() + Duration::from_secs(20)));
    // It stops by now, and has closed what is left.
    while house.serving.table().model("m").is_some() {
        thread::yield_now();
    }
    house.fake.hangs().open();
    assert!(stopped.join().expect("no panics"), "all was answered");
    let mut ends = [next(&records), next(&records)];
    ends.sort();
    assert_eq!(ends, ["1 unloaded true repository", "2 unloaded true shutdown"]);
}

#[tokio::test]
async fn what_is_still_being_unloaded_at_the_end_is_left_behind() {
    let (house, records) = hanging(|_| {}).await;
    house.lifecycle.unload("m").await.expect("unloads");
    assert!(!house.lifecycle.stop(Instant::now() + Duration::from_millis(1)), "a run hangs");
    assert_eq!(next(&records), "1 unloaded false command");
    house.fake.hangs().open();
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_load_that_an_unload_waits_for() {
    let (house, records) = heard(&[("m/1/model.fake", &constant(1))], |it| it.loader_threads = 1);
    assert_eq!(next(&records), "1 loaded repository");
    house.put("n/1/model.fake", &format!("{}load_waits\n", constant(1)));
    house.fake.loads().await_waiting(1);
    house.lifecycle.unload("m").await.expect("the table is without it");
    assert!(house.lifecycle.stop(Instant::now() + Duration::from_secs(20)), "nothing runs");
    assert_eq!(next(&records), "1 unloaded true command");
    house.fake.loads().open();
}

#[test]
fn refusals_and_retries_are_told_with_their_reason() {
    let failing = format!("{}loads_starving 1\n", constant(1));
    let (house, records) = heard(&[("m/1/model.fake", &failing)], |_| {});
    assert_eq!(next(&records), "1 refused None Some(1s) repository");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(next(&records), "1 loaded retry");
    let card = "flavors: {sklearn: {}}\n";
    put(house.root.path(), "p/1/MLmodel", card);
    assert_eq!(next(&records), "1 refused Some(\"flavor\") None repository");
}

#[tokio::test]
async fn what_requests_load_is_told_as_theirs() {
    let (house, records) =
        heard(&[("m/1/model.fake", &constant(1))], |it| it.defaults.load = LoadPolicy::Lazy);
    house.is_ready().await;
    assert_eq!(house.ask("").await, Ok(1.0));
    assert_eq!(next(&records), "1 loaded request");
    house.lifecycle.unload("m").await.expect("unloads");
    assert_eq!(next(&records), "1 unloaded true command");
}

#[test]
fn the_same_content_has_the_same_digest() {
    let (_house, records) =
        heard(&[("a/1/model.fake", &constant(1)), ("b/7/model.fake", &constant(1))], |_| {});
    let digest = || records.recv_timeout(Duration::from_secs(20)).expect("a load").digest;
    let (one, other) = (digest(), digest());
    assert!(one.is_some());
    assert_eq!(one, other);
}

#[test]
fn a_listener_that_does_not_keep_up_is_not_waited_for() {
    let (house, records) = heard(&[("m/1/model.fake", &constant(1))], |_| {});
    drop(records);
    house.put("m/2/model.fake", &constant(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(house.shows("m/1:END m/2:AVAILABLE"));
    assert_eq!(By::Room.label(), "room");
}

#[tokio::test]
async fn what_is_loaded_is_known_where_that_is_wanted() {
    for digests in [true, false] {
        let house = house_with(&[("m/1/model.fake", &constant(1))], |it| it.digests = digests);
        house.shows("m/1:AVAILABLE").await;
        let expect = crate::digest(&house.root.path().join("m/1")).expect("readable");
        let index = house.lifecycle.index();
        let known: Vec<_> = index.iter().map(|it| it.digest.clone()).collect();
        assert_eq!(known, [digests.then_some(expect)]);
    }
}
