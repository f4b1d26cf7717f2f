//! A model run with nothing around it but its engine's crate: for the engines' `raw` examples, which benchmarks
//! compare the server with.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::{DType, Dim, Model, Output, Tensor, TensorSpec};

/// Runs before any that is measured: memory is taken, and kernels are chosen.
const WARM_UP: usize = 3;

/// Runs the model on its first device, on the same input again and again, and says how that went in a line
/// of JSON. Axes of any length get `rows` if they are the first, else `free`.
pub fn measure(
    model: &dyn Model,
    (rows, free): (usize, usize),
    seconds: f64,
) -> Result<String, Box<dyn Error>> {
    let inputs = model.signature().inputs.iter().map(|it| input(it, rows, free));
    let inputs = inputs.collect::<Result<Vec<Tensor>, _>>()?;
    let devices = model.devices();
    let device = devices.first().ok_or("the model is on no device")?;
    let mut instance = model.instance(device)?;
    let mut run = || -> Result<Duration, Box<dyn Error>> {
        let outputs = model.signature().outputs.iter().map(|it| Output::prepare(it, rows));
        let mut outputs: Vec<Output> = outputs.collect();
        let began = Instant::now();
        instance.run(&inputs, &mut outputs)?;
        Ok(began.elapsed())
    };
    for _ in 0..WARM_UP {
        run()?;
    }
    let (began, mut times) = (Instant::now(), vec![run()?]);
    while began.elapsed().as_secs_f64() < seconds {
        times.push(run()?);
    }
    let rows_per_s = (times.len() * rows) as f64 / began.elapsed().as_secs_f64();
    times.sort();
    let median_us = times.get(times.len() / 2).map_or(0.0, |it| it.as_secs_f64() * 1e6);
    Ok(format!(r#"{{"rows_per_s": {rows_per_s:.3}, "median_us": {median_us:.3}}}"#))
}

/// Halves for numbers, ones for whole numbers.
fn input(spec: &TensorSpec, rows: usize, free: usize) -> Result<Tensor, Box<dyn Error>> {
    let length = |(n, dim): (usize, &Dim)| match dim {
        Dim::Fixed(length) => *length,
        Dim::Rows => rows,
        Dim::Free(_) if n == 0 => rows,
        Dim::Free(_) => free,
    };
    let dims: Vec<usize> = spec.dims.iter().enumerate().map(length).collect();
    let count = dims.iter().product();
    Ok(if spec.dtype == DType::Fp32 {
        Tensor::from_elements(&dims, &vec![0.5_f32; count])?
    } else if spec.dtype == DType::Int64 {
        Tensor::from_elements(&dims, &vec![1_i64; count])?
    } else if spec.dtype == DType::Int8 {
        Tensor::from_elements(&dims, &vec![1_i8; count])?
    } else {
        let words = format!("{} is {}: expected FP32, INT64 or INT8", spec.name, spec.dtype);
        return Err(words.into());
    })
}
