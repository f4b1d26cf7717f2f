//! Rules and targets of the settings file, checked together.

use std::collections::{BTreeMap, BTreeSet};

use server_base::FindingKind;
use server_base::settings::Section;
use toml::{Table, Value};

use crate::event::Cause;
use crate::limits::RULES_MAX;
use crate::rule::{Rule, name};
use crate::target::Target;

/// `[[trigger]]` and `[target.NAME]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// By name.
    pub targets: BTreeMap<String, Target>,
}

impl Config {
    /// Reads both. Every fault is told to `root`.
    pub fn read(root: &mut Section<'_>) -> Config {
        let targets = targets(root);
        let tables = root.with("trigger", |value| {
            let tables: Option<Vec<&Table>> =
                value.as_array().and_then(|it| it.iter().map(Value::as_table).collect());
            tables.ok_or("expected tables: [[trigger]] with name, model and target")
        });
        let mut rules = Vec::new();
        let mut names = BTreeSet::new();
        for (n, table) in tables.unwrap_or_default().into_iter().enumerate() {
            let place = match table.get("name").and_then(Value::as_str) {
                Some(name) => format!("trigger {name:?}"),
                None => format!("trigger {}", n + 1),
            };
            let mut section = Section::root(table);
            let rule = Rule::read(&mut section);
            rule.iter().for_each(|it| fits(it, &targets, &mut section));
            match section.finish(rule) {
                Ok(Some(rule)) if !names.insert(rule.name.clone()) => {
                    root.fault(&place, "is given twice");
                }
                Ok(rule) => rules.extend(rule),
                Err(faults) => faults.iter().for_each(|it| root.fault(&place, it)),
            }
        }
        for (key, count) in [("trigger", rules.len()), ("target", targets.len())] {
            if count > RULES_MAX {
                root.fault(key, &format!("{count} are more than {RULES_MAX}"));
            }
        }
        Config {
            rules,
            targets: targets.into_iter().filter_map(|(k, it)| Some((k, it?))).collect(),
        }
    }
}

/// Those that are faulty are there too, so that their rules are not said to name nothing.
fn targets(root: &mut Section<'_>) -> BTreeMap<String, Option<Target>> {
    let table = root.with("target", |value| {
        let table = value.as_table().filter(|it| it.values().all(Value::is_table));
        table.ok_or("expected tables: [target.NAME] with kind and url")
    });
    let mut targets = BTreeMap::new();
    for (key, value) in table.into_iter().flatten() {
        let Some(table) = value.as_table() else { continue };
        let place = format!("target.{key}");
        let mut section = Section::root(table);
        if let Err(what) = name(&Value::String(key.clone())) {
            section.fault("name", &what);
        }
        let target = Target::read(&mut section);
        let target = section.finish(target).unwrap_or_else(|faults| {
            faults.iter().for_each(|it| root.fault(&place, it));
            None
        });
        targets.insert(key.clone(), target);
    }
    targets
}

/// Is there such a target, and may it be told of these?
fn fits(rule: &Rule, targets: &BTreeMap<String, Option<Target>>, section: &mut Section<'_>) {
    let Some(target) = targets.get(&rule.target) else {
        let known: Vec<&str> = targets.keys().map(String::as_str).collect();
        let text = format!("{:?} is none of [target.NAME]: {}", rule.target, known.join(", "));
        return section.fault("target", &text);
    };
    let Some(target) = target else { return };
    let alert = Cause::Finding(FindingKind::Quality);
    if rule.on.contains(&FindingKind::Quality) && !target.takes(alert) {
        let text = format!(
            "quality is an alert, and {:?} trains models ({}): broken data is to be mended, not \
             learned; expected a target of kind webhook",
            rule.target,
            target.label()
        );
        section.fault("on", &text);
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
