//! Who else is told of decisions.

use std::fmt;
use std::sync::Arc;

use server_rollout::Evidence;

/// Hears of each decision that this process makes, after it is written down and before it is done. Must not
/// wait.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(&Evidence) + Send + Sync>);

impl Listener {
    /// Who is told.
    pub fn new(tell: impl Fn(&Evidence) + Send + Sync + 'static) -> Listener {
        Listener(Arc::new(tell))
    }

    pub(crate) fn tell(&self, evidence: &Evidence) {
        (self.0)(evidence);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Listener")
    }
}
