//! `salver logs replay`.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use serde::Serialize;
use server_feedback::{Past, files, open};
use server_proof::{Answers, Tolerance};

use super::logs::wanted;
use super::predict::encoded;
use super::table::table;
use super::{Outcome, complain, print};
use crate::cli::{OutputFormat, ReplayArgs};
use crate::client::{Client, ClientError};
use crate::log_reader::LogReader;
use crate::wire;

/// Different errors that are shown.
const ERRORS_MAX: usize = 5;

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Requests that were sent, and those that were not, by the reason.
    sent: usize,
    not_sent: BTreeMap<String, usize>,
    /// Requests that the log holds a sample of only.
    sampled: usize,
    errors: BTreeMap<String, usize>,
    compared: Answers,
    latency_ms_p50: Option<f64>,
    logged_latency_ms_p50: Option<f64>,
    latency_ratio: Option<f64>,
}

/// Sends what was asked, and compares.
pub(crate) fn replay(args: &ReplayArgs) -> Outcome {
    let report = match replayed(args) {
        Ok(report) => report,
        Err(ClientError::Unreachable(error)) => {
            return complain(&format!("{error:#}"), Outcome::Unreachable);
        }
        Err(ClientError::Refused(status, words)) => {
            return complain(&format!("{words} ({status})"), Outcome::Failed);
        }
        Err(ClientError::Failed(error)) => return complain(&format!("{error:#}"), Outcome::Failed),
    };
    let text = match args.server.output {
        OutputFormat::Text => report.shown(),
        OutputFormat::Json => serde_json::to_string(&report).unwrap_or_default(),
    };
    let printed = print(&text);
    match args.max_diff_share {
        Some(most) if !report.is_within(most) => Outcome::Failed,
        _ if report.sent == 0 => complain("no logged request could be sent", Outcome::Failed),
        _ => printed,
    }
}

/// Between two requests.
fn pause(rate: f64) -> anyhow::Result<Duration> {
    let pause = Some(rate).filter(|it| *it > 0.0 && it.is_finite()).map(|it| 1.0 / it);
    let pause = pause.and_then(|it| Duration::try_from_secs_f64(it).ok());
    pause.ok_or_else(|| anyhow!("--rate {rate} is no number of requests a second above 0"))
}

fn replayed(args: &ReplayArgs) -> Result<Report, ClientError> {
    let (client, path) = target(args)?;
    let client = if args.log { client } else { client.replaying() };
    let failed = ClientError::Failed;
    let pause = args.rate.map(|it| pause(it).map_err(failed)).transpose()?;
    let wanted = wanted(&args.rows, Some(&args.model), args.version).map_err(failed)?;
    let mut reader = LogReader::open(&args.rows.log_dir).map_err(failed)?;
    let archive = reader.archive.as_mut();
    let tolerance = Tolerance { absolute: args.atol, relative: args.rtol };
    let mut report = Report::default();
    let (mut took, mut logged) = (Vec::new(), Vec::new());
    let began = Instant::now();
    'files: for found in files(archive, &wanted).map_err(|it| failed(it.into()))? {
        let named = |it: std::io::Error| failed(anyhow::Error::from(it).context(found.path()));
        let Some(file) = open(archive, &found).map_err(named)? else { continue };
        for past in file.requests(usize::MAX).map_err(named)? {
            if report.sent >= args.limit {
                break 'files;
            }
            let past = past.map_err(named)?;
            if wanted.time.as_ref().is_some_and(|it| !it.contains(&past.at_micros)) {
                continue;
            }
            let Some(message) = report.request(&past) else { continue };
            if let Some(pause) = pause {
                let due = pause.saturating_mul(u32::try_from(report.sent).unwrap_or(u32::MAX));
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
            let asked = Instant::now();
            report.sent += 1;
            match client.infer(&path, message) {
                Ok(answer) => {
                    took.push(asked.elapsed().as_secs_f64() * 1e3);
                    logged.push(f64::from(past.latency_us) / 1e3);
                    report.answered(&past, (&answer.0, answer.1), tolerance);
                }
                // Nobody is there: the others will not be answered either.
                Err(error @ ClientError::Unreachable(_)) => return Err(error),
                Err(ClientError::Refused(status, words)) => {
                    report.error(&format!("{words} ({status})"));
                }
                Err(ClientError::Failed(error)) => report.error(&format!("{error:#}")),
            }
        }
    }
    (report.latency_ms_p50, report.logged_latency_ms_p50) = (median(took), median(logged));
    let both = report.latency_ms_p50.zip(report.logged_latency_ms_p50);
    report.latency_ratio = both.filter(|it| it.1 > 0.0).map(|it| it.0 / it.1);
    Ok(report)
}

