use std::sync::Arc;
use std::time::Duration;

use server_base::{Kind, VersionChoice};
use server_serving::{InferError, Scarce};

use crate::config::LoadPolicy;
use crate::eviction::RESIDENCE;
use crate::house::{House, constant, house_with};

const REGISTERED: &str = "registered; loads on first request";

/// Models that are loaded on demand.
fn lazy(files: &[(&str, &str)]) -> House {
    house_with(files, |it| it.defaults.load = LoadPolicy::Lazy)
}

/// The same, so many of them at a time.
fn narrow(loaded_max: usize, files: &[(&str, &str)]) -> House {
    house_with(files, |it| {
        it.defaults.load = LoadPolicy::Lazy;
        it.loaded_models_max = Some(loaded_max);
    })
}

fn waiting(script: &str) -> String {
    format!("{script}load_waits\n")
}

/// Asks on a task of its own.
fn asking(house: &Arc<House>, model: &'static str) -> tokio::task::JoinHandle<Asked> {
    let house = Arc::clone(house);
    tokio::spawn(async move { house.ask_model(model, "", None).await })
}

type Asked = Result<f32, InferError>;

/// Lets tasks and the manager go on until so many requests wait for the model.
async fn waits(house: &House, model: &str, count: usize) {
    let demand = || house.serving.table().model(model)?.on_demand().map(|it| it.demand.waiting());
    let wait = async {
        while demand().unwrap_or(0) != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("they come");
}

#[tokio::test]
async fn nothing_is_loaded_before_the_first_request() {
    let house = lazy(&[("m/1/model.fake", &constant(1)), ("m/2/model.fake", &constant(2))]);
    house.is_ready().await;
    assert_eq!(house.shown(), "m/1:END m/2:END");
    assert_eq!(
        (house.reason(1).as_str(), house.reason(2).as_str()),
        ("not wanted by the version policy", REGISTERED)
    );
    assert!(house.fake.runs().is_empty());
    assert_eq!(house.ask("").await, Ok(2.0));
    assert_eq!(house.shown(), "m/1:END m/2:AVAILABLE");
    assert_eq!(house.ask("1").await.expect_err("not wanted").kind(), Kind::Unavailable);
    assert_eq!(house.ask("9").await.expect_err("not there").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_version_that_is_not_wanted_loads_nothing() {
    let house = lazy(&[("m/1/model.fake", &constant(1)), ("m/2/model.fake", &constant(2))]);
    house.is_ready().await;
    assert_eq!(house.ask("1").await.expect_err("not wanted").kind(), Kind::Unavailable);
    assert_eq!(house.ask("9").await.expect_err("not there").kind(), Kind::NotFound);
    assert_eq!(house.shown(), "m/1:END m/2:END");
}

#[tokio::test]
async fn a_hundred_first_requests_are_one_load() {
    // A second load would fail, and be seen.
    let house = Arc::new(lazy(&[("m/1/model.fake", &waiting(&constant(1)))]));
    house.is_ready().await;
    let asked: Vec<_> = (0..100).map(|_| asking(&house, "m")).collect();
    waits(&house, "m", 100).await;
    house.fake.loads().await_waiting(1);
    house.fake.loads().open();
    for it in asked {
        assert_eq!(it.await.expect("lives"), Ok(1.0));
    }
    assert_eq!(house.fake.loads_begun(), 1);
    waits(&house, "m", 0).await;
}

#[tokio::test]
async fn no_more_may_wait_than_may_queue() {
    let toml = "[dynamic_batching]\nmax_queue_size = 2\n";
    let house = [("m/1/model.fake", &*waiting(&constant(1))), ("m/model.toml", toml)];
    let house = Arc::new(lazy(&house));
    house.is_ready().await;
    let asked = [asking(&house, "m"), asking(&house, "m")];
    waits(&house, "m", 2).await;
    let refused = house.ask("").await;
    let expect = InferError::WaitFull { model: "m".to_owned(), waiting_max: 2 };
    assert_eq!(refused, Err(expect));
    house.fake.loads().open();
    for it in asked {
        assert_eq!(it.await.expect("lives"), Ok(1.0));
    }
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_not_the_load() {
    let house = lazy(&[("m/1/model.fake", &waiting(&constant(1)))]);
    house.is_ready().await;
    let soon = Some(Duration::from_millis(1));
    let expired = house.ask_model("m", "", soon).await.expect_err("it takes longer");
    assert_eq!(expired.kind(), Kind::Expired);
    house.fake.loads().await_waiting(1);
    house.shows("m/1:LOADING").await;
    house.fake.loads().open();
    house.shows("m/1:AVAILABLE").await;
    assert_eq!((house.ask("").await, house.fake.loads_begun()), (Ok(1.0), 1));
}

#[tokio::test]
async fn a_failed_load_says_why_and_is_tried_again_after_a_pause() {
    let house = lazy(&[("m/1/model.fake", &format!("{}loads_failing 2\n", constant(1)))]);
    house.is_ready().await;
    // Each failure makes the next pause longer.
    for (n, pause_s) in [(1, 1), (2, 2)] {
        for _ in 0..3 {
            let error = house.ask("").await.expect_err("it fails");
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(
                error.to_string().ends_with("version 1: cannot read the model: the script says so"),
                "{error}"
            );
            assert!(error.retry().is_some());
        }
        assert_eq!(house.fake.loads_begun(), n, "not tried again at once");
        house.clock.advance(Duration::from_millis(pause_s * 1_000 - 1));
        house.ask("").await.expect_err("not yet");
        house.clock.advance(Duration::from_millis(1));
        house.is_registered("m").await;
    }
    assert_eq!((house.ask("").await, house.fake.loads_begun()), (Ok(1.0), 3));
}

#[tokio::test]
async fn mended_content_ends_the_pause() {
    let house = lazy(&[("m/1/model.fake", "nonsense")]);
    house.is_ready().await;
    house.ask("").await.expect_err("nonsense");
    house.says(1, |it| it.contains("is no statement")).await;
    house.put("m/1/model.fake", &constant(3));
    house.says(1, |it| it == REGISTERED).await;
    assert_eq!(house.ask("").await, Ok(3.0));
}

#[tokio::test]
async fn a_broken_newest_version_leaves_the_one_before() {
    let house = lazy(&[("m/1/model.fake", &constant(1)), ("m/2/model.fake", "nonsense")]);
    house.is_ready().await;
    assert_eq!(house.ask("").await, Ok(1.0));
    assert_eq!(house.shown(), "m/1:AVAILABLE m/2:END");
}

#[tokio::test]
async fn a_faulty_file_is_no_promise() {
    let house = lazy(&[("m/1/model.fake", &constant(1)), ("m/model.toml", "load = \"never\"")]);
    house.is_ready().await;
    assert_eq!(house.ask("").await.expect_err("faulty").kind(), Kind::Unavailable);
    let expect = "load: \"never\" is none of eager, lazy";
    assert_eq!(house.reason(1), expect);
}

#[tokio::test]
async fn a_file_says_otherwise() {
    let house = lazy(&[("m/1/model.fake", &constant(1)), ("m/model.toml", "load = \"eager\"")]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/model.toml", "load = \"lazy\"\nversion_policy = \"all\"");
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await; // what is loaded stays, and is kept up
    house.lifecycle.unload("m").await.expect("unloads");
    house.says(1, |it| it == REGISTERED).await;
}

#[tokio::test]
async fn commands_load_and_unload_what_is_lazy() {
    let house = lazy(&[("m/1/model.fake", &constant(1))]);
    house.is_ready().await;
    house.lifecycle.load("m").await.expect("loads");
    assert_eq!(house.shown(), "m/1:AVAILABLE");
    house.lifecycle.unload("m").await.expect("unloads");
    house.says(1, |it| it == REGISTERED).await;
    assert_eq!(house.ask("").await, Ok(1.0), "and the next request loads it again");
    // One that comes with its command is loaded by it.
    house.put("n/1/model.fake", &constant(2));
    house.lifecycle.load("n").await.expect("loads");
    house.shows("m/1:AVAILABLE n/1:AVAILABLE").await;
}

#[tokio::test]
async fn a_command_that_fails_says_why() {
    let house = lazy(&[("m/1/model.fake", "nonsense")]);
    house.is_ready().await;
    let error = house.lifecycle.load("m").await.expect_err("nonsense").to_string();
    assert!(
        error.ends_with("version 1: cannot read the model: line 1: \"nonsense\" is no statement"),
        "{error}"
    );
}

#[tokio::test]
async fn a_model_that_vanishes_leaves_nobody_waiting() {
    let house = Arc::new(lazy(&[("m/1/model.fake", &waiting(&constant(1)))]));
    house.is_ready().await;
    let asked = asking(&house, "m");
    waits(&house, "m", 1).await;
    house.fake.loads().await_waiting(1);
    std::fs::remove_dir_all(house.root.path().join("m")).expect("remove");
    let error = asked.await.expect("lives").expect_err("gone");
    assert_eq!(error.kind(), Kind::Unavailable);
    house.fake.loads().open();
    house.shows("").await;
    assert_eq!(house.ask("").await.expect_err("gone").kind(), Kind::NotFound);
}

const AB: [&str; 2] = ["a", "b"];

fn two(loaded_max: usize, script: &str) -> House {
    narrow(loaded_max, &[("a/1/model.fake", script), ("b/1/model.fake", script)])
}

#[tokio::test]
async fn the_newcomer_takes_the_place_of_who_was_used_last() {
    let script = constant(1);
    let files = ["a", "b", "c"].map(|it| format!("{it}/1/model.fake"));
    let house = narrow(2, &files.each_ref().map(|it| (it.as_str(), script.as_str())));
    house.is_ready().await;
    for model in ["a", "b"] {
        assert_eq!(house.ask_model(model, "", None).await, Ok(1.0));
    }
    house.clock.advance(RESIDENCE + Duration::from_secs(1));
    house.is_looked_at().await;
    assert_eq!(house.ask_model("a", "", None).await, Ok(1.0), "a is used, b is not");
    assert_eq!(house.ask_model("c", "", None).await, Ok(1.0));
    house.shows("a/1:AVAILABLE b/1:END c/1:AVAILABLE").await;
    // It comes back as it came, and then the other has to go: c has not stayed long enough.
    house.clock.advance(Duration::from_secs(2));
    assert_eq!(house.ask_model("b", "", None).await, Ok(1.0));
    house.shows("a/1:END b/1:AVAILABLE c/1:AVAILABLE").await;
}

#[tokio::test]
async fn nobody_goes_before_its_time() {
    let house = two(1, &constant(1));
    house.is_ready().await;
    assert_eq!(house.ask_model("a", "", None).await, Ok(1.0));
    let error = house.ask_model("b", "", None).await.expect_err("a has just come");
    assert_eq!(error.kind(), Kind::Overloaded);
    assert!(matches!(error, InferError::NoRoom { scarce: Scarce::Models(1), .. }), "{error}");
    assert_eq!((house.shown().as_str(), house.fake.loads_begun()), ("a/1:AVAILABLE b/1:END", 1));
    house.clock.advance(RESIDENCE);
    house.is_registered("b").await;
    assert_eq!(house.ask_model("b", "", None).await, Ok(1.0));
    house.shows("a/1:END b/1:AVAILABLE").await;
}

#[tokio::test]
async fn who_was_loaded_by_command_stays() {
    let house = two(1, &constant(1));
    house.is_ready().await;
    house.lifecycle.load("a").await.expect("loads");
    house.clock.advance(RESIDENCE * 9);
    let error = house.ask_model("b", "", None).await.expect_err("a stays");
    assert_eq!(error.kind(), Kind::Overloaded);
    house.lifecycle.load("b").await.expect("a command is not refused");
    house.shows("a/1:AVAILABLE b/1:AVAILABLE").await;
}

/// A model whose run on 0 hangs until the gate opens.
const HANGING: &str = "input x FP32 rows,1\noutput y FP32 rows,1 = copy x\non 0 hang\n";

#[tokio::test]
async fn requests_inside_are_answered_and_the_newcomer_waits_for_the_place() {
    let toml = "[dynamic_batching]\nprobe_rows = false\n[warmup]\nbatch_sizes = []\n";
    let house = Arc::new(narrow(
        1,
        &[("a/1/model.fake", HANGING), ("a/model.toml", toml), ("b/1/model.fake", &constant(1))],
    ));
    house.is_ready().await;
    let inside = asking(&house, "a");
    house.shows("a/1:AVAILABLE b/1:END").await;
    tokio::task::yield_now().await;
    house.fake.hangs().await_waiting(1);
    house.clock.advance(RESIDENCE);
    let newcomer = asking(&house, "b");
    house.shows("a/1:UNLOADING b/1:END").await;
    let again = asking(&house, "a");
    waits(&house, "a", 1).await;
    assert!(!newcomer.is_finished(), "the place is not free yet");
    house.fake.hangs().open();
    assert_eq!(inside.await.expect("lives"), Ok(0.0), "nothing is lost");
    assert_eq!(newcomer.await.expect("lives"), Ok(1.0));
    // Who comes back waits behind the newcomer, which has its time.
    let error = again.await.expect("lives").expect_err("b has just come");
    assert_eq!(error.kind(), Kind::Overloaded);
}

#[tokio::test]
async fn a_load_that_fails_while_the_old_one_drains_says_why() {
    let toml = "[dynamic_batching]\nprobe_rows = false\n[warmup]\nbatch_sizes = []\n";
    let house = Arc::new(lazy(&[("m/1/model.fake", HANGING), ("m/model.toml", toml)]));
    house.is_ready().await;
    let inside = asking(&house, "m");
    house.shows("m/1:AVAILABLE").await;
    tokio::task::yield_now().await;
    house.fake.hangs().await_waiting(1);
    house.lifecycle.unload("m").await.expect("unloads");
    house.shows("m/1:UNLOADING").await;
    house.put("m/1/model.fake", "nonsense");
    house.lifecycle.load("nobody").await.expect_err("but the folder has been looked at");
    let failed = house.ask("").await.expect_err("nonsense");
    assert!(matches!(failed, InferError::LoadFailed { .. }), "{failed}");
    assert!(failed.to_string().contains("is no statement") && failed.retry().is_some());
    assert!(!inside.is_finished(), "the old one drains still");
    house.fake.hangs().open();
    assert_eq!(inside.await.expect("lives"), Ok(0.0), "nothing is lost");
}

#[tokio::test]
async fn the_idle_are_unloaded() {
    let toml = "idle_unload_s = 60";
    let house = lazy(&[("m/1/model.fake", &constant(1)), ("m/model.toml", toml)]);
    house.is_ready().await;
    assert_eq!(house.ask("").await, Ok(1.0));
    house.clock.advance(Duration::from_secs(50));
    house.is_looked_at().await;
    assert_eq!(house.ask("").await, Ok(1.0));
    house.clock.advance(Duration::from_secs(50));
    house.is_looked_at().await;
    assert_eq!(house.shown(), "m/1:AVAILABLE", "it was used meanwhile");
    house.clock.advance(Duration::from_secs(61));
    house.says(1, |it| it == REGISTERED).await;
    assert_eq!(house.ask("").await, Ok(1.0));
}

#[tokio::test]
async fn nothing_is_loaded_for_those_who_have_gone() {
    let house = Arc::new(two(1, &constant(1)));
    house.is_ready().await;
    for model in AB {
        let asked = asking(&house, model);
        asked.abort();
        let _ = asked.await;
    }
    assert_eq!(house.ask_model("a", "", None).await, Ok(1.0));
    assert_eq!(house.shown(), "a/1:AVAILABLE b/1:END");
}

#[tokio::test]
async fn strict_readiness_counts_what_would_answer() {
    let files = [("m/1/model.fake", &*constant(1)), ("n/notes.txt", "")];
    for (count, ready) in [(1, true), (2, false)] {
        let house = house_with(&files[..count], |it| {
            it.defaults.load = LoadPolicy::Lazy;
            it.strict_readiness = true;
        });
        house.is_looked_at().await;
        assert_eq!(house.lifecycle.readiness().is_ready(), ready);
        assert!(
            house.serving.table().route("m", &VersionChoice::Any).is_err(),
            "nothing is loaded"
        );
    }
}
