//! The few numbers of a run that are held against those of another.
//!
//! Made from reports; used by `compare`, `search` and `sweep`.

use serde::Serialize;

use crate::report::Report;
use crate::spread::Spread;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) requests_per_s: f64,
    /// Of answered requests; 0: none was answered.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) failed: u64,
    pub(crate) not_sent: u64,
    pub(crate) wrong: u64,
    pub(crate) limited_by_client: bool,
}

/// One run to another: more throughput is better, less latency is. NaN where nothing was answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) throughput: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The same run several times over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Repeated {
    pub(crate) requests_per_s: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) failed: u64,
    pub(crate) not_sent: u64,
    pub(crate) wrong: u64,
    /// At least once.
    pub(crate) limited_by_client: bool,
}

impl Repeated {
    pub(crate) fn of(runs: &[Figures]) -> Repeated {
        let spread = |of: fn(&Figures) -> f64| Spread::of(runs.iter().map(of));
        let sum = |of: fn(&Figures) -> u64| runs.iter().map(of).sum();
        Repeated {
            requests_per_s: spread(|it| it.requests_per_s),
            p50_us: spread(|it| it.p50_us as f64),
            p99_us: spread(|it| it.p99_us as f64),
            failed: sum(|it| it.failed),
            not_sent: sum(|it| it.not_sent),
            wrong: sum(|it| it.wrong),
            limited_by_client: runs.iter().any(|it| it.limited_by_client),
        }
    }

    /// Answers per second and latencies in ms, one end or the middle of each.
    pub(crate) fn cells(self, of: fn(Spread) -> f64) -> Vec<String> {
        let ms = |micros: Spread| format!("{:.3}", of(micros) / 1e3);
        vec![format!("{:.1}", of(self.requests_per_s)), ms(self.p50_us), ms(self.p99_us)]
    }

    /// What went wrong in any of the runs; `None`: nothing.
    pub(crate) fn faults(self) -> Option<String> {
        let Repeated { failed, not_sent, wrong, .. } = self;
        (failed + not_sent + wrong > 0)
            .then(|| format!("{failed} failed, {not_sent} not sent, {wrong} wrong"))
    }
}

impl Figures {
    pub(crate) fn of(report: &Report) -> Figures {
        Figures {
            requests_per_s: report.requests_per_s,
            p50_us: report.latency_us.map_or(0, |it| it.p50),
            p99_us: report.latency_us.map_or(0, |it| it.p99),
            failed: report.failed,
            not_sent: report.not_sent,
            wrong: report.wrong,
            limited_by_client: report.limited_by_client,
        }
    }

    pub(crate) fn to(self, reference: Figures) -> Ratio {
        Ratio {
            throughput: self.requests_per_s / reference.requests_per_s,
            p50: latency_ratio(self.p50_us, reference.p50_us),
            p99: latency_ratio(self.p99_us, reference.p99_us),
        }
    }

    /// Answers per second and latencies in ms, for a line of a table.
    pub(crate) fn cells(self) -> [String; 3] {
        [format!("{:.1}", self.requests_per_s), ms(self.p50_us), ms(self.p99_us)]
    }
}

impl Ratio {
    pub(crate) fn cells(self) -> [String; 3] {
        [self.throughput, self.p50, self.p99].map(three_decimals)
    }
}

/// Nothing answered is not fast: such a ratio is not a number.
fn latency_ratio(part: u64, whole: u64) -> f64 {
    if part == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

/// A dash for what could not be measured.
pub(crate) fn three_decimals(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "-".to_owned() }
}

/// µs as ms.
pub(crate) fn ms(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}
