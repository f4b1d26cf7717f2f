use std::time::Duration;

use crate::house::{House, constant, house, house_with};
use crate::policy::Transition;

/// Lets the manager take note of what time it is.
async fn turns(house: &House) {
    for _ in 0..3 {
        house.lifecycle.unload("nobody").await.expect("the manager lives");
    }
}

/// Lets so much time pass, and waits until there have been so many loads.
async fn loads(house: &House, pass: Duration, expect: u32) {
    house.clock.advance(pass);
    let wait = async {
        while house.fake.loads_begun() < expect {
            turns(house).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it is tried again");
    turns(house).await;
    assert_eq!(house.fake.loads_begun(), expect);
}

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_may_pass_is_tried_again_after_pauses() {
    let house = house(&[("m/1/model.fake", &format!("{}loads_starving 2\n", constant(1)))]);
    house.shows("m/1:END").await;
    house.is_ready().await;
    loads(&house, SECOND - MILLI, 1).await;
    loads(&house, MILLI, 2).await;
    house.shows("m/1:END").await;
    loads(&house, SECOND * 2 - MILLI, 2).await;
    loads(&house, MILLI, 3).await;
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(1.0));
    loads(&house, SECOND * 3_600, 3).await;
}

#[tokio::test]
async fn a_command_does_not_wait_for_the_pause() {
    let house = house(&[("m/1/model.fake", &format!("{}loads_starving 1\n", constant(1)))]);
    house.shows("m/1:END").await;
    house.lifecycle.load("m").await.expect("loads");
    house.shows("m/1:AVAILABLE").await;
    loads(&house, SECOND * 3_600, 2).await;
}

#[tokio::test]
async fn a_refusal_lasts() {
    let card = "flavors: {onnx: {data: model.fake}}\nsignature:\n  inputs: '[{\"type\": \"tensor\", \
                \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1, 9]}}]'\n";
    let house = house(&[("m/1/MLmodel", card), ("m/1/model.fake", &constant(1))]);
    house.says(1, |it| it.starts_with("the signature in MLmodel is not the graph's")).await;
    let before = house.fake.loads_begun();
    for _ in 0..3 {
        loads(&house, SECOND * 3_600, before).await;
    }
    house.put("m/1/MLmodel", &card.replace('9', "1"));
    house.shows("m/1:AVAILABLE").await;
}

#[tokio::test]
async fn the_old_version_serves_while_the_new_is_tried_again() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", &format!("{}loads_starving 2\n", constant(2)));
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert_eq!(house.ask("").await, Ok(1.0));
    loads(&house, SECOND, 3).await;
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert_eq!(house.ask("").await, Ok(1.0));
    loads(&house, SECOND * 2, 4).await;
    house.shows("m/1:END m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(2.0));
}

#[tokio::test]
async fn nothing_is_unloaded_for_a_try() {
    let broken = format!("{}loads_starving 1\n", constant(2));
    let files = [("m/1/model.fake", &*constant(1)), ("m/2/model.fake", &broken)];
    let house = house_with(&files, |it| it.defaults.transition = Transition::Resources);
    house.shows("m/1:AVAILABLE m/2:END").await;
    loads(&house, SECOND * 3_600, 2).await;
    assert_eq!(house.ask("").await, Ok(1.0));
    house.lifecycle.load("m").await.expect("loads");
    house.shows("m/1:END m/2:AVAILABLE").await;
}
