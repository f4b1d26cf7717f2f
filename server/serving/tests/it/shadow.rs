//! Copies of requests for another version: compared, never returned, never waited for.

use std::rc::Rc;
use std::sync::Arc;

use backend_fake::Fake;
use server_base::{InferRequest, Protocol, Version, VersionChoice};
use server_serving::copies::LeftOut;
use server_serving::{Pairs, Serving, Shadow, Workers};

use crate::scripted::{self, PATIENCE, entry, load, plan, publish, request, serving, values};

/// A served version, and one that shadows it.
struct House {
    serving: Serving,
    served: Workers,
    shadow: Arc<Shadow>,
    other: Workers,
    fake: Fake,
}

fn start(fake: &Fake, script: &str, version: u64) -> Workers {
    start_with(fake, ("rows,2", script), version)
}

fn start_with(fake: &Fake, (axes, script): (&str, &str), version: u64) -> Workers {
    let text = format!("input x FP32 {axes}\noutput y FP32 {axes} = {script}\n");
    scripted::start(load(fake, &text), version, plan())
}

impl House {
    fn new(served: &str, other: &str, share: u64) -> House {
        let fake = Fake::new();
        let (served, other) = (start(&fake, served, 1), start(&fake, other, 2));
        let shadow = Shadow::start(Arc::clone(other.servable()), share).expect("a thread");
        assert!(served.servable().set_shadow(Some(Arc::clone(&shadow))));
        let serving = serving();
        publish(&serving, entry(&[&served], &[1]));
        House { serving, served, shadow, other, fake }
    }

    /// The served version's answer.
    async fn ask(&self, row: [f32; 2]) -> Vec<f32> {
        self.ask_for(VersionChoice::Any, row).await
    }

    async fn ask_for(&self, version: VersionChoice, row: [f32; 2]) -> Vec<f32> {
        let request = InferRequest { version, ..request(&[&row]) };
        let mut trip = self.serving.trip(Protocol::Grpc);
        let (submitted, answer) = self.serving.infer(request, &mut trip).await.expect("answered");
        let outputs = submitted.response(answer, &mut trip).outputs;
        trip.finish(None);
        values(&outputs)
    }

    /// Waits until that is known of the pairs.
    async fn know(&self, expect: impl Fn(&Pairs) -> bool) -> Pairs {
        self.waits(|it| expect(&it.shadow.pairs())).await;
        self.shadow.pairs()
    }

    /// Waits until that is so.
    async fn waits(&self, expect: impl Fn(&House) -> bool) {
        let wait = async {
            while !expect(self) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.shadow.pairs()));
    }
}

#[tokio::test]
async fn the_same_answers_are_no_difference() {
    let house = House::new("double x", "double x", 10_000);
    for n in 0..10_u8 {
        assert_eq!(house.ask([f32::from(n), 1.0]).await, [f32::from(n) * 2.0, 2.0]);
        let so_far = u64::from(n) + 1;
        house.know(|it| it.compared == so_far).await;
    }
    let pairs = house.shadow.pairs();
    assert_eq!((pairs.flips, pairs.failed, pairs.left_out, pairs.max), (0, 0, 0, 0.0));
    assert_eq!(house.served.servable().counts().requests, 10);
    assert_eq!(house.other.servable().counts().requests, 0, "nobody has asked it");
}

#[tokio::test]
async fn other_answers_are_measured_and_not_returned() {
    let house = House::new("double x", "copy x", 10_000);
    assert_eq!(house.ask([1.0, 3.0]).await, [2.0, 6.0]);
    let pairs = house.know(|it| it.compared == 1).await;
    assert_eq!((pairs.flips, pairs.moments.0, pairs.moments.1, pairs.max), (0, 1, -2.0, 3.0));
}

#[tokio::test]
async fn what_is_no_number_in_both_answers_is_no_fault() {
    let house = House::new("double x", "double x", 10_000);
    house.served.servable().watch(None, true);
    // Twice the largest number is infinite, in both versions: the same answer, however bad it is.
    assert_eq!(house.ask([f32::MAX, 1.0]).await, [f32::INFINITY, 2.0]);
    let pairs = house.know(|it| it.compared == 1).await;
    assert_eq!((pairs.nonfinite, pairs.flips), (0, 0));
    assert_eq!(house.served.servable().counts().nonfinite, 1, "it was asked with numbers");
    // Who asks with what is no number is answered so.
    assert_eq!(house.ask([f32::INFINITY, 1.0]).await, [f32::INFINITY, 2.0]);
    house.know(|it| it.compared == 2 && it.nonfinite == 0).await;
    assert_eq!(house.served.servable().counts().nonfinite, 1, "and this time not");
    let house = House::new("copy x", "double x", 10_000);
    assert_eq!(house.ask([f32::MAX, 1.0]).await, [f32::MAX, 1.0]);
    house.know(|it| it.compared == 1 && it.nonfinite == 1).await;
}

#[tokio::test]
async fn a_shadow_that_fails_harms_nobody() {
    let house = House::new("double x", "double x\non 13 fail\non 14 panic", 10_000);
    assert_eq!(house.ask([13.0, 1.0]).await, [26.0, 2.0]);
    house.know(|it| it.failed == 1).await;
    assert_eq!(house.ask([14.0, 1.0]).await, [28.0, 2.0]);
    house.know(|it| it.failed == 2).await;
    assert_eq!(house.ask([1.0, 1.0]).await, [2.0, 2.0]);
    house.know(|it| it.compared == 1).await;
}

