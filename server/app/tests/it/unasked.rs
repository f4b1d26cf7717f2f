//! A version that is wanted without a rollout takes over at once, whatever came of the one before it.

use std::sync::Arc;

use serde_json::Value;

use crate::bench::{Bench, STABLE};
use crate::house::{House, PATIENCE, put};

/// All versions are there; which is wanted, and how, is one change of the file.
fn file(version: u64, plan: &str) -> String {
    format!("version_policy = {{ specific = [{version}] }}\n{plan}")
}

/// Takes over by and by.
const QUICK: &str = "[rollout]\nsteps = '50,100'\nstep_requests_min = 100\nstep_duration_s_min = 0\nshadow_rows = 0\n\
                     latency = false\nerror_rate_ok = 0.2\n";
/// Never does.
const SLOW: &str = "[rollout]\nsteps = '10,100'\nstep_requests_min = 1000000000\nshadow_rows = 0\nlatency = false\n";

async fn bench() -> Bench {
    let first = file(1, "");
    let files = [
        ("m/model.toml", first.as_str()),
        ("m/1/model.fake", STABLE),
        ("m/2/model.fake", STABLE),
        ("m/3/model.fake", STABLE),
        ("m/4/model.fake", "nonsense"),
    ];
    let house = House::with(&files, |args| args.rollout_interval_ms = Some(10)).await;
    let mut bench = Bench { house: Arc::new(house), stop: Arc::default(), callers: Vec::new() };
    bench.call();
    assert_eq!(bench.answers().await, "1");
    bench
}

impl Bench {
    fn wants(&self, version: u64, plan: &str) {
        put(self.house.root.path(), "m/model.toml", &file(version, plan));
    }

    async fn takes_over(&self, version: &str) {
        let turn = async {
            while self.answers().await != version {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, turn).await.expect("it takes over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_promotion() {
    let bench = bench().await;
    bench.wants(2, QUICK);
    bench.comes(2, "promoted").await;
    bench.wants(3, "");
    bench.takes_over("3").await;
    // With a plan it would be rolled out from what serves.
    bench.wants(2, QUICK);
    let view = bench.comes(2, "promoted").await;
    assert_eq!(view["stable"], 3);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_is_under_way() {
    let bench = bench().await;
    bench.wants(2, SLOW);
    let in_canary = |it: &Value| it["state"]["phase"]["canary"].is_object();
    bench.until(in_canary).await;
    bench.wants(3, "");
    bench.takes_over("3").await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rejection() {
    let bench = bench().await;
    bench.wants(4, QUICK);
    bench.comes(4, "rolled_back").await;
    bench.wants(3, "");
    bench.takes_over("3").await;
    bench.end().await;
}
