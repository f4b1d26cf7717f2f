//! What every engine must do. Each engine's tests call [`conformance`] with models of its format.
//!
//! The fixtures are the same few models in each format:
//!
//! | name | inputs | outputs |
//! |---|---|---|
//! | `double` | `x` FP32 `[rows,4]` | `y` FP32 `[rows,4]` = 2x |
//! | `pair` | `a`, `b` FP32 `[rows,2]` | `sum`, `difference` FP32 `[rows,2]` |
//! | `pick` | `index` INT64 `[rows,1]` | `value` FP32 `[rows,1]`: 10, 20, 30 or 40; another index fails |
//! | `fixed` | `x` FP32 `[1,4]` | `y` FP32 `[1,4]` = 2x |
//! | `positive` | `x` FP32 `[n]` | `at` INT64 `[1,?]`: where x is not zero |
//! | `identity_<dtype>` | `x` `[rows,2]` | `y` `[rows,2]` = x |

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;

use crate::{Backend, BackendError, Buffer, DType, Device, Model, Options, Output, Shape, Tensor};

/// Several tests of a process may run the suite at a time.
static SUITES: AtomicUsize = AtomicUsize::new(0);

/// Runs the whole suite. `fixtures` holds one file a model: its name, then the extension of
/// [`Backend::artifact`]. `dtypes` are those the engine claims to carry.
///
/// # Panics
/// If the engine breaks the contract; the message says where.
pub fn conformance(backend: &dyn Backend, fixtures: &Path, dtypes: &[DType]) {
    conformance_of_known_shapes(backend, fixtures, dtypes);
    Suite { backend, fixtures }.unknown_shapes_are_brought_by_the_engine();
}

/// As [`conformance`], for an engine that knows every shape before it runs: without `positive`.
///
/// # Panics
/// If the engine breaks the contract; the message says where.
pub fn conformance_of_known_shapes(backend: &dyn Backend, fixtures: &Path, dtypes: &[DType]) {
    let suite = Suite { backend, fixtures };
    suite.rows_out_are_rows_in();
    suite.an_instance_outlives_its_model();
    suite.outputs_stand_in_order();
    suite.prepared_memory_is_written_in_place();
    suite.memory_may_start_anywhere();
    suite.errors_cost_one_run();
    suite.a_refused_run_leaves_nothing_behind();
    suite.a_fixed_first_axis_is_not_rows();
    suite.instances_run_side_by_side();
    suite.broken_artifacts_are_errors();
    for &dtype in dtypes {
        suite.carries(dtype);
    }
}

struct Suite<'a> {
    backend: &'a dyn Backend,
    fixtures: &'a Path,
}

/// Where its first instance computes.
fn first(model: &dyn Model) -> Device {
    model.devices().into_iter().next().expect("there is at least one")
}

