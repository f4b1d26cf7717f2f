//! What MLflow is told of a version.

use serde_json::{Value, json};

use super::super::mlflow_api::{ModelVersion, VersionAnswer};
use super::Mlflow;
use crate::error::{ErrorKind, RegistryError};
use crate::verdict::{Alias, Told, Verdict};

/// The tag that bears the evidence.
const EVIDENCE: &str = "salver.verdict.evidence";

impl Mlflow {
    /// Writes tags onto a version, moves an alias, then adds the evidence: a server that does not take so long a tag
    /// knows the rest by then.
    pub(in super::super) async fn tell(&self, verdict: &Verdict) -> Result<Told, RegistryError> {
        for (key, value) in &verdict.tags {
            self.tag(verdict.version, (key, value)).await?;
        }
        if let Some(alias) = &verdict.alias
            && self.is_to_move(alias).await?
        {
            let (name, to) = (self.model.as_str(), alias.to.to_string());
            let body = json!({ "name": name, "alias": alias.name, "version": to });
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

    /// The registry cannot be asked to move it on a condition: it is looked at just before.
    async fn is_to_move(&self, alias: &Alias) -> Result<bool, RegistryError> {
        let Some(from) = alias.only_from else { return Ok(true) };
        let found = match self.named(&alias.name).await {
            Ok(found) => found.version,
            Err(RegistryError::NotFound(_)) => "none".to_owned(),
            Err(error) => return Err(error),
        };
        let names = found.parse().ok();
        if names != Some(from) && names != Some(alias.to) {
            let (model, alias) = (&self.model, &alias.name);
            tracing::warn!(
                model,
                alias,
                version = found,
                "an alias has been moved since a verdict was told first; it is left where it is"
            );
        }
        Ok(names == Some(from))
    }

    /// The version that an alias names.
    pub(super) async fn named(&self, alias: &str) -> Result<ModelVersion, RegistryError> {
        let query = [("name", self.model.as_str()), ("alias", alias)];
        let answer: VersionAnswer = self.api("registered-models/alias", &query).await?;
        Ok(answer.model_version)
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
