use super::*;

#[path = "../../cuda/tests/fake/mod.rs"]
#[expect(dead_code, reason = "no memory of another process is copied from here")]
mod fake;

use std::path::Path;
use std::sync::PoisonError;

use backend_api::{GpuOptions, Options, SessionOptions};

use crate::model::OnnxModel;
use crate::{LIBRARY, OnnxRuntime};

/// The model's shared part, on the processor; the library takes one environment in a process.
fn shared(name: &str) -> Arc<Shared> {
    static ENGINE: OnceLock<OnnxRuntime> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let binary = std::env::current_exe().expect("this test's own path");
        let library = LIBRARY.find(&binary).expect("`make onnxruntime` fetches it");
        OnnxRuntime::open(&library).expect("the library opens")
    });
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures").join(name);
    let session = SessionOptions { io_binding: Some(true), ..SessionOptions::default() };
    let options = Options { session, ..Options::default() };
    OnnxModel::load(&engine.environment, &file, &options).expect("loads").shared
}

fn floats(rows: usize, first: f32) -> Tensor {
    let values: Vec<f32> = (0..rows * 4).map(|it| first + it as f32).collect();
    Tensor::from_elements(&[rows, 4], &values).expect("four a row")
}

/// Runs `double` and looks at what it gives.
#[track_caller]
fn check(bound: &mut Bound, rows: usize, first: f32) {
    let mut outputs = [Output::prepare(&bound.shared.signature.outputs[0], rows)];
    let input = floats(rows, first);
    assert_eq!(bound.run(std::slice::from_ref(&input), &mut outputs), Ok(true));
    let [output] = outputs;
    let output = output.into_tensor().expect("written");
    let doubled: Vec<f32> =
        input.view::<f32>().expect("floats").iter().map(|it| it * 2.0).collect();
    assert_eq!(output.view::<f32>(), Some(&*doubled));
}

fn addresses(bound: &mut Bound) -> Vec<*const u8> {
    let blocks = bound
        .sets
        .iter_mut()
        .flat_map(|it| it.inputs.iter_mut().chain(it.outputs.iter_mut().flatten()));
    blocks.map(|it| it.bytes().expect("the host's").as_ptr()).collect()
}

#[test]
fn memory_is_made_once_for_each_shape() {
    let mut bound = Bound::new(&shared("double.onnx")).expect("binds");
    for rows in [1, 8, 3] {
        check(&mut bound, rows, 0.0);
    }
    let before = addresses(&mut bound);
    assert_eq!(before.len(), 6);
    for run in 0..50 {
        check(&mut bound, [1, 8, 3][run % 3], run as f32);
    }
    assert_eq!(addresses(&mut bound), before);
}

#[test]
fn what_was_not_used_for_the_longest_time_gives_way() {
    let mut bound = Bound::new(&shared("double.onnx")).expect("binds");
    for rows in 1..=SETS_MAX {
        check(&mut bound, rows, 0.0);
    }
    check(&mut bound, 1, 5.0);
    check(&mut bound, 100, 0.0);
    assert_eq!(bound.sets.len(), SETS_MAX);
    let rows = |it: &Set| it.shapes[0].1.rows();
    assert!(bound.sets.iter().any(|it| rows(it) == Some(1)), "it was used again");
    assert!(!bound.sets.iter().any(|it| rows(it) == Some(2)));
}

#[test]
fn what_is_too_large_goes_without() {
    let mut bound = Bound::new(&shared("double.onnx")).expect("binds");
    check(&mut bound, 1, 0.0);
    let rows = BYTES_MAX / 32 + 1;
    let input = Tensor::zeroed(DType::Fp32, Shape::new(&[rows, 4]).expect("fits"));
    assert_eq!(bound.run(&[input], &mut [Output::Open(None)]), Ok(true), "half of it");
    assert!(!bound.make_room(BYTES_MAX + 1));
    assert_eq!(bound.sets.len(), 2, "nobody gave way for nothing");
    assert!(bound.make_room(BYTES_MAX) && bound.sets.is_empty());
}

