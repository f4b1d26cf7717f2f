//! Models and GPUs, through the whole lifecycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend_fake::Fake;
use server_base::Kind;
use server_serving::InferError;

use crate::config::LoadPolicy;
use crate::eviction::RESIDENCE;
use crate::house::{House, constant, house_of, house_on_gpus, house_with};
use crate::memory::LEAST;
use crate::placement::{Free, Gpu, Gpus, Survey};

/// Two GPUs with so much free memory.
fn two(first: &Arc<AtomicU64>, second: u64) -> Gpus {
    let first = Arc::clone(first);
    Gpus::new(move || {
        let gpu = |number, free| Gpu { number, name: "G".to_owned(), free: Free::Bytes(free) };
        Survey::Gpus(vec![gpu(0, first.load(Ordering::SeqCst)), gpu(1, second)])
    })
}

/// Where a model runs, as clients are told; `None`: on the processor.
fn device(house: &House, model: &str) -> Option<String> {
    let table = house.serving.table();
    let servable = table.servables().find(|it| it.model().as_str() == model).expect("a version");
    servable.plan().facts.get("device").cloned()
}

#[tokio::test]
async fn auto_takes_the_emptiest_gpu_or_the_processor() {
    for (first, second, expect) in
        [(2, 3, Some("cuda:1")), (3, 2, Some("cuda:0")), (0, 1, Some("cuda:1")), (0, 0, None)]
    {
        let free = Arc::new(AtomicU64::new(first * LEAST));
        let house = house_on_gpus(&[("m/1/model.fake", &constant(1))], |it| {
            it.gpus = two(&free, second * LEAST);
        });
        house.shows("m/1:AVAILABLE").await;
        assert_eq!(device(&house, "m").as_deref(), expect);
    }
}

/// A model whose instances are on two GPUs takes its weights' memory on both, also before it is there.
#[tokio::test]
async fn what_is_spread_is_promised_on_each_gpu() {
    let free = LEAST * 3 / 2;
    let slow = format!("{}load_waits\n", constant(1));
    let files = [("m/model.toml", "[instances]\ncount = 2\n"), ("m/1/model.fake", &*slow)];
    let house = house_of(Fake::new().on_gpus(2), &files, |it| {
        it.gpus = two(&Arc::new(AtomicU64::new(free)), free);
    });
    house.fake.loads().await_waiting(1);
    house.put("n/1/model.fake", &constant(2));
    house.shows("m/1:LOADING n/1:AVAILABLE").await;
    assert_eq!(device(&house, "n"), None, "no GPU has room for one more");
    house.fake.loads().open();
    house.shows("m/1:AVAILABLE n/1:AVAILABLE").await;
    assert_eq!(device(&house, "m").as_deref(), Some("cuda:0,cuda:1"));
}

/// A driver that hangs, or a processor's model that is large, concerns nobody else.
#[tokio::test]
async fn the_driver_is_not_asked_for_what_no_gpu_would_have() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let house = house_with(&[("m/1/model.fake", &constant(1))], |it| {
        it.gpus = Gpus::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Survey::Silent
        });
    });
    house.shows("m/1:AVAILABLE").await;
    house.put("n/model.toml", "device = \"cuda:0\"\n");
    house.put("n/1/model.fake", &constant(1));
    house.shows("m/1:AVAILABLE n/1:END").await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_has_no_room_is_refused_and_comes_when_there_is() {
    let free = Arc::new(AtomicU64::new(LEAST / 2));
    let files = [("m/model.toml", "device = \"cuda:0\"\n"), ("m/1/model.fake", &*constant(1))];
    let house = house_on_gpus(&files, |it| it.gpus = two(&free, LEAST));
    house.shows("m/1:END").await;
    let reason = "device cuda:0 has 0.5 MiB of memory free, and the model is estimated to take 1.0 MiB: \
                  there is room on cuda:1 (G, 1.0 MiB free); or device = \"auto\" or \"cpu\"";
    assert_eq!(house.reason(1), reason);
    assert_eq!(house.fake.loads_begun(), 0, "no engine was asked");
    free.store(LEAST, Ordering::SeqCst);
    house.clock.advance(Duration::from_secs(1));
    house.lifecycle.unload("nobody").await.expect("the manager lives");
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(device(&house, "m").as_deref(), Some("cuda:0"));
}

