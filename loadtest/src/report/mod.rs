//! The results of a run: numbers, and what to think of them.
//!
//! Made by `run` from the outcomes of the threads; printed here, drawn by `picture`.

mod model_line;
mod phase_line;
mod text;

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use model_line::ModelLine;
pub(crate) use phase_line::PhaseLine;

use crate::ceiling::Ceiling;
use crate::check::Findings;
use crate::client::Protocol;
use crate::failure::FailureKind;
use crate::limits::{CEILING_SHARE_MAX, LATENESS_MAX, THREAD_BUSY_MAX, THREAD_WAITING_MAX};
use crate::options::ResultOptions;
use crate::picture;
use crate::plan::{Load, Plan};
use crate::publish;
use crate::station::Outcome;
use crate::supply::Supply;
use crate::tally::{FailureCount, Tally};
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
    /// Of the failures, those that the server refused for want of room.
    pub(crate) refused: Turned,
    /// Of the failures, those that the server gave up because their time was over.
    pub(crate) expired: Turned,
    pub(crate) failed_in_warmup: u64,
    /// Arrivals of an open loop that were not sent, at the bound on outstanding requests.
    pub(crate) not_sent: u64,
    pub(crate) checked: u64,
    pub(crate) wrong: u64,
    pub(crate) first_wrong: Option<String>,
    /// Answers that arrived within the counted time, per second.
    pub(crate) requests_per_s: f64,
    pub(crate) rows_per_s: f64,
    /// Of those answers, the ones within the timeout of their intended start, per second.
    pub(crate) goodput_per_s: f64,
    /// Of answered requests. `None`: there were none.
    pub(crate) latency_us: Option<Latency>,
    /// Of the open loop's own delay in sending.
    pub(crate) lateness_us: Option<Latency>,
    /// One line for each model.
    pub(crate) models: Vec<ModelLine>,
    /// One line for each part of the counted time, where a load has parts.
    pub(crate) phases: Vec<PhaseLine>,
    /// User and system time of all load threads, in cores.
    pub(crate) client_cores: f64,
    /// The share of its core that the busiest load thread used.
    pub(crate) client_busiest_thread: f64,
    /// The largest share of the time that a load thread was ready and had no core.
    pub(crate) client_waiting_thread: f64,
    /// What this client could do at most; `None`: not measured.
    pub(crate) ceiling: Option<Ceiling>,
    /// The numbers say more about this client than about the server; a warning says why.
    pub(crate) limited_by_client: bool,
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
    pub(crate) send_deadline: bool,
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FailureLine {
    pub(crate) kind: String,
    pub(crate) count: u64,
    pub(crate) first: String,
    pub(crate) latency_us: Option<Latency>,
}

