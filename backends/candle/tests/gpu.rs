//! candle on a GPU, held against the processor's answers: `make test-gpu` runs it, in a build with the feature
//! `cuda`. Where there is no GPU it holds what is refused, and in which words.

#![expect(clippy::disallowed_methods, reason = "what it needs is on other machines")]

use std::path::{Path, PathBuf};
use std::thread;

use backend_api::conformance::conformance_of_known_shapes;
use backend_api::{
    Backend, BackendError, DType, Device, Dim, Instance, Model, Options, Output, Tensor,
};
use backend_candle::{ARTIFACT, Candle, DTYPES};

/// Set where a GPU must be found.
const EXPECTED: &str = "SALVER_TEST_GPU";

/// Where the models lie, on a machine that the test was not built on.
const FIXTURES: &str = "SALVER_TEST_CANDLE_FIXTURES";

/// Between the processor and a GPU: sums in FP32, a few layers deep, in another order. Absolute, and
/// relative to the processor's.
const TOLERANCE: f32 = 1e-4;

const NETWORKS: [&str; 7] = [
    "digits",
    "bert_tokens",
    "bert_mean",
    "bert_classes",
    "resnet_basic",
    "resnet_bottleneck",
    "resnet_early",
];

fn fixtures() -> PathBuf {
    let named = std::env::var_os(FIXTURES).map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"))
}

fn load_on(device: &str, path: &Path) -> Result<Box<dyn Model>, BackendError> {
    Candle.load(path, &Options { device: device.parse().expect("a wish"), ..Options::default() })
}

/// Is there a GPU? If not, says why; where one must be found, that fails.
fn there() -> bool {
    let loaded = load_on("cuda:0", &fixtures().join("double.safetensors"));
    let Err(error) = loaded else { return true };
    let expected = std::env::var_os(EXPECTED).is_some();
    assert!(!expected, "{EXPECTED} is set: {error}");
    eprintln!("skipped: {error}");
    false
}

/// Loads every model on the first GPU.
struct OnGpu;

impl Backend for OnGpu {
    fn name(&self) -> &'static str {
        Candle.name()
    }
    fn version(&self) -> String {
        Candle.version()
    }
    fn platform(&self) -> &'static str {
        Candle.platform()
    }
    fn artifact(&self) -> &'static str {
        Candle.artifact()
    }
    fn devices(&self) -> Vec<Device> {
        Candle.devices()
    }
    fn load(&self, path: &Path, _: &Options) -> Result<Box<dyn Model>, BackendError> {
        let model = load_on("cuda:0", path)?;
        assert_eq!(model.devices(), [Device::Cuda(0)]);
        Ok(model)
    }
}

#[test]
fn passes_the_suite_on_a_gpu() {
    if there() {
        conformance_of_known_shapes(&OnGpu, &fixtures(), &DTYPES);
    }
}

/// Inputs of so many rows; free axes are `free` long.
fn inputs(model: &dyn Model, (rows, free): (usize, usize)) -> Vec<Tensor> {
    let input = |(n, spec): (usize, &backend_api::TensorSpec)| {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Rows => rows,
            Dim::Free(_) => free,
        };
        let dims: Vec<usize> = spec.dims.iter().map(length).collect();
        let count: usize = dims.iter().product();
        let at = |it: usize| (it * 37 + n * 11 + rows) % 255;
        if spec.dtype == DType::Int64 {
            // A mask and kinds of tokens are 0 or 1, the tokens themselves any of the table's 60.
            let most = if &*spec.name == "input_ids" { 60 } else { 2 };
            let places: Vec<i64> = (0..count).map(|it| (at(it) % most) as i64).collect();
            return Tensor::from_elements(&dims, &places).expect("fits");
        }
        let numbers: Vec<f32> = (0..count).map(|it| at(it) as f32 / 127.0 - 1.0).collect();
        Tensor::from_elements(&dims, &numbers).expect("fits")
    };
    model.signature().inputs.iter().enumerate().map(input).collect()
}

