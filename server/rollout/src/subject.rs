//! Whose rollout it is.

use serde::{Deserialize, Serialize};
use server_base::{IdError, ModelName, Version};

/// A model, the version that serves and the one that shall. Invariant: those two differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Subject {
    model: ModelName,
    stable: Version,
    canary: Version,
}

/// Why a rollout cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It would be compared with itself.
    #[error("version {version} of {model} serves already: expected another one to roll out")]
    SameVersion {
        /// Whose.
        model: ModelName,
        /// Which.
        version: Version,
    },
    /// What was written down is no name.
    #[error(transparent)]
    Name(#[from] IdError),
}

impl Subject {
    /// Checks that there are two versions.
    pub fn new(
        model: ModelName,
        stable: Version,
        canary: Version,
    ) -> Result<Subject, SubjectError> {
        if stable == canary {
            return Err(SubjectError::SameVersion { model, version: canary });
        }
        Ok(Subject { model, stable, canary })
    }

    /// Whose versions these are.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// The version that serves.
    pub fn stable(&self) -> Version {
        self.stable
    }

    /// The candidate. Its number may be the smaller one: going back is a rollout too.
    pub fn canary(&self) -> Version {
        self.canary
    }
}

/// As it is written down.
#[derive(Serialize, Deserialize)]
struct Raw {
    model: String,
    stable: u64,
    canary: u64,
}

impl From<Subject> for Raw {
    fn from(it: Subject) -> Raw {
        Raw { model: it.model.as_str().to_owned(), stable: it.stable.0, canary: it.canary.0 }
    }
}

impl TryFrom<Raw> for Subject {
    type Error = SubjectError;

    fn try_from(raw: Raw) -> Result<Subject, SubjectError> {
        Subject::new(ModelName::new(&raw.model)?, Version(raw.stable), Version(raw.canary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_not_compared_with_itself() {
        let wine = || ModelName::new("wine").expect("a name");
        let error = Subject::new(wine(), Version(2), Version(2)).expect_err("the same");
        assert_eq!(
            error.to_string(),
            "version 2 of wine serves already: expected another one to roll out"
        );
        let subject = Subject::new(wine(), Version(3), Version(2)).expect("going back");
        let text = serde_json::to_string(&subject).expect("JSON");
        assert_eq!(text, r#"{"model":"wine","stable":3,"canary":2}"#);
        assert_eq!(serde_json::from_str::<Subject>(&text).expect("it was written"), subject);
        let outside = r#"{"model":"../etc","stable":3,"canary":2}"#;
        serde_json::from_str::<Subject>(outside).expect_err("no model's name");
    }
}
