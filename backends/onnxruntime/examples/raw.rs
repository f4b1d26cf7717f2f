//! ONNX Runtime with nothing around it: what a server could reach at most.
//!
//! `raw LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [DEVICE]]` runs the model on one thread, on the same input again and
//! again, and prints one line of JSON. Free axes other than the first get AXIS_LENGTH. Used by
//! `make bench`; goes through `ort` alone, so that it shares no code with what it is compared to.

use std::time::{Duration, Instant};

use ort::ep::CUDA;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorElementType, ValueType};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("raw LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [DEVICE]]".into());
    };
    let (rows, seconds): (usize, f64) = (rows.parse()?, seconds.parse()?);
    let free: usize = rest.first().map_or(Ok(1), |it| it.parse())?;
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let mut builder = Session::builder(&environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?;
    if let Some(number) = rest.get(1).and_then(|it| it.strip_prefix("cuda:")) {
        let cuda = CUDA::default().with_device_id(number.parse()?).with_tf32(false);
        let cuda = cuda.with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic);
        builder = builder.with_execution_providers([cuda.build().error_on_failure()])?;
    }
    let mut session = builder.commit_from_file(model)?;
    let inputs = inputs(&session, rows, free)?;
    let mut run = || -> Result<Duration> {
        let given: Vec<(&str, SessionInputValue<'_>)> =
            inputs.iter().map(|(name, it)| (name.as_str(), it.into())).collect();
        let began = Instant::now();
        drop(session.run(given)?);
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

/// Numbers from 0 to 1, and whole numbers 0 or 1, drawn as the load generator draws them: what a run
/// costs depends on them (a masked token's tiny weights are slow to multiply).
fn inputs(
    session: &Session,
    rows: usize,
    free: usize,
) -> Result<Vec<(String, ort::value::DynValue)>> {
    let mut inputs = Vec::new();
    let mut random = random();
    for outlet in session.inputs() {
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(format!("{} is no tensor", outlet.name()).into());
        };
        let length = |(n, &dim): (usize, &i64)| match usize::try_from(dim) {
            Ok(fixed) => fixed,
            Err(_) if n == 0 => rows,
            Err(_) => free,
        };
        let dims: Vec<usize> = shape.iter().enumerate().map(length).collect();
        let count = dims.iter().product();
        let value = if *ty == TensorElementType::Float32 {
            Tensor::from_array((
                dims,
                (0..count).map(|_| random() as f32 / 256.0).collect::<Vec<_>>(),
            ))?
            .into_dyn()
        } else if *ty == TensorElementType::Int64 {
            Tensor::from_array((
                dims,
                (0..count).map(|_| i64::from(random() % 2)).collect::<Vec<_>>(),
            ))?
            .into_dyn()
        } else {
            return Err(format!("{} is {ty}", outlet.name()).into());
        };
        inputs.push((outlet.name().to_owned(), value));
    }
    Ok(inputs)
}

/// Bytes of a linear congruential generator, always the same.
fn random() -> impl FnMut() -> u8 {
    let mut state = 1_u64;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    }
}
