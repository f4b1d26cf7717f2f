//! `salver profile`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use server_drift::profile::{FORMAT, distinct_rows};
use server_drift::{Feature, Profile, Role, Source};

use super::drift::{Wanted, read};
use super::{Outcome, complain, print};
use crate::cli::ProfileArgs;

/// Makes a profile and says what is in it.
pub(crate) fn profile(args: &ProfileArgs) -> Outcome {
    match made(args) {
        Ok(words) => print(&words),
        Err(error) => complain(&format!("{error:#}"), Outcome::Failed),
    }
}

fn made(args: &ProfileArgs) -> anyhow::Result<String> {
    let table = read(&args.data)?;
    let wanted = Wanted::new(&args.columns, &table, &args.data)?;
    if let Some(absent) = args.outputs.iter().find(|it| !wanted.0.iter().any(|at| at.0 == **it)) {
        bail!("column {absent:?} of --outputs is not among those that are looked at");
    }
    let (mut features, mut left_out, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for (name, kind) in wanted.0 {
        let Some(values) = table.column(&name) else { continue };
        let role = if args.outputs.contains(&name) { Role::Output } else { Role::Input };
        match Feature::of(&name, role, values, kind)? {
            Some(feature) => {
                features.push(feature);
                columns.push(values);
            }
            None => left_out.push(name),
        }
    }
    if features.is_empty() {
        bail!("{}: no column has a profile, only {}", args.data.display(), table.names());
    }
    let profile = Profile {
        format: FORMAT,
        model: args.model.clone(),
        source: Source::Data,
        rows: table.rows as u64,
        distinct_rows: distinct_rows(&columns),
        features,
    };
    let text = serde_json::to_string(&profile)?;
    replace(&args.output, &text).with_context(|| args.output.display().to_string())?;
    let mut words = format!(
        "{}: {} columns of {} rows, {} bytes",
        args.output.display(),
        profile.features.len(),
        profile.rows,
        text.len()
    );
    if !left_out.is_empty() {
        words += &format!("; left out, being text or times: {}", left_out.join(", "));
    }
    Ok(words)
}

/// Writes a file beside the old one, then puts it in its place.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}
