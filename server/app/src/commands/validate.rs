//! `salver validate`: would a model of a registry serve? For pipelines.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use server_base::{ModelName, Version};
use server_lifecycle::{Defaults, Engines, LoadPolicy, ModelConfig, Single, Transition};
use server_registry::{ErrorKind, Pulled, RegistryError, Uri};
use server_serving::Cores;

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
    match examine(args, &uri, (&engines, &config)) {
        Ok(verdict) => conclude(args.store.output, &uri, &verdict),
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
    uri: &Uri,
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
    let loaded = load(folder, version, (engines, config));
    Ok(Verdict { pulled, loaded })
}

fn load(
    folder: PathBuf,
    version: Version,
    (engines, config): (&Engines, &ModelConfig),
) -> Result<Loaded, String> {
    let model = ModelName::new("model").map_err(|it| it.to_string())?;
    let cores = Cores::new(available_parallelism().map_or(1, usize::from));
    let single = Single::of(model, version, folder, engines)?;
    let started = Instant::now();
    let alone = single.load((engines, &cores), version, config)?;
    let took = started.elapsed();
    let servable = alone.servable();
    let signature = servable.signature();
    let loaded = Loaded {
        engine: servable.plan().platform.to_owned(),
        took,
        batched: signature.is_batched(),
        inputs: signature.inputs.iter().map(ToString::to_string).collect(),
        outputs: signature.outputs.iter().map(ToString::to_string).collect(),
    };
    alone.stop(Instant::now() + STOP);
    Ok(loaded)
}

fn conclude(output: OutputFormat, uri: &Uri, verdict: &Verdict) -> Outcome {
    let printed = print(&match output {
        OutputFormat::Text => text(uri, verdict),
        OutputFormat::Json => json(uri, verdict).to_string(),
    });
    if verdict.loaded.is_ok() { printed } else { Outcome::Failed }
}

fn text(uri: &Uri, Verdict { pulled, loaded }: &Verdict) -> String {
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
                 inputs: {inputs}\n  outputs: {outputs}",
                it.engine
            )
        }
    }
}

fn json(uri: &Uri, Verdict { pulled, loaded }: &Verdict) -> serde_json::Value {
    let mut told = serde_json::json!({
        "uri": uri.to_string(),
        "version": pulled.record.version,
        "digest": pulled.lease.digest().to_string(),
        "fetched": pulled.fetched,
        "good": loaded.is_ok(),
    });
    let more = match loaded {
        Err(reason) => serde_json::json!({ "reason": reason }),
        Ok(it) => serde_json::json!({
            "platform": it.engine,
            "batched": it.batched,
            "took_s": it.took.as_secs_f64(),
            "inputs": it.inputs,
            "outputs": it.outputs,
        }),
    };
    if let (Some(told), serde_json::Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
    told
}
