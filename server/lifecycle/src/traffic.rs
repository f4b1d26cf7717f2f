//! What `[traffic]` in a `model.toml` says: which versions share the requests that name none, and where copies of
//! these go.

use std::collections::BTreeMap;

use server_base::settings::Section;
use server_base::{ModelName, Version, VersionChoice};
use server_serving::{Sticky, Traffic};

use crate::config::{ModelConfig, VersionPolicy};

/// Weights are relative to each other: percent, or parts of a thousand.
const WEIGHT_MAX: u32 = 1_000_000;

/// Longer names of headers and parameters than anybody uses.
const NAME_BYTES_MAX: usize = 128;

/// In front of a parameter's name. No header's name has a colon.
const PARAMETER: &str = "parameter:";

/// A checked `[traffic]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficConfig {
    /// By a version's number or label, as it is written. Empty: the newest version has everything.
    pub weights: BTreeMap<String, u32>,
    /// By what callers stay with a version.
    pub sticky: Option<Sticky>,
    /// Where copies go.
    pub shadow: Option<ShadowConfig>,
}

/// A checked `shadow`: a version that is asked beside the one that answers, and what it says is only compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowConfig {
    /// By number or label, as it is written.
    pub version: String,
    /// Of 10 000 requests that name no version.
    pub share: u16,
}

impl TrafficConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> TrafficConfig {
        let weights = section.with("weights", weights);
        let sticky = section.with("sticky", sticky);
        let shadow = section.section("shadow", ShadowConfig::read).flatten();
        if weights.is_none() {
            section.fault("weights", "missing: expected a table of weights by version or label");
        }
        TrafficConfig { weights: weights.unwrap_or_default(), sticky, shadow }
    }

    /// What it means, once labels are known.
    pub(crate) fn traffic(
        &self,
        model: &ModelName,
        labels: &BTreeMap<String, Version>,
    ) -> Option<Traffic> {
        let weights = self.weights.iter();
        let resolved = weights.filter_map(|(name, it)| Some((version(name, labels)?, *it)));
        Traffic::new(model, &resolved.collect(), self.sticky.as_ref())
    }

    /// Where copies go, and of how many in 10 000 requests, once labels are known.
    pub(crate) fn copies(&self, labels: &BTreeMap<String, Version>) -> Option<(Version, u16)> {
        let shadow = self.shadow.as_ref().filter(|it| it.share > 0)?;
        Some((version(&shadow.version, labels)?, shadow.share))
    }
}

impl ShadowConfig {
    fn read(section: &mut Section<'_>) -> Option<ShadowConfig> {
        let (named, percented) = (section.has("version"), section.has("percent"));
        let version = section.with("version", named_version);
        let share = section.with("percent", share);
        if !named {
            section.fault("version", "missing: expected a version or label");
        }
        if !percented {
            section.fault("percent", "missing: expected a number from 0 to 100");
        }
        Some(ShadowConfig { version: version?, share: share? })
    }
}

/// Reports what does not fit the rest of the file.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>) {
    let TrafficConfig { weights, shadow, .. } = &config.traffic;
    let mut versions: BTreeMap<Version, &str> = BTreeMap::new();
    for name in weights.keys() {
        let Some(version) = version(name, &config.labels) else {
            root.fault("traffic.weights", &unknown(name, config));
            continue;
        };
        if let Some(other) = versions.insert(version, name) {
            let text = format!("{other:?} and {name:?} are the same version, {version}");
            root.fault("traffic.weights", &text);
        }
    }
    let weighty = |it: &&Version| versions.get(*it).is_some_and(|it| weights[*it] > 0);
    let mut wanted: Vec<Version> = versions.keys().filter(weighty).copied().collect();
    if let Some(unserved) = unserved(&config.versions, &wanted, "has a weight", "have a weight") {
        root.fault("version_policy", &unserved);
    }
    let Some(shadow) = shadow else { return };
    let Some(copied) = version(&shadow.version, &config.labels) else {
        return root.fault("traffic.shadow.version", &unknown(&shadow.version, config));
    };
    if wanted == [copied] {
        let text = format!("version {copied} answers every request: expected another version");
        return root.fault("traffic.shadow.version", &text);
    }
    if !wanted.contains(&copied) && shadow.share > 0 {
        let fits = unserved(&config.versions, &wanted, "", "").is_none();
        wanted.push(copied);
        let (one, more) = ("gets copies", "have a weight or get copies");
        // What is said of the weights already need not be said again.
        if let Some(text) = unserved(&config.versions, &wanted, one, more).filter(|_| fits) {
            root.fault("version_policy", &text);
        }
    }
}

fn unknown(name: &str, config: &ModelConfig) -> String {
    let known: Vec<&str> = config.labels.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "there are none".into() } else { known.join(", ") };
    format!("{name:?} is no label: {known}")
}

