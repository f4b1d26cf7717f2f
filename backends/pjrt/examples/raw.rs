//! A PJRT plugin with nothing around it but this crate: what a server could reach at most.
//!
//! `raw-pjrt PLUGIN MODEL ROWS SECONDS` runs a `.stablehlo` file on the plugin's first device, on the same input
//! again and again, and prints one line of JSON. The plugin uses as many threads as it likes: `taskset` tells it.

use std::error::Error;
use std::path::Path;

use backend_api::raw::measure;
use backend_api::{Backend as _, Options};
use backend_pjrt::Pjrt;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, rows, seconds] = arguments.as_slice() else {
        return Err("raw-pjrt PLUGIN MODEL ROWS SECONDS".into());
    };
    let model = Pjrt::at(Path::new(library), None).load(Path::new(model), &Options::default())?;
    print(&measure(&*model, (rows.parse()?, 1), seconds.parse()?)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn print(line: &str) {
    println!("{line}");
}
