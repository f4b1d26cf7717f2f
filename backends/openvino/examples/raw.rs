//! OpenVINO with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-openvino LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [PRECISION]]` runs the model on one thread, on the
//! same input again and again, and prints one line of JSON. Free axes other than the first get
//! AXIS_LENGTH; PRECISION is f32 or bf16.

use std::path::Path;
use std::time::{Duration, Instant};

use backend_api::{Backend as _, DType, Device, Dim, Model, Options, Output, Precision, Tensor};
use backend_openvino::OpenVino;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("raw-openvino LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [PRECISION]]".into());
    };
    let (rows, seconds): (usize, f64) = (rows.parse()?, seconds.parse()?);
    let free: usize = rest.first().map_or(Ok(1), |it| it.parse())?;
    let precision = match rest.get(1).map(String::as_str) {
        None | Some("f32") => Precision::F32,
        Some("bf16") => Precision::Bf16,
        Some(other) => return Err(format!("{other} is neither f32 nor bf16").into()),
    };
    let options = Options { precision, ..Options::default() };
    let model = OpenVino::at(Path::new(library)).load(Path::new(model), &options)?;
    let inputs = inputs(&*model, rows, free)?;
    let mut instance = model.instance(&Device::Cpu)?;
    let mut run = || -> Result<Duration> {
        let outputs = model.signature().outputs.iter().map(|it| Output::prepare(it, rows));
        let mut outputs: Vec<Output> = outputs.collect();
        let began = Instant::now();
        instance.run(&inputs, &mut outputs)?;
        Ok(began.elapsed())
    };
    for _ in 0..3 {
        run()?;
    }
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed().as_secs_f64() < seconds {
        times.push(run()?);
    }
    let elapsed = began.elapsed().as_secs_f64();
    times.sort();
    let median_us = times[times.len() / 2].as_secs_f64() * 1e6;
    let rows_per_s = (times.len() * rows) as f64 / elapsed;
    print(&format!(r#"{{"rows_per_s": {rows_per_s:.3}, "median_us": {median_us:.3}}}"#));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}

/// Halves for numbers, ones for whole numbers.
fn inputs(model: &dyn Model, rows: usize, free: usize) -> Result<Vec<Tensor>> {
    let mut inputs = Vec::new();
    for spec in &model.signature().inputs {
        let length = |(n, dim): (usize, &Dim)| match dim {
            Dim::Fixed(length) => *length,
            Dim::Rows => rows,
            Dim::Free(_) if n == 0 => rows,
            Dim::Free(_) => free,
        };
        let dims: Vec<usize> = spec.dims.iter().enumerate().map(length).collect();
        let count = dims.iter().product();
        inputs.push(if spec.dtype == DType::Fp32 {
            Tensor::from_elements(&dims, &vec![0.5_f32; count])?
        } else if spec.dtype == DType::Int64 {
            Tensor::from_elements(&dims, &vec![1_i64; count])?
        } else {
            return Err(format!("{} is {}", spec.name, spec.dtype).into());
        });
    }
    Ok(inputs)
}
