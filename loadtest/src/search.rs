//! The highest rate that each target still answers in time: probes of an open loop, bracketed.
//!
//! Called by `main`. A rate is good if its 99th percentile is within the limit, every request was
//! sent and answered, and no answer that was looked at was wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use plot::plane::{self, Line, Plane, Point};
use serde::Serialize;

use crate::arrivals::Schedule;
use crate::bracket::{Bracket, Edge};
use crate::contestant::{Contestant, Identity};
use crate::figures::{Figures, ms};
use crate::limits::{PROBE_MAX, PROBE_REQUESTS, RATES_PER_S};
use crate::options::{PaceOptions, SearchOptions};
use crate::plan::{Load, Unusable};
use crate::profile::Profile;
use crate::progress;
use crate::window::Limit;

#[derive(Debug, Serialize)]
pub(crate) struct Search {
    /// In words; of the last probe, and the rate varies.
    pub(crate) model: String,
    pub(crate) request: String,
    pub(crate) p99_us_max: u64,
    pub(crate) targets: Vec<Found>,
}

/// What was found for one target.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// The highest good rate; `None`: no rate was good.
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) end: End,
    /// The probes that settled the limit say more about this client than about the server.
    pub(crate) limited_by_client: bool,
    /// In the order in which they were made.
    pub(crate) probes: Vec<Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// The limit is between the rate found and the next one tried.
    Found,
    /// Even the highest rate allowed was good.
    Above,
    /// Even the lowest rate allowed was bad.
    Below,
    /// The bound on probes came first.
    GivenUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Probe {
    pub(crate) rate_per_s: f64,
    pub(crate) verdict: Verdict,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Good,
    Failed,
    Wrong,
    NotSent,
    Slow,
}

pub(crate) fn search(options: &SearchOptions) -> Result<Search> {
    usable(options)?;
    let rate = Some(options.from.or(options.to).unwrap_or(1.0));
    let pace = PaceOptions { rate, arrival: options.arrival, ..PaceOptions::default() };
    let mut contestants = Contestant::of(&options.servers, &options.load.at(pace))?;
    contestants.iter_mut().for_each(Contestant::weigh);
    let p99_us_max = u64::try_from(options.p99.as_micros()).unwrap_or(u64::MAX);
    let (model, request) = (String::new(), String::new());
    let mut search = Search { model, request, p99_us_max, targets: Vec::new() };
    for contestant in contestants {
        let found = search.probe(contestant, options)?;
        search.targets.push(found);
    }
    Ok(search)
}

fn usable(options: &SearchOptions) -> Result<(), Unusable> {
    let mut faults = Vec::new();
    let (from, to) = (options.from, options.to);
    for (option, rate) in [("--from", from), ("--to", to)] {
        if let Some(rate) = rate.filter(|it| !RATES_PER_S.contains(it)) {
            faults.push(format!("{option} {rate}, expected 0.001 to 10000000 per second"));
        }
    }
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        faults.push(format!("--from {from} is not below --to {to}"));
    }
    if !(0.5..=100.0).contains(&options.precision) {
        faults.push(format!("--precision {}, expected 0.5 to 100 %", options.precision));
    }
    if options.p99.is_zero() {
        faults.push("--p99 0, expected some time".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(Unusable(faults)) }
}

impl Search {
    fn probe(&mut self, mut contestant: Contestant, options: &SearchOptions) -> Result<Found> {
        let mut bracket = Bracket::new(options.from, options.to, options.precision / 100.0);
        let mut probes: Vec<Probe> = Vec::new();
        let asked = contestant.plan.limit;
        let end = 'search: loop {
            let rate_per_s = match bracket.next() {
                Ok(rate_per_s) => rate_per_s,
                Err(edge) => break End::of(edge),
            };
            pace(&mut contestant, rate_per_s, asked);
            let mut good = false;
            for _ in 0..options.tries {
                if probes.len() >= options.probes_max as usize {
                    break 'search End::GivenUp;
                }
                let report = contestant.run()?;
                (self.model, self.request) = (report.model.clone(), report.request.clone());
                let figures = Figures::of(&report);
                let probe = Probe::new(rate_per_s, figures, self.p99_us_max);
                progress::note(&format!("{}: {}", contestant.name, probe.news()));
                good = probe.verdict == Verdict::Good;
                probes.push(probe);
                if good {
                    break;
                }
            }
            bracket.record(rate_per_s, good);
        };
        Ok(Found::new(contestant.identity(), end, probes))
    }

    /// Did every search end with a rate?
    pub(crate) fn found(&self) -> bool {
        self.targets.iter().all(|it| it.rate_per_s.is_some())
    }

    pub(crate) fn picture(&self) -> String {
        let limit_ms = self.p99_us_max as f64 / 1e3;
        let line = |found: &Found| {
            let mut probes = found.probes.clone();
            probes.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
            let answered = probes.iter().filter(|it| it.figures.p99_us > 0);
            let point = |it: &Probe| Point {
                per_s: it.figures.requests_per_s,
                ms: it.figures.p99_us as f64 / 1e3,
                label: String::new(),
                good: it.verdict == Verdict::Good,
            };
            Line { name: found.identity.name.clone(), points: answered.map(point).collect() }
        };
        Plane {
            title: format!("{}: throughput with p99 up to {limit_ms} ms", self.model),
            notes: vec![self.request.clone(), self.summary().join("; ")],
            across: "answers per second".to_owned(),
            limit: Some(plane::Limit { name: format!("limit {limit_ms} ms"), ms: limit_ms }),
            lines: self.targets.iter().map(line).collect(),
        }
        .draw()
    }

    /// A sentence for each target.
    fn summary(&self) -> Vec<String> {
        self.targets.iter().map(Found::summary).collect()
    }
}

