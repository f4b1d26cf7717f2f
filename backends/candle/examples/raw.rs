//! candle with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-candle MODEL ROWS SECONDS [AXIS_LENGTH [DEVICE]]` runs the model on one thread, on the same input again
//! and again, and prints one line of JSON. Free axes other than the first get AXIS_LENGTH. DEVICE is `cpu` or, in
//! a build with the feature `cuda`, such as `cuda:0`. Models are made by `python -m train.weights`.

use std::error::Error;
use std::path::Path;

use backend_api::raw::measure;
use backend_api::{Backend as _, Options};
use backend_candle::Candle;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("raw-candle MODEL ROWS SECONDS [AXIS_LENGTH [DEVICE]]".into());
    };
    let free = rest.first().map_or(Ok(1), |it| it.parse())?;
    let device = rest.get(1).map_or("cpu", String::as_str).parse()?;
    let model = Candle.load(Path::new(model), &Options { device, ..Options::default() })?;
    print(&measure(&*model, (rows.parse()?, free), seconds.parse()?)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}
