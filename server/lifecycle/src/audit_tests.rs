use std::time::Duration;

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
    let by = std::time::Instant::now() + Duration::from_secs(20);
    assert!(house.lifecycle.stop(by));
    assert_eq!(next(&records), "2 unloaded true shutdown");
    assert!(records.recv_timeout(Duration::from_secs(20)).is_err(), "that was the last");
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
