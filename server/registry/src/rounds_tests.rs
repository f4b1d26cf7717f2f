use super::*;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::time::{interval, sleep};

use crate::judge::Judge;
use crate::source::{Fetched, Remote, Resolution, Source};

/// Who was asked, and when in seconds since the beginning; and what they answer.
#[derive(Debug, Default)]
struct Registry {
    asked: Mutex<Vec<(usize, u64)>>,
    down: Mutex<bool>,
    missing: Option<usize>,
    /// How long an answer takes.
    takes: Duration,
}

#[derive(Debug)]
struct Fake {
    registry: Arc<Registry>,
    n: usize,
    start: Instant,
}

#[async_trait]
impl Source for Fake {
    async fn resolve(&self, _: Option<&str>) -> Result<Resolution, RegistryError> {
        let now = self.start.elapsed().as_secs();
        self.registry.asked.lock().expect("not poisoned").push((self.n, now));
        sleep(self.registry.takes).await;
        if *self.registry.down.lock().expect("not poisoned") {
            return Err(RegistryError::Unavailable("down".to_owned()));
        }
        match self.registry.missing == Some(self.n) {
            true => Err(RegistryError::NotFound("missing".to_owned())),
            false => Ok(Resolution::Unchanged),
        }
    }

    async fn fetch(&self, _: &Remote, _: u64) -> Result<Fetched, RegistryError> {
        Err(RegistryError::Invalid("never asked for".to_owned()))
    }

    async fn vouchers(&self, _: &mut Judge<'_>) {}
}

fn uri(n: usize) -> Uri {
    format!("s3://models/{n}").parse().expect("an address")
}

/// Models that are looked at every half minute, the first time after 15 seconds.
fn rounds(models: usize, registry: &Arc<Registry>) -> Rounds {
    let (mut rounds, start) = (Rounds::default(), Instant::now());
    let (minute, half) = (Duration::from_secs(60), Duration::from_secs(30));
    for n in 0..models {
        let source = Arc::new(Fake { registry: registry.clone(), n, start });
        rounds.add(Watch::of(uri(n), source, minute, half), 0.5);
    }
    rounds
}

async fn looks(rounds: &mut Rounds, times: usize) {
    for _ in 0..times {
        rounds.next(0.5).await.expect("a look").1.expect("an answer");
    }
}

fn asked(registry: &Registry) -> Vec<(usize, u64)> {
    registry.asked.lock().expect("not poisoned").clone()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_models_ask_once_a_second_and_are_all_looked_at() {
    let registry = Arc::new(Registry::default());
    looks(&mut rounds(1000, &registry), 3000).await;
    let asked = asked(&registry);
    assert!(asked.windows(2).all(|it| it[1].1 > it[0].1), "two in one second");
    assert_eq!(asked.last().expect("a look").1, 15 + 2999);
    let of = |n| asked.iter().filter(|it| it.0 == n).count();
    assert!((0..1000).all(|n| of(n) == 3));
}

#[tokio::test(start_paused = true)]
async fn a_few_keep_their_interval() {
    let registry = Arc::new(Registry::default());
    looks(&mut rounds(2, &registry), 6).await;
    assert_eq!(asked(&registry), [(0, 15), (1, 16), (0, 45), (1, 46), (0, 75), (1, 76)]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_is_left_alone() {
    let registry = Arc::new(Registry::default());
    let mut rounds = rounds(100, &registry);
    *registry.down.lock().expect("not poisoned") = true;
    for _ in 0..4 {
        let (_, seen) = rounds.next(0.0).await.expect("a look");
        assert_eq!(seen.expect_err("down").kind(), ErrorKind::Unavailable);
    }
    *registry.down.lock().expect("not poisoned") = false;
    looks(&mut rounds, 3).await;
    let times: Vec<u64> = asked(&registry).iter().map(|it| it.1).collect();
    assert_eq!(times, [15, 75, 195, 435, 915, 916, 917]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_missing_holds_up_nobody() {
    let registry = Arc::new(Registry { missing: Some(0), ..Registry::default() });
    let mut rounds = rounds(2, &registry);
    for _ in 0..5 {
        let _ = rounds.next(0.0).await.expect("a look");
    }
    assert_eq!(asked(&registry), [(0, 15), (1, 16), (1, 43), (1, 70), (0, 75)]);
}

#[tokio::test(start_paused = true)]
async fn who_is_said_to_have_changed_comes_next() {
    let registry = Arc::new(Registry::default());
    let mut rounds = rounds(10, &registry);
    rounds.hurry(&uri(7));
    let (first, _) = rounds.next(0.5).await.expect("a look");
    rounds.failed(&uri(0), 0.0);
    rounds.remove(&uri(1));
    let (second, _) = rounds.next(0.5).await.expect("a look");
    assert_eq!((first, second), (uri(7), uri(2)));
    assert_eq!(asked(&registry), [(7, 0), (2, 15)]);
    assert!(Rounds::default().next(0.5).await.is_none());
}

/// Two models of a registry that takes five seconds to answer.
fn slow() -> (Arc<Registry>, Rounds) {
    let registry = Arc::new(Registry { takes: Duration::from_secs(5), ..Registry::default() });
    let rounds = rounds(2, &registry);
    (registry, rounds)
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_cuts_no_look_off_and_makes_one_more() {
    let (registry, mut rounds) = slow();
    let start = Instant::now();
    let (mut messages, mut heard) = (interval(Duration::from_millis(100)), Vec::new());
    while start.elapsed() < Duration::from_secs(42) {
        tokio::select! {
            biased;
            Some((it, seen)) = rounds.next(0.5) => {
                seen.expect("an answer");
                heard.push((it, start.elapsed().as_secs()));
            }
            _ = messages.tick() => {
                if start.elapsed() < Duration::from_secs(4) {
                    rounds.hurry(&uri(0));
                }
            }
        }
    }
    assert_eq!(asked(&registry), [(0, 0), (0, 5), (1, 15), (0, 40)]);
    assert_eq!(heard, [(uri(0), 5), (uri(0), 10), (uri(1), 20)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_others_meanwhile_counts_and_cuts_no_look_off() {
    let (registry, mut rounds) = slow();
    let cut = |it: u64| sleep(Duration::from_secs(it));
    tokio::select! {
        _ = rounds.next(0.5) => panic!("nobody is due"),
        () = cut(16) => {}
    }
    // Its pull has failed: it is tried again after a minute, and no earlier for the look that is under way.
    rounds.failed(&uri(0), 0.0);
    rounds.remove(&uri(1));
    let (first, _) = rounds.next(0.5).await.expect("a look");
    let (second, _) = rounds.next(0.5).await.expect("a look");
    assert_eq!((first, second, asked(&registry)), (uri(0), uri(0), vec![(0, 15), (0, 76)]));
    rounds.hurry(&uri(0));
    tokio::select! {
        _ = rounds.next(0.5) => panic!("it takes five seconds"),
        () = cut(1) => {}
    }
    rounds.remove(&uri(0));
    assert!(rounds.next(0.5).await.is_none(), "nobody is watched any more");
}

#[tokio::test(start_paused = true)]
async fn what_was_pulled_during_a_look_is_looked_at_once_more() {
    let (registry, mut rounds) = slow();
    rounds.remove(&uri(1));
    tokio::select! {
        _ = rounds.next(0.5) => panic!("it takes five seconds"),
        () = sleep(Duration::from_secs(16)) => {}
    }
    rounds.pulled(&uri(0), "new");
    looks(&mut rounds, 3).await;
    assert_eq!(asked(&registry), [(0, 15), (0, 20), (0, 55)]);
}
