//! A version that was replaced and stays loaded for a roll-back, through the whole lifecycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use server_base::Version;

use crate::audit::{Audit, By, Done};
use crate::config::LoadPolicy;
use crate::direction::Direction;
use crate::eviction::RESIDENCE;
use crate::house::{House, constant, house, house_on_gpus, house_with};
use crate::memory::LEAST;

const KEEPING: &str = "rollback_window_s = 60\n";

/// A model `m` whose version 2 has taken over from version 1, which is kept.
async fn swapped(house: &House) {
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(warm(house), [1]);
}

fn keeping() -> House {
    house(&[("m/model.toml", KEEPING), ("m/1/model.fake", &constant(1))])
}

/// Versions that are kept, as operators see it.
fn warm(house: &House) -> Vec<u64> {
    let index = house.lifecycle.index();
    index.iter().filter(|it| it.is_warm).filter_map(|it| Some(it.version?.0)).collect()
}

/// What part of the requests that name no version each has.
fn shares(house: &House) -> Vec<(u64, f64)> {
    let table = house.serving.table();
    let shares = table.model("m").expect("known").shares();
    shares.into_iter().map(|(version, it)| (version.0, it)).collect()
}

fn direction(wanted: &[u64], weights: &[(u64, u32)]) -> Direction {
    let wanted: BTreeSet<Version> = wanted.iter().copied().map(Version).collect();
    let weights: BTreeMap<Version, u32> =
        weights.iter().map(|(it, weight)| (Version(*it), *weight)).collect();
    Direction { wanted, weights, rollout: None }
}

#[tokio::test]
async fn it_answers_those_who_name_it_until_its_time_is_over() {
    let house = keeping();
    swapped(&house).await;
    assert_eq!((house.ask("").await, house.ask("1").await), (Ok(2.0), Ok(1.0)));
    house.clock.advance(Duration::from_secs(58));
    house.is_looked_at().await;
    assert_eq!(house.shown(), "m/1:AVAILABLE m/2:AVAILABLE");
    house.clock.advance(Duration::from_secs(2));
    house.is_looked_at().await;
    house.shows("m/1:END m/2:AVAILABLE").await;
    assert_eq!((house.ask("").await, warm(&house)), (Ok(2.0), vec![]));
}

#[tokio::test]
async fn the_way_back_is_no_load() {
    let house = keeping();
    swapped(&house).await;
    // The one that was gone away from is kept in turn, though it is the newer one.
    house.put("m/model.toml", &format!("{KEEPING}version_policy = {{ specific = [1] }}\n"));
    house.says_warm(&[2]).await;
    assert_eq!((house.ask("").await, house.ask("2").await), (Ok(1.0), Ok(2.0)));
    house.put("m/model.toml", &format!("{KEEPING}version_policy = {{ specific = [2] }}\n"));
    house.says_warm(&[1]).await;
    assert_eq!((house.ask("").await, house.fake.loads_begun()), (Ok(2.0), 2));
    // Nor where the newer one is taken away.
    house.put("m/model.toml", KEEPING);
    fs::remove_dir_all(house.root.path().join("m/2")).expect("removed");
    house.shows("m/1:AVAILABLE").await;
    assert_eq!((house.ask("").await, house.fake.loads_begun()), (Ok(1.0), 2));
    assert_eq!(warm(&house), [0_u64; 0], "of what is gone nothing is kept");
}

#[tokio::test]
async fn no_signature_has_to_be_like_that_of_what_does_not_answer() {
    let wanted = |it: &str| format!("{KEEPING}version_policy = {{ specific = {it} }}\n");
    let house = house(&[
        ("m/model.toml", &wanted("[1, 2]")),
        ("m/1/model.fake", &constant(1)),
        ("m/2/model.fake", "input z FP32 rows,1\noutput y FP32 rows,1 = constant 2\n"),
    ]);
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    house.put("m/model.toml", &wanted("[1]"));
    house.says_warm(&[2]).await;
    house.is_looked_at().await; // time passes: it is not the one that is replaced last
    house.put("m/3/model.fake", &constant(3));
    house.put("m/model.toml", &wanted("[3]"));
    house.shows("m/1:AVAILABLE m/2:END m/3:AVAILABLE").await;
    assert_eq!((house.ask("").await, warm(&house)), (Ok(3.0), vec![1]));
}

#[tokio::test]
async fn one_is_kept_at_most() {
    let house = keeping();
    swapped(&house).await;
    house.put("m/3/model.fake", &constant(3));
    house.shows("m/1:END m/2:AVAILABLE m/3:AVAILABLE").await;
    assert_eq!((warm(&house), house.ask("").await), (vec![2], Ok(3.0)));
    // What an operator wants none of goes, with what is kept of it.
    house.lifecycle.unload("m").await.expect("known");
    house.shows("m/1:END m/2:END m/3:END").await;
}