/// Requests that were turned away, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Turned {
    pub(crate) count: u64,
    /// `None`: there were none.
    pub(crate) latency_us: Option<Latency>,
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
    pub(crate) fn new(plan: &Plan, supplies: &[Supply], outcomes: Vec<Outcome>) -> Report {
        let mut crew = Crew::default();
        let mut per_model: Vec<_> =
            plan.models.iter().map(|_| (Tally::new(), Findings::default())).collect();
        let mut phases: Vec<Tally> = plan.phases.iter().map(|_| Tally::new()).collect();
        for outcome in outcomes {
            crew.add(&outcome);
            phases.iter_mut().zip(outcome.phases).for_each(|(sum, it)| sum.merge(it));
            for (sum, (tally, findings)) in per_model.iter_mut().zip(outcome.models) {
                sum.0.merge(tally);
                sum.1.merge(findings);
            }
        }
        let counted = crew.counted;
        let lines = plan.models.iter().zip(&per_model);
        let lines =
            lines.map(|(share, (tally, findings))| ModelLine::new(share, tally, findings, counted));
        let models: Vec<ModelLine> = lines.collect();
        let (mut tally, mut findings) = (Tally::new(), Findings::default());
        for (share, (of_model, found)) in plan.models.iter().zip(per_model) {
            tally.merge(of_model);
            findings.merge(found.named(&share.name, plan.models.len()));
        }
        let per_s = |count: u64| rate(count, counted);
        let names: Vec<&str> = plan.models.iter().map(|it| it.name.as_str()).collect();
        let mut report = Report {
            url: plan.endpoint.authority.clone(),
            protocol: plan.endpoint.protocol.to_string(),
            model: names.join(" + "),
            model_version: plan.models.first().map(|it| it.version.clone()).unwrap_or_default(),
            load: text::load(plan),
            request: text::request(supplies.iter().flat_map(|it| &it.cases)),
            settings: Settings::of(plan),
            warmup_s: match plan.limit {
                Limit::Time { warmup, .. } => warmup.as_secs_f64(),
                Limit::Requests(_) => 0.0,
            },
            counted_s: counted.as_secs_f64(),
            requests: tally.requests,
            answered: tally.latency.len(),
            failed: tally.failed(),
            failures: FailureLine::all(&tally),
            refused: Turned::of(&tally, FailureKind::is_refusal),
            expired: Turned::of(&tally, FailureKind::is_expiry),
            failed_in_warmup: tally.failed_in_warmup,
            not_sent: tally.not_sent,
            checked: findings.checked,
            wrong: findings.wrong,
            first_wrong: findings.first_wrong,
            requests_per_s: per_s(tally.answers_in_time),
            rows_per_s: per_s(tally.rows_in_time),
            goodput_per_s: per_s(tally.good_in_time),
            latency_us: Latency::of(&tally.latency),
            lateness_us: Latency::of(&tally.lateness),
            models,
            phases: PhaseLine::all(&plan.phases, &phases),
            client_cores: ratio(crew.used, counted),
            client_busiest_thread: crew.busiest,
            client_waiting_thread: crew.waiting,
            ceiling: None,
            limited_by_client: false,
            warnings: Vec::new(),
            histogram: tally.latency,
        };
        report.judge(plan);
        report
    }

    /// Was every request answered, and no answer that was looked at wrong?
    pub(crate) fn clean(&self) -> bool {
        self.answered > 0 && self.failed == 0 && self.wrong == 0
    }

    pub(crate) fn publish(&self, options: &ResultOptions) -> Result<()> {
        publish::publish(self, &options.table)?;
        publish::draw(options.picture.as_deref(), || picture::draw(self))
    }

    /// Adds the reasons to distrust the numbers.
    fn judge(&mut self, plan: &Plan) {
        let late_us = self.lateness_us.map_or(0, |it| it.p99);
        if u128::from(late_us) > LATENESS_MAX.as_micros() {
            let late_ms = late_us as f64 / 1e3;
            self.blame_client(&format!("requests left late, p99 {late_ms:.3} ms"));
        }
        let waiting = self.client_waiting_thread;
        if waiting > THREAD_WAITING_MAX && waiting + self.client_busiest_thread > THREAD_BUSY_MAX {
            let percent = waiting * 100.0;
            self.blame_client(&format!(
                "a load thread was ready and waited for a core {percent:.0} % of the time"
            ));
        }
        // A spinning thread is always busy; there, only lateness tells.
        let spinning = matches!(plan.load, Load::Open { spin: true, .. });
        if self.client_busiest_thread > THREAD_BUSY_MAX && !spinning {
            let percent = self.client_busiest_thread * 100.0;
            self.blame_client(&format!("a load thread used {percent:.0} % of its core"));
        }
        if self.not_sent > 0 {
            let count = self.not_sent;
            self.warnings.push(format!(
                "{count} arrivals were not sent: too many requests were waiting for answers"
            ));
        }
        if let Load::Closed { concurrency } = plan.load
            && plan.endpoint.protocol != Protocol::Grpc
            && plan.connections < concurrency
        {
            let connections = plan.connections;
            self.warnings.push(format!(
                "{concurrency} requests share {connections} connections and wait for them: \
                 that wait is part of their latency"
            ));
        }
    }

    /// Remembers what the client could do, and says so if that is what was measured.
    pub(crate) fn hold_against(&mut self, ceiling: Option<Ceiling>) {
        self.ceiling = ceiling;
        let Some(share) = self.share_of_ceiling() else { return };
        if share > CEILING_SHARE_MAX {
            let percent = share * 100.0;
            self.blame_client(&format!("{percent:.0} % of what this client can do"));
        }
    }

    /// How much of the client's ceiling the run took.
    fn share_of_ceiling(&self) -> Option<f64> {
        self.ceiling.map(|it| self.requests_per_s / it.requests_per_s)
    }

    fn blame_client(&mut self, reason: &str) {
        self.limited_by_client = true;
        self.warnings.push(format!("{reason}: the result is limited by the client"));
    }
}

impl Settings {
    fn of(plan: &Plan) -> Settings {
        let (concurrency, rate_per_s) = match plan.load {
            Load::Closed { concurrency } => (Some(concurrency), None),
            Load::Open { rate_per_s, .. } => (None, rate_per_s),
        };
        Settings {
            concurrency,
            rate_per_s,
            connections: plan.connections,
            threads: plan.threads,
            timeout_s: plan.timeout.as_secs_f64(),
            send_deadline: plan.send_deadline,
            seed: plan.seed,
        }
    }
}

impl FailureLine {
    fn all(tally: &Tally) -> Vec<FailureLine> {
        let line = |(kind, it): (&FailureKind, &FailureCount)| FailureLine {
            kind: kind.to_string(),
            count: it.latency.len(),
            first: it.first.clone(),
            latency_us: Latency::of(&it.latency),
        };
        tally.failures.iter().map(line).collect()
    }
}

impl Turned {
    fn of(tally: &Tally, kinds: fn(FailureKind) -> bool) -> Turned {
        let latency = tally.failures_where(kinds);
        Turned { count: latency.len(), latency_us: Latency::of(&latency) }
    }
}

impl Findings {
    /// With the model's name where there are several.
    fn named(mut self, model: &str, models: usize) -> Findings {
        if models > 1 {
            self.first_wrong = self.first_wrong.map(|it| format!("{model}, {it}"));
        }
        self
    }

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

/// What the load threads had of their cores.
#[derive(Default)]
struct Crew {
    used: Duration,
    busiest: f64,
    waiting: f64,
    counted: Duration,
}

impl Crew {
    fn add(&mut self, outcome: &Outcome) {
        let Outcome { core, counted, .. } = outcome;
        self.used += core.used;
        self.busiest = self.busiest.max(ratio(core.used, *counted));
        self.waiting = self.waiting.max(ratio(core.waited, *counted));
        self.counted = self.counted.max(*counted);
    }
}

/// Per second of `counted`.
fn rate(count: u64, counted: Duration) -> f64 {
    count as f64 / counted.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
}
