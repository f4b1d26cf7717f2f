//! What a `model.toml` may ask for and a build may be without. Such a model serves all the same, and the log
//! says what is not done.

use crate::config::ModelConfig;

/// What this build is without.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lacks {
    /// Monitors: `[drift]`.
    pub drift: bool,
    /// Ground truth: `[truth]`.
    pub truth: bool,
}

impl Lacks {
    /// What is asked for in vain, in words.
    pub(crate) fn of(self, config: &ModelConfig) -> impl Iterator<Item = &'static str> {
        let drift =
            "[drift] is left undone: this build is without monitors, which `--features drift` adds";
        let truth = "[truth] is left undone: this build is without ground truth, which `--features truth` adds";
        let asked = [
            (self.drift && config.drift.is_some(), drift),
            (self.truth && config.truth.is_some(), truth),
        ];
        asked.into_iter().filter(|it| it.0).map(|it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Defaults, LoadPolicy};
    use crate::policy::Transition;

    #[test]
    fn what_is_asked_for_in_vain_is_named() {
        let defaults = Defaults {
            instances: 1,
            transition: Transition::Availability,
            load: LoadPolicy::Eager,
            engines: vec!["tract"],
        };
        let text = "[log]\n[drift]\n[truth]\n";
        let config = ModelConfig::parse(text, &defaults).expect("a configuration");
        let named = |drift, truth| {
            let words = Lacks { drift, truth }.of(&config);
            words.filter_map(|it| it.split(' ').next()).collect::<Vec<_>>().join(" ")
        };
        for (drift, truth, expect) in [
            (false, false, ""),
            (true, false, "[drift]"),
            (false, true, "[truth]"),
            (true, true, "[drift] [truth]"),
        ] {
            assert_eq!(named(drift, truth), expect);
        }
        let lacks = Lacks { drift: true, truth: true };
        assert_eq!(lacks.of(&ModelConfig::defaults(&defaults)).count(), 0, "nobody has asked");
    }
}
