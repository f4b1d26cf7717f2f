//! The seam's suite on a GPU, where one is: `make test-gpu` names the library that can use it.

#![expect(clippy::disallowed_methods, reason = "what it needs is on other machines")]

use std::path::{Path, PathBuf};

use backend_api::conformance::conformance;
use backend_api::{
    Backend, BackendError, DType, Device, GpuOptions, Model, Options, SessionOptions,
};
use backend_onnxruntime::OnnxRuntime;

/// The library of onnxruntime-gpu.
const LIBRARY: &str = "SALVER_TEST_GPU_LIBRARY";

/// Where the suite's models lie, on a machine that the test was not built on.
const FIXTURES: &str = "SALVER_TEST_FIXTURES";

/// Loads every model on the first GPU.
struct OnGpu(OnnxRuntime, GpuOptions);

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
        let session = SessionOptions { gpu: self.1.clone(), ..SessionOptions::default() };
        let device = "cuda:0".parse().expect("a device");
        let model = self.0.load(path, &Options { device, session, ..Options::default() })?;
        assert_eq!(model.device(), Device::Cuda(0));
        Ok(model)
    }
}

#[test]
fn passes_the_suite_on_a_gpu() {
    let Some(library) = std::env::var_os(LIBRARY) else {
        eprintln!(
            "skipped: {LIBRARY} names no library; `make test-gpu` does, on a machine with one"
        );
        return;
    };
    let engine = OnnxRuntime::open(Path::new(&library)).expect("the library opens");
    assert!(engine.devices().contains(&Device::Cuda(0)), "{LIBRARY} was built without CUDA");
    let fixtures = std::env::var_os(FIXTURES).map(PathBuf::from);
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures");
    let fixtures = fixtures.unwrap_or_else(here);
    let limited =
        GpuOptions { memory_bytes_max: Some(1 << 30), tf32: false, ..GpuOptions::default() };
    let engine = OnGpu(engine, limited);
    conformance(&engine, &fixtures, &DType::ALL);
}