/// Sets the rate, and a time in which enough requests come for the percentile to mean something.
fn pace(contestant: &mut Contestant, rate: f64, asked: Limit) {
    if let Load::Open { schedule: Schedule::Drawn { profile, .. }, .. } = &mut contestant.plan.load
    {
        *profile = Arc::new(Profile::constant(rate));
    }
    if let Limit::Time { warmup, duration } = asked {
        let enough = Duration::from_secs_f64(PROBE_REQUESTS / rate).min(PROBE_MAX);
        contestant.plan.limit = Limit::Time { warmup, duration: duration.max(enough) };
    }
}

impl End {
    fn of(edge: Edge) -> End {
        match edge {
            Edge::Inside => End::Found,
            Edge::Above => End::Above,
            Edge::Below => End::Below,
        }
    }
}

impl Probe {
    pub(crate) fn new(rate_per_s: f64, figures: Figures, p99_us_max: u64) -> Probe {
        let verdict = match figures {
            Figures { failed: 1.., .. } | Figures { p99_us: 0, .. } => Verdict::Failed,
            Figures { wrong: 1.., .. } => Verdict::Wrong,
            Figures { not_sent: 1.., .. } => Verdict::NotSent,
            Figures { p99_us, .. } if p99_us > p99_us_max => Verdict::Slow,
            _ => Verdict::Good,
        };
        Probe { rate_per_s, verdict, figures }
    }

    fn news(&self) -> String {
        let p99 = ms(self.figures.p99_us);
        format!("{} /s, p99 {p99} ms, {}", self.rate_per_s, self.verdict)
    }
}

impl Found {
    pub(crate) fn new(identity: Identity, end: End, probes: Vec<Probe>) -> Found {
        let good = |it: &&Probe| it.verdict == Verdict::Good;
        let best = probes.iter().filter(good).max_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        let rate_per_s = best.map(|it| it.rate_per_s);
        // What the search stumbled over was above the best and below everything else that was bad.
        let above = probes.iter().filter(|it| Some(it.rate_per_s) > rate_per_s);
        let stumbled = above.min_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        let limited = |it: Option<&Probe>| it.is_some_and(|it| it.figures.limited_by_client);
        let limited_by_client = limited(best) || limited(stumbled);
        Found { identity, rate_per_s, end, limited_by_client, probes }
    }

    fn summary(&self) -> String {
        let name = &self.identity.name;
        let rate = self.rate_per_s.map_or("no rate".to_owned(), |it| format!("{it} /s"));
        let end = match self.end {
            End::Found => "",
            End::Above => " and more: --to ended the search",
            End::Below => ": the lowest was too much",
            End::GivenUp => ", given up at --probes-max",
        };
        let limited = if self.limited_by_client { ", limited by the client" } else { "" };
        format!("{name}: {rate}{end}{limited}")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Verdict::Good => "good",
            Verdict::Failed => "failed",
            Verdict::Wrong => "wrong",
            Verdict::NotSent => "not sent",
            Verdict::Slow => "slow",
        })
    }
}

impl fmt::Display for Search {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.targets.iter().try_for_each(|it| writeln!(out, "{}", it.identity))?;
        writeln!(out, "{}, p99 at most {} ms; {}", self.model, ms(self.p99_us_max), self.request)?;
        for found in &self.targets {
            writeln!(out)?;
            let head = ["rate /s", "answers/s", "p50 ms", "p99 ms", "failed", "not sent"];
            write!(out, "{:<12}", found.identity.name)?;
            head.iter().try_for_each(|it| write!(out, "{it:>12}"))?;
            writeln!(out)?;
            for (number, probe) in (1..).zip(&found.probes) {
                let Probe { rate_per_s, verdict, figures } = probe;
                let [answers, p50, p99] = figures.cells();
                let (failed, not_sent) = (figures.failed, figures.not_sent);
                write!(out, "{number:<12}{rate_per_s:>12}{answers:>12}{p50:>12}{p99:>12}")?;
                write!(out, "{failed:>12}{not_sent:>12}  {verdict}")?;
                let limited = figures.limited_by_client;
                writeln!(out, "{}", if limited { ", limited by the client" } else { "" })?;
            }
        }
        writeln!(out)?;
        self.summary().iter().try_for_each(|it| writeln!(out, "{it}"))
    }
}
