//! What was logged, asked of the candidate in this process: no server, no network.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow, ensure};
use backend_api::{Signature, Tensor};
use serde_json::json;
use server_base::{InferRequest, NamedTensor, Protocol, VersionChoice};
use server_feedback::source::{Archive, Missing};
use server_feedback::{Found, LogFile, Newest, Wanted, rows_of_whole};
use server_lifecycle::Alone;
use server_proof::{Ask, Limits, Replay, Tolerance};
use server_registry::Uri;
use server_serving::{Admission, AdmissionLimits, Serving};
use tokio::runtime::{Builder, Runtime};

use super::super::Outcome;
use super::super::logs::wanted;
use super::super::table::table;
use super::page;
use crate::cli::{LoggedArgs, RowArgs, ValidateArgs};
use crate::log_reader::LogReader;
use crate::logged::logged;

/// What comes of a log that cannot be read, or has nothing that can be asked.
pub(super) const UNFIT: Outcome = Outcome::Unfit;

/// Rows that cannot be asked are looked at so many times those that are to be, at the most.
const SKIPPED_TIMES: usize = 10;

/// Models that an error names.
const NAMED_MAX: usize = 10;

/// What is asked, and how answers are judged.
pub(super) struct Plan {
    reader: LogReader,
    wanted: Wanted,
    rows: usize,
    tolerance: Tolerance,
    limits: Limits,
}

/// What came of it.
pub(super) struct Replayed {
    pub(super) replay: Replay,
    /// How long runs took, in milliseconds, one request at a time; and as it was logged, with others.
    pub(super) run: Times,
    pub(super) logged: Times,
    fault: Option<String>,
}

/// Durations, in milliseconds.
#[derive(Default)]
pub(super) struct Times(Vec<f64>);

impl Plan {
    /// Opens the log. `None`: nothing is to be asked.
    pub(super) fn new(args: &ValidateArgs) -> Result<Option<Plan>, (String, Outcome)> {
        let args = &args.logged;
        let Some(log) = &args.replay else { return Ok(None) };
        let wrong = |it: anyhow::Error| (format!("{it:#}"), Outcome::Misused);
        let time =
            RowArgs { log_dir: log.clone(), from: args.since.clone(), until: args.until.clone() };
        let wanted = wanted(&time, args.model.as_deref(), args.version);
        let wanted = wanted
            .map_err(|it| (format!("{it:#}").replace("--from", "--since"), Outcome::Misused))?;
        let limits = limits(args).map_err(wrong)?;
        let unfit = |it: anyhow::Error| (format!("{it:#}"), UNFIT);
        let mut reader = LogReader::open(log).map_err(unfit)?;
        check_model(reader.archive.as_mut(), &wanted).map_err(unfit)?;
        Ok(Some(Plan {
            reader,
            wanted,
            rows: usize::try_from(args.rows).unwrap_or(usize::MAX),
            tolerance: Tolerance { absolute: args.atol, relative: args.rtol },
            limits,
        }))
    }

