//! The part of a model's books that has copies of its requests made, as its file says.

use std::collections::BTreeSet;
use std::sync::Arc;

use server_base::Version;
use server_serving::{Servable, Shadow};

use super::Model;

/// Copies that are being made.
pub(super) struct Copied {
    to: Arc<Shadow>,
    /// Versions whose requests cannot be copied, of which that has been said.
    unfit: BTreeSet<Version>,
}

impl Copied {
    fn is(&self, to: &Arc<Servable>, share: u16) -> bool {
        Arc::ptr_eq(self.to.servable(), to) && self.to.share() == u64::from(share)
    }
}

impl Model {
    /// Tells the versions that are ready where copies of their requests go, which is not to themselves. While a rollout
    /// directs the model, nowhere: it makes its own.
    pub(super) fn copy(&mut self, ready: &[Arc<Servable>]) -> Option<Arc<Shadow>> {
        let config = self.folder.config();
        let wanted =
            if self.direction.is_some() { None } else { config.traffic.copies(&config.labels) };
        let wanted = wanted.and_then(|(version, share)| {
            ready.iter().find(|it| it.version() == version).map(|it| (it, share))
        });
        let is_so = |it: &Copied| wanted.is_some_and(|(to, share)| it.is(to, share));
        if !self.copied.as_ref().is_some_and(is_so) {
            // What is known of the pairs goes on for as long as nothing about them changes.
            self.copied = wanted.and_then(|(to, share)| self.begin_copies(to, share));
        }
        for it in ready {
            let copied = self.copied.as_mut().filter(|to| !Arc::ptr_eq(to.to.servable(), it));
            let fits = it.set_standing_shadow(copied.as_ref().map(|it| Arc::clone(&it.to)));
            if let Some(copied) = copied.filter(|_| !fits)
                && copied.unfit.insert(it.version())
            {
                let (from, to) = (it.version(), copied.to.servable().version());
                tracing::warn!(model = %it.model(), %from, %to, "requests cannot be copied: the versions have different inputs or outputs");
            }
        }
        self.copied.as_ref().map(|it| Arc::clone(&it.to))
    }

    fn begin_copies(&self, to: &Arc<Servable>, share: u16) -> Option<Copied> {
        match Shadow::start_standing(Arc::clone(to), u64::from(share)) {
            Ok(shadow) => Some(Copied { to: shadow, unfit: BTreeSet::new() }),
            Err(error) => {
                // It is tried again with the model's next change.
                tracing::warn!(model = %self.name, %error, "requests cannot be copied");
                None
            }
        }
    }
}
