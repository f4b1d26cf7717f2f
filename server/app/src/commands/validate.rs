//! `salver validate`: would a model of a registry serve? For pipelines.

#[cfg_attr(not(feature = "parquet"), path = "validate/no_replay.rs")]
mod replay;
#[cfg(feature = "parquet")]
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use server_base::{ModelName, Version};
use server_lifecycle::{Defaults, Engines, LoadPolicy, ModelConfig, Single, Transition};
use server_registry::{ErrorKind, Pulled, RegistryError, Uri};
use server_serving::Cores;

use self::replay::{Plan, Replayed};
use super::meter::Meter;
use super::store::{block_on, puller};
use super::{Outcome, complain, print, told};
use crate::cli::{LogFormat, OutputFormat, ValidateArgs};
use crate::{engines, stock, telemetry};

/// Loads say what an operator of the server would read of them, and no more.
const LOG_LEVEL: &str = "warn";

/// How long the instances may take to end.
const STOP: Duration = Duration::from_secs(10);

/// What was found.
struct Verdict {
    pulled: Pulled,
    loaded: Result<Loaded, String>,
}

struct Loaded {
    engine: String,
    took: Duration,
    batched: bool,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// What it answered of what is logged; an error: that cannot be read.
    replayed: Option<Result<Replayed, String>>,
}

/// Fetches, checks, loads, warms up and tells.
pub(crate) fn validate(args: &ValidateArgs) -> Outcome {
    let uri: Uri = match args.uri.parse() {
        Ok(uri) => uri,
        Err(error) => return fail(args, &error.to_string(), Outcome::Misused),
    };
    let started = telemetry::start_logs(LogFormat::Text, LOG_LEVEL);
    let opened = started.and_then(|()| engines::open(&args.libraries));
    let engines = match opened {
        Ok(engines) => engines,
        Err(error) => return fail(args, &format!("{error:#}"), Outcome::Failed),
    };
    let config = match configuration(args.config.as_deref(), &engines) {
        Ok(config) => config,
        Err(faults) => return fail(args, &faults.join("\n  "), Outcome::Misused),
    };
    // Before anything is fetched: whoever has mistyped it is told at once.
    let plan = match Plan::new(args) {
        Ok(plan) => plan,
        Err((why, outcome)) => return fail(args, &why, outcome),
    };
    match examine(args, (&uri, plan), (&engines, &config)) {
        Ok(verdict) => conclude(args, &uri, &verdict),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            fail(args, &error.to_string(), Outcome::Misused)
        }
        Err(error) => {
            let (why, outcome) = told(error);
            fail(args, &why, outcome)
        }
    }
}

/// Nothing could be said of the model itself. Whoever reads JSON reads the reason there too.
fn fail(args: &ValidateArgs, why: &str, outcome: Outcome) -> Outcome {
    if args.store.output == OutputFormat::Json {
        print(&serde_json::json!({ "good": false, "reason": why }).to_string());
    }
    complain(why, outcome)
}

fn configuration(file: Option<&Path>, engines: &Engines) -> Result<ModelConfig, Vec<String>> {
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        load: LoadPolicy::Eager,
        engines: engines.names(),
    };
    let Some(file) = file else { return Ok(ModelConfig::defaults(&defaults)) };
    let text = fs::read_to_string(file).map_err(|it| vec![format!("{}: {it}", file.display())])?;
    ModelConfig::parse(&text, &defaults)
}

fn examine(
    args: &ValidateArgs,
    (uri, plan): (&Uri, Option<Plan>),
    (engines, config): (&Engines, &ModelConfig),
) -> Result<Verdict, RegistryError> {
    let place = &args.store.place;
    let stock = stock::open(place, engines.artifacts())?;
    stock::pinned(place, &stock, uri)?;
    let meter = Meter::default();
    let pulled = block_on(puller(&stock, &stock.lock, &meter).pull(uri));
    meter.done();
    let pulled = pulled?;
    let folder = pulled.lease.folder().to_path_buf();
    let version = Version(pulled.record.version.unwrap_or(1));
    let loaded = load((folder, version), (engines, config), plan);
    Ok(Verdict { pulled, loaded })
}