    /// Asks, the newest files first; of each its last rows, or the first ones of a time that is wanted.
    pub(super) fn run(mut self, alone: &Alone) -> anyhow::Result<Replayed> {
        let asked = Asked::new(alone)?;
        let (mut replay, mut run, mut took) =
            (Replay::default(), Times::default(), Times::default());
        let mut ask = |inputs: &[Tensor]| {
            let begun = Instant::now();
            let answer = asked.ask(inputs);
            run.0.push(begun.elapsed().as_secs_f64() * 1e3);
            answer
        };
        let archive = self.reader.archive.as_mut();
        let mut newest = Newest::new(archive, &self.wanted)?;
        let (mut left, mut looked_at) = (self.rows, 0);
        let most = self.rows.saturating_mul(SKIPPED_TIMES);
        'files: while left > 0
            && let Some(found) = newest.next(archive)?
        {
            let named = || found.path();
            let Some(file) = fetch(archive, &found).with_context(named)? else { continue };
            // What comes last may be too late to count, so all of it is looked at, from its beginning on.
            let rows = if self.wanted.time.is_some() {
                usize::MAX
            } else {
                rows_of_whole(file.try_clone()?, left).with_context(named)?
            };
            let file = LogFile::open(file).with_context(named)?;
            for past in file.requests(rows).with_context(named)? {
                let past = past.with_context(named)?;
                if self.wanted.time.as_ref().is_some_and(|it| !it.contains(&past.at_micros)) {
                    continue;
                }
                let logged_ms = f64::from(past.infer_us) / 1e3;
                let rows = match logged(past) {
                    Ok(logged) => {
                        let of: (&Signature, &mut Ask<'_>) =
                            (alone.servable().signature(), &mut ask);
                        replay.ask(&logged, of, self.tolerance);
                        took.0.push(logged_ms);
                        let rows = rows_of(&logged.inputs);
                        left = left.saturating_sub(rows);
                        rows
                    }
                    Err(why) => {
                        replay.skip(&why);
                        1
                    }
                };
                looked_at += rows;
                if looked_at >= most {
                    replay.cut = Some(format!("{looked_at} rows were looked at"));
                    break 'files;
                }
                if left == 0 {
                    break 'files;
                }
            }
        }
        let fault = match replay.asked {
            0 => Some("nothing that is logged could be asked".to_owned()),
            _ => replay.fault(&self.limits),
        };
        Ok(Replayed { replay, run, logged: took, fault })
    }
}

/// `None`: it is gone.
fn fetch(archive: &mut dyn Archive, found: &Found) -> io::Result<Option<File>> {
    match archive.fetch(&found.folder, &found.object) {
        Ok(file) => Ok(Some(file)),
        Err(Missing::Gone) => Ok(None),
        Err(Missing::Away(error) | Missing::Refused(error)) => Err(error),
    }
}

fn rows_of(inputs: &[(String, Tensor)]) -> usize {
    inputs.first().and_then(|it| it.1.shape().rows()).unwrap_or(1).max(1)
}

fn limits(args: &LoggedArgs) -> anyhow::Result<Limits> {
    let LoggedArgs { flips_max, difference_max, .. } = *args;
    if let Some(share) = flips_max {
        ensure!((0.0..=1.0).contains(&share), "--flips-max {share} is no share from 0 to 1");
    }
    for (flag, number) in
        [("difference-max", difference_max), ("atol", Some(args.atol)), ("rtol", Some(args.rtol))]
    {
        let is_number = number.is_none_or(|it| it >= 0.0);
        ensure!(is_number, "--{flag} {} is no number from 0", number.unwrap_or_default());
    }
    Ok(Limits { flips_max, difference_max })
}

/// One model's requests are asked.
fn check_model(archive: &mut dyn Archive, wanted: &Wanted) -> anyhow::Result<()> {
    if wanted.model.is_some() {
        return Ok(());
    }
    let folders: io::Result<Vec<String>> = archive.folders("");
    let models: Vec<String> =
        folders?.iter().filter_map(|it| Some(it.strip_prefix("model=")?.to_owned())).collect();
    let shown = models.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    ensure!(
        models.len() <= 1,
        "the log has requests of {} models: choose one by --model; there are {shown}",
        models.len()
    );
    Ok(())
}

/// The candidate, as a server would ask it.
struct Asked<'a> {
    serving: Arc<Serving>,
    runtime: Runtime,
    alone: &'a Alone,
}

impl<'a> Asked<'a> {
    fn new(alone: &'a Alone) -> anyhow::Result<Asked<'a>> {
        let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
        serving.publish(alone.table());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Asked { serving, runtime, alone })
    }

