//! The seam's suite against the real library.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use backend_api::conformance::conformance;
use backend_api::{
    Backend, BackendError, DType, Device, GpuOptions, Model, Optimization, Options, Precision,
    SessionOptions,
};
use backend_onnxruntime::{LIBRARY, OnnxRuntime};

/// One for all tests: the library takes no second environment in a process.
fn onnxruntime() -> &'static OnnxRuntime {
    static ENGINE: OnceLock<OnnxRuntime> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let binary = std::env::current_exe().expect("this test's own path");
        let library = LIBRARY.find(&binary).unwrap_or_else(|searched| {
            panic!("no libonnxruntime.so in {searched:?}: `make onnxruntime` fetches it")
        });
        OnnxRuntime::open(&library).expect("the library opens")
    })
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures")
}

#[test]
fn passes_the_suite() {
    conformance(onnxruntime(), &fixtures(), &DType::ALL);
}

/// The engine with options that are not the usual ones.
struct Turned(&'static OnnxRuntime, Options);

impl Backend for Turned {
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
        self.0.load(path, &self.1)
    }
}

/// The way of runs on a GPU, with memory of the host.
#[test]
fn passes_the_suite_on_bound_memory() {
    for arena in [true, false] {
        let session = SessionOptions { io_binding: Some(true), arena, ..SessionOptions::default() };
        let options = Options { session, ..Options::default() };
        conformance(&Turned(onnxruntime(), options), &fixtures(), &DType::ALL);
    }
}

#[test]
fn passes_the_suite_with_every_option_turned() {
    let session = SessionOptions {
        optimization: Optimization::Off,
        arena: false,
        memory_pattern: true,
        prepacking: false,
        quantized_precision: true,
        ..SessionOptions::default()
    };
    for optimization in [Optimization::Off, Optimization::Basic, Optimization::Extended] {
        let session = SessionOptions { optimization, ..session.clone() };
        let options = Options { session, ..Options::default() };
        conformance(&Turned(onnxruntime(), options), &fixtures(), &DType::ALL);
    }
}

#[test]
fn bf16_is_refused_where_it_would_be_ignored() {
    let options = Options { precision: Precision::Bf16, ..Options::default() };
    let loaded = onnxruntime().load(&fixtures().join("double.onnx"), &options);
    assert_eq!(loaded.is_ok(), cfg!(target_arch = "aarch64"));
}

/// ONNX Runtime by itself would say nothing, and compute on the processor.
#[test]
fn a_gpu_that_is_not_there_is_not_replaced() {
    for device in ["cuda:0", "cuda:7"] {
        let device = device.parse().expect("a device");
        let options = Options { device, ..Options::default() };
        let error = onnxruntime().load(&fixtures().join("double.onnx"), &options).err();
        let error = error.expect("the library for processors has no GPU");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{error:?}");
        let text = error.to_string();
        for part in ["device cuda:", "built without CUDA", "onnxruntime-gpu", "LD_LIBRARY_PATH"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn cuda_graphs_are_refused_without_a_gpu() {
    let gpu = GpuOptions { cuda_graphs: Some(vec![1]), ..GpuOptions::default() };
    let session = SessionOptions { gpu, ..SessionOptions::default() };
    for (device, says) in [
        ("cpu", "device cpu comes to the processor"),
        ("auto", "expected a GPU such as cuda:0"),
        ("cuda:0", "built without CUDA"),
    ] {
        let device = device.parse().expect("a device");
        let options = Options { device, session: session.clone(), ..Options::default() };
        let error = onnxruntime().load(&fixtures().join("double.onnx"), &options).err();
        let error = error.expect("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn without_a_wish_it_is_the_processor_here() {
    for device in ["auto", "cpu"] {
        let device = device.parse().expect("a device");
        let options = Options { device, ..Options::default() };
        let model = onnxruntime().load(&fixtures().join("double.onnx"), &options).expect("loads");
        assert_eq!((model.devices(), model.provider()), (vec![Device::Cpu], Some("cpu")));
        assert!(model.instance(&Device::Cuda(0)).is_err(), "there is no model");
    }
}

/// Of these another engine may know more.
#[test]
fn what_it_lacks_is_refused_as_that() {
    for (name, says) in [
        ("frob", "com.acme:Frob"),
        ("later", "is under development"),
        ("conv_fp64", "Could not find an implementation for Conv"),
    ] {
        let path = fixtures().join("lacking").join(name).with_extension("onnx");
        let error = onnxruntime().load(&path, &Options::default()).err().expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_missing_library_is_an_error() {
    let error =
        OnnxRuntime::open(Path::new("/nowhere/libonnxruntime.so")).err().expect("not there");
    assert!(error.to_string().contains("/nowhere/libonnxruntime.so"), "{error}");
}
