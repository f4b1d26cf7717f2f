//! What was done with versions, for whoever writes it down.
//!
//! The manager tells; it never waits for a disk to listen. What does not fit into the channel is
//! counted, and lost.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use server_base::{ModelName, Version};

use crate::metrics;

/// Records that may wait for the disk: all loads of a start with thousands of models.
const RECORDS_MAX: usize = 4_096;

/// Where records go; nowhere by default.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Sender<Record>>);

impl Audit {
    /// The two ends. Records end when the lifecycle has.
    pub fn channel() -> (Audit, Receiver<Record>) {
        let (sender, records) = bounded(RECORDS_MAX);
        (Audit(Some(sender)), records)
    }

    /// Does anybody listen? Digests are for them alone.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn tell(&self, record: Record) {
        if let Some(sender) = &self.0
            && sender.try_send(record).is_err()
        {
            metrics::untold();
        }
    }
}

/// Something that was done with a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it was over.
    pub at: SystemTime,
    /// Name of the model.
    pub model: ModelName,
    /// Which version of it.
    pub version: Version,
    /// SHA-256 of the list of its files, as it was loaded; `None` if it could not be read.
    pub digest: Option<String>,
    /// Who wanted it.
    pub by: By,
    /// What it was, and what came of it.
    pub done: Done,
}

/// Who wanted something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The repository or a `model.toml`: something came, went, changed, or was replaced.
    Repository,
    /// An operator, through the repository API.
    Command,
    /// A request for a model that is loaded on demand.
    Request,
    /// The server, after a pause, because it failed before.
    Retry,
    /// The server, because what it ran on has failed.
    Device,
    /// A rollout.
    Rollout,
    /// The server, to make room, or because nobody used it.
    Room,
    /// The end of the server.
    Shutdown,
}

impl By {
    /// A word for it.
    pub fn label(self) -> &'static str {
        match self {
            By::Repository => "repository",
            By::Command => "command",
            By::Request => "request",
            By::Retry => "retry",
            By::Device => "device",
            By::Rollout => "rollout",
            By::Room => "room",
            By::Shutdown => "shutdown",
        }
    }
}

/// What was done, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// Loaded, and ready.
    Loaded {
        /// By what it is run.
        engine: &'static str,
        /// How long that took.
        took: Duration,
        /// Where it comes from and what it has proven.
        facts: BTreeMap<String, String>,
    },
    /// Not served: it could not be loaded, or did not prove itself.
    Refused {
        /// What it did not prove; `None`: it could not be loaded.
        rule: Option<&'static str>,
        /// Why, in words.
        reason: String,
        /// How long it is until it is tried again; `None`: not by itself.
        again: Option<Duration>,
    },
    /// Out of memory.
    Unloaded {
        /// Was every request answered in time?
        clean: bool,
    },
}
