//! What this build is without, said where somebody asks for it.

use server_base::settings::Section;

/// A part that a build may be without, by the feature of cargo that adds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    feature: &'static str,
    what: &'static str,
    pub(crate) is_built: bool,
}

pub(crate) const PARQUET: Part =
    Part { feature: "parquet", what: "Parquet files", is_built: cfg!(feature = "parquet") };
pub(crate) const DRIFT: Part =
    Part { feature: "drift", what: "monitors", is_built: cfg!(feature = "drift") };
pub(crate) const TRUTH: Part =
    Part { feature: "truth", what: "ground truth", is_built: cfg!(feature = "truth") };
pub(crate) const ROLLOUTS: Part =
    Part { feature: "rollouts", what: "rollouts", is_built: cfg!(feature = "rollouts") };

pub(crate) const NVML: Part =
    Part { feature: "nvml", what: "NVIDIA's driver", is_built: cfg!(feature = "nvml") };

impl Part {
    /// That it is not there.
    pub(crate) fn missing(self) -> String {
        let Part { feature, what, .. } = self;
        format!("this build is without {what}, which `--features {feature}` adds")
    }

    /// Settings of a part that is not there are faults, if they are given.
    pub(crate) fn check<const N: usize>(self, given: [(&str, bool); N], root: &mut Section<'_>) {
        for (key, _) in given.into_iter().filter(|it| it.1 && !self.is_built) {
            root.fault(key, &self.missing());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_what_is_not_built_are_faults() {
        let part = |is_built| Part { feature: "drift", what: "monitors", is_built };
        let faults = |is_built, is_given| {
            let table = toml::Table::new();
            let mut root = Section::root(&table);
            part(is_built).check([("log_monitor", is_given)], &mut root);
            root.finish(()).err().unwrap_or_default().join("; ")
        };
        assert_eq!(faults(true, true), "");
        assert_eq!(faults(false, false), "");
        let words = faults(false, true);
        assert!(words.contains("log_monitor") && words.contains("`--features drift`"), "{words}");
    }
}
