//! Rules that hold for the whole tree, read off `cargo metadata` and the files themselves.

mod dependencies;
mod files;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

/// What cargo knows of the workspace and everything it depends on, on this platform: what others
/// need has not been fetched.
fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let rustc = run(Command::new("rustc").arg("-vV"));
        let rustc = String::from_utf8_lossy(&rustc);
        let host = rustc.lines().find_map(|it| it.strip_prefix("host: ")).expect("a host");
        let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
        let mut cargo = Command::new(env!("CARGO"));
        let output = run(cargo.args(arguments).args(["--filter-platform", host]));
        serde_json::from_slice(&output).expect("JSON")
    })
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.current_dir(root()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The text of a field.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The elements of a field.
fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}
