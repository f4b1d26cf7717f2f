//! What is counted and learned of one version.

use server_base::ModelName;

use crate::cost::Cost;
use crate::loss::Loss;
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
    /// Whether its device has failed.
    pub(crate) loss: Loss,
}

impl Ledger {
    pub(crate) fn new(model: ModelName, metrics: VersionMetrics) -> Ledger {
        let (cost, patience) = (Cost::default(), Patience::default());
        Ledger { model, metrics, cost, patience, loss: Loss::default() }
    }
}
