//! Models and GPUs, through the whole lifecycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::house::{House, constant, house_on_gpus};
use crate::memory::LEAST;
use crate::placement::{Gpu, Gpus};

/// Two GPUs with so much free memory.
fn two(first: &Arc<AtomicU64>, second: u64) -> Gpus {
    let first = Arc::clone(first);
    Gpus::new(move || {
        let gpu = |number, free| Gpu { number, name: "G".to_owned(), free: Ok(free) };
        Some(vec![gpu(0, first.load(Ordering::SeqCst)), gpu(1, second)])
    })
}

/// Where version 1 runs, as clients are told; `None`: on the processor.
fn device(house: &House) -> Option<String> {
    let table = house.serving.table();
    let servable = table.servables().next().expect("a version");
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
        assert_eq!(device(&house).as_deref(), expect);
    }
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
    house.clock.advance(std::time::Duration::from_secs(1));
    house.lifecycle.unload("nobody").await.expect("the manager lives");
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(device(&house).as_deref(), Some("cuda:0"));
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
