//! The models that are wanted from registries: `--model NAME=URI`, and `[[model]]` in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use server_base::ModelName;
use server_base::settings::Section;
use server_lifecycle::{Defaults, LoadPolicy, ModelConfig, Transition};
use server_registry::{RegistryError, Uri};
use server_supply::Target;
use toml::{Table, Value};

/// How often a registry is asked, unless the file says otherwise.
const POLL: Duration = Duration::from_secs(30);

/// Oftener than a registry is asked at all; seldomer than once a day is never.
const POLL_S: RangeInclusive<usize> = 1..=86_400;

/// Those of the flags, then those of the file. A name may be given once.
pub(crate) fn targets(flags: &[String], root: &mut Section<'_>) -> Vec<Target> {
    let mut targets = Vec::new();
    for flag in flags {
        match of_flag(flag) {
            Ok(target) => targets.push(target),
            Err(fault) => root.fault("model", &fault),
        }
    }
    let tables = root.with("model", |value| {
        let tables = value.as_array().and_then(|it| it.iter().map(Value::as_table).collect());
        let tables: Option<Vec<&Table>> = tables;
        tables.ok_or("expected tables: [[model]] with name and source")
    });
    for (n, table) in tables.unwrap_or_default().into_iter().enumerate() {
        match of_table(table) {
            Ok(target) => targets.push(target),
            Err(faults) => {
                let place = match table.get("name").and_then(Value::as_str) {
                    Some(name) => format!("model {name:?}"),
                    None => format!("model {}", n + 1),
                };
                faults.iter().for_each(|it| root.fault(&place, it));
            }
        }
    }
    let mut names = BTreeSet::new();
    for it in targets.iter().filter(|it| !names.insert(it.model.clone())) {
        root.fault("model", &format!("{} is given twice", it.model));
    }
    targets
}

fn of_flag(flag: &str) -> Result<Target, String> {
    let (name, uri) = flag.split_once('=').ok_or_else(|| {
        // It may be an address, with what people put into addresses.
        format!("{:?} is not NAME=URI", flag.split([':', '?', '@']).next().unwrap_or_default())
    })?;
    let model = ModelName::new(name).map_err(|it| it.to_string())?;
    let source = address(uri)?;
    let (labels, settings) = (BTreeMap::new(), Table::new());
    let (promoted_alias, verdicts) = (None, None);
    Ok(Target { model, source, labels, promoted_alias, verdicts, poll: POLL, settings })
}

fn of_table(table: &Table) -> Result<Target, Vec<String>> {
    let mut settings = table.clone();
    let mut own = Table::new();
    for key in ["name", "source", "poll", "poll_s", "promoted_alias", "verdicts"] {
        own.extend(settings.remove(key).map(|it| (key.to_owned(), it)));
    }
    let mut section = Section::root(&own);
    let model = section.with("name", |it| {
        let name = it.as_str().ok_or_else(|| format!("{it} is no name in quotes"))?;
        ModelName::new(name).map_err(|it| it.to_string())
    });
    let source = section.with("source", |it| {
        address(it.as_str().ok_or_else(|| format!("{it} is no address in quotes"))?)
    });
    let poll = poll(&mut section);
    for key in ["name", "source"].into_iter().filter(|it| !own.contains_key(*it)) {
        section.fault(key, "is missing");
    }
    if settings.contains_key("version_policy") {
        section.fault("version_policy", "the addresses say which versions are wanted");
    }
    let labels = labels(&mut settings, &mut section);
    let target = model.zip(source);
    let promoted_alias = section.with("promoted_alias", alias);
    let verdicts = section.with("verdicts", notes);
    let target = target.map(|(model, source)| Target {
        model,
        source,
        labels,
        promoted_alias,
        verdicts,
        poll,
        settings,
    });
    if let Some(target) = &target {
        if target.promoted_alias.is_some() && !target.source.as_str().starts_with("mlflow") {
            section.fault("promoted_alias", "only MLflow has aliases: expected a source mlflow://");
        }
        if let Some(it) = &target.verdicts
            && target.addresses().any(|address| overlap(it, address))
        {
            let text = format!(
                "{it} and an address of the model lie one in the other: what is written there would be a part of the model"
            );
            section.fault("verdicts", &text);
        }
        faults(target).iter().for_each(|(key, what)| section.fault(key, what));
    }
    section.finish(target)?.ok_or_else(|| vec!["name and source are missing".to_owned()])
}

