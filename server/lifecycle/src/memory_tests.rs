//! Models and the memory that they may take, through the whole lifecycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use server_base::Kind;
use server_serving::{InferError, Scarce};

use crate::config::LoadPolicy;
use crate::eviction::RESIDENCE;
use crate::house::{House, constant, house_with};
use crate::memory::{Gauge, LEAST};

const LAZY: &str = "load = \"lazy\"\n";

/// Models `a`, `b`, `c`, loaded on demand; room for so many models of the least size.
fn lazy(room: u64) -> House {
    let (a, b, c) = (constant(1), constant(2), constant(3));
    let files = [("a/1/model.fake", &*a), ("b/1/model.fake", &*b), ("c/1/model.fake", &*c)];
    house_with(&files, |it| {
        it.defaults.load = LoadPolicy::Lazy;
        it.model_memory_max = Some(room * LEAST);
    })
}

async fn ask(house: &House, model: &str) -> Result<f32, InferError> {
    house.ask_model(model, "", None).await
}

#[tokio::test]
async fn who_was_used_least_recently_makes_room() {
    let house = lazy(2);
    house.is_ready().await;
    assert_eq!((ask(&house, "a").await, ask(&house, "b").await), (Ok(1.0), Ok(2.0)));
    house.clock.advance(RESIDENCE + Duration::from_secs(1));
    house.is_looked_at().await;
    assert_eq!(ask(&house, "a").await, Ok(1.0));
    assert_eq!(ask(&house, "c").await, Ok(3.0));
    house.shows("a/1:AVAILABLE b/1:END c/1:AVAILABLE").await;
}

#[tokio::test]
async fn what_never_fits_is_refused_and_nobody_goes_for_it() {
    let house = lazy(1);
    house.put("big/1/model.fake", &constant(9));
    house.put("big/1/weights", &"w".repeat(usize::try_from(2 * LEAST).expect("small")));
    house.shows("a/1:END b/1:END big/1:END c/1:END").await;
    assert_eq!(ask(&house, "a").await, Ok(1.0));
    house.clock.advance(RESIDENCE * 2);
    let error = ask(&house, "big").await.expect_err("twice what there is");
    let InferError::NoRoom { scarce: Scarce::Memory { needed, max }, .. } = error else {
        panic!("{error}")
    };
    assert!(needed > 2 * LEAST && max == LEAST, "{error}");
    assert_eq!(error.kind(), Kind::Overloaded);
    assert!(error.to_string().contains("it takes about 3 MiB"), "{error}");
    house.shows("a/1:AVAILABLE b/1:END big/1:END c/1:END").await;
}

#[tokio::test]
async fn what_is_always_there_comes_before_what_comes_and_goes() {
    let house = lazy(2);
    house.is_ready().await;
    assert_eq!((ask(&house, "a").await, ask(&house, "b").await), (Ok(1.0), Ok(2.0)));
    house.clock.advance(RESIDENCE * 2);
    house.put("m/model.toml", "load = \"eager\"\n");
    house.put("m/1/model.fake", &constant(7));
    house.is_looked_at().await;
    house.shows("a/1:END b/1:AVAILABLE c/1:END m/1:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(7.0));
}

#[tokio::test]
async fn a_load_that_finds_no_memory_fails_and_is_tried_again() {
    let files = [
        ("m/1/model.fake", &*constant(1)),
        ("n/model.toml", LAZY),
        ("n/1/model.fake", &constant(2)),
    ];
    let house = house_with(&files, |it| it.model_memory_max = Some(LEAST));
    house.shows("m/1:AVAILABLE n/1:END").await;
    // The next version is loaded before the old one goes: twice the memory.
    house.put("m/2/model.fake", &constant(3));
    house.says(2, |it| it.contains("no room: it takes about 1 MiB")).await;
    assert_eq!(house.ask("").await, Ok(1.0), "the one that answers is not touched");
}

#[tokio::test]
async fn where_the_old_goes_first_there_is_room_for_the_next() {
    let files =
        [("m/model.toml", "transition = \"resources\"\n"), ("m/1/model.fake", &*constant(1))];
    let house = house_with(&files, |it| it.model_memory_max = Some(LEAST));
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", &constant(3));
    house.shows("m/1:END m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(3.0));
}

#[tokio::test]
async fn what_a_load_took_counts_the_next_time() {
    // The process grows by three models' worth with each look.
    let size = Arc::new(AtomicU64::new(0));
    let gauge = Gauge::new(move || Some(size.fetch_add(3 * LEAST, Ordering::SeqCst)));
    let files = [("a/1/model.fake", &*constant(1)), ("b/1/model.fake", &constant(2))];
    let house = house_with(&files, |it| {
        it.defaults.load = LoadPolicy::Lazy;
        it.model_memory_max = Some(4 * LEAST);
        it.memory = gauge;
    });
    house.is_ready().await;
    assert_eq!(ask(&house, "a").await, Ok(1.0));
    assert_eq!(ask(&house, "b").await, Ok(2.0), "nothing was known of it");
    house.clock.advance(RESIDENCE * 2);
    house.is_looked_at().await;
    house.shows("a/1:END b/1:AVAILABLE").await;
    assert_eq!(ask(&house, "a").await, Ok(1.0));
    house.shows("a/1:AVAILABLE b/1:END").await;
}
