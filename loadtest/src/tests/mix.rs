//! Models are picked by weight, and all of them are accounted for.

use std::net::{Ipv4Addr, SocketAddr};

use super::server::Echo;
use super::{shown, signature};
use crate::mix::Mix;
use crate::signature::Signature;

#[test]
fn models_come_in_proportion_to_their_weights() {
    const PICKS: usize = 100_000;
    for weights in [&[1.0][..], &[1.0, 1.0], &[3.0, 1.0, 0.5]] {
        let mut mix = Mix::new(weights.iter().copied(), 1, 0);
        let mut counts = vec![0_usize; weights.len()];
        (0..PICKS).for_each(|_| counts[mix.pick()] += 1);
        let sum: f64 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(weights) {
            let (share, expected) = (*count as f64 / PICKS as f64, weight / sum);
            assert!((share - expected).abs() < 0.01, "{weights:?}: {share}, expected {expected}");
        }
    }
}

#[test]
fn a_seed_gives_one_order_and_threads_differ() {
    let order = |seed, thread| {
        let mut mix = Mix::new([1.0, 1.0].into_iter(), seed, thread);
        (0..64).map(|_| mix.pick()).collect::<Vec<_>>()
    };
    assert_eq!(order(1, 0), order(1, 0));
    assert_ne!(order(1, 0), order(2, 0));
    assert_ne!(order(1, 0), order(1, 1));
}

fn named(model: &str, inputs: &[&str], outputs: &[&str]) -> Signature {
    Signature { model: model.to_owned(), ..signature(inputs, outputs) }
}

#[test]
fn several_models_share_a_run() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let small = named("small", &["x:FP32:-1x4"], &["y:FP32:-1x2"]);
    let texts = named("texts", &["ids:INT64:-1x-1"], &["z:FP32:-1"]);
    let echo = Echo::of((any, any), vec![small, texts]);
    for protocol in ["grpc", "http-binary", "http-json", "tfs", "tfs-columnar"] {
        for load in ["--concurrency 4 --threads 2", "--rate 100000"] {
            let line = format!("--requests 400 --models small=3,texts=1 --axis ids=5 {load}");
            let report = echo.run(protocol, &line).unwrap();
            let context = format!("{protocol} {load}:\n{report}");
            assert!(report.clean(), "{context}");
            assert_eq!(report.answered, 400, "{context}");
            let answered: Vec<u64> = report.models.iter().map(|it| it.answered).collect();
            assert_eq!(answered.iter().sum::<u64>(), 400, "{context}");
            assert!((240..360).contains(&answered[0]), "three of four: {context}");
            assert!(context.contains("\nsmall") && context.contains("\ntotal"), "{context}");
        }
    }
    let stranger = shown(echo.run("grpc", "--model small --model texts --axis idz=5"));
    assert!(stranger.contains("--axis idz: no input"), "{stranger}");
}
