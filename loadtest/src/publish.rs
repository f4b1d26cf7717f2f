//! Where results go: to the terminal, to a JSON file, to a picture.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::options::{Format, TableOptions};

/// Prints the results as asked and writes the file of them, if one is.
pub(crate) fn publish<T: Serialize + Display>(results: &T, options: &TableOptions) -> Result<()> {
    let json = || serde_json::to_string_pretty(results).context("the results as JSON");
    let shown = match options.output {
        Format::Text => results.to_string(),
        Format::Json => json()? + "\n",
    };
    std::io::stdout().write_all(shown.as_bytes()).context("cannot print the results")?;
    match &options.report {
        Some(path) => write(path, &json()?),
        None => Ok(()),
    }
}

/// Draws only if there is somewhere to put it.
pub(crate) fn draw(path: Option<&Path>, picture: impl FnOnce() -> String) -> Result<()> {
    path.map_or(Ok(()), |path| write(path, &picture()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
