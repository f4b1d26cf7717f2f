//! In place of `replay` in a build without Parquet files: no log can be read.

use server_lifecycle::Alone;
use server_registry::Uri;

use super::super::Outcome;
use crate::cli::ValidateArgs;

/// What comes of a log that cannot be read.
pub(super) const UNFIT: Outcome = Outcome::Failed;

/// There is none.
pub(super) enum Plan {}

/// Nor is there anything that came of it.
pub(super) enum Replayed {}

impl Plan {
    pub(super) fn new(_args: &ValidateArgs) -> Result<Option<Plan>, (String, Outcome)> {
        Ok(None)
    }

    pub(super) fn run(self, _alone: &Alone) -> anyhow::Result<Replayed> {
        match self {}
    }
}

impl Replayed {
    pub(super) fn outcome(&self) -> Outcome {
        match *self {}
    }

    pub(super) fn fault(&self) -> Option<&str> {
        match *self {}
    }

    pub(super) fn text(&self) -> String {
        match *self {}
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match *self {}
    }

    pub(super) fn write(&self, _args: &ValidateArgs, _uri: &Uri) -> anyhow::Result<()> {
        match *self {}
    }
}