impl Suite<'_> {
    fn path(&self, name: &str) -> PathBuf {
        let extension = Path::new(self.backend.artifact()).extension().expect("has an extension");
        self.fixtures.join(name).with_extension(extension)
    }

    fn load(&self, name: &str) -> Box<dyn Model> {
        let loaded = self.backend.load(&self.path(name), &Options::default());
        loaded.unwrap_or_else(|it| panic!("fixture {name}: {it}"))
    }

    fn rows_out_are_rows_in(&self) {
        let model = self.load("double");
        let signature = model.signature();
        assert!(signature.is_batched(), "the first axis of `double` varies everywhere");
        let shown: Vec<String> =
            signature.inputs.iter().chain(&signature.outputs).map(ToString::to_string).collect();
        assert_eq!(shown, ["x FP32 [rows,4]", "y FP32 [rows,4]"]);
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        for rows in [1, 2, 7, 1, 64] {
            let input = floats(&[rows, 4]);
            let mut outputs = prepare(&*model, rows);
            instance.run(std::slice::from_ref(&input), &mut outputs).expect("valid input runs");
            let output = outputs.remove(0).into_tensor().expect("an output");
            assert_eq!(output.view::<f32>().expect("floats"), doubled(&input), "{rows} rows");
        }
    }

    fn an_instance_outlives_its_model(&self) {
        let model = self.load("double");
        let mut outputs = prepare(&*model, 1);
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        drop(model);
        instance.run(&[floats(&[1, 4])], &mut outputs).expect("it keeps its weights alive");
    }

    fn outputs_stand_in_order(&self) {
        let model = self.load("pair");
        let mut outputs = prepare(&*model, 1);
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        let pair = |values: &[f32]| Tensor::from_elements(&[1, 2], values).expect("two");
        instance.run(&[pair(&[5.0, 1.0]), pair(&[2.0, 4.0])], &mut outputs).expect("runs");
        let got: Vec<Vec<f32>> = outputs.into_iter().map(values).collect();
        assert_eq!(got, [[7.0, 5.0], [3.0, -3.0]]);
    }

    fn prepared_memory_is_written_in_place(&self) {
        let model = self.load("double");
        let mut outputs = prepare(&*model, 3);
        let address = |output: &Output| match output {
            Output::Prepared { buffer, .. } => buffer.as_slice().as_ptr(),
            Output::Open(_) => panic!("the shape is known"),
        };
        let before = address(&outputs[0]);
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        instance.run(&[floats(&[3, 4])], &mut outputs).expect("runs");
        assert_eq!(address(&outputs[0]), before);
        let output = outputs.remove(0).into_tensor().expect("an output");
        assert_eq!(output.data().as_ptr(), before, "and stays there");
    }

    fn memory_may_start_anywhere(&self) {
        let model = self.load("double");
        let aligned = floats(&[2, 4]);
        let mut backing = Buffer::zeroed(aligned.data().len() + 1);
        backing.as_mut_slice()[1..].copy_from_slice(aligned.data());
        let shape = aligned.shape().clone();
        let odd = Tensor::new(DType::Fp32, shape, backing.freeze().slice(1..)).expect("fits");
        assert!(!odd.is_aligned());
        let mut outputs = prepare(&*model, 2);
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        instance.run(&[odd], &mut outputs).expect("runs");
        assert_eq!(values(outputs.remove(0)), doubled(&aligned));
    }

    fn errors_cost_one_run(&self) {
        let model = self.load("pick");
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        let mut pick = |index: &[i64]| {
            let mut outputs = prepare(&*model, index.len());
            let input = Tensor::from_elements(&[index.len(), 1], index).expect("one each");
            instance.run(&[input], &mut outputs).map(|()| values(outputs.remove(0)))
        };
        assert_eq!(pick(&[2, 0]).expect("valid"), [30.0, 10.0]);
        pick(&[1, 1_000_000]).expect_err("an index out of range is an error, not a panic");
        assert_eq!(pick(&[3]).expect("the next run is well again"), [40.0]);
        let nothing = instance.run(&[], &mut prepare(&*model, 1));
        assert!(matches!(nothing, Err(BackendError::Input { .. })), "no input: {nothing:?}");
        let other = Tensor::zeroed(DType::Fp64, Shape::new(&[1, 1]).expect("small"));
        instance.run(&[other], &mut prepare(&*model, 1)).expect_err("another type is an error");
    }

    /// Lengths of a run that came to nothing must not bind the next one.
    fn a_refused_run_leaves_nothing_behind(&self) {
        let model = self.load("pair");
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        let mut add = |a: usize, b: usize| {
            let mut outputs = prepare(&*model, a);
            let ones = |rows| Tensor::from_elements(&[rows, 2], &vec![1.0_f32; rows * 2]);
            let inputs = [ones(a).expect("fits"), ones(b).expect("fits")];
            instance.run(&inputs, &mut outputs).map(|()| values(outputs.remove(0)))
        };
        for rows in [1, 5, 3] {
            add(2, 3).expect_err("inputs that share an axis differ in its length");
            assert_eq!(add(rows, rows).expect("well again"), vec![2.0; rows * 2], "{rows} rows");
        }
    }

    fn a_fixed_first_axis_is_not_rows(&self) {
        let model = self.load("fixed");
        assert!(!model.signature().is_batched());
        let mut outputs = prepare(&*model, 1);
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        instance.run(&[floats(&[1, 4])], &mut outputs).expect("runs");
        assert_eq!(values(outputs.remove(0)), doubled(&floats(&[1, 4])));
    }

    fn unknown_shapes_are_brought_by_the_engine(&self) {
        let model = self.load("positive");
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        for (input, expect) in [(vec![0.0, 1.0, 2.0], vec![1_i64, 2]), (vec![0.0], vec![])] {
            let mut outputs = prepare(&*model, 1);
            assert!(matches!(outputs[0], Output::Open(None)), "the shape is not known");
            let tensor = Tensor::from_elements::<f32>(&[input.len()], &input).expect("floats");
            instance.run(&[tensor], &mut outputs).expect("runs");
            let got = outputs.remove(0).into_tensor().expect("an output");
            assert_eq!(got.shape().dims(), [1, expect.len()]);
            assert_eq!(got.view::<i64>().expect("places"), expect);
        }
    }

    fn instances_run_side_by_side(&self) {
        let model = self.load("double");
        let model = &*model;
        thread::scope(|scope| {
            for offset in 0..2_u8 {
                scope.spawn(move || {
                    let mut instance = model.instance(&first(&*model)).expect("an instance");
                    for step in 0..200_u8 {
                        let start = f32::from(step) + f32::from(offset) * 0.5;
                        let input = Tensor::from_elements(&[1, 4], &[start; 4]).expect("four");
                        let mut outputs = prepare(model, 1);
                        instance.run(&[input], &mut outputs).expect("runs");
                        assert_eq!(values(outputs.remove(0)), [start * 2.0; 4]);
                    }
                });
            }
        });
    }

    fn broken_artifacts_are_errors(&self) {
        let missing = self.backend.load(&self.path("no_such_model"), &Options::default());
        assert!(matches!(missing.err(), Some(BackendError::Artifact { .. })), "a missing file");
        let suite = SUITES.fetch_add(1, Ordering::Relaxed);
        let name = format!("salver-conformance-{}-{suite}", std::process::id());
        let scratch = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&scratch).expect("a scratch folder");
        let whole = std::fs::read(self.path("double")).expect("the fixture");
        let noise: Vec<u8> =
            (0..512_u32).map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        let cut = whole[..whole.len() / 2].to_vec();
        for (name, content) in [("noise", noise), ("cut", cut), ("empty", Vec::new())] {
            let path = scratch.join(name).with_extension(self.path("x").extension().expect("one"));
            std::fs::write(&path, content).expect("write");
            let loaded = self.backend.load(&path, &Options::default());
            assert!(loaded.is_err(), "{name}: a broken artifact is an error");
        }
        std::fs::remove_dir_all(&scratch).expect("clean up");
    }

    fn carries(&self, dtype: DType) {
        let model = self.load(&format!("identity_{}", dtype.name().to_lowercase()));
        let spec = &model.signature().inputs[0];
        assert_eq!((spec.dtype, spec.has_rows()), (dtype, true), "{dtype}");
        let mut instance = model.instance(&first(&*model)).expect("an instance");
        let input = sample(dtype);
        let mut outputs = prepare(&*model, 3);
        instance.run(std::slice::from_ref(&input), &mut outputs).expect("runs");
        let output = outputs.remove(0).into_tensor().expect("an output");
        assert_eq!(output, input, "{dtype} passes unchanged");
    }
}

