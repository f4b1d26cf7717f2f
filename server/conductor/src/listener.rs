//! Who else is told of decisions.

use std::fmt;
use std::sync::Arc;

use server_replicas::Telling;
use server_rollout::Evidence;

/// Hears of each decision that this process makes, after it is written down and before it is done, and again of what
/// another may have told that is gone. Must not wait.
#[derive(Clone)]
pub struct Listener(Arc<Tell>);

type Tell = dyn Fn(&Evidence, Telling) + Send + Sync;

impl Listener {
    /// Who is told.
    pub fn new(tell: impl Fn(&Evidence, Telling) + Send + Sync + 'static) -> Listener {
        Listener(Arc::new(tell))
    }

    pub(crate) fn tell(&self, evidence: &Evidence, telling: Telling) {
        (self.0)(evidence, telling);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Listener")
    }
}
