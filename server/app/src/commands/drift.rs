//! `salver drift compare`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;
use server_dataset::Table;
use server_drift::{Comparison, DatasetVerdict, Kind};

use super::table::table;
use super::{Outcome, complain, print};
use crate::cli::{ColumnArgs, CompareArgs, OutputFormat};

/// What `--output json` prints.
#[derive(Serialize)]
struct Report<'a> {
    columns: BTreeMap<&'a str, &'a Comparison>,
    dataset: DatasetVerdict,
}

/// Compares two files.
pub(crate) fn compare(args: &CompareArgs) -> Outcome {
    if !(0.0..=1.0).contains(&args.drift_share) {
        let words = format!("--drift-share is {}, it must be from 0 to 1", args.drift_share);
        return complain(&words, Outcome::Misused);
    }
    let compared = match columns(args) {
        Ok(compared) => compared,
        // 1 is for drift.
        Err(error) => return complain(&format!("{error:#}"), Outcome::Unfit),
    };
    let judged = compared.iter().filter(|it| it.1.default.is_some());
    let dataset = DatasetVerdict::of(judged.map(|it| it.1.drift), args.drift_share);
    let text = match args.output {
        OutputFormat::Text => shown(&compared, &dataset),
        OutputFormat::Json => {
            let columns = compared.iter().map(|it| (it.0.as_str(), &it.1)).collect();
            match serde_json::to_string(&Report { columns, dataset }) {
                Ok(text) => text,
                Err(error) => return complain(&error.to_string(), Outcome::Unfit),
            }
        }
    };
    let printed = print(&text);
    let mut gone_wrong = false;
    for (name, error) in compared.iter().filter_map(|it| Some((&it.0, it.1.error.as_ref()?))) {
        gone_wrong = true;
        complain(&format!("column {name:?}: {error}"), Outcome::Unfit);
    }
    // Nothing that was compared is no answer.
    if compared.iter().all(|it| it.1.error.is_some()) {
        return Outcome::Unfit;
    }
    match (args.fail_on_drift, printed) {
        (true, Outcome::Done) if dataset.drift => Outcome::Failed,
        // Whoever asks whether it drifted must not take this for a no.
        (true, Outcome::Done) if gone_wrong => Outcome::Unfit,
        (_, Outcome::Failed) => Outcome::Unfit,
        (_, printed) => printed,
    }
}

/// Every column of the reference that is asked for, compared; one that cannot be says why, and keeps
/// nobody from knowing about the others.
fn columns(args: &CompareArgs) -> anyhow::Result<Vec<(String, Comparison)>> {
    let reference = read(&args.reference)?;
    let current = read(&args.current)?;
    let wanted = Wanted::new(&args.columns, &reference, &args.reference)?;
    let mut compared = Vec::new();
    for (name, kind) in wanted.0 {
        // Whoever named it was told already.
        let Some(left) = reference.column(&name) else { continue };
        let right = current.column(&name);
        let comparison = match right.map(|it| server_drift::compare(left, it, kind)) {
            Some(Ok(it)) => it,
            Some(Err(error)) => Comparison::failed(left, right, error.to_string()),
            None => {
                let names = current.names();
                let error = format!("{} lacks it; it has {names}", args.current.display());
                Comparison::failed(left, None, error)
            }
        };
        compared.push((name, comparison));
    }
    Ok(compared)
}

/// Reads a table; the message names the file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Table> {
    server_dataset::read(path).with_context(|| path.display().to_string())
}

/// Which columns are looked at, each with the kind that was asked for, if any.
pub(crate) struct Wanted(pub(crate) Vec<(String, Option<Kind>)>);

impl Wanted {
    /// Those of `table`, or those that are named; what is named must be there.
    pub(crate) fn new(args: &ColumnArgs, table: &Table, path: &Path) -> anyhow::Result<Wanted> {
        let lists = [&args.columns, &args.numerical, &args.categorical];
        if let Some(absent) = lists.into_iter().flatten().find(|it| table.column(it).is_none()) {
            let names = table.names();
            bail!("column {absent:?}: {} lacks it; it has {names}", path.display());
        }
        if let Some(both) = args.numerical.iter().find(|it| args.categorical.contains(it)) {
            bail!("column {both:?} is asked for both as --numerical and as --categorical");
        }
        let kind = |name: &String| match () {
            () if args.numerical.contains(name) => Some(Kind::Numerical),
            () if args.categorical.contains(name) => Some(Kind::Categorical),
            () => None,
        };
        let all = table.columns.iter().map(|it| &it.0);
        let chosen = all.filter(|it| args.columns.is_empty() || args.columns.contains(it));
        Ok(Wanted(chosen.map(|it| (it.clone(), kind(it))).collect()))
    }
}

/// A table for people.
fn shown(compared: &[(String, Comparison)], dataset: &DatasetVerdict) -> String {
    let heads = ["COLUMN", "TYPE", "ROWS", "TEST", "SCORE", "THRESHOLD", "PSI", "VERDICT"];
    let mut rows = vec![heads.map(str::to_owned)];
    let number = |it: Option<f64>| it.map_or("-".to_owned(), |it| format!("{it:.4e}"));
    for (name, it) in compared {
        let (kind, verdict) = match it.kind {
            Kind::Numerical => ("num", it.drift),
            Kind::Categorical => ("cat", it.drift),
            Kind::Text => ("text", false),
            Kind::Other => ("other", false),
        };
        let verdict = match (&it.error, it.default, verdict) {
            (Some(_), ..) => "ERROR",
            (None, None, _) => "not compared",
            (None, Some(_), true) => "DRIFT",
            (None, Some(_), false) => "same",
        };
        rows.push([
            name.clone(),
            kind.to_owned(),
            format!("{}/{}", it.reference_rows, it.current_rows),
            it.default.map_or("-", |test| test.name()).to_owned(),
            number(it.default.map(|test| it.statistics.score(test))),
            it.threshold.map_or("-".to_owned(), |it| it.to_string()),
            number(it.statistics.psi),
            verdict.to_owned(),
        ]);
    }
    let verdict = if dataset.drift { "DRIFT" } else { "same" };
    let (drifted, columns) = (dataset.drifted, dataset.columns);
    format!("{}\n{drifted} of {columns} columns drifted: {verdict}", table(&rows).trim_end())
}
