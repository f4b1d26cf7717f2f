//! candle with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-candle MODEL ROWS SECONDS [AXIS_LENGTH]` runs the model on one thread, on the same input again and
//! again, and prints one line of JSON. Free axes other than the first get AXIS_LENGTH. Models are made by
//! `python -m train.weights`.

use std::path::Path;
use std::time::{Duration, Instant};

use backend_api::{Backend as _, DType, Device, Dim, Model, Options, Output, Tensor};
use backend_candle::Candle;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("raw-candle MODEL ROWS SECONDS [AXIS_LENGTH]".into());
    };
    let (rows, seconds): (usize, f64) = (rows.parse()?, seconds.parse()?);
    let free: usize = rest.first().map_or(Ok(1), |it| it.parse())?;
    let model = Candle.load(Path::new(model), &Options::default())?;
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
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Rows => rows,
            Dim::Free(_) => free,
        };
        let dims: Vec<usize> = spec.dims.iter().map(length).collect();
        let count = dims.iter().product();
        inputs.push(if spec.dtype == DType::Int64 {
            Tensor::from_elements(&dims, &vec![1_i64; count])?
        } else {
            Tensor::from_elements(&dims, &vec![0.5_f32; count])?
        });
    }
    Ok(inputs)
}