#[tokio::test]
async fn a_gpu_that_is_not_there_is_refused_with_those_that_are() {
    let free = Arc::new(AtomicU64::new(LEAST));
    let files = [("m/model.toml", "device = \"cuda:4\"\n"), ("m/1/model.fake", &*constant(1))];
    let house = house_on_gpus(&files, |it| it.gpus = two(&free, LEAST));
    house.shows("m/1:END").await;
    let reason = house.reason(1);
    assert!(reason.contains("no such GPU, it has cuda:0 (G, 1.0 MiB free), cuda:1"), "{reason}");
}

/// Runs until it is given 14; another model beside it.
const FRAGILE: &str = "input x FP32 rows,1\noutput y FP32 rows,1 = copy x\non 14 lose\n";

/// What a request with this number gets.
async fn ask(house: &House, model: &str, value: f32) -> Result<f32, InferError> {
    house.ask_value((model, ""), value).await
}

async fn turns(house: &House) {
    for _ in 0..3 {
        house.lifecycle.unload("nobody").await.expect("the manager lives");
    }
}

#[tokio::test]
async fn what_has_lost_its_device_goes_and_comes_again_elsewhere() {
    let files = [("m/1/model.fake", FRAGILE), ("other/1/model.fake", &*constant(7))];
    let free = Arc::new(AtomicU64::new(9 * LEAST));
    let house = house_on_gpus(&files, |it| it.gpus = two(&free, 8 * LEAST));
    house.shows("m/1:AVAILABLE other/1:AVAILABLE").await;
    assert_eq!(device(&house, "m").as_deref(), Some("cuda:0"));
    let error = ask(&house, "m", 14.0).await.expect_err("its device fails");
    assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Some(Duration::from_secs(1))));
    house.shows("m/1:END other/1:AVAILABLE").await;
    assert_eq!(house.reason(1), "device cuda:0 failed: the script fails on 14");
    let index = house.lifecycle.index();
    assert!(index.iter().any(|it| it.model.as_str() == "m" && it.is_tried_again), "{index:?}");
    let error = ask(&house, "m", 1.0).await.expect_err("nothing is loaded");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(ask(&house, "other", 1.0).await, Ok(7.0), "others serve on");

    turns(&house).await;
    assert_eq!(house.fake.loads_begun(), 2, "not before its pause is over");
    house.clock.advance(Duration::from_secs(1));
    house.shows("m/1:AVAILABLE other/1:AVAILABLE").await;
    assert_eq!(device(&house, "m").as_deref(), Some("cuda:1"), "not on the one that failed it");
    assert_eq!(ask(&house, "m", 3.0).await, Ok(3.0));
}

#[tokio::test]
async fn the_device_that_was_asked_for_is_tried_again_and_given_up() {
    let files = [("m/model.toml", "device = \"cuda:1\"\n"), ("m/1/model.fake", FRAGILE)];
    let free = Arc::new(AtomicU64::new(9 * LEAST));
    let house = house_on_gpus(&files, |it| it.gpus = two(&free, 8 * LEAST));
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        house.shows("m/1:AVAILABLE").await;
        assert_eq!(device(&house, "m").as_deref(), Some("cuda:1"));
        ask(&house, "m", 14.0).await.expect_err("its device fails");
        house.shows("m/1:END").await;
        turns(&house).await;
        house.clock.advance(Duration::from_secs(pause));
    }
    house.shows("m/1:AVAILABLE").await;
    ask(&house, "m", 14.0).await.expect_err("its device fails");
    house.shows("m/1:END").await;
    house.clock.advance(Duration::from_secs(3_600));
    turns(&house).await;
    assert_eq!(house.fake.loads_begun(), 9);
    assert!(house.lifecycle.index().iter().all(|it| !it.is_tried_again));
    // An operator may think otherwise.
    house.lifecycle.load("m").await.expect("loads");
    house.shows("m/1:AVAILABLE").await;
}

