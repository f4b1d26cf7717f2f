use std::sync::Arc;

use server_base::Version;

use crate::direction::Direction;
use crate::handle::LifecycleError;
use crate::house::{constant, house};

#[tokio::test]
async fn models_are_loaded_and_unloaded_on_command() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.lifecycle.unload("m").await.expect("unloads");
    house.ask("").await.expect_err("out of the table before the command returns");
    house.shows("m/1:END").await;
    assert_eq!(house.reason(1), "unloaded");
    house.put("m/2/model.fake", &constant(2));
    house.lifecycle.load("m").await.expect("loads");
    assert_eq!(house.ask("").await, Ok(2.0));
    house.lifecycle.unload("nobody").await.expect("has been unloaded already");
    let unknown = house.lifecycle.load("nobody").await;
    assert_eq!(unknown, Err(LifecycleError::Unknown { model: "nobody".to_owned() }));
    house.lifecycle.load("../etc").await.expect_err("no name");
}

#[tokio::test]
async fn a_load_on_command_reports_failure_and_can_be_repeated() {
    let house = house(&[("m/1/model.fake", &format!("{}loads_failing 1\n", constant(1)))]);
    house.shows("m/1:END").await;
    house.lifecycle.load("m").await.expect("the second attempt succeeds");
    house.put("m/model.toml", "engine = \"onnxruntime\"");
    let error = house.lifecycle.load("m").await.expect_err("not here");
    assert!(
        error
            .to_string()
            .ends_with("engine onnxruntime is not available; the server's log says why"),
        "{error}"
    );
}

/// A model whose run on 0 hangs until the gate opens.
const HANGING: &str = "input x FP32 rows,1\noutput y FP32 rows,1 = copy x\non 0 hang\n";
const UNTOUCHED: &str = "[dynamic_batching]\nprobe_rows = false\n[warmup]\nbatch_sizes = []\n";

#[tokio::test]
async fn a_load_that_follows_an_unload_waits_for_the_model() {
    for transition in ["availability", "resources"] {
        let toml = format!("transition = \"{transition}\"\n{UNTOUCHED}");
        let house = Arc::new(house(&[("m/1/model.fake", HANGING), ("m/model.toml", &toml)]));
        house.shows("m/1:AVAILABLE").await;
        let asking = tokio::spawn({
            let house = Arc::clone(&house);
            async move { house.ask("").await }
        });
        tokio::task::yield_now().await;
        house.fake.hangs().await_waiting(1);
        house.lifecycle.unload("m").await.expect("unloads");
        house.shows("m/1:UNLOADING").await;
        // The old instance is still at work; the new one takes its place, at once or after it.
        let lifecycle = house.lifecycle.clone();
        let loading = tokio::spawn(async move { lifecycle.load("m").await });
        let meanwhile = if transition == "resources" {
            "m/1:UNLOADING m/1:START"
        } else {
            "m/1:UNLOADING m/1:AVAILABLE"
        };
        house.shows(meanwhile).await;
        house.fake.hangs().open();
        loading.await.expect("lives").expect("loads");
        assert_eq!(house.ask("").await, Ok(0.0), "{transition}");
        assert_eq!(asking.await.expect("lives"), Ok(0.0), "{transition}");
    }
}

/// What a load of model `m` of these files fails with.
async fn check_load_error(files: &[(&str, &str)], expect: &str) {
    let error = house(files).lifecycle.load("m").await.expect_err(expect).to_string();
    assert_eq!(error, format!("load failed for model 'm': {expect}"));
}

#[tokio::test]
async fn a_load_of_nothing_fails_and_says_why() {
    let nothing = "the folder holds no versions: <model>/<number>/";
    check_load_error(&[("m/notes.txt", "")], nothing).await;
    check_load_error(
        &[("m/1/notes.txt", "")],
        "version 1: no file that an engine reads (model.fake)",
    )
    .await;
    let specific = "version_policy = { specific = [9] }";
    check_load_error(
        &[("m/1/model.fake", &constant(1)), ("m/model.toml", specific)],
        "version_policy wants nothing but 9; version 1: not wanted by the version policy",
    )
    .await;
}

fn direction(wanted: &[u64], weights: &[(u64, u32)]) -> Direction {
    Direction {
        wanted: wanted.iter().map(|it| Version(*it)).collect(),
        weights: weights.iter().map(|(it, weight)| (Version(*it), *weight)).collect(),
        rollout: None,
    }
}

#[tokio::test]
async fn a_rollout_directs_a_model_over_its_file() {
    let (one, two) = (constant(1), constant(2));
    let house = house(&[("m/1/model.fake", &one), ("m/2/model.fake", &two)]);
    house.shows("m/1:END m/2:AVAILABLE").await;
    let both = direction(&[1, 2], &[(1, 1)]);
    house.lifecycle.direct("m", Some(both)).await.expect("directs");
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(1.0), "all weight is on the first");
    assert_eq!(house.ask("2").await, Ok(2.0));
    let shared = direction(&[1, 2], &[(1, 1), (2, 1)]);
    house.lifecycle.direct("m", Some(shared)).await.expect("directs");
    let mut seen = [false; 2];
    while seen != [true; 2] {
        let answer = house.ask("").await.expect("answers");
        seen[usize::from(answer == 2.0)] = true;
    }
    house.lifecycle.direct("m", None).await.expect("lets go");
    house.shows("m/1:END m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(2.0));
    let unknown = house.lifecycle.direct("nobody", None).await;
    assert_eq!(unknown, Err(LifecycleError::Unknown { model: "nobody".to_owned() }));
}
