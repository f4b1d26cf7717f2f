//! tract with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-tract MODEL ROWS SECONDS [AXIS_LENGTH]` runs the model on one thread, on the same input again and
//! again, and prints one line of JSON. Free axes other than the first get AXIS_LENGTH. Built with
//! `--profile edge` and with `--release` it shows what the first one's smaller code costs.

use std::error::Error;
use std::path::Path;

use backend_api::raw::measure;
use backend_api::{Backend as _, Options};
use backend_tract::Tract;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("raw-tract MODEL ROWS SECONDS [AXIS_LENGTH]".into());
    };
    let free = rest.first().map_or(Ok(1), |it| it.parse())?;
    let model = Tract.load(Path::new(model), &Options::default())?;
    print(&measure(&*model, (rows.parse()?, free), seconds.parse()?)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}