/// Nothing that is made up may be run: the device of version 2 fails whatever it gets.
#[tokio::test]
async fn what_serves_does_not_give_way_to_one_whose_device_has_failed() {
    let house = house_on_gpus(&[("m/1/model.fake", &*constant(1))], |_| {});
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", "input x FP32 rows,1\noutput y FP32 rows,1 = copy x\non 0 lose\n");
    house.shows("m/1:AVAILABLE m/2:END").await;
    let reason = house.reason(2);
    assert!(reason.contains("the device failed: the script fails on 0"), "{reason}");
    assert_eq!(ask(&house, "m", 3.0).await, Ok(1.0));
    let index = house.lifecycle.index();
    assert!(index.iter().any(|it| it.is_tried_again), "it may come right: {index:?}");
}

/// Whoever asks for it.
#[tokio::test]
async fn on_demand_it_is_tried_as_often_and_no_oftener() {
    let files = [("m/model.toml", "device = \"cuda:1\"\n"), ("m/1/model.fake", FRAGILE)];
    let free = Arc::new(AtomicU64::new(9 * LEAST));
    let house = house_on_gpus(&files, |it| {
        it.gpus = two(&free, 8 * LEAST);
        it.defaults.load = LoadPolicy::Lazy;
    });
    let milli = Duration::from_millis(1);
    for (before, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        house.is_registered("m").await;
        ask(&house, "m", 14.0).await.expect_err("its device fails");
        house.shows("m/1:END").await;
        house.clock.advance(Duration::from_secs(pause) - milli);
        turns(&house).await;
        let error = ask(&house, "m", 1.0).await.expect_err("its pause is not over");
        assert!(matches!(error, InferError::LoadFailed { .. }), "{error}");
        assert_eq!(house.fake.loads_begun() as usize, before + 1);
        house.clock.advance(milli);
    }
    house.is_registered("m").await;
    ask(&house, "m", 14.0).await.expect_err("its device fails");
    house.shows("m/1:END").await;
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(3_600));
        turns(&house).await;
        let error = ask(&house, "m", 1.0).await.expect_err("it is given up");
        assert!(matches!(error, InferError::LoadFailed { .. }), "{error}");
        assert_eq!(house.reason(1), "device cuda:1 failed: the script fails on 14");
    }
    assert_eq!(house.fake.loads_begun(), 9);
    house.lifecycle.load("m").await.expect("loads");
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(ask(&house, "m", 3.0).await, Ok(3.0));
}

/// Not even to be refused for what its device has done.
#[tokio::test]
async fn nobody_goes_for_what_is_given_up() {
    let files = [
        ("m/model.toml", "device = \"cuda:1\"\n"),
        ("m/1/model.fake", FRAGILE),
        ("other/1/model.fake", &*constant(7)),
    ];
    let free = Arc::new(AtomicU64::new(9 * LEAST));
    let house = house_on_gpus(&files, |it| {
        it.gpus = two(&free, 8 * LEAST);
        it.defaults.load = LoadPolicy::Lazy;
        it.loaded_models_max = Some(1);
    });
    for pause in [1, 2, 4, 8, 16, 32, 60, 60, 0] {
        house.is_registered("m").await;
        ask(&house, "m", 14.0).await.expect_err("its device fails");
        house.shows("m/1:END other/1:END").await;
        house.clock.advance(Duration::from_secs(pause));
    }
    house.lifecycle.unload("m").await.expect("the manager lives");
    house.is_registered("m").await;
    assert_eq!(ask(&house, "other", 1.0).await, Ok(7.0));
    house.clock.advance(RESIDENCE + Duration::from_secs(1));
    house.is_looked_at().await;
    let error = ask(&house, "m", 1.0).await.expect_err("it is given up");
    assert!(matches!(error, InferError::LoadFailed { .. }), "{error}");
    house.shows("m/1:END other/1:AVAILABLE").await;
}

/// Requests that name no version go to the one that is left.
#[tokio::test]
async fn another_version_answers_meanwhile() {
    let files = [
        ("m/model.toml", "version_policy = \"all\"\n"),
        ("m/1/model.fake", &*constant(1)),
        ("m/2/model.fake", FRAGILE),
    ];
    let house = house_on_gpus(&files, |_| {});
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(ask(&house, "m", 3.0).await, Ok(3.0));
    ask(&house, "m", 14.0).await.expect_err("its device fails");
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert_eq!(ask(&house, "m", 3.0).await, Ok(1.0));
}
