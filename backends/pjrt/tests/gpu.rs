//! The seam's suite on a plugin for GPUs, and the sample model beside its recorded answers: `make test-gpu` names the
//! plugin. Where none is named each test says so and checks nothing.

#![expect(clippy::disallowed_methods, reason = "what it needs is on other machines")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use backend_api::conformance::conformance_of_known_shapes;
use backend_api::{Backend, BackendError, DType, Device, Model, Options, Output, Tensor};
use backend_pjrt::{DTYPES, Pjrt};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Such as `xla_cuda_plugin.so` of jax-cuda13-pjrt.
const PLUGIN: &str = "SALVER_TEST_PJRT_PLUGIN";

/// The device to run on; `cuda:0` if it is not set.
const DEVICE: &str = "SALVER_TEST_PJRT_DEVICE";

/// Where the programs lie, on a machine that the test was not built on. It is one folder of a checkout.
const FIXTURES: &str = "SALVER_TEST_PJRT_FIXTURES";

/// Between the recorded answers and a GPU's, absolute and relative: XLA may multiply in TF32 there, which has ten
/// bits, and `digits` gives probabilities.
const TOLERANCE: f32 = 1e-3;

/// For plugins for GPUs, which else take three quarters of the memory for themselves.
const GPU_OPTIONS: [&str; 2] = ["memory_fraction=0.1", "preallocate=false"];

/// That for processors shows several devices otherwise.
const CPU_OPTIONS: [&str; 1] = ["cpu_device_count=1"];

/// Loads every model on that device.
struct There {
    pjrt: Pjrt,
    device: Device,
}

impl Backend for There {
    fn name(&self) -> &'static str {
        self.pjrt.name()
    }
    fn version(&self) -> String {
        self.pjrt.version()
    }
    fn platform(&self) -> &'static str {
        self.pjrt.platform()
    }
    fn artifact(&self) -> &'static str {
        self.pjrt.artifact()
    }
    fn devices(&self) -> Vec<Device> {
        self.pjrt.devices()
    }
    fn load(&self, path: &Path, _: &Options) -> Result<Box<dyn Model>, BackendError> {
        let device = self.device.to_string().parse().expect("a wish");
        let model = self.pjrt.load(path, &Options { device, ..Options::default() })?;
        assert_eq!(model.devices(), std::slice::from_ref(&self.device));
        Ok(model)
    }
}

/// The engine, one for all tests: a plugin has one client per process.
fn there() -> Option<&'static There> {
    static THERE: OnceLock<Option<There>> = OnceLock::new();
    let open = || {
        let plugin = PathBuf::from(std::env::var_os(PLUGIN)?);
        let device = std::env::var(DEVICE).unwrap_or_else(|_| "cuda:0".to_owned());
        let device = if device == "cpu" { Device::Cpu } else { Device::Cuda(number(&device)) };
        let options: &[&str] = if device == Device::Cpu { &CPU_OPTIONS } else { &GPU_OPTIONS };
        let options = options.iter().map(|it| it.parse().expect("an option")).collect();
        Some(There { pjrt: Pjrt::at(&plugin, None).with_options(options), device })
    };
    let opened = THERE.get_or_init(open);
    if opened.is_none() {
        eprintln!("skipped: {PLUGIN} names no plugin; `make test-gpu` does, on a machine with one");
    }
    opened.as_ref()
}

fn number(device: &str) -> u32 {
    let number = device.strip_prefix("cuda:").and_then(|it| it.parse().ok());
    number.unwrap_or_else(|| panic!("{DEVICE} is {device:?}: expected is cpu or cuda:N"))
}

fn fixtures() -> PathBuf {
    let named = std::env::var_os(FIXTURES).map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"))
}

fn load(there: &There, name: &str) -> Box<dyn Model> {
    there.load(&fixtures().join(name), &Options::default()).expect("loads")
}

/// What the model's one output is for that input.
fn answer(model: &dyn Model, device: &Device, input: Tensor) -> Vec<f32> {
    let rows = input.shape().rows().expect("rows");
    let mut instance = model.instance(device).expect("an instance");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], rows)];
    instance.run(&[input], &mut outputs).expect("runs");
    let output = outputs.remove(0).into_tensor().expect("an output");
    output.view::<f32>().expect("floats").to_vec()
}

#[test]
fn passes_the_suite_there() {
    if let Some(there) = there() {
        conformance_of_known_shapes(there, &fixtures(), &DTYPES);
    }
}

#[test]
fn it_says_what_it_runs_on() {
    let Some(there) = there() else { return };
    let lines = there.pjrt.describe().expect("it opens");
    eprintln!("{}", lines.join("\n"));
    assert!(there.devices().contains(&there.device), "{lines:?}");
}

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("as the models' scripts write it")
}

/// The same sample model, exported to another format, answers alike.
#[test]
fn digits_answers_as_recorded() {
    let Some(there) = there() else { return };
    let path = fixtures().join("../../../models/repository/digits/1/recorded.json");
    let recorded = fs::read_to_string(path).expect("recorded answers");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let model = load(there, "digits.stablehlo");
    let cases = recorded["cases"].as_array().expect("a list");
    assert!(!cases.is_empty());
    for case in cases {
        let (input, output) = (&case["request"]["inputs"][0], &case["response"]["outputs"][0]);
        let (shape, pixels): (Vec<usize>, Vec<f32>) =
            (parse(&input["shape"]), parse(&input["data"]));
        let input = Tensor::from_elements(&shape, &pixels).expect("fits");
        let got = answer(&*model, &there.device, input);
        let expect: Vec<f32> = parse(&output["data"]);
        assert_eq!(got.len(), expect.len(), "{shape:?}");
        for (n, (a, b)) in got.iter().zip(&expect).enumerate() {
            let near = (a - b).abs() <= TOLERANCE + TOLERANCE * b.abs();
            assert!(near, "{shape:?}, element {n}: {a}, recorded is {b}");
        }
    }
}

/// More rows than any program takes, on several threads: copies that come too late, or are somebody else's, show.
#[test]
fn instances_do_not_see_one_another() {
    let Some(there) = there() else { return };
    let model = load(there, "double.stablehlo");
    assert_eq!(model.signature().inputs[0].dtype, DType::Fp32);
    thread::scope(|threads| {
        for seed in 0..3_u16 {
            let model = &*model;
            threads.spawn(move || {
                for rows in [1_u16, 8, 9, 23, 8] {
                    let numbers: Vec<f32> =
                        (0..rows * 4).map(|it| f32::from(seed) * 1_000.0 + f32::from(it)).collect();
                    let input = Tensor::from_elements(&[rows.into(), 4], &numbers).expect("fits");
                    let doubled: Vec<f32> = numbers.iter().map(|it| it * 2.0).collect();
                    assert_eq!(answer(model, &there.device, input), doubled, "{rows} rows");
                }
            });
        }
    });
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let Some(there) = there() else { return };
    let device = "cuda:63".parse().expect("a wish");
    let options = Options { device, ..Options::default() };
    let path = fixtures().join("double.stablehlo");
    let error = there.pjrt.load(&path, &options).err().expect("no machine has so many");
    assert!(error.to_string().contains("device cuda:63: its plugin has "), "{error}");
}