#[tokio::test]
async fn without_a_window_nothing_is_kept() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:END m/2:AVAILABLE").await;
    // Nor what was replaced before somebody wanted that.
    house.put("m/model.toml", KEEPING);
    house.is_looked_at().await;
    assert_eq!(house.shown(), "m/1:END m/2:AVAILABLE");
}

#[tokio::test]
async fn a_window_that_is_taken_back_is_over() {
    let house = keeping();
    swapped(&house).await;
    house.put("m/model.toml", "rollback_window_s = 0\n");
    house.shows("m/1:END m/2:AVAILABLE").await;
}

#[tokio::test]
async fn a_share_of_the_traffic_is_none_of_its_rights() {
    let toml = format!("{KEEPING}[traffic]\nweights = {{ 1 = 1 }}\n");
    let house = house(&[("m/model.toml", &toml), ("m/1/model.fake", &constant(1))]);
    swapped(&house).await;
    assert_eq!(house.ask("").await, Ok(2.0));
    assert_eq!(shares(&house), [(2, 1.0)]);
}

#[tokio::test]
async fn a_share_of_what_is_not_there_is_the_main_ones() {
    let toml = "version_policy = \"all\"\n[traffic]\nweights = { 1 = 1, 2 = 2, 3 = 1 }\n";
    let files = [("m/model.toml", toml), ("m/1/model.fake", &*constant(1))];
    let house = house(&files);
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(shares(&house), [(1, 1.0)]);
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(shares(&house), [(1, 0.25), (2, 0.75)]);
    house.put("m/3/model.fake", &constant(3));
    house.shows("m/1:AVAILABLE m/2:AVAILABLE m/3:AVAILABLE").await;
    assert_eq!(shares(&house), [(1, 0.25), (2, 0.5), (3, 0.25)]);
}

#[tokio::test]
async fn a_rollout_takes_it_up_and_keeps_its_own() {
    let house = keeping();
    swapped(&house).await;
    let back = direction(&[1, 2], &[(1, 0), (2, 1)]);
    house.lifecycle.direct("m", Some(back)).await.expect("known");
    assert_eq!((house.ask("").await, warm(&house)), (Ok(2.0), vec![]));
    let back = direction(&[1], &[(1, 1)]);
    house.lifecycle.direct("m", Some(back)).await.expect("known");
    assert_eq!(house.ask("").await, Ok(1.0));
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert_eq!(house.fake.loads_begun(), 2);
}