/// Who is asked, and at which path.
fn target(args: &ReplayArgs) -> Result<(Client, String), ClientError> {
    let mut server = args.server.clone();
    let model = encoded(&args.model);
    if args.to.contains("://") {
        server.url.clone_from(&args.to);
        return Ok((Client::new(&server)?, format!("/v2/models/{model}/infer")));
    }
    let is_number = !args.to.is_empty() && args.to.bytes().all(|it| it.is_ascii_digit());
    let checked = || {
        ensure!(
            is_number,
            "--to is {:?}: expected a version's number or http://HOST:PORT",
            args.to
        );
        Ok(())
    };
    checked().map_err(ClientError::Failed)?;
    Ok((Client::new(&server)?, format!("/v2/models/{model}/versions/{}/infer", args.to)))
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

impl Report {
    /// The request again; nothing if it cannot be made, which is counted.
    fn request(&mut self, past: &Past) -> Option<wire::Message> {
        match past.again() {
            Ok(inputs) => {
                self.sampled += usize::from(past.sample_rate < 1.0);
                Some(wire::request(inputs))
            }
            Err(why) => {
                *self.not_sent.entry(why).or_default() += 1;
                None
            }
        }
    }

    fn answered(&mut self, past: &Past, answer: (&[u8], Option<usize>), tolerance: Tolerance) {
        match wire::outputs(answer).context("the answer") {
            Ok(given) => {
                self.compared.add(&past.request_id, (&past.outputs, &given), tolerance);
            }
            Err(error) => self.error(&format!("{error:#}")),
        }
    }

    fn error(&mut self, words: &str) {
        let known = self.errors.len() < ERRORS_MAX || self.errors.contains_key(words);
        let words = if known { words } else { "other errors" };
        *self.errors.entry(words.to_owned()).or_default() += 1;
    }

    fn is_within(&self, most: f64) -> bool {
        let errors = self.errors.values().sum::<usize>() as f64;
        let sent = self.sent as f64;
        self.sent > 0 && errors <= most * sent && self.compared.share().is_some_and(|it| it <= most)
    }

    fn shown(&self) -> String {
        let number = |it: f64| format!("{it:.6}");
        let mut rows = vec![
            ["OUTPUT", "ROWS", "DIFFER", "MAX |DIFF|", "MEAN |DIFF|", "CLASS FLIPS"]
                .map(str::to_owned),
        ];
        for (name, it) in &self.compared.outputs {
            rows.push([
                name.clone(),
                it.rows.to_string(),
                it.rows_differ.to_string(),
                number(it.max_abs),
                number(it.mean_abs),
                it.flips.map_or("-".to_owned(), |it| it.to_string()),
            ]);
        }
        let mut lines = vec![table(&rows), String::new()];
        lines.push(format!("{} requests sent", self.sent));
        lines.extend(self.not_sent.iter().map(|(why, count)| format!("{count} not sent: {why}")));
        lines.extend(self.errors.iter().map(|(what, count)| format!("{count} failed: {what}")));
        if self.sampled > 0 {
            lines.push(format!("{} of them are a sample of what came", self.sampled));
        }
        if self.compared.rows_not_finite > 0 {
            let rows = self.compared.rows_not_finite;
            lines.push(format!("{rows} rows are NaN or infinite where a number was logged"));
        }
        if let Some(share) = self.compared.share() {
            lines.push(format!("{share:.4} of the rows differ"));
        }
        let times = self.logged_latency_ms_p50.zip(self.latency_ms_p50);
        if let (Some((was, is)), Some(ratio)) = (times, self.latency_ratio) {
            lines.push(format!("median latency {is:.3} ms here, {was:.3} ms logged in the server ({ratio:.2} times)"));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_pauses_or_refused() {
        assert_eq!(pause(4.0).expect("a rate"), Duration::from_millis(250));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-20, f64::MIN_POSITIVE] {
            let error = pause(rate).expect_err("no rate").to_string();
            assert!(error.starts_with(&format!("--rate {rate} is no number")), "{error}");
        }
    }
}
