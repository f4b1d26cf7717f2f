//! What `[traffic]` in a `model.toml` says: which versions share the requests that name none.

use std::collections::BTreeMap;

use server_base::settings::Section;
use server_base::{ModelName, Version, VersionChoice};
use server_serving::Traffic;

use crate::config::{ModelConfig, VersionPolicy};

/// Weights are relative to each other: percent, or parts of a thousand.
const WEIGHT_MAX: u32 = 1_000_000;

/// Longer header names than anybody uses.
const HEADER_BYTES_MAX: usize = 128;

/// A checked `[traffic]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficConfig {
    /// By a version's number or label, as it is written. Empty: the newest version has everything.
    pub weights: BTreeMap<String, u32>,
    /// The header by whose value callers stay with a version, in lower case.
    pub sticky: Option<String>,
}

impl TrafficConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> TrafficConfig {
        let weights = section.with("weights", weights);
        let sticky = section.with("sticky", header);
        if weights.is_none() {
            section.fault("weights", "missing: expected a table of weights by version or label");
        }
        TrafficConfig { weights: weights.unwrap_or_default(), sticky }
    }

    /// What it means, once labels are known.
    pub(crate) fn traffic(
        &self,
        model: &ModelName,
        labels: &BTreeMap<String, Version>,
    ) -> Option<Traffic> {
        let weights = self.weights.iter();
        let resolved = weights.filter_map(|(name, it)| Some((version(name, labels)?, *it)));
        Traffic::new(model, &resolved.collect(), self.sticky.as_deref())
    }
}

/// Reports what does not fit the rest of the file.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>) {
    let TrafficConfig { weights, .. } = &config.traffic;
    let mut versions: BTreeMap<Version, &str> = BTreeMap::new();
    for name in weights.keys() {
        let Some(version) = version(name, &config.labels) else {
            let known: Vec<&str> = config.labels.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there are none".into() } else { known.join(", ") };
            root.fault("traffic.weights", &format!("{name:?} is no label: {known}"));
            continue;
        };
        if let Some(other) = versions.insert(version, name) {
            let text = format!("{other:?} and {name:?} are the same version, {version}");
            root.fault("traffic.weights", &text);
        }
    }
    let weighty = |it: &&Version| versions.get(*it).is_some_and(|it| weights[*it] > 0);
    let wanted: Vec<Version> = versions.keys().filter(weighty).copied().collect();
    let unserved = match &config.versions {
        VersionPolicy::All => None,
        VersionPolicy::Latest(count) => (wanted.len() > *count)
            .then(|| format!("{} versions have a weight, latest = {count}", wanted.len())),
        VersionPolicy::Specific(served) => {
            let missing = wanted.iter().find(|it| !served.contains(it));
            missing.map(|it| format!("version {it} has a weight and is not among those served"))
        }
    };
    if let Some(unserved) = unserved {
        root.fault("version_policy", &unserved);
    }
}

fn version(name: &str, labels: &BTreeMap<String, Version>) -> Option<Version> {
    match VersionChoice::parse(name) {
        Ok(VersionChoice::Exact(version)) => Some(version),
        Ok(VersionChoice::Label(label)) => labels.get(&*label).copied(),
        Ok(VersionChoice::Any) | Err(_) => None,
    }
}

/// `{ stable = 95, canary = 5 }` or `{ 1 = 95, 2 = 5 }`.
fn weights(value: &toml::Value) -> Result<BTreeMap<String, u32>, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is not a table"))?;
    let weight = |(name, value): (&String, &toml::Value)| {
        let weight = value.as_integer().and_then(|it| u32::try_from(it).ok());
        let weight = weight.filter(|it| *it <= WEIGHT_MAX);
        let expected = || format!("{name} = {value}: expected a whole number to {WEIGHT_MAX}");
        Ok((name.clone(), weight.ok_or_else(expected)?))
    };
    let read: BTreeMap<String, u32> = table.iter().map(weight).collect::<Result<_, String>>()?;
    if read.values().all(|it| *it == 0) {
        return Err("no version has a weight above 0".to_owned());
    }
    Ok(read)
}

/// A header's name.
fn header(value: &toml::Value) -> Result<String, String> {
    let is_name = |it: &&str| {
        let part = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
        !it.is_empty() && it.len() <= HEADER_BYTES_MAX && it.bytes().all(part)
    };
    let name = value.as_str().filter(is_name);
    let expected = || format!("{value} is no header's name: letters, digits, - and _");
    Ok(name.ok_or_else(expected)?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::{Defaults, LoadPolicy};
    use crate::policy::Transition;

    fn parse(text: &str) -> Result<ModelConfig, Vec<String>> {
        let defaults = Defaults {
            instances: 1,
            transition: Transition::Availability,
            load: LoadPolicy::Eager,
            engines: Vec::new(),
        };
        ModelConfig::parse(text, &defaults)
    }

    /// The shares of the versions that a file leads to, or its faults.
    #[track_caller]
    fn check(text: &str, expect: Result<&[(u64, u32)], &str>) {
        let got = parse(text).map(|config| {
            let resolved = |(name, weight): (&String, &u32)| {
                version(name, &config.labels).map(|it| (it.0, *weight))
            };
            config.traffic.weights.iter().filter_map(resolved).collect::<BTreeMap<_, _>>()
        });
        let expect =
            expect.map(|it| it.iter().copied().collect()).map_err(|it| vec![it.to_owned()]);
        assert_eq!(got, expect, "{text}");
    }

    const ALL: &str = "version_policy = 'all'\n[labels]\nstable = 1\ncanary = 2\n[traffic]\n";

    #[test]
    fn versions_go_by_number_or_label() {
        let all = |it: &str| format!("{ALL}{it}");
        check("", Ok(&[]));
        check(&all("weights = { stable = 90, canary = 10 }"), Ok(&[(1, 90), (2, 10)]));
        check(&all("weights = { 7 = 1, canary = 0 }\nsticky = 'X-User'"), Ok(&[(7, 1), (2, 0)]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, fault) in [
            ("", "traffic.weights: missing: expected a table of weights by version or label"),
            ("weights = 3", "traffic.weights: 3 is not a table"),
            ("weights = { 1 = 0 }", "traffic.weights: no version has a weight above 0"),
            ("weights = { 1 = -1 }", "traffic.weights: 1 = -1: expected a whole number to 1000000"),
            ("weights = { new = 1 }", "traffic.weights: \"new\" is no label: canary, stable"),
            (
                "weights = { 1 = 1, stable = 1 }",
                "traffic.weights: \"1\" and \"stable\" are the same version, 1",
            ),
            (
                "weights = { 1 = 1 }\nsticky = 'a b'",
                "traffic.sticky: \"a b\" is no header's name: letters, digits, - and _",
            ),
        ] {
            let read = parse(&format!("{ALL}{text}"));
            let faults = read.expect_err(text);
            assert!(faults.contains(&fault.to_owned()), "{text}: {faults:?}");
        }
        check(
            "[traffic]\nweights = { 1 = 9, 2 = 1 }",
            Err("version_policy: 2 versions have a weight, latest = 1"),
        );
        check(
            "version_policy = { specific = [1, 3] }\n[traffic]\nweights = { 1 = 9, 2 = 1 }",
            Err("version_policy: version 2 has a weight and is not among those served"),
        );
    }
}
