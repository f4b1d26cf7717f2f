//! `[proof]` of `model.toml`: what a version has to prove before it is ready.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use server_base::limits;
use server_base::settings::Section;
use server_proof::{Limits, Tolerance, is_plain};

/// File that is looked for if none is named.
pub(crate) const GOLDEN: &str = "golden.jsonl";

/// Most runs of which the median is taken: more tell no more.
const LATENCY_RUNS_MAX: usize = 1_000;

/// Most logged requests that are asked: more take longer than a load should.
const REPLAY_MAX: usize = 10_000;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofConfig {
    /// Is the graph held against the signature in `MLmodel`?
    pub signature: bool,
    /// Must it take and give what the version does that answers? `None`: where one version replaces another.
    pub same_signature: Option<bool>,
    /// Is the example beside `MLmodel` run?
    pub example: bool,
    /// The file with recorded requests; `None`: [`GOLDEN`], if it is there.
    pub golden: Option<String>,
    /// How far floats may be off.
    pub tolerance: Tolerance,
    /// Elements of all answers that may be off by more.
    pub mismatches_max: usize,
    /// Logged requests that are asked, the newest; 0: none.
    pub replay: usize,
    /// How far the answers may be from the logged ones.
    pub replay_limits: Limits,
    /// How long a run of one request may take.
    pub latency_max: Option<Duration>,
    /// Runs of which the median is taken.
    pub latency_runs: usize,
}

impl Default for ProofConfig {
    fn default() -> ProofConfig {
        ProofConfig {
            signature: true,
            same_signature: None,
            example: true,
            golden: None,
            tolerance: Tolerance::default(),
            mismatches_max: 0,
            replay: 0,
            replay_limits: Limits::default(),
            latency_max: None,
            latency_runs: 11,
        }
    }
}

/// What is read is no NaN, so equality is one.
impl Eq for ProofConfig {}

impl Hash for ProofConfig {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let ProofConfig { signature, same_signature, example, golden, tolerance, .. } = self;
        (signature, same_signature, example, golden).hash(hasher);
        (tolerance.absolute.to_bits(), tolerance.relative.to_bits()).hash(hasher);
        let Limits { flips_max, difference_max } = self.replay_limits;
        (flips_max.map(f64::to_bits), difference_max.map(f64::to_bits)).hash(hasher);
        (self.mismatches_max, self.replay, self.latency_max, self.latency_runs).hash(hasher);
    }
}

impl ProofConfig {
    /// Reads the section.
    pub(crate) fn read(section: &mut Section<'_>) -> ProofConfig {
        let own = ProofConfig::default();
        let latency_max = section.with("latency_ms_max", |it| {
            let most = limits::REQUEST_TIMEOUT_MAX.as_secs_f64() * 1e3;
            let millis = number(it, most)?;
            let is_some = millis > 0.0;
            is_some.then(|| Duration::from_secs_f64(millis / 1e3)).ok_or_else(|| positive(it))
        });
        let replay = section.integer("replay", 0..=REPLAY_MAX).unwrap_or(own.replay);
        let replay_limits = Limits {
            flips_max: section.with("replay_flips_max", |it| number(it, 1.0)),
            difference_max: section.with("replay_difference_max", |it| number(it, f64::MAX)),
        };
        if replay == 0 && replay_limits != own.replay_limits {
            let words = "expected beside replay_flips_max and replay_difference_max: how many \
                         logged requests are asked";
            section.fault("replay", words);
        }
        ProofConfig {
            signature: section.boolean("signature").unwrap_or(own.signature),
            same_signature: section.boolean("same_signature"),
            example: section.boolean("example").unwrap_or(own.example),
            golden: section.with("golden", file_name),
            tolerance: Tolerance {
                absolute: section
                    .with("absolute", |it| number(it, f64::MAX))
                    .unwrap_or(own.tolerance.absolute),
                relative: section
                    .with("relative", |it| number(it, f64::MAX))
                    .unwrap_or(own.tolerance.relative),
            },
            mismatches_max: section
                .integer("mismatches_max", 0..=usize::MAX)
                .unwrap_or(own.mismatches_max),
            replay,
            replay_limits,
            latency_max,
            latency_runs: section
                .integer("latency_runs", 1..=LATENCY_RUNS_MAX)
                .unwrap_or(own.latency_runs),
        }
    }
}

fn positive(value: &toml::Value) -> String {
    format!("{value} is not a number above 0")
}

/// A number from 0 on.
fn number(value: &toml::Value, most: f64) -> Result<f64, String> {
    let whole = value.as_integer().map(|it| it as f64);
    let number = value.as_float().or(whole).filter(|it| (0.0..=most).contains(it));
    number.ok_or_else(|| {
        let most = if most == f64::MAX { String::new() } else { format!(" to {most}") };
        format!("{value} is not a number from 0{most}")
    })
}

/// Beside the model or in its folder, and nowhere else.
fn file_name(value: &toml::Value) -> Result<String, String> {
    let name = value.as_str().filter(|it| is_plain(it));
    let name = name.ok_or_else(|| format!("{value} is not the name of a file, without folders"))?;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProofConfig, Vec<String>> {
        let table: toml::Table = text.parse().expect("TOML");
        let mut section = Section::root(&table);
        let config = ProofConfig::read(&mut section);
        section.finish(config)
    }

    #[test]
    fn all_keys_are_read() {
        let text = "signature = false\nsame_signature = false\nexample = false\ngolden = \"g.jsonl\"\nabsolute = 0.5\n\
                    relative = 0\nmismatches_max = 3\nreplay = 200\nreplay_flips_max = 0.01\n\
                    replay_difference_max = 2\nlatency_ms_max = 2.5\nlatency_runs = 5";
        let expect = ProofConfig {
            signature: false,
            same_signature: Some(false),
            example: false,
            golden: Some("g.jsonl".to_owned()),
            tolerance: Tolerance { absolute: 0.5, relative: 0.0 },
            mismatches_max: 3,
            replay: 200,
            replay_limits: Limits { flips_max: Some(0.01), difference_max: Some(2.0) },
            latency_max: Some(Duration::from_micros(2_500)),
            latency_runs: 5,
        };
        assert_eq!(read(text), Ok(expect));
        assert_eq!(read(""), Ok(ProofConfig::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_a_fault() {
        let check = |text: &str, expect: &str| {
            assert_eq!(read(text).expect_err("is refused"), [expect], "{text}");
        };
        check("golden = \"../g\"", "golden: \"../g\" is not the name of a file, without folders");
        check("golden = 1", "golden: 1 is not the name of a file, without folders");
        check("absolute = -1", "absolute: -1 is not a number from 0");
        check("relative = nan", "relative: nan is not a number from 0");
        check("replay = 10001", "replay: 10001 is not a whole number from 0 to 10000");
        check(
            "replay = 1\nreplay_flips_max = 1.5",
            "replay_flips_max: 1.5 is not a number from 0 to 1",
        );
        check(
            "replay_difference_max = 1",
            "replay: expected beside replay_flips_max and replay_difference_max: how many logged \
             requests are asked",
        );
        check("latency_ms_max = 0", "latency_ms_max: 0 is not a number above 0");
        check(
            "latency_ms_max = 1e9",
            "latency_ms_max: 1000000000.0 is not a number from 0 to 3600000",
        );
        check("latency_runs = 0", "latency_runs: 0 is not a whole number from 1 to 1000");
    }
}
