//! What is counted and learned of one version.

use server_base::ModelName;

use crate::cost::Cost;
use crate::metrics::VersionMetrics;
use crate::patience::Patience;

/// Shared by the version, its instances and its requests.
pub(crate) struct Ledger {
    pub(crate) model: ModelName,
    pub(crate) metrics: VersionMetrics,
    /// What runs cost.
    pub(crate) cost: Cost,
    /// How long callers wait.
    pub(crate) patience: Patience,
}

impl Ledger {
    pub(crate) fn new(model: ModelName, metrics: VersionMetrics) -> Ledger {
        Ledger { model, metrics, cost: Cost::default(), patience: Patience::default() }
    }
}
