//! Where a version's requests are copied to: where a rollout says, or else where the model's file does.
//!
//! Both are told by the control plane, each without knowing of the other. A request sees the outcome alone.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};

use crate::shadow::Shadow;

/// See the module.
#[derive(Default)]
pub(crate) struct Shadows {
    now: ArcSwapOption<Shadow>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    by_rollout: Option<Arc<Shadow>>,
    /// By the model's file.
    standing: Option<Arc<Shadow>>,
}

impl Shadows {
    /// What holds now, for a look and no more.
    pub(crate) fn now(&self) -> Guard<Option<Arc<Shadow>>> {
        self.now.load()
    }

    /// A rollout has its own copies: there are no others meanwhile.
    pub(crate) fn by_rollout(&self, shadow: Option<Arc<Shadow>>) {
        self.tell(|it| it.by_rollout = shadow);
    }

    pub(crate) fn standing(&self, shadow: Option<Arc<Shadow>>) {
        self.tell(|it| it.standing = shadow);
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        // Stored under the lock: the last to tell is the last to store.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        what(&mut told);
        let next = told.by_rollout.as_ref().or(told.standing.as_ref());
        // Most of what is told is that nothing has changed.
        if self.now.load().as_ref().map(Arc::as_ptr) != next.map(Arc::as_ptr) {
            self.now.store(next.cloned());
        }
    }
}
