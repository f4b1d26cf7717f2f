//! From light load to heavy: what each target gives and how long it takes for it.
//!
//! Called by `main`. At every point all targets run in turn, so that they meet the same machine.

use std::fmt;

use anyhow::Result;
use plot::plane::{self, Plane};
use serde::Serialize;

use crate::contestant::{Contestant, Identity};
use crate::figures::{Figures, Repeated};
use crate::limits::POINTS_MAX;
use crate::options::{PaceOptions, SweepOptions};
use crate::plan::Unusable;
use crate::progress;

#[derive(Debug, Serialize)]
pub(crate) struct Sweep {
    pub(crate) model: String,
    pub(crate) request: String,
    /// What the levels of the points are: requests in flight, or requests per second.
    pub(crate) unit: &'static str,
    pub(crate) targets: Vec<Identity>,
    pub(crate) points: Vec<Point>,
    /// Of any run, each once, behind the name of its target.
    pub(crate) warnings: Vec<String>,
    /// Was every request of every run answered, and no answer wrong?
    pub(crate) clean: bool,
}

/// One level of load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) level: f64,
    /// In the order of the targets.
    pub(crate) sides: Vec<Repeated>,
}

pub(crate) fn sweep(options: &SweepOptions) -> Result<Sweep> {
    let paces = paces(options)?;
    let mut points = Vec::with_capacity(paces.len());
    for (level, pace) in paces {
        points.push((level, Contestant::of(&options.servers, &options.load.at(pace))?));
    }
    let Some((_, first)) = points.first_mut() else {
        return Err(Unusable::one("no points").into());
    };
    first.iter_mut().for_each(Contestant::weigh);
    let ceilings: Vec<_> = first.iter().map(|it| it.ceiling).collect();
    let unit = if options.rates.is_empty() { "in flight" } else { "offered /s" };
    let mut sweep = Sweep::of(first, unit);
    for (level, mut contestants) in points {
        for (contestant, ceiling) in contestants.iter_mut().zip(&ceilings) {
            contestant.ceiling = *ceiling;
        }
        let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); contestants.len()];
        for _ in 0..options.rounds {
            for (contestant, runs) in contestants.iter().zip(&mut runs) {
                runs.push(sweep.run(level, contestant)?);
            }
        }
        sweep.add(level, &runs);
    }
    Ok(sweep)
}

/// The levels, ascending, and how each is asked for.
fn paces(options: &SweepOptions) -> Result<Vec<(f64, PaceOptions)>, Unusable> {
    let arrival = options.arrival;
    let closed = options.concurrency.iter().map(|&concurrency| {
        let pace = PaceOptions { concurrency: Some(concurrency), ..PaceOptions::default() };
        (concurrency as f64, pace)
    });
    let open = options
        .rates
        .iter()
        .map(|&rate| (rate, PaceOptions { rate: Some(rate), arrival, ..PaceOptions::default() }));
    let mut paces: Vec<_> = closed.chain(open).collect();
    paces.sort_by(|a, b| a.0.total_cmp(&b.0));
    if paces.len() > POINTS_MAX {
        return Err(Unusable::one(format!("{} points, at most {POINTS_MAX}", paces.len())));
    }
    if let Some(twice) = paces.windows(2).find(|it| it[0].0 == it[1].0) {
        return Err(Unusable::one(format!("the point {} twice: --rounds repeats", twice[0].0)));
    }
    Ok(paces)
}

impl Sweep {
    pub(crate) fn of(contestants: &[Contestant], unit: &'static str) -> Sweep {
        Sweep {
            model: String::new(),
            request: String::new(),
            unit,
            targets: contestants.iter().map(Contestant::identity).collect(),
            points: Vec::new(),
            warnings: Vec::new(),
            clean: true,
        }
    }

    fn run(&mut self, level: f64, contestant: &Contestant) -> Result<Figures> {
        let (name, report) = (&contestant.name, contestant.run()?);
        let figures = Figures::of(&report);
        let [answers, _, p99] = figures.cells();
        progress::note(&format!("{level} {}, {name}: {answers} /s, p99 {p99} ms", self.unit));
        self.clean &= report.clean();
        self.warnings.extend(report.warnings.iter().map(|it| format!("{name}: {it}")));
        (self.model, self.request) = (report.model, report.request);
        Ok(figures)
    }

    /// Adds a point: the runs of each target.
    pub(crate) fn add(&mut self, level: f64, runs: &[Vec<Figures>]) {
        let sides = runs.iter().map(|it| Repeated::of(it)).collect();
        self.points.push(Point { level, sides });
        self.warnings.sort();
        self.warnings.dedup();
    }

    pub(crate) fn picture(&self) -> String {
        let line = |(index, identity): (usize, &Identity)| {
            let sides = self.points.iter().map(|it| (it.level, it.sides[index]));
            let answered = sides.filter(|(_, it)| it.p99_us.median > 0.0);
            let point = |(level, it): (f64, Repeated)| plane::Point {
                per_s: it.requests_per_s.median,
                ms: it.p99_us.median / 1e3,
                label: format!("{level}"),
                good: it.faults().is_none() && !it.limited_by_client,
            };
            plane::Line { name: identity.name.clone(), points: answered.map(point).collect() }
        };
        let unit = self.unit;
        let notes = vec![
            self.request.clone(),
            format!("points: {unit}; hollow: with failures, or limited by the client"),
        ];
        Plane {
            title: format!("{}: p99 over throughput", self.model),
            notes,
            across: "answers per second".to_owned(),
            limit: None,
            lines: self.targets.iter().enumerate().map(line).collect(),
        }
        .draw()
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.targets.iter().try_for_each(|it| writeln!(out, "{it}"))?;
        writeln!(out, "{}; {}\n", self.model, self.request)?;
        let width = self.targets.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
        let width = width.max("target".len());
        write!(out, "{:<12}{:<width$}", self.unit, "target")?;
        for head in ["answers/s", "p50 ms", "p99 ms"] {
            write!(out, "{head:>13}")?;
        }
        writeln!(out)?;
        for Point { level, sides } in &self.points {
            for (identity, side) in self.targets.iter().zip(sides) {
                write!(out, "{level:<12}{:<width$}", identity.name)?;
                side.cells(|it| it.median).iter().try_for_each(|it| write!(out, "{it:>13}"))?;
                let limited = side.limited_by_client.then(|| "limited by the client".to_owned());
                let remarks: Vec<String> = side.faults().into_iter().chain(limited).collect();
                writeln!(
                    out,
                    "{}{}",
                    if remarks.is_empty() { "" } else { "  " },
                    remarks.join(", ")
                )?;
            }
        }
        writeln!(out)?;
        self.warnings.iter().try_for_each(|it| writeln!(out, "warning: {it}"))
    }
}
