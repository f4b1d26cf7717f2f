//! OpenVINO with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-openvino LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [PRECISION]]` runs the model on one thread, on the
//! same input again and again, and prints one line of JSON. Free axes other than the first get
//! AXIS_LENGTH; PRECISION is f32 or bf16.

use std::error::Error;
use std::path::Path;

use backend_api::raw::measure;
use backend_api::{Backend as _, Options, Precision};
use backend_openvino::OpenVino;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, rows, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("raw-openvino LIBRARY MODEL ROWS SECONDS [AXIS_LENGTH [PRECISION]]".into());
    };
    let free = rest.first().map_or(Ok(1), |it| it.parse())?;
    let precision = match rest.get(1).map(String::as_str) {
        None | Some("f32") => Precision::F32,
        Some("bf16") => Precision::Bf16,
        Some(other) => return Err(format!("{other} is neither f32 nor bf16").into()),
    };
    let options = Options { precision, ..Options::default() };
    let model = OpenVino::at(Path::new(library)).load(Path::new(model), &options)?;
    print(&measure(&*model, (rows.parse()?, free), seconds.parse()?)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}
