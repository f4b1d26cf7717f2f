//! The report in words and columns.

use std::fmt;

use super::{Latency, Report};
use crate::case::Case;
use crate::figures::ms;
use crate::limits::THREAD_WAITING_MAX;
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
        self.lines(out)?;
        self.phases(out)?;
        writeln!(out)?;
        if let Some(lateness) = &self.lateness_us {
            let (p50, p99, max) = (ms(lateness.p50), ms(lateness.p99), ms(lateness.max));
            writeln!(out, "sent late   p50 {p50}  p99 {p99}  max {max} ms")?;
        }
        let busiest = self.client_busiest_thread * 100.0;
        let cores = self.client_cores;
        write!(out, "client      {cores:.2} cores, busiest thread {busiest:.0} %")?;
        if self.client_waiting_thread > THREAD_WAITING_MAX {
            let waiting = self.client_waiting_thread * 100.0;
            write!(out, ", {waiting:.0} % of the time without a core")?;
        }
        writeln!(out)?;
        if let (Some(ceiling), Some(share)) = (self.ceiling, self.share_of_ceiling()) {
            let (most, percent) = (ceiling.requests_per_s, share * 100.0);
            writeln!(
                out,
                "ceiling     {most:.0} /s of this client, of which this is {percent:.0} %"
            )?;
        }
        self.warnings.iter().try_for_each(|it| writeln!(out, "warning: {it}"))
    }
}

impl Report {
    fn counts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, rate) = (self.requests, self.requests_per_s);
        writeln!(out, "requests    {requests:>10}   answers {rate:>12.1} /s")?;
        writeln!(out, "answered    {:>10}   rows    {:>12.1} /s", self.answered, self.rows_per_s)?;
        if self.goodput_per_s < self.requests_per_s {
            let (within, rate) = (self.settings.timeout_s, self.goodput_per_s);
            writeln!(out, "{:25}goodput {rate:>12.1} /s within {within} s", "")?;
        }
        writeln!(out, "failed      {:>10}", self.failed)?;
        for failure in &self.failures {
            writeln!(out, "  {:<10}{:>10}   {}", failure.kind, failure.count, failure.first)?;
        }
        if self.failed_in_warmup > 0 {
            writeln!(out, "  {:<10}{:>10}   not counted", "warm-up", self.failed_in_warmup)?;
        }
        for (name, turned) in [("refused", self.refused), ("expired", self.expired)] {
            if let Some(Latency { p50, p99, max, .. }) = turned.latency_us {
                let (count, p50, p99, max) = (turned.count, ms(p50), ms(p99), ms(max));
                writeln!(out, "{name:<12}{count:>10}   p50 {p50}  p99 {p99}  max {max} ms")?;
            }
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

impl Report {
    /// A line for each of several models.
    fn lines(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.models.len() < 2 {
            return Ok(());
        }
        let width = self.models.iter().map(|it| it.model.chars().count()).max().unwrap_or(0);
        let width = width.max("total".len());
        let head = ["requests", "failed", "wrong", "answers/s", "rows/s", "p50 ms", "p99 ms"];
        write!(out, "\n{:width$}", "model")?;
        head.iter().try_for_each(|it| write!(out, "{it:>11}"))?;
        writeln!(out)?;
        for it in &self.models {
            let rates = (it.requests_per_s, it.rows_per_s);
            let counts = [it.requests, it.failed, it.wrong];
            row(out, (&it.model, width), (counts, rates, it.latency_us))?;
        }
        let (counts, rates) =
            ([self.requests, self.failed, self.wrong], (self.requests_per_s, self.rows_per_s));
        row(out, ("total", width), (counts, rates, self.latency_us))
    }
}

impl Report {
    /// A line for each part of the counted time, if it has parts.
    fn phases(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.phases.is_empty() {
            return Ok(());
        }
        write!(out, "\n{:>8}{:>9}", "from s", "to s")?;
        PHASE_HEAD.iter().try_for_each(|it| write!(out, "{it:>12}"))?;
        writeln!(out)?;
        for it in &self.phases {
            let late = it.lateness_us.map_or("-".to_owned(), |it| ms(it.p99));
            let latency = it.latency_us.as_ref();
            let shown = |of: fn(&Latency) -> u64| latency.map_or("-".to_owned(), |it| ms(of(it)));
            write!(out, "{:>8.2}{:>9.2}", it.from_s, it.to_s)?;
            write!(
                out,
                "{:>12.1}{:>12.1}{:>12.1}",
                it.due_per_s, it.answered_per_s, it.good_per_s
            )?;
            write!(out, "{:>12}{:>12}{:>12}", it.failed, it.refused, it.not_sent)?;
            writeln!(out, "{:>12}{:>12}{late:>12}", shown(|it| it.p50), shown(|it| it.p99))?;
        }
        Ok(())
    }
}

const PHASE_HEAD: [&str; 9] = [
    "due /s",
    "answered /s",
    "good /s",
    "failed",
    "refused",
    "not sent",
    "p50 ms",
    "p99 ms",
    "late p99",
];

/// Requests, failed, wrong; answers and rows per second; latency.
type Numbers = ([u64; 3], (f64, f64), Option<Latency>);

fn row(
    out: &mut fmt::Formatter<'_>,
    (name, width): (&str, usize),
    (counts, rates, latency): Numbers,
) -> fmt::Result {
    write!(out, "{name:width$}")?;
    counts.iter().try_for_each(|it| write!(out, "{it:>11}"))?;
    write!(out, "{:>11.1}{:>11.1}", rates.0, rates.1)?;
    let shown = |of: fn(&Latency) -> u64| latency.as_ref().map_or("-".to_owned(), |it| ms(of(it)));
    writeln!(out, "{:>11}{:>11}", shown(|it| it.p50), shown(|it| it.p99))
}

/// The loop, the connections and the threads of a plan.
pub(super) fn load(plan: &Plan) -> String {
    let connections = counted(plan.connections, "connection");
    let threads = counted(plan.threads, "thread");
    match &plan.load {
        Load::Closed { concurrency } => {
            format!("closed loop, {concurrency} in flight on {connections}, {threads}")
        }
        Load::Open { words, spin, .. } => {
            let threads = if *spin { format!("{threads} (spinning)") } else { threads };
            format!("open loop, {words} on {connections}, {threads}")
        }
    }
}

pub(super) fn request<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let cases: Vec<&Case> = cases.collect();
    let distinct = counted(cases.len(), "distinct request");
    let span = |of: fn(&Case) -> usize, unit: &str| {
        let least = cases.iter().map(|it| of(it)).min().unwrap_or(0);
        let most = cases.iter().map(|it| of(it)).max().unwrap_or(0);
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
