//! Two servers in turn, A B A B, and the ratio of each round.
//!
//! Called by `main`. Machines drift: a ratio of neighbours and the median of several are what lasts,
//! a single time is not.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::options::{CompareOptions, Format};
use crate::plan::Plan;
use crate::report::Report;
use crate::run;

#[derive(Debug, Serialize)]
struct Round {
    a: Side,
    b: Side,
    /// B to A.
    ratio: Ratio,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Side {
    requests_per_s: f64,
    p50_us: u64,
    p99_us: u64,
    failed: u64,
    wrong: u64,
}

/// B to A: more throughput is better, less latency is.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ratio {
    throughput: f64,
    p50: f64,
    p99: f64,
}

#[derive(Debug, Serialize)]
struct Comparison {
    a: String,
    b: String,
    load: String,
    request: String,
    rounds: Vec<Round>,
    median: Ratio,
    /// Warnings of any run, each once.
    warnings: Vec<String>,
}

/// Returns whether all runs were clean.
pub(crate) fn compare(options: &CompareOptions) -> Result<bool> {
    let plans = [&options.a, &options.b].map(|url| Plan::validate(&options.load, Some(url)));
    let [plan_a, plan_b] = plans;
    let (plan_a, plan_b) = (plan_a?, plan_b?);
    let mut rounds = Vec::new();
    let mut clean = true;
    let mut warnings = Vec::new();
    let (mut load, mut request) = (String::new(), String::new());
    for _ in 0..options.rounds {
        let mut side = |plan: &Plan| -> Result<Side> {
            let report = run::run(plan)?;
            clean &= report.clean();
            (load, request) = (report.load.clone(), report.request.clone());
            let side = Side::of(&report);
            warnings.extend(report.warnings);
            Ok(side)
        };
        let (a, b) = (side(&plan_a)?, side(&plan_b)?);
        rounds.push(Round { a, b, ratio: Ratio::of(a, b) });
    }
    warnings.sort();
    warnings.dedup();
    let median = Ratio {
        throughput: median(rounds.iter().map(|it| it.ratio.throughput)),
        p50: median(rounds.iter().map(|it| it.ratio.p50)),
        p99: median(rounds.iter().map(|it| it.ratio.p99)),
    };
    let (a, b) = (options.a.clone(), options.b.clone());
    let comparison = Comparison { a, b, load, request, rounds, median, warnings };
    let shown = match options.output {
        Format::Text => comparison.text(),
        Format::Json => serde_json::to_string_pretty(&comparison)? + "\n",
    };
    std::io::stdout().write_all(shown.as_bytes()).context("cannot print the comparison")?;
    Ok(clean)
}

impl Side {
    fn of(report: &Report) -> Side {
        Side {
            requests_per_s: report.requests_per_s,
            p50_us: report.latency_us.map_or(0, |it| it.p50),
            p99_us: report.latency_us.map_or(0, |it| it.p99),
            failed: report.failed,
            wrong: report.wrong,
        }
    }
}

impl Ratio {
    fn of(a: Side, b: Side) -> Ratio {
        Ratio {
            throughput: b.requests_per_s / a.requests_per_s,
            p50: b.p50_us as f64 / a.p50_us as f64,
            p99: b.p99_us as f64 / a.p99_us as f64,
        }
    }
}

impl Comparison {
    fn text(&self) -> String {
        let mut text = format!("A = {}, B = {}\n", self.a, self.b);
        let _ = writeln!(text, "{}; {}\n", self.load, self.request);
        let blank = [""; 3].map(str::to_owned);
        let side = ["answers/s", "p50 ms", "p99 ms"].map(str::to_owned);
        let ratio = ["B/A rate", "B/A p50", "B/A p99"].map(str::to_owned);
        let (side_a, side_b) =
            (side.clone().map(|it| format!("A {it}")), side.map(|it| format!("B {it}")));
        line(&mut text, "round", [side_a, side_b, ratio]);
        for (number, round) in (1..).zip(&self.rounds) {
            let cells = [round.a.cells(), round.b.cells(), round.ratio.cells()];
            line(&mut text, &format!("{number}"), cells);
        }
        line(&mut text, "median", [blank.clone(), blank, self.median.cells()]);
        self.faults(&mut text);
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        text
    }

    fn faults(&self, text: &mut String) {
        let sum = |of: fn(&Round) -> u64| self.rounds.iter().map(of).sum::<u64>();
        let sides = [
            ("A", sum(|it| it.a.failed), sum(|it| it.a.wrong)),
            ("B", sum(|it| it.b.failed), sum(|it| it.b.wrong)),
        ];
        for (name, failed, wrong) in sides {
            if failed + wrong > 0 {
                let _ = writeln!(text, "{name}: {failed} failed, {wrong} wrong");
            }
        }
    }
}

fn line(text: &mut String, head: &str, groups: [[String; 3]; 3]) {
    let _ = write!(text, "{head:<7}");
    for cell in groups.iter().flatten() {
        let _ = write!(text, "{cell:>13}");
    }
    text.push('\n');
}

impl Side {
    fn cells(self) -> [String; 3] {
        let ms = |micros: u64| format!("{:.3}", micros as f64 / 1e3);
        [format!("{:.1}", self.requests_per_s), ms(self.p50_us), ms(self.p99_us)]
    }
}

impl Ratio {
    fn cells(self) -> [String; 3] {
        [self.throughput, self.p50, self.p99].map(|it| format!("{it:.3}"))
    }
}

/// The middle value, or the mean of the two middle ones; NaN of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}
