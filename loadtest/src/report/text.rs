//! The report in words and columns.

use std::fmt;

use super::{Latency, Report};
use crate::arrivals::Arrival;
use crate::case::Case;
use crate::plan::{Load, Plan};

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.model_version.as_str() {
            "" => String::new(),
            version => format!(" version {version}"),
        };
        writeln!(out, "{}{version}, {} at {}", self.model, self.protocol, self.url)?;
        writeln!(out, "{}; {}", self.load, self.request)?;
        let warmup = match self.warmup_s {
            0.0 => "no warm-up".to_owned(),
            seconds => format!("{seconds:.1} s of warm-up"),
        };
        writeln!(out, "{:.1} s counted after {warmup}\n", self.counted_s)?;
        self.counts(out)?;
        if let Some(latency) = &self.latency_us {
            writeln!(out)?;
            columns(out, latency)?;
        }
        writeln!(out)?;
        if let Some(lateness) = &self.lateness_us {
            let (p50, p99, max) = (ms(lateness.p50), ms(lateness.p99), ms(lateness.max));
            writeln!(out, "sent late   p50 {p50}  p99 {p99}  max {max} ms")?;
        }
        let busiest = self.client_busiest_thread * 100.0;
        let cores = self.client_cores;
        writeln!(out, "client      {cores:.2} cores, busiest thread {busiest:.0} %")?;
        self.warnings.iter().try_for_each(|it| writeln!(out, "warning: {it}"))
    }
}

impl Report {
    fn counts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, rate) = (self.requests, self.requests_per_s);
        writeln!(out, "requests    {requests:>10}   answers {rate:>12.1} /s")?;
        writeln!(out, "answered    {:>10}   rows    {:>12.1} /s", self.answered, self.rows_per_s)?;
        writeln!(out, "failed      {:>10}", self.failed)?;
        for failure in &self.failures {
            writeln!(out, "  {:<10}{:>10}   {}", failure.kind, failure.count, failure.first)?;
        }
        if self.failed_in_warmup > 0 {
            writeln!(out, "  {:<10}{:>10}   not counted", "warm-up", self.failed_in_warmup)?;
        }
        if self.not_sent > 0 {
            writeln!(out, "not sent    {:>10}", self.not_sent)?;
        }
        writeln!(out, "wrong       {:>10}   of {} checked", self.wrong, self.checked)?;
        match &self.first_wrong {
            Some(first) => writeln!(out, "  first: {first}"),
            None => Ok(()),
        }
    }
}

/// The loop, the connections and the threads of a plan.
pub(super) fn load(plan: &Plan) -> String {
    let connections = counted(plan.connections, "connection");
    let threads = counted(plan.threads, "thread");
    match plan.load {
        Load::Closed { concurrency } => {
            format!("closed loop, {concurrency} in flight on {connections}, {threads}")
        }
        Load::Open { rate_per_s, arrival, spin, .. } => {
            let arrival = match arrival {
                Arrival::Poisson => "Poisson",
                Arrival::Constant => "constant",
            };
            let threads = if spin { format!("{threads} (spinning)") } else { threads };
            format!("open loop, {rate_per_s} /s {arrival} on {connections}, {threads}")
        }
    }
}

pub(super) fn request(cases: &[Case]) -> String {
    let distinct = counted(cases.len(), "distinct request");
    let span = |of: fn(&Case) -> usize, unit: &str| {
        let least = cases.iter().map(of).min().unwrap_or(0);
        let most = cases.iter().map(of).max().unwrap_or(0);
        if least == most { counted(most, unit) } else { format!("{least} to {most} {unit}s") }
    };
    let (rows, bytes) = (span(|it| it.rows, "row"), span(Case::input_bytes, "input byte"));
    format!("{distinct} of {rows}, {bytes}")
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn columns(out: &mut fmt::Formatter<'_>, latency: &Latency) -> fmt::Result {
    let columns = [
        ("min", ms(latency.min)),
        ("mean", format!("{:.3}", latency.mean / 1e3)),
        ("p50", ms(latency.p50)),
        ("p90", ms(latency.p90)),
        ("p95", ms(latency.p95)),
        ("p99", ms(latency.p99)),
        ("p99.9", ms(latency.p99_9)),
        ("max", ms(latency.max)),
    ];
    write!(out, "latency ms")?;
    columns.iter().try_for_each(|(name, _)| write!(out, "{name:>11}"))?;
    write!(out, "\n{:10}", "")?;
    columns.iter().try_for_each(|(_, value)| write!(out, "{value:>11}"))?;
    writeln!(out)
}

/// µs as ms.
fn ms(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}
