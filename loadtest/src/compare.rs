//! Several servers in turn, A B C A B C, and the ratios of each round to the first of them.
//!
//! Called by `main`. Machines drift: a ratio of neighbours and the median of several are what lasts,
//! a single time is not.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::contestant::{Contestant, Identity};
use crate::figures::{Figures, Ratio, Repeated, three_decimals};
use crate::options::CompareOptions;
use crate::plan::Unusable;
use crate::progress;
use crate::spread::Spread;

#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// The first is the reference.
    pub(crate) targets: Vec<Identity>,
    /// In words, of the target that ran last: their connections may differ.
    pub(crate) load: String,
    pub(crate) request: String,
    pub(crate) rounds: Vec<Round>,
    /// Over all rounds, in the order of the targets.
    pub(crate) summaries: Vec<Summary>,
    /// Of any run, each once, behind the name of its target.
    pub(crate) warnings: Vec<String>,
    /// Was every request of every run answered, and no answer wrong?
    pub(crate) clean: bool,
}

/// One run of each target.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) sides: Vec<Side>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Side {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// To the reference in the same round; `None`: this is the reference.
    pub(crate) ratio: Option<Ratio>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) repeated: Repeated,
    /// Of the rounds' ratios; `None`: this is the reference.
    pub(crate) ratio: Option<RatioSpread>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct RatioSpread {
    pub(crate) throughput: Spread,
    pub(crate) p50: Spread,
    pub(crate) p99: Spread,
}

pub(crate) fn compare(options: &CompareOptions) -> Result<Comparison> {
    let mut contestants = Contestant::all(&options.targets, &options.load)?;
    if contestants.len() < 2 {
        return Err(Unusable::one("one --target, expected two or more: `run` is for one").into());
    }
    contestants.iter_mut().for_each(Contestant::weigh);
    let mut comparison = Comparison::of(&contestants);
    for number in 1..=options.rounds {
        let mut all = Vec::with_capacity(contestants.len());
        for contestant in &contestants {
            let (name, report) = (&contestant.name, contestant.run()?);
            let figures = Figures::of(&report);
            progress::note(&format!("round {number}, {name}: {:.1} /s", figures.requests_per_s));
            comparison.clean &= report.clean();
            comparison.warnings.extend(report.warnings.iter().map(|it| format!("{name}: {it}")));
            (comparison.load, comparison.request) = (report.load, report.request);
            all.push(figures);
        }
        comparison.add(&all);
    }
    Ok(comparison)
}

impl Comparison {
    pub(crate) fn of(contestants: &[Contestant]) -> Comparison {
        Comparison {
            targets: contestants.iter().map(Contestant::identity).collect(),
            load: String::new(),
            request: String::new(),
            rounds: Vec::new(),
            summaries: Vec::new(),
            warnings: Vec::new(),
            clean: true,
        }
    }

    /// Adds a round: the figures in the order of the targets.
    pub(crate) fn add(&mut self, round: &[Figures]) {
        let side = |(index, (identity, &figures)): (usize, (&Identity, &Figures))| Side {
            name: identity.name.clone(),
            figures,
            ratio: (index > 0).then(|| figures.to(round[0])),
        };
        let sides = self.targets.iter().zip(round).enumerate().map(side).collect();
        self.rounds.push(Round { sides });
        self.summaries = (0..self.targets.len()).map(|it| self.summary(it)).collect();
        self.warnings.sort();
        self.warnings.dedup();
    }

    fn summary(&self, index: usize) -> Summary {
        let sides = || self.rounds.iter().map(|it| &it.sides[index]);
        let ratio =
            |of: fn(&Ratio) -> f64| Spread::of(sides().filter_map(|it| it.ratio.as_ref()).map(of));
        Summary {
            name: self.targets[index].name.clone(),
            repeated: Repeated::of(&sides().map(|it| it.figures).collect::<Vec<_>>()),
            ratio: (index > 0).then(|| RatioSpread {
                throughput: ratio(|it| it.throughput),
                p50: ratio(|it| it.p50),
                p99: ratio(|it| it.p99),
            }),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.targets.iter().try_for_each(|it| writeln!(out, "{it}"))?;
        writeln!(out, "{}; {}\n", self.load, self.request)?;
        let width = self.targets.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
        let width = width.max("target".len());
        let head = ["answers/s", "p50 ms", "p99 ms", "rate ratio", "p50 ratio", "p99 ratio"];
        line(out, ("round", "target", width), &head.map(str::to_owned))?;
        for (number, round) in (1..).zip(&self.rounds) {
            for Side { name, figures, ratio } in &round.sides {
                let mut cells = figures.cells().to_vec();
                cells.extend(ratio.iter().flat_map(|it| it.cells()));
                line(out, (&format!("{number}"), name, width), &cells)?;
            }
        }
        let median: fn(Spread) -> f64 = |it| it.median;
        for (head, of) in [("median", median), ("min", |it| it.min), ("max", |it| it.max)] {
            writeln!(out)?;
            for summary in &self.summaries {
                line(out, (head, &summary.name, width), &summary.cells(of))?;
            }
        }
        writeln!(out)?;
        self.summaries.iter().try_for_each(|it| it.faults(out))?;
        self.warnings.iter().try_for_each(|it| writeln!(out, "warning: {it}"))
    }
}

impl Summary {
    fn cells(&self, of: fn(Spread) -> f64) -> Vec<String> {
        let mut cells = self.repeated.cells(of);
        if let Some(RatioSpread { throughput, p50, p99 }) = self.ratio {
            cells.extend([throughput, p50, p99].map(|it| three_decimals(of(it))));
        }
        cells
    }

    fn faults(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.repeated.faults();
        faults.map_or(Ok(()), |it| writeln!(out, "{}: {it}", self.name))
    }
}

/// A line of the table: which round, which target (and how wide their names are), the numbers.
fn line(
    out: &mut fmt::Formatter<'_>,
    (round, name, width): (&str, &str, usize),
    cells: &[String],
) -> fmt::Result {
    write!(out, "{round:<7}{name:<width$}")?;
    cells.iter().try_for_each(|it| write!(out, "{it:>13}"))?;
    writeln!(out)
}
