//! LiteRT with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-litert LIBRARY MODEL ROWS SECONDS` runs a `.tflite` file on one thread, on the same input again and
//! again, and prints one line of JSON.

use std::error::Error;
use std::path::Path;

use backend_api::raw::measure;
use backend_api::{Backend as _, Options};
use backend_litert::LiteRt;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, rows, seconds] = arguments.as_slice() else {
        return Err("raw-litert LIBRARY MODEL ROWS SECONDS".into());
    };
    let model = LiteRt::at(Path::new(library)).load(Path::new(model), &Options::default())?;
    print(&measure(&*model, (rows.parse()?, 1), seconds.parse()?)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}
