//! What was found and is told again, since whoever acts on it could not keep it; and what is not written down as
//! judged before that.

use std::collections::BTreeMap;
use std::sync::Arc;

use server_base::{Finding, Findings, ModelName, Version};

use crate::change::Change;

/// Beyond that the oldest are lost: some windows of each of hundreds of versions.
const FINDINGS_MAX: usize = 1_024;

/// See the module.
pub(crate) struct Untold {
    to: Arc<dyn Findings>,
    /// The oldest first.
    findings: Vec<Finding>,
    /// The newest of each version.
    changed: BTreeMap<(ModelName, Version), Change>,
}

impl Untold {
    pub(crate) fn new(to: Arc<dyn Findings>) -> Untold {
        Untold { to, findings: Vec::new(), changed: BTreeMap::new() }
    }

    /// Tells it all. What comes back may be written down: nobody has to know of it any more.
    pub(crate) fn tell(
        &mut self,
        findings: Vec<Finding>,
        changed: Vec<(ModelName, Version, Change)>,
    ) -> Vec<(ModelName, Version, Change)> {
        self.findings.extend(findings);
        self.changed.extend(changed.into_iter().map(|(model, version, it)| ((model, version), it)));
        if self.findings.is_empty() || self.to.found(&self.findings) {
            self.findings.clear();
            let changed = std::mem::take(&mut self.changed).into_iter();
            return changed.map(|((model, version), it)| (model, version, it)).collect();
        }
        let goes = self.findings.len().saturating_sub(FINDINGS_MAX);
        if goes > 0 {
            tracing::error!(goes, "findings are lost: too many wait");
            self.findings.drain(..goes);
        }
        Vec::new()
    }
}

#[cfg(test)]
#[path = "untold_tests.rs"]
mod tests;
