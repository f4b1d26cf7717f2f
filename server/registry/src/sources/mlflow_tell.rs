//! What MLflow is told of a version.

use serde_json::{Value, json};

use super::Mlflow;
use crate::error::{ErrorKind, RegistryError};
use crate::verdict::{Told, Verdict};

/// The tag that bears the evidence.
const EVIDENCE: &str = "salver.verdict.evidence";

impl Mlflow {
    /// Writes tags onto a version, moves an alias, then adds the evidence: a server that does not take so long a tag
    /// knows the rest by then. Doing so again changes nothing.
    pub(in super::super) async fn tell(&self, verdict: &Verdict) -> Result<Told, RegistryError> {
        for (key, value) in &verdict.tags {
            self.tag(verdict.version, (key, value)).await?;
        }
        if let Some((alias, version)) = &verdict.alias {
            let name = self.model.as_str();
            let body = json!({ "name": name, "alias": alias, "version": version.to_string() });
            let _: Value = self.post("registered-models/alias", &body).await?;
        }
        let mut refused = None;
        for text in &verdict.evidence {
            match self.tag(verdict.version, (EVIDENCE, text)).await {
                Ok(()) => return Ok(Told::Whole),
                // Servers differ in what they take, and none says how much that is.
                Err(error) if is_for_its_length(&error) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(refused.map_or(Told::Whole, Told::WithoutEvidence))
    }

    async fn tag(&self, version: u64, (key, value): (&str, &str)) -> Result<(), RegistryError> {
        let (name, version) = (self.model.as_str(), version.to_string());
        let body = json!({ "name": name, "version": version, "key": key, "value": value });
        let _: Value = self.post("model-versions/set-tag", &body).await?;
        Ok(())
    }
}

/// MLflow answers 400; one in front of it may say 413.
fn is_for_its_length(error: &RegistryError) -> bool {
    matches!(error.kind(), ErrorKind::Answer | ErrorKind::TooLarge)
}
