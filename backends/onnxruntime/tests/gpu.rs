//! The seam's suite on a GPU, where one is: `make test-gpu` names the library that can use it.

#![expect(clippy::disallowed_methods, reason = "what it needs is on other machines")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use backend_api::conformance::conformance;
use backend_api::{
    Backend, BackendError, DType, Device, GpuOptions, Instance, Model, Options, Output,
    SessionOptions, Tensor,
};
use backend_onnxruntime::OnnxRuntime;

/// The library of onnxruntime-gpu.
const LIBRARY: &str = "SALVER_TEST_GPU_LIBRARY";

/// Where the suite's models lie, on a machine that the test was not built on.
const FIXTURES: &str = "SALVER_TEST_FIXTURES";

/// Loads every model on the first GPU.
struct OnGpu(&'static OnnxRuntime, SessionOptions);

impl Backend for OnGpu {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn version(&self) -> String {
        self.0.version()
    }
    fn platform(&self) -> &'static str {
        self.0.platform()
    }
    fn artifact(&self) -> &'static str {
        self.0.artifact()
    }
    fn devices(&self) -> Vec<Device> {
        self.0.devices()
    }
    fn load(&self, path: &Path, _: &Options) -> Result<Box<dyn Model>, BackendError> {
        let device = "cuda:0".parse().expect("a device");
        let options = Options { device, session: self.1.clone(), ..Options::default() };
        let model = self.0.load(path, &options)?;
        assert_eq!(model.devices(), [Device::Cuda(0)]);
        Ok(model)
    }
}

/// The engine, one for all tests; `None` where there is nothing to test.
fn engine() -> Option<&'static OnnxRuntime> {
    static ENGINE: OnceLock<Option<OnnxRuntime>> = OnceLock::new();
    let opened = ENGINE.get_or_init(|| {
        let library = std::env::var_os(LIBRARY)?;
        let engine = OnnxRuntime::open(Path::new(&library)).expect("the library opens");
        assert!(engine.devices().contains(&Device::Cuda(0)), "{LIBRARY} was built without CUDA");
        Some(engine)
    });
    if opened.is_none() {
        eprintln!(
            "skipped: {LIBRARY} names no library; `make test-gpu` does, on a machine with one"
        );
    }
    opened.as_ref()
}

fn fixtures() -> PathBuf {
    let named = std::env::var_os(FIXTURES).map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures"))
}

fn limited() -> GpuOptions {
    GpuOptions { memory_bytes_max: Some(1 << 30), tf32: false, ..GpuOptions::default() }
}

#[track_caller]
fn check(session: SessionOptions) {
    if let Some(engine) = engine() {
        conformance(&OnGpu(engine, session), &fixtures(), &DType::ALL);
    }
}

#[test]
fn passes_the_suite_on_a_gpu() {
    check(SessionOptions { gpu: limited(), ..SessionOptions::default() });
}

#[test]
fn passes_the_suite_without_bound_memory() {
    check(SessionOptions { gpu: limited(), io_binding: Some(false), ..SessionOptions::default() });
}

#[test]
fn passes_the_suite_with_runs_side_by_side() {
    let gpu = GpuOptions { concurrent_runs: true, conv_workspace_small: true, ..limited() };
    check(SessionOptions { gpu, ..SessionOptions::default() });
}

/// Runs `double` on other numbers each time: a copy that is left out, or that comes too late, shows.
fn doubles(instance: &mut dyn Instance, model: &dyn Model, sizes: &[usize], seed: usize) {
    for run in 0..20 {
        for &rows in sizes {
            let value = |it: usize| (seed * 1_000 + run * 50 + it) as f32;
            let values: Vec<f32> = (0..rows * 4).map(value).collect();
            let input = Tensor::from_elements(&[rows, 4], &values).expect("four a row");
            let mut outputs = [Output::prepare(&model.signature().outputs[0], rows)];
            instance.run(&[input], &mut outputs).expect("runs");
            let [output] = outputs;
            let doubled: Vec<f32> = values.iter().map(|it| it * 2.0).collect();
            let output = output.into_tensor().expect("an output");
            assert_eq!(output.view::<f32>(), Some(&*doubled), "run {run} of {rows} rows");
        }
    }
}

/// So many instances side by side, with batches of several sizes, on the threads that they were made for.
#[track_caller]
fn check_answers(instances: usize, gpu: GpuOptions) {
    let Some(engine) = engine() else { return };
    let engine = OnGpu(engine, SessionOptions { gpu, ..SessionOptions::default() });
    let model = engine.load(&fixtures().join("double.onnx"), &Options::default());
    let model = model.expect("loads");
    thread::scope(|threads| {
        for seed in 0..instances {
            let model = &*model;
            threads.spawn(move || {
                let mut instance = model.instance(&Device::Cuda(0)).expect("an instance");
                doubles(&mut *instance, model, &[1, 4, 8, 5], seed);
            });
        }
    });
}

#[test]
fn instances_do_not_see_one_another() {
    check_answers(3, limited());
    check_answers(3, GpuOptions { concurrent_runs: true, ..limited() });
}

/// Three sizes are recorded, one is not; beside others a recording waits until it is alone.
#[test]
fn recorded_runs_answer_for_their_own_input() {
    let recorded = GpuOptions { cuda_graphs: Some(vec![1, 4, 8]), ..limited() };
    check_answers(1, recorded.clone());
    check_answers(3, recorded);
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let Some(engine) = engine() else { return };
    let gpu = GpuOptions { cuda_graphs: Some(vec![1]), ..limited() };
    let engine = OnGpu(engine, SessionOptions { gpu, ..SessionOptions::default() });
    let load = |name| engine.load(&fixtures().join(name), &Options::default()).err();
    assert!(load("positive.onnx").is_some(), "its length varies");
    assert!(load("identity_bytes.onnx").is_some(), "it holds strings");
}