    /// Outputs in the signature's order.
    fn ask(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let servable = self.alone.servable();
        let Signature { inputs: specs, .. } = servable.signature();
        let named = specs.iter().zip(inputs);
        let named = named.map(|(spec, tensor)| NamedTensor {
            name: spec.name.to_string().into(),
            tensor: tensor.clone(),
        });
        let request = InferRequest {
            model: servable.model().to_string().into(),
            version: VersionChoice::Any,
            inputs: named.collect(),
            outputs: Default::default(),
            timeout: None,
        };
        let answered = self.runtime.block_on(async {
            let mut trip = self.serving.trip(Protocol::Grpc);
            let answer = self.serving.infer(request, &mut trip).await;
            let answer = answer.map(|(submitted, answer)| {
                let response = submitted.response(answer, &mut trip);
                response.outputs.into_iter().map(|it| it.tensor).collect::<Vec<Tensor>>()
            });
            trip.finish(answer.as_ref().err());
            answer
        });
        answered.map_err(|it| format!("{:#}", anyhow!(it)))
    }
}

impl Times {
    /// So many of a hundred were no longer.
    pub(super) fn percentile(&self, percent: usize) -> Option<f64> {
        let mut all = self.0.clone();
        all.sort_by(f64::total_cmp);
        all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).copied()
    }
}

impl Replayed {
    pub(super) fn outcome(&self) -> Outcome {
        match (self.replay.asked, &self.fault) {
            (0, _) => UNFIT,
            (_, Some(_)) => Outcome::Failed,
            (_, None) => Outcome::Done,
        }
    }

    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn text(&self) -> String {
        let number = |it: f64| format!("{it:.6}");
        let heads = [
            "OUTPUT",
            "ROWS",
            "DIFFER",
            "CLASS FLIPS",
            "MAX |DIFF|",
            "MEAN |DIFF|",
            "MAX REL",
            "NOT FINITE",
        ];
        let mut rows = vec![heads.map(str::to_owned)];
        let Replay { asked, not_asked, errors, cut, compared, .. } = &self.replay;
        for (name, it) in &compared.outputs {
            rows.push([
                name.clone(),
                it.rows.to_string(),
                it.rows_differ.to_string(),
                it.flips.map_or("-".to_owned(), |it| it.to_string()),
                number(it.max_abs),
                number(it.mean_abs),
                number(it.max_rel),
                it.not_finite.to_string(),
            ]);
        }
        let mut lines = vec![table(&rows), String::new()];
        lines.push(format!("{asked} logged requests asked, {} rows compared", compared.rows));
        lines.extend(not_asked.iter().map(|(why, count)| format!("{count} not asked: {why}")));
        lines.extend(errors.iter().map(|(what, count)| format!("{count} failed: {what}")));
        lines.extend(cut.iter().map(|it| format!("not all of them: {it}")));
        if let Some((run, logged)) = self.run.percentile(50).zip(self.logged.percentile(50)) {
            let slowest = self.run.percentile(99).unwrap_or_default();
            lines.push(format!(
                "a request takes {run:.3} ms here (median; p99 {slowest:.3} ms), a run took {logged:.3} ms when \
                 it was logged"
            ));
        }
        lines.extend(compared.worst.examples().iter().map(|it| {
            let (id, row, output, what) = (&it.id, it.row, &it.output, it.what.words());
            format!("  {id} row {row}, {output}: {what}: was {}, is {}", it.was, it.is)
        }));
        lines.push(match &self.fault {
            None => "answers as it may".to_owned(),
            Some(fault) => format!("answers otherwise than it may: {fault}"),
        });
        lines.join("\n")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let times = |it: &Times| json!({ "p50": it.percentile(50), "p99": it.percentile(99) });
        let mut told = serde_json::to_value(&self.replay).unwrap_or_default();
        if let Some(told) = told.as_object_mut() {
            told.insert("good".to_owned(), self.fault.is_none().into());
            told.insert("latency_ms".to_owned(), times(&self.run));
            told.insert("logged_run_ms".to_owned(), times(&self.logged));
        }
        told
    }

    /// Writes the page, if one is wanted.
    pub(super) fn write(&self, args: &ValidateArgs, uri: &Uri) -> anyhow::Result<()> {
        let Some(path) = &args.logged.report else { return Ok(()) };
        let html = page::page(&uri.to_string(), self);
        fs::write(path, html).with_context(|| path.display().to_string())
    }
}
