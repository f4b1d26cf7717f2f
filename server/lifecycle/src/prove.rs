//! Does a version keep what it says of itself, and what its operator asks of it? Looked at before
//! it is ready; one that does not is not served.
//!
//! Called by `load`, when signature and padding are known. The runs are on an instance of their
//! own, so that the first requests after them are no longer the first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backend_api::{Device, Model, Signature, Tensor};
use server_proof::{
    Ask, Card, Golden, Refusal, Replay, Report, check_example, compare, example, median,
};
use server_serving::Padding;

use crate::asked::ask;
use crate::fault::LoadError;
use crate::load::{AxisLengths, LoadJob};
use crate::probe::made_up;
use crate::proof::GOLDEN;
use crate::replay::{self, Before};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Proof {
    /// Where the version comes from and what it has proven: for those who ask for its metadata.
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) golden: Option<Report>,
    /// Of logged requests.
    pub(crate) replay: Option<Replay>,
    /// Of a run of one request.
    pub(crate) latency: Option<Duration>,
    /// Inputs that the model takes and that nobody made up: its own example, or else the first
    /// request that was recorded.
    pub(crate) example: Option<Vec<Tensor>>,
}

/// The model as it is to be served.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) device: &'a Device,
    pub(crate) signature: &'a Signature,
    pub(crate) padding: &'a Padding,
    pub(crate) lengths: &'a AxisLengths,
}

/// What lies beside the model; refuses what cannot be served before anything is loaded.
/// `artifacts` are the files that engines read.
pub(crate) fn card(job: &LoadJob, artifacts: &[&str]) -> Result<Option<Card>, LoadError> {
    match Card::read(&job.folder) {
        Ok(Some(card)) => {
            card.check_servable(&job.folder, artifacts)?;
            Ok(Some(card))
        }
        Ok(None) => Ok(None),
        Err(refusal) if job.config.proof.signature => Err(refusal.into()),
        Err(Refusal { reason, .. }) => {
            tracing::warn!(model = %job.model, version = %job.version, reason, "served all the same");
            Ok(None)
        }
    }
}

/// Proves a version. `now` tells the time.
pub(crate) fn prove(
    job: &LoadJob,
    subject: Subject<'_>,
    (card, before): (Option<&Card>, &Before),
    now: &dyn Fn() -> Instant,
) -> Result<Proof, LoadError> {
    let (config, signature) = (&job.config.proof, subject.signature);
    let mut proof = Proof::default();
    if let Some(card) = card {
        proof.facts.clone_from(&card.facts);
        if let Some(declared) = card.signature.as_ref().filter(|_| config.signature) {
            compare(declared, signature)?;
        }
    }
    if let Some((version, served)) = job.serves.as_deref()
        && !stands_in_for(signature, served)
    {
        return Err(Refusal::changed(signature, (&format!("version {version}"), served)).into());
    }
    let card = card.filter(|_| config.example);
    let own = card.map(|it| example(it, &job.folder, signature)).transpose()?.flatten();
    let golden = golden(job)?;
    let runs = [config.replay > 0, config.latency_max.is_some()];
    if own.is_none() && golden.is_none() && !runs.contains(&true) {
        return Ok(proof);
    }
    let instance = subject.model.instance(subject.device);
    let mut instance = instance.map_err(|it| LoadError::doubtful(it.to_string()))?;
    let mut ask = |inputs: &[Tensor]| ask(&mut *instance, signature, subject.padding, inputs);
    if let Some(own) = &own {
        check_example(signature, own, &mut ask)?;
        proof.facts.insert("proof.example".to_owned(), "runs, all numbers finite".to_owned());
    }
    let mut recorded = None;
    if let Some(golden) = golden {
        let (report, inputs) = golden.check(signature, &mut ask)?;
        proof.facts.insert("proof.golden".to_owned(), report.to_string());
        (proof.golden, recorded) = (Some(report), Some(inputs));
    }
    if let Some((words, shown)) = replay::replay(job, before, (signature, &mut ask), now)? {
        proof.facts.insert("proof.replay".to_owned(), words);
        proof.replay = shown;
    }
    if let Some(max) = config.latency_max {
        let inputs = one_row(signature, recorded.as_ref().or(own.as_ref()), subject.lengths);
        let took = latency(&mut ask, (inputs, config.latency_runs), max, now)?;
        proof.facts.insert("proof.latency_ms".to_owned(), millis(took));
        proof.latency = Some(took);
    }
    proof.example = own.or(recorded);
    Ok(proof)
}

/// Is it the same to whoever asks? Whether requests are joined into one run is not for callers to know.
fn stands_in_for(found: &Signature, served: &Signature) -> bool {
    found.clone().unbatched().stands_in_for(&served.clone().unbatched())
}

/// The file with recorded requests. One that is named has to be there.
fn golden(job: &LoadJob) -> Result<Option<Golden>, Refusal> {
    let config = &job.config.proof;
    let name = config.golden.as_deref().unwrap_or(GOLDEN);
    let found = Golden::find(name, &job.folder, config.tolerance, config.mismatches_max);
    if found.is_none() && config.golden.is_some() {
        return Err(Refusal::missing(name));
    }
    Ok(found)
}

/// A request of one row: the first of what there is, or made up.
fn one_row(
    signature: &Signature,
    inputs: Option<&Vec<Tensor>>,
    lengths: &AxisLengths,
) -> Result<Vec<Tensor>, String> {
    let Some(inputs) = inputs else {
        return signature.inputs.iter().map(|it| made_up(it, &[1], lengths)).collect();
    };
    let first = |it: &Tensor| {
        let rows = it.shape().rows().filter(|_| signature.is_batched())?;
        it.split_rows(&[1, rows.checked_sub(1)?])?.into_iter().next()
    };
    Ok(inputs.iter().map(|it| first(it).unwrap_or_else(|| it.clone())).collect())
}

fn latency(
    ask: &mut Ask<'_>,
    (inputs, runs): (Result<Vec<Tensor>, String>, usize),
    max: Duration,
    now: &dyn Fn() -> Instant,
) -> Result<Duration, Refusal> {
    let took = inputs.and_then(|it| median(ask, &it, runs, now));
    let took = took.map_err(|it| Refusal::unmeasured(&it))?;
    if took > max { Err(Refusal::slow(took, runs, max)) } else { Ok(took) }
}

fn millis(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64() * 1e3)
}

#[cfg(test)]
#[path = "prove_tests.rs"]
mod tests;
