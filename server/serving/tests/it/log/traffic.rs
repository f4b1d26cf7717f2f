//! How a model's traffic has chosen is in the log.

use server_base::{Drawn, Version};
use server_serving::Traffic;

use super::*;
use crate::scripted::model;

/// Requests while versions share them: so many that chance alone keeps to the bounds below.
const ROLLOUT: usize = 400;

#[tokio::test]
async fn a_record_says_how_the_traffic_has_chosen() {
    let house = House::new(Kept::default());
    house.ask("alone", "x", [1.0, 2.0]).await.expect("answered");
    let entry = house.serving.table().model("m").expect("it is there").clone();
    let shares = |weights: &[(u64, u32)], rollout: Option<&str>| {
        let weights = weights.iter().map(|(it, weight)| (Version(*it), *weight)).collect();
        let traffic = Traffic::new(&model(), &weights, None).expect("weights");
        let traffic = traffic.of_rollout(rollout.map(Arc::from));
        publish(&house.serving, entry.clone().with_traffic(Some(traffic)));
    };
    // Version 9 is not there: what falls on its share is answered by version 1, by no share of its own.
    shares(&[(1, 3), (9, 1)], Some("1-9-5"));
    for _ in 0..ROLLOUT {
        house.ask("rollout", "x", [1.0, 2.0]).await.expect("answered");
    }
    shares(&[(1, 1)], None);
    house.ask("all", "x", [1.0, 2.0]).await.expect("answered");
    let offered = lock(&house.log.offered);
    let drawn: Vec<_> = offered.iter().map(|it| it.drawn.clone()).collect();
    let of =
        |weight, rollout: Option<&str>| Some(Drawn { weight, rollout: rollout.map(Arc::from) });
    assert_eq!((&drawn[0], &drawn[1 + ROLLOUT]), (&None, &of(1.0, None)));
    let (chosen, stood_in): (Vec<_>, Vec<_>) =
        drawn[1..=ROLLOUT].iter().partition(|it| it.is_some());
    assert!(chosen.iter().all(|it| **it == of(0.75, Some("1-9-5"))), "{chosen:?}");
    // Those without a key are drawn: one in four, give or take six standard deviations (8.7).
    assert!((48..=152).contains(&stood_in.len()), "{} of {ROLLOUT}", stood_in.len());
}