#[tokio::test]
async fn it_makes_room_before_anything_that_answers() {
    let (audit, records) = Audit::channel();
    let files = [
        ("m/model.toml", KEEPING),
        ("m/1/model.fake", &*constant(1)),
        ("a/model.toml", "load = \"lazy\"\n"),
        ("a/1/model.fake", &constant(8)),
    ];
    let house = house_with(&files, |it| {
        it.model_memory_max = Some(3 * LEAST);
        it.audit = audit;
    });
    house.shows("a/1:END m/1:AVAILABLE").await;
    house.put("m/2/model.fake", &constant(2));
    house.shows("a/1:END m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(house.ask_model("a", "", None).await, Ok(8.0));
    house.clock.advance(RESIDENCE * 2);
    house.is_looked_at().await;
    assert_eq!(warm(&house), [1], "there is room for all three");
    house.put("n/1/model.fake", &constant(9));
    house.is_looked_at().await;
    house.shows("a/1:AVAILABLE m/1:END m/2:AVAILABLE n/1:AVAILABLE").await;
    assert!(house.lifecycle.stop(Instant::now() + Duration::from_secs(20)));
    let unloads = records.try_iter().filter(|it| matches!(it.done, Done::Unloaded { .. }));
    let first = unloads.map(|it| (it.model.to_string(), it.version, it.by)).next();
    assert_eq!(first, Some(("m".to_owned(), Version(1), By::Room)));
}

#[tokio::test]
async fn it_makes_room_for_the_next_of_its_own_model() {
    let files = [("m/model.toml", KEEPING), ("m/1/model.fake", &*constant(1))];
    let house = house_with(&files, |it| it.model_memory_max = Some(2 * LEAST));
    swapped(&house).await;
    house.put("m/3/model.fake", &constant(3));
    house.is_looked_at().await;
    house.shows("m/1:END m/2:AVAILABLE m/3:AVAILABLE").await;
    assert_eq!((house.ask("").await, warm(&house)), (Ok(3.0), vec![2]));
}

#[tokio::test]
async fn it_is_not_in_the_way_of_what_found_no_memory() {
    let house = keeping();
    swapped(&house).await;
    let starving = format!("{}loads_starving 1\n", constant(3));
    house.put("m/3/model.fake", &starving);
    house.shows("m/1:END m/2:AVAILABLE m/3:END").await;
    assert_eq!(house.ask("").await, Ok(2.0));
}

#[tokio::test]
async fn what_is_too_slow_has_found_its_memory() {
    // A run that sleeps is never shorter than that.
    let proof = "[proof]\nlatency_ms_max = 500\nlatency_runs = 1\n[warmup]\nbatch_sizes = []\n";
    let toml = format!("{KEEPING}{proof}[dynamic_batching]\nprobe_rows = false\n");
    let house = house(&[("m/model.toml", &toml), ("m/1/model.fake", &constant(1))]);
    swapped(&house).await;
    house.put("m/3/model.fake", &format!("{}run_us 501000\n", constant(3)));
    house.says(3, |it| it.contains("proof.latency_ms_max is 500")).await;
    house.is_looked_at().await;
    assert_eq!((house.ask("1").await, warm(&house)), (Ok(1.0), vec![1]));
}

/// What wants these versions and no others instead.
fn on_one_gpu(versions: &str) -> String {
    format!("{KEEPING}version_policy = {{ specific = {versions} }}\ndevice = \"cuda:0\"\n")
}

/// A model whose version 2 has taken over from version 1 and lost its device, the only one it may run on.
async fn bereft(load: LoadPolicy) -> House {
    let files = [
        ("m/model.toml", &*on_one_gpu("[1]")),
        ("m/1/model.fake", &constant(1)),
        ("m/2/model.fake", &format!("{}on 14 lose\n", constant(2))),
    ];
    let house = house_on_gpus(&files, |it| it.defaults.load = load);
    house.is_ready().await;
    assert_eq!(house.ask("").await, Ok(1.0));
    house.put("m/model.toml", &on_one_gpu("[2]"));
    house.says_warm(&[1]).await;
    assert_eq!(house.ask("").await, Ok(2.0));
    house.ask_value(("m", ""), 14.0).await.expect_err("its device fails");
    house.shows("m/1:AVAILABLE m/2:END").await;
    house
}

#[tokio::test]
async fn it_answers_whoever_asks_while_nothing_else_does() {
    for load in [LoadPolicy::Eager, LoadPolicy::Lazy] {
        let house = bereft(load).await;
        assert_eq!((house.ask("").await, warm(&house)), (Ok(1.0), vec![1]));
        assert_eq!(
            (shares(&house), house.lifecycle.readiness().is_ready()),
            (vec![(1, 1.0)], true)
        );
        house.clock.advance(Duration::from_secs(1));
        house.is_looked_at().await;
        house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
        assert_eq!((house.ask("").await, house.ask("1").await), (Ok(2.0), Ok(1.0)));
        assert_eq!((warm(&house), house.fake.loads_begun()), (vec![1], 3));
        house.clock.advance(Duration::from_secs(60));
        house.is_looked_at().await;
        house.shows("m/1:END m/2:AVAILABLE").await;
    }
}

#[tokio::test]
async fn its_time_may_end_while_nothing_else_answers() {
    let house = bereft(LoadPolicy::Eager).await;
    // A load that fails for what may be a lack of memory costs nobody their answer.
    house.put("m/3/model.fake", &format!("{}loads_starving 99\n", constant(3)));
    house.put("m/model.toml", &on_one_gpu("[3]"));
    house.says(3, |it| it.contains("out of memory")).await;
    assert_eq!((house.ask("").await, warm(&house)), (Ok(1.0), vec![1]));
    house.clock.advance(Duration::from_secs(60));
    house.is_looked_at().await;
    house.says_warm(&[]).await;
    assert_eq!(house.ask("").await, Ok(1.0), "it goes when another answers");
    house.put("m/3/model.fake", &constant(3));
    house.shows("m/1:END m/2:END m/3:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(3.0));
}

#[tokio::test]
async fn it_goes_with_a_model_that_goes() {
    let house = house_with(&[("m/model.toml", KEEPING), ("m/1/model.fake", &constant(1))], |it| {
        it.defaults.load = LoadPolicy::Lazy
    });
    house.is_ready().await;
    assert_eq!(house.ask("").await, Ok(1.0));
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!((house.ask("").await, warm(&house)), (Ok(2.0), vec![1]));
    house.lifecycle.unload("m").await.expect("known");
    house.shows("m/1:END m/2:END").await;
    house.is_registered("m").await;
    assert_eq!(house.ask("").await, Ok(2.0), "and comes again without it");
    assert_eq!(house.shown(), "m/1:END m/2:AVAILABLE");
}
