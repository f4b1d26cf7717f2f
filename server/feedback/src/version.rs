//! The log of one version, as the hot path holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use server_base::{LogConfig, Record, Told, Unlogged, VersionLog};

use crate::metrics::VersionMetrics;
use crate::queue::Queue;
use crate::rows::Form;

/// Whose records a row is of, and how it is made.
pub(crate) struct Version {
    /// Tells versions apart, also two of the same number.
    pub(crate) id: u64,
    pub(crate) form: Form,
    pub(crate) metrics: VersionMetrics,
}

impl Version {
    pub(crate) fn new(form: Form) -> Arc<Version> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let metrics = VersionMetrics::new(&form.subject.model, form.subject.version);
        Arc::new(Version { id: NEXT.fetch_add(1, Ordering::Relaxed), form, metrics })
    }
}

/// What the hot path holds.
pub(crate) struct Handle {
    pub(crate) version: Arc<Version>,
    pub(crate) queue: Arc<Queue>,
}

impl VersionLog for Handle {
    fn config(&self) -> &LogConfig {
        &self.version.form.subject.config
    }

    fn offer(&self, record: &Record) {
        self.put(record, None);
    }

    fn commit(&self, record: &Record, told: Told) {
        self.put(record, Some(told));
    }
}

impl Handle {
    fn put(&self, record: &Record, told: Option<Told>) {
        if let Err((why, told)) = self.queue.push(&self.version, record, told) {
            self.version.metrics.refused(why);
            tell(told, Err(why));
        }
    }
}

/// Tells whoever waits.
pub(crate) fn tell(told: Option<Told>, result: Result<(), Unlogged>) {
    if let Some(told) = told {
        told(result);
    }
}
