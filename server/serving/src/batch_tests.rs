use super::*;

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend as _, DType, Device, Model, Options};
use backend_fake::Fake;
use proptest::prelude::*;
use server_base::{ModelName, Version};

use crate::extent::Extent;
use crate::ledger::Ledger;
use crate::metrics::VersionMetrics;
use crate::padding::Padding;
use crate::policy::{Batching, Queued as _};
use crate::reply::Reply;
use crate::sizes::Sizes;

fn load(script: &str) -> Box<dyn Model> {
    let folder = tempfile::tempdir().expect("scratch");
    let artifact = folder.path().join("model.fake");
    std::fs::write(&artifact, script).expect("write");
    Fake::new().load(&artifact, &Options::default()).expect("loads")
}

fn plan(signature: &Signature, lengths: &[usize], batch: &[usize]) -> Plan {
    let sizes = Sizes::new(lengths).map(|it| ("n".into(), it));
    Plan {
        platform: "fake_script",
        instances: 1,
        inline: true,
        devices: vec![Device::Cpu],
        width: 1,
        weight: 1,
        batching: Batching { sizes: Sizes::new(batch), ..Batching::default() },
        padding: Padding::new(signature, sizes, Vec::new()),
        timeout: Duration::from_secs(60),
        facts: Default::default(),
    }
}

/// A request of that shape, its elements counted from `seed`.
fn request(served: (&Signature, &Plan), (rows, length): (usize, usize), seed: u16) -> Pending {
    let elements: Vec<String> =
        (0..rows * length).map(|it| (it + usize::from(seed)).to_string()).collect();
    let tensor = if served.0.inputs[0].dtype == DType::Bytes {
        Tensor::from_strings(&[rows, length], &elements)
    } else {
        let floats: Vec<f32> = elements.iter().map(|it| it.parse().expect("digits")).collect();
        Tensor::from_elements(&[rows, length], &floats)
    };
    let inputs = [tensor.expect("small")];
    let now = Instant::now();
    let name = ModelName::new("m").expect("a name");
    let metrics = VersionMetrics::new(&name, Version(1));
    Pending {
        extent: Extent::new("m", served, (&inputs, rows)).expect("fits"),
        inputs: inputs.into_iter().collect(),
        permit: None,
        arrived: now,
        deadline: now + Duration::from_secs(60),
        reply: Reply::new().0,
        stated: false,
        ledger: Arc::new(Ledger::new(name, metrics)),
    }
}

const SCRIPTS: [&str; 3] = [
    "input x FP32 rows,n\noutput y FP32 rows,n = double x",
    "input x BYTES rows,n\noutput y BYTES rows,n = copy x",
    "input x FP32 rows,n\noutput y FP32 rows,n = double x\noutput z FP32 rows,2 = constant 3",
];

proptest! {
    /// Whatever is joined and padded comes back as if it had run alone, as it was.
    #[test]
    fn padded_answers_are_those_of_the_requests_alone(
        script in prop::sample::select(SCRIPTS.to_vec()),
        asked in prop::collection::vec((1_usize..4, 1_usize..=9, any::<u16>()), 1..8),
        batch in prop::sample::select(vec![&[][..], &[32], &[1, 5, 32]]),
    ) {
        let model = load(script);
        let mut instance = model.instance(&Device::Cpu).expect("an instance");
        let (padded, bare) =
            (plan(model.signature(), &[4, 9], batch), plan(model.signature(), &[], &[]));
        let requests: Vec<Pending> = asked
            .iter()
            .map(|&(rows, length, seed)| request((model.signature(), &padded), (rows, length), seed))
            .collect();
        let (short, long): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|it| it.inputs[0].shape().dims()[1] <= 4);
        for batch in [short, long] {
            let Some(first) = batch.first() else { continue };
            prop_assert!(batch.iter().all(|it| it.joins(first)), "one padded length, one batch");
            let answer = run(&mut *instance, (model.signature(), &padded), &batch).expect("runs");
            for (request, got) in batch.iter().zip(&answer.outputs) {
                let mut alone = request_like(request, (model.signature(), &bare));
                alone.inputs.clone_from(&request.inputs);
                let expect =
                    run(&mut *instance, (model.signature(), &bare), &[alone]).expect("runs");
                prop_assert_eq!(got, &expect.outputs[0]);
            }
        }
    }
}

fn request_like(request: &Pending, served: (&Signature, &Plan)) -> Pending {
    let dims = request.inputs[0].shape().dims();
    self::request(served, (dims[0], dims[1]), 0)
}

/// Requests as `(rows, length)`: what runs, as `rows/units/padding`, and in what shape.
#[track_caller]
fn check_size(asked: &[(usize, usize)], batch: &[usize], expect: (usize, usize, usize)) {
    let model = load(SCRIPTS[0]);
    let plan = plan(model.signature(), &[4, 9], batch);
    let served = (model.signature(), &plan);
    let requests: Vec<Pending> = asked.iter().map(|&it| request(served, it, 0)).collect();
    let (rows, units, padding) = expect;
    assert_eq!(BatchSize::of(&requests, &plan), BatchSize { rows, units, padding }, "{asked:?}");
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    let answer = run(&mut *instance, served, &requests).expect("runs");
    assert_eq!(answer.timing.batch_rows, asked.iter().map(|it| it.0).sum::<usize>());
}

#[test]
fn what_is_wasted_is_known() {
    check_size(&[(1, 4), (2, 4)], &[], (3, 12, 0));
    check_size(&[(1, 1), (2, 4)], &[], (3, 12, 3));
    check_size(&[(1, 5)], &[], (1, 9, 4));
    check_size(&[(1, 1), (2, 4)], &[2, 8, 32], (8, 32, 23));
}