/// `poll`, or `poll_s`, which has the unit in its name.
fn poll(section: &mut Section<'_>) -> Duration {
    let seconds = section.integer("poll_s", POLL_S);
    let poll = section.with("poll", seconds_of);
    if poll.is_some() && seconds.is_some() {
        section.fault("poll", "poll_s says it too: expected one of them");
    }
    poll.or(seconds).map_or(POLL, |it| Duration::from_secs(it as u64))
}

/// Seconds: a whole number, or a text with its unit.
fn seconds_of(value: &Value) -> Result<usize, String> {
    let number = match value.as_str() {
        Some(text) => [("s", 1), ("m", 60), ("h", 3600)].into_iter().find_map(|(unit, seconds)| {
            text.strip_suffix(unit)?.parse::<usize>().ok()?.checked_mul(seconds)
        }),
        None => value.as_integer().and_then(|it| usize::try_from(it).ok()),
    };
    let (low, high) = (POLL_S.start(), POLL_S.end());
    let wrong = || {
        format!(
            "{value} is no time from {low} s to {high} s: expected seconds, or \"30s\", \"5m\", \"1h\""
        )
    };
    number.filter(|it| POLL_S.contains(it)).ok_or_else(wrong)
}

/// Labels that have an address; those that have a number stay where they are.
fn labels(settings: &mut Table, section: &mut Section<'_>) -> BTreeMap<String, Uri> {
    let mut labels = BTreeMap::new();
    let Some(given) = settings.get_mut("labels").and_then(Value::as_table_mut) else {
        return labels;
    };
    let addresses: Vec<(String, String)> = given
        .iter()
        .filter_map(|(name, it)| Some((name.clone(), it.as_str()?.to_owned())))
        .collect();
    for (name, text) in addresses {
        given.remove(&name);
        match address(&text) {
            Ok(uri) => drop(labels.insert(name, uri)),
            Err(fault) => section.fault(&format!("labels.{name}"), &fault),
        }
    }
    labels
}

/// What the lifecycle would say of the model's settings.
fn faults(target: &Target) -> Vec<(String, String)> {
    let faults = faults_of(&target.example(), LoadPolicy::Eager);
    let parted = faults.iter().map(|it| it.split_once(": ").unwrap_or(("settings", it)));
    parted.map(|(key, what)| (key.to_owned(), what.to_owned())).collect()
}

/// What the lifecycle would say of a `model.toml`, where models are loaded so that do not say when.
pub(crate) fn faults_of(settings: &str, load: LoadPolicy) -> Vec<String> {
    // Whether an engine is there is seen when the model is loaded.
    let engines = vec!["onnxruntime", "tract", "openvino", "litert", "pjrt", "candle"];
    let defaults = Defaults { instances: 1, transition: Transition::Availability, load, engines };
    ModelConfig::parse(settings, &defaults).err().unwrap_or_default()
}

/// An alias as MLflow takes it.
fn alias(value: &Value) -> Result<String, String> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || "-_".contains(it);
    let alias = value.as_str().filter(|it| !it.is_empty() && it.chars().all(is_part));
    alias.map(str::to_owned).ok_or_else(|| format!("{value} is no alias: letters, digits, - and _"))
}

/// A place for files of our own.
fn notes(value: &Value) -> Result<Uri, String> {
    let uri = address(value.as_str().ok_or_else(|| format!("{value} is no address in quotes"))?)?;
    let wrong =
        || format!("{uri} takes no files: expected file:DIR, s3://BUCKET/PREFIX, gs:// or az://");
    uri.takes_notes().then_some(()).ok_or_else(wrong)?;
    Ok(uri)
}

/// Is one of them the other, or in it?
fn overlap(one: &Uri, other: &Uri) -> bool {
    let folder = |it: &Uri| format!("{}/", it.as_str().trim_end_matches('/'));
    let (one, other) = (folder(one), folder(other));
    one.starts_with(&other) || other.starts_with(&one)
}

fn address(text: &str) -> Result<Uri, String> {
    text.parse().map_err(|it: RegistryError| it.to_string())
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