fn prepare(model: &dyn Model, rows: usize) -> Vec<Output> {
    model.signature().outputs.iter().map(|it| Output::prepare(it, rows)).collect()
}

/// Distinct numbers, among them what arithmetic likes to lose.
fn floats(dims: &[usize]) -> Tensor {
    let mut elements: Vec<f32> =
        (0..dims.iter().product::<usize>()).map(|it| it as f32 - 1.5).collect();
    elements[1] = f32::INFINITY;
    elements[2] = f32::MIN_POSITIVE;
    Tensor::from_elements(dims, &elements).expect("fits")
}

fn doubled(tensor: &Tensor) -> Vec<f32> {
    tensor.view::<f32>().expect("floats").iter().map(|it| it * 2.0).collect()
}

fn values(output: Output) -> Vec<f32> {
    output.into_tensor().expect("an output").view::<f32>().expect("floats").to_vec()
}

/// Three rows of two elements, the extremes of the type among them.
fn sample(dtype: DType) -> Tensor {
    let shape = Shape::new(&[3, 2]).expect("small");
    let Some(size) = dtype.size() else {
        return Tensor::from_strings(
            &[3, 2],
            &[&b"abc"[..], b"", b"\0mid\0", b"\xff\xfe", b"z", b"\xc3\xa4"],
        )
        .expect("six");
    };
    let byte = |n: usize| match (dtype, n % 3) {
        (DType::Bool, it) => u8::from(it == 1),
        (_, 0) => 0x7f,
        (_, 1) => 0x01,
        (_, _) => 0x80,
    };
    let data: Vec<u8> = (0..6 * size).map(byte).collect();
    Tensor::new(dtype, shape, Bytes::from(data)).expect("six elements")
}
