//! The results of a run: numbers, and what to think of them.
//!
//! Made by `run` from the outcomes of the threads; printed here, drawn by `picture`.

mod text;

use std::fs;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::case::Case;
use crate::check::Findings;
use crate::limits::{LATENESS_MAX, THREAD_BUSY_MAX};
use crate::options::{Format, ResultOptions};
use crate::picture;
use crate::plan::{Load, Plan};
use crate::station::Outcome;
use crate::tally::Tally;
use crate::window::Limit;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) url: String,
    pub(crate) protocol: String,
    pub(crate) model: String,
    pub(crate) model_version: String,
    /// In words: loop, connections, threads.
    pub(crate) load: String,
    /// In words: rows and bytes of the inputs.
    pub(crate) request: String,
    pub(crate) settings: Settings,
    pub(crate) warmup_s: f64,
    pub(crate) counted_s: f64,
    /// Requests that were due within the counted time; all of them were waited for.
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) failures: Vec<FailureLine>,
    pub(crate) failed_in_warmup: u64,
    /// Arrivals of an open loop that were not sent, at the bound on outstanding requests.
    pub(crate) not_sent: u64,
    pub(crate) checked: u64,
    pub(crate) wrong: u64,
    pub(crate) first_wrong: Option<String>,
    /// Answers that arrived within the counted time, per second.
    pub(crate) requests_per_s: f64,
    pub(crate) rows_per_s: f64,
    /// Of answered requests. `None`: there were none.
    pub(crate) latency_us: Option<Latency>,
    /// Of the open loop's own delay in sending.
    pub(crate) lateness_us: Option<Latency>,
    /// User and system time of all load threads, in cores.
    pub(crate) client_cores: f64,
    /// The share of its core that the busiest load thread used.
    pub(crate) client_busiest_thread: f64,
    pub(crate) warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) histogram: Histogram<u64>,
}

/// The load again, for programs. `None`: of the other loop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Settings {
    pub(crate) concurrency: Option<usize>,
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) timeout_s: f64,
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FailureLine {
    pub(crate) kind: String,
    pub(crate) count: u64,
    pub(crate) first: String,
}

/// All in µs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) min: u64,
    pub(crate) mean: f64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) max: u64,
}

impl Report {
    pub(crate) fn new(plan: &Plan, cases: &[Case], outcomes: Vec<Outcome>) -> Report {
        let mut tally = Tally::new();
        let mut findings = Findings::default();
        let (mut cpu, mut busiest, mut counted) = (Duration::ZERO, 0.0_f64, Duration::ZERO);
        for outcome in outcomes {
            cpu += outcome.cpu;
            busiest = busiest.max(ratio(outcome.cpu, outcome.counted));
            counted = counted.max(outcome.counted);
            findings.merge(outcome.checker.findings);
            tally.merge(outcome.tally);
        }
        let per_s = |count: u64| count as f64 / counted.as_secs_f64().max(f64::MIN_POSITIVE);
        let failures = tally.failures.iter().map(|(kind, it)| FailureLine {
            kind: kind.to_string(),
            count: it.count,
            first: it.first.clone(),
        });
        let mut report = Report {
            url: plan.target.authority.clone(),
            protocol: plan.target.protocol.to_string(),
            model: plan.target.model.clone(),
            model_version: plan.target.version.clone(),
            load: text::load(plan),
            request: text::request(cases),
            settings: Settings::of(plan),
            warmup_s: match plan.limit {
                Limit::Time { warmup, .. } => warmup.as_secs_f64(),
                Limit::Requests(_) => 0.0,
            },
            counted_s: counted.as_secs_f64(),
            requests: tally.requests,
            answered: tally.latency.len(),
            failed: tally.failed(),
            failures: failures.collect(),
            failed_in_warmup: tally.failed_in_warmup,
            not_sent: tally.not_sent,
            checked: findings.checked,
            wrong: findings.wrong,
            first_wrong: findings.first_wrong,
            requests_per_s: per_s(tally.answers_in_time),
            rows_per_s: per_s(tally.rows_in_time),
            latency_us: Latency::of(&tally.latency),
            lateness_us: Latency::of(&tally.lateness),
            client_cores: ratio(cpu, counted),
            client_busiest_thread: busiest,
            warnings: Vec::new(),
            histogram: tally.latency,
        };
        report.warnings = report.judge(plan);
        report
    }

    /// Was every request answered, and no answer that was looked at wrong?
    pub(crate) fn clean(&self) -> bool {
        self.answered > 0 && self.failed == 0 && self.wrong == 0
    }

    pub(crate) fn publish(&self, options: &ResultOptions) -> Result<()> {
        let json = || serde_json::to_string_pretty(self).context("the report as JSON");
        let shown = match options.output {
            Format::Text => self.to_string(),
            Format::Json => json()? + "\n",
        };
        std::io::stdout().write_all(shown.as_bytes()).context("cannot print the report")?;
        if let Some(path) = &options.report {
            fs::write(path, json()?).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(path) = &options.picture {
            let drawn = picture::draw(self);
            fs::write(path, drawn).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Reasons to distrust the numbers.
    fn judge(&self, plan: &Plan) -> Vec<String> {
        let mut warnings = Vec::new();
        let late_us = self.lateness_us.map_or(0, |it| it.p99);
        if u128::from(late_us) > LATENESS_MAX.as_micros() {
            let late_ms = late_us as f64 / 1e3;
            warnings.push(format!(
                "requests left late, p99 {late_ms:.3} ms: the result is limited by the client"
            ));
        }
        // A spinning thread is always busy; there, only lateness tells.
        let spinning = matches!(plan.load, Load::Open { spin: true, .. });
        if self.client_busiest_thread > THREAD_BUSY_MAX && !spinning {
            let percent = self.client_busiest_thread * 100.0;
            warnings.push(format!(
                "a load thread used {percent:.0} % of its core: the result is limited by the client"
            ));
        }
        if self.not_sent > 0 {
            let count = self.not_sent;
            warnings.push(format!(
                "{count} arrivals were not sent: too many requests were waiting for answers"
            ));
        }
        if let Load::Closed { concurrency } = plan.load
            && plan.target.protocol != crate::client::Protocol::Grpc
            && plan.connections < concurrency
        {
            let connections = plan.connections;
            warnings.push(format!(
                "{concurrency} requests share {connections} connections and wait for them: \
                 that wait is part of their latency"
            ));
        }
        warnings
    }
}

impl Settings {
    fn of(plan: &Plan) -> Settings {
        let (concurrency, rate_per_s) = match plan.load {
            Load::Closed { concurrency } => (Some(concurrency), None),
            Load::Open { rate_per_s, .. } => (None, Some(rate_per_s)),
        };
        Settings {
            concurrency,
            rate_per_s,
            connections: plan.connections,
            threads: plan.threads,
            timeout_s: plan.timeout.as_secs_f64(),
            seed: plan.seed,
        }
    }
}

impl Findings {
    fn merge(&mut self, other: Findings) {
        self.checked += other.checked;
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        let at = |quantile: f64| histogram.value_at_quantile(quantile);
        (!histogram.is_empty()).then(|| Latency {
            min: histogram.min(),
            mean: histogram.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max(),
        })
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
}
