//! What `[log]` in a `model.toml` says, and the log of a version that has been loaded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backend_api::{DType, Signature};
use server_base::settings::Section;
use server_base::{LogConfig, LogMode, LowConfidence, PredictionLog, Share, Subject};

use crate::load::{LoadJob, Loaded};

/// A table of more columns is nothing that anybody looks at column by column.
const COLUMNS_MAX: usize = 4_096;

/// Largest value that can be kept whole: pictures are smaller.
const VALUE_BYTES_MAX: usize = 64 << 20;

/// Nothing slower is answered.
const SLOW_MS_MAX: usize = 3_600_000;

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> LogConfig {
    let defaults = LogConfig::default();
    let modes = [
        ("best_effort", LogMode::BestEffort),
        ("at_least_once", LogMode::AtLeastOnce),
        ("fail_closed", LogMode::FailClosed),
    ];
    let slow = section.integer("slow_ms", 0..=SLOW_MS_MAX);
    let config = LogConfig {
        mode: section.choice("mode", &modes).unwrap_or(defaults.mode),
        sample: section.with("sample", share).unwrap_or(defaults.sample),
        errors: section.boolean("errors").unwrap_or(defaults.errors),
        slow_over: slow.map(|it| Duration::from_millis(it as u64)),
        low_confidence: section.with("low_confidence", low_confidence),
        disagreement: section.boolean("disagreement").unwrap_or(defaults.disagreement),
        inputs: section.with("inputs", names),
        outputs: section.with("outputs", names),
        hashed: section.with("hash", names).unwrap_or_default(),
        features: section.with("features", features).unwrap_or_default(),
        columns_max: section
            .integer("max_columns", 0..=COLUMNS_MAX)
            .unwrap_or(defaults.columns_max),
        value_bytes_max: section
            .integer("max_value_bytes", 0..=VALUE_BYTES_MAX)
            .unwrap_or(defaults.value_bytes_max),
    };
    if config.mode == LogMode::FailClosed && config.sample != Share::ALL {
        let text = "mode = \"fail_closed\" answers nothing that is not logged: sample must be 1";
        section.fault("sample", text);
    }
    config
}

fn share(value: &toml::Value) -> Result<Share, String> {
    #[expect(clippy::cast_precision_loss, reason = "only 0 and 1 are allowed")]
    let number = value.as_float().or(value.as_integer().map(|it| it as f64));
    number.and_then(Share::new).ok_or_else(|| format!("{value} is no share from 0 to 1"))
}

/// `{ output = "probabilities", below = 0.6 }`.
fn low_confidence(value: &toml::Value) -> Result<LowConfidence, String> {
    let wrong = || format!("{value} is not like {{ output = \"probabilities\", below = 0.6 }}");
    let table = value.as_table().filter(|it| it.len() == 2).ok_or_else(wrong)?;
    let output = table.get("output").and_then(|it| it.as_str()).ok_or_else(wrong)?;
    let below =
        share(table.get("below").ok_or_else(wrong)?).map_err(|it| format!("below: {it}"))?;
    Ok(LowConfidence { output: output.to_owned(), place: 0, below })
}

fn names(value: &toml::Value) -> Result<Vec<String>, String> {
    let list = value.as_array().map(|it| it.iter().map(|it| it.as_str().map(str::to_owned)));
    let list: Option<Vec<String>> = list.and_then(Iterator::collect);
    list.ok_or_else(|| format!("{value} is no list of names in quotes"))
}

/// `{ x = ["age", "height"] }`.
fn features(value: &toml::Value) -> Result<BTreeMap<String, Vec<String>>, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is no table of lists of names"))?;
    let one = |(name, list): (&String, &toml::Value)| {
        let list = names(list).map_err(|it| format!("{name}: {it}"))?;
        Ok((name.clone(), list))
    };
    table.iter().map(one).collect()
}

/// Opens the log of a version that has been loaded, if it is to have one. An error: the version
/// cannot be served as its configuration says.
pub(crate) fn open(
    log: Option<&Arc<dyn PredictionLog>>,
    (job, digest): (&LoadJob, Option<&str>),
    loaded: &Loaded,
) -> Result<(), String> {
    let LoadJob { model, version, config, .. } = job;
    let Some(config) = &config.log else { return Ok(()) };
    let Some(log) = log else {
        if config.mode != LogMode::BestEffort {
            return Err("log.mode: the server keeps no log, which --log-dir names".to_owned());
        }
        tracing::warn!(%model, %version, "nothing is logged: the server was started without --log-dir");
        return Ok(());
    };
    let servable = loaded.workers.servable();
    let signature = servable.signature().clone();
    let (model, version, digest) = (model.clone(), *version, digest.map(str::to_owned));
    let (mut config, truth) = (config.clone(), job.config.truth.clone());
    config.low_confidence = config.low_confidence.map(|it| found(it, &signature)).transpose()?;
    let subject = Subject {
        model,
        version,
        digest,
        backend: Some(loaded.engine.to_owned()),
        // Whoever knows registries says which.
        source: None,
        signature,
        config,
        truth,
    };
    servable.set_log(log.open(subject)?);
    Ok(())
}

/// With the place of its output, which has to be one that can hold probabilities.
fn found(rule: LowConfidence, signature: &Signature) -> Result<LowConfidence, String> {
    let outputs = &signature.outputs;
    let Some(place) = outputs.iter().position(|it| *it.name == *rule.output) else {
        let known: Vec<&str> = outputs.iter().map(|it| &*it.name).collect();
        let (output, known) = (rule.output, known.join(", "));
        return Err(format!("log.low_confidence: {output:?} is none of {known}"));
    };
    let dtype = outputs.get(place).map_or(DType::Bytes, |it| it.dtype);
    if !matches!(dtype, DType::Fp16 | DType::Bf16 | DType::Fp32 | DType::Fp64) {
        let output = rule.output;
        return Err(format!(
            "log.low_confidence: {output:?} is {dtype}, expected floating-point probabilities"
        ));
    }
    Ok(LowConfidence { place, ..rule })
}

#[cfg(test)]
#[path = "logging_tests.rs"]
mod tests;