/// Which of these versions the policy does not want, and what they would be wanted for.
fn unserved(policy: &VersionPolicy, wanted: &[Version], one: &str, more: &str) -> Option<String> {
    match policy {
        VersionPolicy::All => None,
        VersionPolicy::Latest(count) => (wanted.len() > *count)
            .then(|| format!("{} versions {more}, latest = {count}", wanted.len())),
        VersionPolicy::Specific(served) => {
            let missing = wanted.iter().find(|it| !served.contains(it));
            missing.map(|it| format!("version {it} {one} and is not among those served"))
        }
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

/// A header's name, or a parameter's with `parameter:` in front of it.
fn sticky(value: &toml::Value) -> Result<Sticky, String> {
    let is_short = |it: &&str| !it.is_empty() && it.len() <= NAME_BYTES_MAX;
    if let Some(name) = value.as_str().and_then(|it| it.strip_prefix(PARAMETER)) {
        let name = Some(name).filter(is_short).filter(|it| !it.contains(char::is_control));
        let expected = || format!("{value}: expected a parameter's name behind {PARAMETER:?}");
        return Ok(Sticky::Parameter(name.ok_or_else(expected)?.into()));
    }
    let is_name = |it: &&str| {
        let part = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
        is_short(it) && it.bytes().all(part)
    };
    let name = value.as_str().filter(is_name);
    let expected = || format!("{value} is no header's name: letters, digits, - and _");
    Ok(Sticky::Header(name.ok_or_else(expected)?.to_ascii_lowercase().into()))
}

/// `"canary"`, `2` or `"2"`.
fn named_version(value: &toml::Value) -> Result<String, String> {
    let text = match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    };
    let meant = |it: &String| {
        matches!(VersionChoice::parse(it), Ok(VersionChoice::Exact(_) | VersionChoice::Label(_)))
    };
    text.filter(meant).ok_or_else(|| format!("{value}: expected a version or label"))
}

/// Percent, in hundredths of one.
fn share(value: &toml::Value) -> Result<u16, String> {
    let percent = value.as_float().or_else(|| value.as_integer().map(|it| it as f64));
    let meant = |it: f64| (0..=10_000).find(|n| (f64::from(*n) - it * 100.0).abs() < 1e-6);
    let expected = || format!("{value}: expected a number from 0 to 100 with at most two decimals");
    percent.and_then(meant).ok_or_else(expected)
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
            (
                "weights = { 1 = 1 }\nsticky = 'parameter:'",
                "traffic.sticky: \"parameter:\": expected a parameter's name behind \"parameter:\"",
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

    #[test]
    fn callers_stay_by_a_header_or_a_parameter() {
        for (text, expect) in [
            ("X-User", Sticky::Header("x-user".into())),
            ("parameter:Session id", Sticky::Parameter("Session id".into())),
        ] {
            let config = parse(&format!("{ALL}weights = {{ 1 = 1 }}\nsticky = '{text}'"));
            assert_eq!(config.expect("no faults").traffic.sticky, Some(expect), "{text}");
        }
    }

    #[test]
    fn copies_go_to_another_version() {
        for (text, expect) in [
            ("{ version = 'canary', percent = 10 }", Some((2, 1_000))),
            ("{ version = 7, percent = 0.25 }", Some((7, 25))),
            ("{ version = '7', percent = 100.0 }", Some((7, 10_000))),
            ("{ version = 'canary', percent = 0 }", None),
        ] {
            let text = format!("{ALL}weights = {{ stable = 9, 3 = 1 }}\nshadow = {text}");
            let config = parse(&text).unwrap_or_else(|it| panic!("{text}: {it:?}"));
            let copies = config.traffic.copies(&config.labels);
            assert_eq!(copies.map(|(version, share)| (version.0, share)), expect, "{text}");
        }
    }

    #[test]
    fn copies_that_cannot_be_meant_are_refused() {
        let weights = "weights = { stable = 1 }";
        let number = "expected a number from 0 to 100 with at most two decimals";
        for (text, fault) in [
            ("3", "traffic.shadow: 3 is not a table".to_owned()),
            ("{}", "traffic.shadow.version: missing: expected a version or label".to_owned()),
            (
                "{ version = 2 }",
                "traffic.shadow.percent: missing: expected a number from 0 to 100".to_owned(),
            ),
            (
                "{ version = 'new', percent = 1 }",
                "traffic.shadow.version: \"new\" is no label: canary, stable".to_owned(),
            ),
            (
                "{ version = 0, percent = 1 }",
                "traffic.shadow.version: 0: expected a version or label".to_owned(),
            ),
            (
                "{ version = 1, percent = 1 }",
                "traffic.shadow.version: version 1 answers every request: expected another version"
                    .to_owned(),
            ),
            ("{ version = 2, percent = 101 }", format!("traffic.shadow.percent: 101: {number}")),
            ("{ version = 2, percent = -1 }", format!("traffic.shadow.percent: -1: {number}")),
            (
                "{ version = 2, percent = 0.001 }",
                format!("traffic.shadow.percent: 0.001: {number}"),
            ),
            ("{ version = 2, percent = nan }", format!("traffic.shadow.percent: nan: {number}")),
            ("{ version = 2, percent = '5' }", format!("traffic.shadow.percent: \"5\": {number}")),
            (
                "{ version = 2, percent = 1, share = 1 }",
                "traffic.shadow.share: unknown key; known are percent, version".to_owned(),
            ),
        ] {
            let read = parse(&format!("{ALL}{weights}\nshadow = {text}"));
            let faults = read.expect_err(text);
            assert!(faults.contains(&fault), "{text}: {faults:?}");
        }
        let shadow = "weights = { 1 = 1 }\nshadow = { version = 2, percent = 1 }";
        let faults = parse(&format!("[traffic]\n{shadow}")).expect_err("one version is served");
        assert_eq!(faults, ["version_policy: 2 versions have a weight or get copies, latest = 1"]);
        let specific = "version_policy = { specific = [1, 3] }";
        let faults = parse(&format!("{specific}\n[traffic]\n{shadow}")).expect_err("not served");
        assert_eq!(faults, ["version_policy: version 2 gets copies and is not among those served"]);
    }
}