fn load(
    (folder, version): (PathBuf, Version),
    (engines, config): (&Engines, &ModelConfig),
    plan: Option<Plan>,
) -> Result<Loaded, String> {
    let model = ModelName::new("model").map_err(|it| it.to_string())?;
    let cores = Cores::new(available_parallelism().map_or(1, usize::from));
    let single = Single::of(model, version, folder, engines)?;
    let started = Instant::now();
    let alone = single.load((engines, &cores), version, config)?;
    let took = started.elapsed();
    let replayed = plan.map(|it| it.run(&alone).map_err(|it| format!("{it:#}")));
    let servable = alone.servable();
    let signature = servable.signature();
    let loaded = Loaded {
        engine: servable.plan().platform.to_owned(),
        took,
        batched: signature.is_batched(),
        inputs: signature.inputs.iter().map(ToString::to_string).collect(),
        outputs: signature.outputs.iter().map(ToString::to_string).collect(),
        replayed,
    };
    alone.stop(Instant::now() + STOP);
    Ok(loaded)
}

fn conclude(args: &ValidateArgs, uri: &Uri, verdict: &Verdict) -> Outcome {
    let printed = print(&match args.store.output {
        OutputFormat::Text => text(uri, verdict),
        OutputFormat::Json => json(uri, verdict).to_string(),
    });
    let written = match &verdict.loaded {
        Ok(Loaded { replayed: Some(Ok(it)), .. }) => it.write(args, uri),
        Ok(_) | Err(_) => Ok(()),
    };
    match (verdict.outcome(), written) {
        (Outcome::Done, Err(error)) => complain(&format!("{error:#}"), Outcome::Failed),
        (Outcome::Done, Ok(())) => printed,
        (outcome, _) => outcome,
    }
}

impl Verdict {
    fn outcome(&self) -> Outcome {
        match &self.loaded {
            Ok(Loaded { replayed: None, .. }) => Outcome::Done,
            Ok(Loaded { replayed: Some(Ok(it)), .. }) => it.outcome(),
            Ok(Loaded { replayed: Some(Err(_)), .. }) => replay::UNFIT,
            Err(_) => Outcome::Failed,
        }
    }

    /// Why it is not good, if that is so.
    fn fault(&self) -> Option<&str> {
        match &self.loaded {
            Ok(Loaded { replayed: None, .. }) => None,
            Ok(Loaded { replayed: Some(Ok(it)), .. }) => it.fault(),
            Ok(Loaded { replayed: Some(Err(reason)), .. }) | Err(reason) => Some(reason),
        }
    }
}

fn text(uri: &Uri, Verdict { pulled, loaded }: &Verdict) -> String {
    let replayed = loaded.as_ref().ok().and_then(|it| it.replayed.as_ref());
    let replayed = replayed.map(|it| match it {
        Ok(it) => format!("\n\n{}", it.text()),
        Err(why) => format!("\n  nothing was asked again: {why}"),
    });
    let replayed = replayed.unwrap_or_default();
    let version = pulled.record.version.map(|it| format!(" version {it}")).unwrap_or_default();
    let head = format!("{uri}{version}\n  {}", pulled.lease.digest());
    match loaded {
        Err(reason) => format!("{head}\n  would not serve: {reason}"),
        Ok(it) => {
            let (inputs, outputs) = (it.inputs.join(", "), it.outputs.join(", "));
            let batches = if it.batched { "batches" } else { "one request at a time" };
            let took = it.took.as_secs_f64();
            format!(
                "{head}\n  would serve: {} ({batches}), loaded and warmed up in {took:.2} s\n  \
                 inputs: {inputs}\n  outputs: {outputs}{replayed}",
                it.engine
            )
        }
    }
}

fn json(uri: &Uri, verdict: &Verdict) -> serde_json::Value {
    let (Verdict { pulled, loaded }, fault) = (verdict, verdict.fault());
    let mut told = serde_json::json!({
        "uri": uri.to_string(),
        "version": pulled.record.version,
        "digest": pulled.lease.digest().to_string(),
        "fetched": pulled.fetched,
        "good": fault.is_none(),
    });
    let more = match loaded {
        Err(_) => serde_json::json!({}),
        Ok(it) => serde_json::json!({
            "platform": it.engine,
            "batched": it.batched,
            "took_s": it.took.as_secs_f64(),
            "inputs": it.inputs,
            "outputs": it.outputs,
        }),
    };
    let replayed = loaded.as_ref().ok().and_then(|it| it.replayed.as_ref()?.as_ref().ok());
    if let (Some(told), serde_json::Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
        told.extend(fault.map(|it| ("reason".to_owned(), it.into())));
        told.extend(replayed.map(|it| ("replay".to_owned(), it.json())));
    }
    told
}
