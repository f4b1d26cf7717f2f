//! ONNX Runtime through the seam: what its ways of running cost.
//!
//! `seam LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [DEVICE [WAY [INSTANCES]]]]` has so many instances run the model side by
//! side, each on the same input again and again, and prints one line of JSON. Free axes other than the first get
//! AXIS_LENGTH. WAY is `plain`, `bound` (memory bound before the run), `concurrent` (bound, and no turns on a GPU) or
//! `graph` (bound, and recorded as a CUDA graph). Used by `make test-gpu`.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use backend_api::{
    Backend as _, Buffer, DType, Dim, GpuOptions, Instance, Model, Options, Output, SessionOptions,
    Shape, Tensor,
};
use backend_onnxruntime::OnnxRuntime;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err(
            "seam LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [DEVICE [WAY [INSTANCES]]]]".into()
        );
    };
    let (rows, seconds): (usize, f64) = (rows.parse()?, seconds.parse()?);
    let word = |at: usize, usual: &'static str| rest.get(at).map_or(usual, String::as_str);
    let (free, instances): (usize, usize) = (word(0, "1").parse()?, word(3, "1").parse()?);
    let way = word(2, "plain");
    if !["plain", "bound", "concurrent", "graph"].contains(&way) {
        return Err(format!("{way} is none of plain, bound, concurrent, graph").into());
    }
    let gpu = GpuOptions {
        concurrent_runs: way == "concurrent",
        cuda_graphs: (way == "graph").then(|| vec![rows]),
        ..GpuOptions::default()
    };
    let session =
        SessionOptions { io_binding: Some(way != "plain"), gpu, ..SessionOptions::default() };
    let device = word(1, "cpu").parse()?;
    let options = Options { device, session, instances, ..Options::default() };
    let engine = OnnxRuntime::open(Path::new(library))?;
    let model = engine.load(Path::new(model), &options)?;
    let inputs = inputs(&*model, rows, free)?;
    let together = Barrier::new(instances);
    let measured = std::thread::scope(|threads| {
        let each = (0..instances).map(|_| {
            threads.spawn(|| -> Result<(Vec<Duration>, f64)> {
                let device = model.devices().into_iter().next().ok_or("no device")?;
                let mut instance = model.instance(&device)?;
                let mut run = || run(&mut *instance, &*model, (&inputs, rows));
                for _ in 0..3 {
                    run()?;
                }
                together.wait();
                let (began, mut times) = (Instant::now(), Vec::new());
                while began.elapsed().as_secs_f64() < seconds {
                    times.push(run()?);
                }
                Ok((times, began.elapsed().as_secs_f64()))
            })
        });
        let each: Vec<_> = each.collect();
        let joined = each.into_iter().map(|it| it.join().map_err(|_| "an instance panicked")?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    let rows_per_s: f64 =
        measured.iter().map(|(times, elapsed)| (times.len() * rows) as f64 / elapsed).sum();
    let mut times: Vec<Duration> = measured.into_iter().flat_map(|(times, _)| times).collect();
    times.sort();
    let median_us = times.get(times.len() / 2).ok_or("no run")?.as_secs_f64() * 1e6;
    print(&format!(r#"{{"rows_per_s": {rows_per_s:.3}, "median_us": {median_us:.3}}}"#));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}

/// Memory for the outputs is made for each run, as it is for each batch that is served.
fn run(
    instance: &mut dyn Instance,
    model: &dyn Model,
    (inputs, rows): (&[Tensor], usize),
) -> Result<Duration> {
    let began = Instant::now();
    let specs = &model.signature().outputs;
    let mut outputs: Vec<Output> = specs.iter().map(|it| Output::prepare(it, rows)).collect();
    instance.run(inputs, &mut outputs)?;
    Ok(began.elapsed())
}

/// As `raw` draws them: numbers from 0 to 1, and whole numbers 0 or 1.
fn inputs(model: &dyn Model, rows: usize, free: usize) -> Result<Vec<Tensor>> {
    let mut state = 1_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut inputs = Vec::new();
    for spec in &model.signature().inputs {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Rows => rows,
            Dim::Free(_) => free,
        };
        let shape = Shape::new(&spec.dims.iter().map(length).collect::<Vec<usize>>())?;
        let size = spec.dtype.size().ok_or("strings are not drawn")?;
        let mut buffer = Buffer::zeroed(shape.elements() * size);
        for element in buffer.as_mut_slice().chunks_exact_mut(size) {
            if spec.dtype == DType::Fp32 {
                element.copy_from_slice(&(f32::from(random()) / 256.0).to_le_bytes());
            } else if spec.dtype == DType::Int64 {
                element.copy_from_slice(&i64::from(random() % 2).to_le_bytes());
            } else {
                return Err(format!("{} is {}", spec.name, spec.dtype).into());
            }
        }
        inputs.push(Tensor::new(spec.dtype, shape, buffer.freeze())?);
    }
    Ok(inputs)
}