fn run(instance: &mut dyn Instance, model: &dyn Model, inputs: &[Tensor]) -> Vec<f32> {
    let rows = inputs[0].shape().rows().expect("rows");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], rows)];
    instance.run(inputs, &mut outputs).expect("runs");
    let output = outputs.remove(0).into_tensor().expect("an output");
    output.view::<f32>().expect("floats").to_vec()
}

#[track_caller]
fn assert_near(got: &[f32], expect: &[f32], what: &str) {
    assert_eq!(got.len(), expect.len(), "{what}");
    for (n, (a, b)) in got.iter().zip(expect).enumerate() {
        let near = (a - b).abs() <= TOLERANCE + TOLERANCE * b.abs();
        assert!(near, "{what}, element {n}: {a} on the GPU, {b} on the processor");
    }
}

#[test]
fn a_gpu_answers_as_the_processor_does() {
    if !there() {
        return;
    }
    for name in NETWORKS {
        let path = fixtures().join(name).join(ARTIFACT);
        let near = load_on("cpu", &path).expect("loads");
        let far = load_on("cuda:0", &path).expect("loads");
        assert_eq!(near.signature(), far.signature());
        let mut here = near.instance(&Device::Cpu).expect("an instance");
        let mut there = far.instance(&Device::Cuda(0)).expect("an instance");
        for (rows, free) in [(1, 8), (3, 17), (8, 24), (1, 1)] {
            // Images are larger than sentences are long.
            let free = if name.starts_with("resnet") { free + 32 } else { free };
            let given = inputs(&*near, (rows, free));
            let expect = run(&mut *here, &*near, &given);
            let got = run(&mut *there, &*far, &given);
            assert_near(&got, &expect, &format!("{name}, {rows} rows of {free}"));
        }
    }
}

/// All of them on one stream, each on a thread that is not the one it was made on.
#[test]
fn instances_do_not_see_one_another() {
    if !there() {
        return;
    }
    let path = fixtures().join("bert_mean").join(ARTIFACT);
    let (near, far) = (load_on("cpu", &path), load_on("cuda:0", &path));
    let (near, far) = (near.expect("loads"), far.expect("loads"));
    let instances: Vec<_> =
        (0..4).map(|_| far.instance(&Device::Cuda(0)).expect("an instance")).collect();
    thread::scope(|threads| {
        for (n, mut instance) in instances.into_iter().enumerate() {
            let (near, far) = (&*near, &*far);
            threads.spawn(move || {
                let given = inputs(near, (n + 1, 10 + n));
                let mut here = near.instance(&Device::Cpu).expect("an instance");
                let expect = run(&mut *here, near, &given);
                for round in 0..50 {
                    let got = run(&mut *instance, far, &given);
                    assert_near(&got, &expect, &format!("instance {n}, round {round}"));
                }
            });
        }
    });
}

/// With a GPU or without: what cannot be had is refused in words, never had elsewhere.
#[test]
fn a_gpu_that_is_not_there_is_refused() {
    let path = fixtures().join("double.safetensors");
    let error = load_on("cuda:63", &path).err().expect("no machine has so many");
    assert!(matches!(error, BackendError::Unsupported { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("device cuda:63: "), "{error}");
    let reasons = [
        "there is no GPU 63",
        "libcuda.so.1: ",
        "the driver shows no GPU",
        "the driver is for CUDA",
    ];
    assert!(reasons.iter().any(|it| error.contains(it)), "{error}");
    // The processor is always there.
    let model = load_on("cpu", &path).expect("loads");
    assert_eq!(model.devices(), [Device::Cpu]);
}

#[test]
fn it_is_said_what_there_is() {
    let line = Candle::describe();
    assert!(line.starts_with("device cuda: built for CUDA "), "{line}");
    assert_eq!(line.contains("not available: "), !there(), "{line}");
}
