//! The `model.toml` that follows from what addresses name. Pure.

use std::collections::{BTreeMap, BTreeSet};

use server_base::Version;
use toml::{Table, Value};

use crate::target::Target;

/// What the lifecycle takes for a weight at most.
const WEIGHT_MAX: i64 = 1_000_000;

/// Seconds for which a version that was replaced stays loaded; in a plan, after a promotion.
const WINDOW: &str = "rollback_window_s";

/// The operator's own settings; the versions that are named are wanted, have their labels, and share the
/// requests as the operator said: if nothing is said, that of the source has them all. A label whose
/// address names nothing yet is left out, with its share. `fallback` answers if that of the source cannot be loaded.
/// `asked` is what its tags ask of a rollout, where the operator's own settings say nothing.
pub(crate) fn model_toml(
    target: &Target,
    (source, fallback): (Version, Option<Version>),
    labels: &BTreeMap<String, Version>,
    asked: Option<&Table>,
) -> Table {
    let mut table = target.settings.clone();
    let wanted: BTreeSet<Version> = labels.values().copied().chain([source]).collect();
    let specific = wanted.iter().map(|it| number(*it)).collect();
    let policy = Table::from_iter([("specific".to_owned(), Value::Array(specific))]);
    table.insert("version_policy".to_owned(), Value::Table(policy));
    if let Some(asked) = asked {
        let own = table_of(&target.settings, "rollout").cloned().unwrap_or_default();
        let mut plan: Table = asked.clone().into_iter().chain(own).collect();
        if let Some(window) = take_window(&mut table) {
            plan.entry(WINDOW).or_insert(window);
        }
        table.insert("rollout".to_owned(), Value::Table(plan));
    }
    if let Some(fallback) = fallback {
        table.entry("fallback_version").or_insert(number(fallback));
    }
    let mut named = table_of(&target.settings, "labels").cloned().unwrap_or_default();
    named.extend(labels.iter().map(|(name, it)| (name.clone(), number(*it))));
    let traffic = traffic(target, source, (&named, &wanted));
    if !named.is_empty() {
        table.insert("labels".to_owned(), Value::Table(named));
    }
    if let Some(traffic) = traffic {
        table.insert("traffic".to_owned(), Value::Table(traffic));
    }
    table
}

/// How long operators want versions kept that are replaced at once. Beside a rollout that is a fault in a file, where one
/// hand wrote both; here the next version may do without, and until then the rollout's old version is kept as long.
fn take_window(table: &mut Table) -> Option<Value> {
    // What is no number of seconds is a fault, which the reader of the file tells; none are none to keep.
    let is_kept = table.get(WINDOW).and_then(Value::as_integer).is_some_and(|it| it > 0);
    if is_kept { table.remove(WINDOW) } else { None }
}

/// Labels become numbers here, because two of them may come to mean one version.
fn traffic(
    target: &Target,
    source: Version,
    (named, wanted): (&Table, &BTreeSet<Version>),
) -> Option<Table> {
    let all = || Table::from_iter([(source.to_string(), Value::Integer(1))]);
    let Some(given) = table_of(&target.settings, "traffic") else {
        let weights = [("weights".to_owned(), Value::Table(all()))];
        return (wanted.len() > 1).then(|| Table::from_iter(weights));
    };
    // What is no table is a fault, which the reader of the file tells.
    let Some(given_weights) = table_of(given, "weights") else { return Some(given.clone()) };
    let here = |name: &str| {
        let is_here = |it: &i64| wanted.iter().any(|wanted| number(*wanted) == Value::Integer(*it));
        let meant = named.get(name).and_then(Value::as_integer).or_else(|| name.parse().ok());
        match meant {
            Some(meant) => is_here(&meant).then(|| meant.to_string()),
            None if target.labels.contains_key(name) => None,
            None => Some(name.to_owned()), // likewise a fault
        }
    };
    let mut weights = Table::new();
    for (name, weight) in given_weights {
        let Some(name) = here(name) else { continue };
        let before = weights.get(&name).and_then(Value::as_integer).unwrap_or(0);
        let sum = weight.as_integer().map(|it| it.saturating_add(before).min(WEIGHT_MAX));
        weights.insert(name, sum.filter(|_| before > 0).map_or(weight.clone(), Value::Integer));
    }
    if weights.values().all(|it| it.as_integer() == Some(0)) {
        weights = all();
    }
    let mut traffic = given.clone();
    if let Some(shadow) = table_of(given, "shadow") {
        traffic.remove("shadow");
        let shadow = shadow_of(shadow, here, &weights);
        traffic.extend(shadow.map(|it| ("shadow".to_owned(), Value::Table(it))));
    }
    traffic.insert("weights".to_owned(), Value::Table(weights));
    Some(traffic)
}

/// Where copies go, unless it is not there yet, or has come to answer all requests itself.
fn shadow_of(
    given: &Table,
    here: impl Fn(&str) -> Option<String>,
    weights: &Table,
) -> Option<Table> {
    let mut shadow = given.clone();
    let named = match given.get("version") {
        Some(Value::String(it)) => it.clone(),
        Some(Value::Integer(it)) => it.to_string(),
        Some(_) | None => return Some(shadow), // a fault
    };
    let version = here(&named)?;
    let others = weights.iter().filter(|(name, _)| **name != version);
    let is_alone = others.map(|(_, it)| it).all(|it| it.as_integer() == Some(0));
    shadow.insert("version".to_owned(), Value::String(version));
    (!is_alone).then_some(shadow)
}

/// Version numbers that a file cannot hold do not come here: see `Desk`.
fn number(version: Version) -> Value {
    Value::Integer(i64::try_from(version.0).unwrap_or(i64::MAX))
}

fn table_of<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    table.get(key).and_then(Value::as_table)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