#[tokio::test]
async fn nobody_waits_for_a_shadow_that_hangs() {
    let house = House::new("double x", "double x\non 99 hang", 10_000);
    let asked = 200;
    for _ in 0..asked {
        assert_eq!(house.ask([99.0, 1.0]).await, [198.0, 2.0]);
    }
    let pairs = house.shadow.pairs();
    assert!(pairs.left_out > 100 && pairs.compared == 0, "{pairs:?}");
    // One hangs, and behind it as many wait as may.
    let [busy, ..] = pairs.left_out_for;
    assert_eq!((busy, LeftOut::Busy.label()), (pairs.left_out, "busy"), "{pairs:?}");
    house.fake.hangs().open();
    house.know(|it| it.compared + it.left_out == asked).await;
}

#[tokio::test]
async fn copies_are_taken_again_after_a_served_version_that_hung() {
    let house = Rc::new(House::new("double x\non 99 hang", "double x", 10_000));
    // What a run costs is known before one hangs: else all would be taken to be as long.
    house.ask([1.0, 1.0]).await;
    house.know(|it| it.compared == 1).await;
    let asked: u16 = 200;
    let ask_all = async {
        let mut callers = Vec::new();
        for n in 1..=asked {
            let it = Rc::clone(&house);
            callers.push(tokio::task::spawn_local(async move { it.ask([99.0, 1.0]).await }));
            // The copies do not wait for one another: what is full is how many of them are under way.
            let has_come = |it: &House| it.served.servable().in_flight() == usize::from(n);
            house.waits(|it| has_come(it) && it.other.servable().queued() == 0).await;
        }
        let pairs = house.shadow.pairs();
        assert!(pairs.left_out > 100, "{pairs:?}");
        assert_eq!(pairs.left_out_for[LeftOut::UnderWay as usize], pairs.left_out, "{pairs:?}");
        house.fake.hangs().open();
        for caller in callers {
            assert_eq!(caller.await.expect("answered"), [198.0, 2.0]);
        }
    };
    tokio::task::LocalSet::new().run_until(ask_all).await;
    let before = house.know(|it| it.compared + it.left_out == 1 + u64::from(asked)).await;
    house.ask([1.0, 1.0]).await;
    house.know(|it| it.compared == before.compared + 1).await;
}

#[tokio::test]
async fn a_share_is_a_share() {
    let house = House::new("double x", "double x", 2_500);
    for asked in 1..=100_u64 {
        house.ask([1.0, 1.0]).await;
        // One under way at a time, so that none is left out.
        if asked % 4 == 0 {
            house.know(|it| it.compared * 4 >= asked - 4).await;
        }
    }
    let pairs = house.know(|it| it.compared >= 24).await;
    assert!((24..=26).contains(&pairs.compared) && pairs.left_out == 0, "{pairs:?}");
}

#[tokio::test]
async fn a_version_of_another_signature_is_no_shadow() {
    let fake = Fake::new();
    for (served, other, fits) in
        [("rows,2", "rows,3", false), ("rows,n", "rows,2", false), ("rows,n", "rows,m", true)]
    {
        let served = start_with(&fake, (served, "double x"), 1);
        let other = start_with(&fake, (other, "double x"), 2);
        let shadow = Shadow::start(Arc::clone(other.servable()), 10_000).expect("a thread");
        assert_eq!(served.servable().set_shadow(Some(shadow)), fits, "{:?}", other.servable());
    }
}

#[tokio::test]
async fn standing_copies_are_of_requests_that_name_no_version() {
    let house = House::new("double x", "copy x", 10_000);
    let served = house.served.servable();
    let standing = Shadow::start_standing(Arc::clone(house.other.servable()), 10_000);
    let standing = standing.expect("a thread");
    assert!(served.set_shadow(None) && served.set_standing_shadow(Some(Arc::clone(&standing))));
    for asked in 1..=3 {
        assert_eq!(house.ask_for(VersionChoice::Exact(Version(1)), [1.0, 3.0]).await, [2.0, 6.0]);
        assert_eq!(house.ask([1.0, 3.0]).await, [2.0, 6.0]);
        house.waits(|_| standing.pairs().compared == asked).await;
    }
    assert_eq!((standing.pairs().moments.1, standing.pairs().left_out), (-2.0, 0));
    assert_eq!(house.shadow.pairs(), Pairs::default(), "the rollout's has been taken away");
}

#[tokio::test]
async fn a_rollouts_copies_come_before_standing_ones() {
    let house = House::new("double x", "double x", 10_000);
    let served = house.served.servable();
    let standing = Shadow::start_standing(Arc::clone(house.other.servable()), 10_000);
    let standing = standing.expect("a thread");
    assert!(served.set_standing_shadow(Some(Arc::clone(&standing))));
    house.ask([1.0, 1.0]).await;
    house.know(|it| it.compared == 1).await;
    assert_eq!(standing.pairs(), Pairs::default());
    // When the rollout has no copies any more, the standing ones go on.
    assert!(served.set_shadow(None));
    house.ask([1.0, 1.0]).await;
    house.waits(|_| standing.pairs().compared == 1).await;
    assert_eq!(house.shadow.pairs().compared, 1);
}

#[tokio::test]
async fn a_standing_shadow_of_another_signature_is_none() {
    let house = House::new("double x", "double x", 10_000);
    let served = house.served.servable();
    let other = start_with(&house.fake, ("rows,3", "double x"), 3);
    let start = |it: &Workers| Shadow::start_standing(Arc::clone(it.servable()), 10_000);
    let (fits, unfit) = (start(&house.other).expect("a thread"), start(&other).expect("a thread"));
    assert!(served.set_shadow(None) && served.set_standing_shadow(Some(Arc::clone(&fits))));
    assert!(!served.set_standing_shadow(Some(unfit)));
    house.ask([1.0, 1.0]).await;
    assert_eq!(fits.pairs(), Pairs::default(), "nor is the one before");
}