#[test]
fn a_run_that_fails_keeps_no_memory() {
    let mut bound = Bound::new(&shared("pick.onnx")).expect("binds");
    let mut run = |index: i64| {
        let input = Tensor::from_elements(&[1, 1], &[index]).expect("one");
        bound.run(&[input], &mut [Output::Open(None)])
    };
    assert_eq!(run(2), Ok(true));
    assert!(run(77).is_err());
    assert_eq!(bound.sets.len(), 0);
}

/// The way to a GPU and back, with the host's memory for the GPU's and a driver of a few lines of C.
#[test]
fn tensors_are_carried_to_where_they_are_read() {
    let (_folder, library) = fake::built(&[]);
    let stream = Driver::open(Some(&library)).expect("opens").stream(0).expect("a stream");
    let shared = shared("pair.onnx");
    let far = || Place::far(&shared).expect("a place");
    let near = Place::of_inputs(&shared).expect("places").remove(0);
    let carrier = Carrier { stream, pinned: near.clone(), stage: None };
    // One input and one output on the "GPU", the others on the host.
    let places = (vec![far(), near.clone()], vec![near, far()]);
    let mut bound = Bound::of(&shared, places, Some(carrier)).expect("binds");
    for rows in [1_usize, 33, 2, 33] {
        let values = |from: f32| (0..rows * 2).map(|it| from + it as f32).collect::<Vec<_>>();
        let tensor = |from| Tensor::from_elements(&[rows, 2], &values(from)).expect("two a row");
        let specs = &shared.signature.outputs;
        let mut outputs: Vec<Output> = specs.iter().map(|it| Output::prepare(it, rows)).collect();
        assert_eq!(bound.run(&[tensor(100.0), tensor(1.0)], &mut outputs), Ok(true));
        let got: Vec<Tensor> =
            outputs.into_iter().map(|it| it.into_tensor().expect("written")).collect();
        let pairs = values(100.0).into_iter().zip(values(1.0));
        let (sum, difference): (Vec<f32>, Vec<f32>) = pairs.map(|(a, b)| (a + b, a - b)).unzip();
        assert_eq!(got[0].view::<f32>(), Some(&*sum), "{rows} rows");
        assert_eq!(got[1].view::<f32>(), Some(&*difference), "{rows} rows");
    }
    let stage = bound.carrier.as_ref().and_then(|it| it.stage.as_ref()).map(Block::len);
    assert_eq!(stage, Some(512), "33 rows of 8 bytes, on whole lines, and a power of two");
}

#[test]
fn recordings_are_kept_for_the_batches_that_were_named() {
    let _tested = graphs::TESTED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut model = shared("double.onnx");
    let sizes = crate::model::Graphs::of(&[1, 8]).expect("options");
    Arc::get_mut(&mut model).expect("one owner").graphs = Some(sizes);
    let refused = Bound::new(&model).err().expect("a processor").to_string();
    assert!(refused.contains("input x FP32 [rows,4] is used on the processor"), "{refused}");
    let places =
        (Place::of_inputs(&model).expect("there"), Place::of_outputs(&model).expect("there"));
    let mut bound = Bound::of(&model, places, None).expect("binds");
    for rows in [1, 3, 8, 1] {
        check(&mut bound, rows, 1.0);
    }
    let rows = |it: &Set| it.shapes[0].1.rows();
    let recorded: Vec<_> = bound.sets.iter().filter(|it| it.graph.is_some()).map(rows).collect();
    assert_eq!(recorded, [Some(1), Some(8)]);
    assert!(bound.sets.iter().filter_map(|it| it.graph.as_ref()).all(Graph::is_recorded));
    for rows in 10..10 + 2 * SETS_MAX {
        check(&mut bound, rows, 0.0);
    }
    let recorded = bound.sets.iter().filter(|it| it.graph.is_some()).count();
    assert_eq!((recorded, bound.sets.len()), (2, SETS_MAX + 2), "they do not give way");
}

#[test]
fn graphs_are_for_a_gpu() {
    let gpu = GpuOptions { cuda_graphs: Some(vec![1]), ..GpuOptions::default() };
    let options = Options {
        session: SessionOptions { gpu, ..SessionOptions::default() },
        ..Options::default()
    };
    drop(shared("double.onnx")); // the library is open
    let error = provider::candidates(&options).expect_err("there is none").to_string();
    assert!(error.contains("cuda_graph: device auto comes to the processor"), "{error}");
}
