use server_rollout::RawPlan;

use super::*;

use crate::config::Defaults;
use crate::direction::Direction;
use crate::house::{constant, house};
use crate::policy::Transition;

fn parse(text: &str) -> Result<ModelConfig, Vec<String>> {
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        load: LoadPolicy::Eager,
        engines: Vec::new(),
    };
    ModelConfig::parse(text, &defaults)
}

#[test]
fn a_file_may_ask_for_rollouts() {
    assert_eq!(parse("").expect("good").rollout, None);
    let config = parse("[rollout]\nsteps = '10,100'\nshadow_rows = 0").expect("good");
    let expect =
        RawPlan { steps: Some("10,100".into()), shadow_rows: Some(0), ..RawPlan::default() };
    assert_eq!(config.rollout.as_deref(), expect.validate().ok().as_ref());
    let all_defaults = parse("version_policy = { specific = [3] }\n[rollout]").expect("good");
    assert_eq!(all_defaults.rollout.as_deref(), RawPlan::default().validate().ok().as_ref());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, part) in [
        ("rollout = 3", "rollout: "),
        ("[rollout]\nstep = '5,100'", "unknown field `step`"),
        ("[rollout]\nsteps = '50,5,100'", "steps: 5 % after 50 %"),
        ("version_policy = 'all'\n[rollout]", "expected a version_policy of one version"),
        ("version_policy = { latest = 2 }\n[rollout]", "expected a version_policy of one version"),
        ("[rollout]\n[traffic]\nweights = { 1 = 1 }", "expected no traffic.weights"),
        (
            "[rollout]\n[traffic]\nshadow = { version = 1, percent = 1 }",
            "expected no traffic.shadow",
        ),
        ("load = 'lazy'\n[rollout]", "expected load = \"eager\""),
    ] {
        let faults = parse(text).expect_err(text).join("; ");
        assert!(faults.contains(part), "{text}: {faults}");
    }
}

#[tokio::test]
async fn a_new_version_waits_for_its_rollout() {
    let house = house(&[("m/model.toml", "[rollout]\n"), ("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(house.lifecycle.declared()[0].version, Version(1));
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:END").await;
    let declared = house.lifecycle.declared();
    assert_eq!((declared.len(), declared[0].version), (1, Version(2)));
    assert_eq!(house.ask("").await, Ok(1.0));
    let wanted = [Version(1), Version(2)].into();
    let direction = Direction { wanted, weights: [(Version(1), 1)].into(), rollout: None };
    house.lifecycle.direct("m", Some(direction)).await.expect("it is there");
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(1.0), "it has no share yet");
}

#[tokio::test]
async fn a_direction_outlives_the_folder() {
    let house = house(&[("m/1/model.fake", &constant(1)), ("m/2/model.fake", &constant(2))]);
    house.shows("m/1:END m/2:AVAILABLE").await;
    let direction =
        Direction { wanted: [Version(1)].into(), weights: [(Version(1), 1)].into(), rollout: None };
    house.lifecycle.direct("m", Some(direction)).await.expect("it is there");
    house.shows("m/1:AVAILABLE m/2:END").await;
    std::fs::remove_dir_all(house.root.path().join("m")).expect("removed");
    house.shows("").await;
    house.put("m/1/model.fake", &constant(1));
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:END").await;
}

#[tokio::test]
async fn what_is_not_there_replaces_nothing() {
    let files = [("m/model.toml", "[rollout]\n"), ("m/1/model.fake", &*constant(1))];
    let house = house(&files);
    house.shows("m/1:AVAILABLE").await;
    // A direction to a version that is gone.
    let direction =
        Direction { wanted: [Version(9)].into(), weights: [(Version(9), 1)].into(), rollout: None };
    house.lifecycle.direct("m", Some(direction)).await.expect("it is there");
    assert_eq!(house.ask("").await, Ok(1.0));
    house.lifecycle.direct("m", None).await.expect("it is there");
    // A policy that comes before its version.
    house.put("m/model.toml", "version_policy = { specific = [2] }\n[rollout]\n");
    house.put("m/3/model.fake", &constant(3));
    house.shows("m/1:AVAILABLE m/3:END").await;
    assert_eq!(house.ask("").await, Ok(1.0));
}
