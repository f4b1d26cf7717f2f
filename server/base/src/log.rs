//! The prediction log, as the hot path and the lifecycle see it: what is wanted of a model's
//! requests, and where records go.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backend_api::Signature;

use crate::ids::{ModelName, Version};
use crate::record::Record;
use crate::truth::TruthConfig;

/// How sure it is that a prediction is in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogMode {
    /// No request waits or fails for it: what there is no room for is left out, and counted.
    #[default]
    BestEffort,
    /// An answer waits until its record is on the disk, and says whether it is.
    AtLeastOnce,
    /// A request whose record is not on the disk fails.
    FailClosed,
}

/// A share of the requests, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share(u32);

impl Share {
    /// Every one.
    pub const ALL: Share = Share(1_000_000);

    /// From 0 to 1; nothing beyond.
    pub fn new(share: f64) -> Option<Share> {
        if !(0.0..=1.0).contains(&share) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1 million"
        )]
        Some(Share((share * 1e6).round() as u32))
    }

    /// As a probability.
    pub fn probability(self) -> f32 {
        self.0 as f32 / 1e6
    }

    /// Is it one of the share? The same for the same id, in every replica.
    pub fn takes(self, id: &[u8]) -> bool {
        if self == Share::ALL {
            return true;
        }
        // FNV-1a, then a finalizer: similar ids are to fall far apart.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let mut hash = id.iter().fold(0xcbf2_9ce4_8422_2325, step);
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        u128::from(hash) * 1_000_000 < u128::from(self.0) << 64
    }
}

/// When a model is not sure of an answer: no class of some row is as likely as that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LowConfidence {
    /// The output with probabilities, a row for each instance: one for each class, or one number, which
    /// is that of the second of two.
    pub output: String,
    /// Its place in the signature, which whoever opens the log looks up.
    pub place: usize,
    /// The least that counts as sure.
    pub below: Share,
}

/// What of a model's requests is logged. From its `model.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogConfig {
    /// How sure it is to be.
    pub mode: LogMode,
    /// How many of the requests.
    pub sample: Share,
    /// Are all requests that fail logged?
    pub errors: bool,
    /// Are all requests that take longer than that?
    pub slow_over: Option<Duration>,
    /// Are all of whose answers the model is not sure?
    pub low_confidence: Option<LowConfidence>,
    /// Are all whose copy was answered otherwise, with that answer?
    pub disagreement: bool,
    /// The only inputs that may be; `None`: all.
    pub inputs: Option<Vec<String>>,
    /// The only outputs that may be; `None`: all.
    pub outputs: Option<Vec<String>>,
    /// Inputs and outputs of which a keyed hash is logged in place of the values.
    pub hashed: Vec<String>,
    /// Names for the columns of an input or output.
    pub features: BTreeMap<String, Vec<String>>,
    /// A tensor of more columns is logged as one value.
    pub columns_max: usize,
    /// Bytes of one value that are kept.
    pub value_bytes_max: usize,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            mode: LogMode::BestEffort,
            sample: Share::ALL,
            errors: true,
            slow_over: None,
            low_confidence: None,
            disagreement: false,
            inputs: None,
            outputs: None,
            hashed: Vec::new(),
            features: BTreeMap::new(),
            columns_max: 256,
            value_bytes_max: 64 << 10,
        }
    }
}

impl LogConfig {
    /// Is something kept back? Then texts that may quote values are too.
    pub fn redacts(&self) -> bool {
        self.inputs.is_some() || self.outputs.is_some() || !self.hashed.is_empty()
    }
}

/// Whose predictions are logged.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// Which bytes the version is, if that is known.
    pub digest: Option<String>,
    /// The engine that it runs in.
    pub backend: Option<String>,
    /// The address of the registry that it came from, if it did; without what may be secret.
    pub source: Option<String>,
    /// What it takes and gives, as served.
    pub signature: Signature,
    /// What is wanted.
    pub config: LogConfig,
    /// What is wanted of the truth of its answers, if that is brought.
    pub truth: Option<TruthConfig>,
}

/// Why a record is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unlogged {
    /// Too many records wait.
    #[error("too many records wait for the disk")]
    Queue,
    /// The log has its share of the disk, and what reads it has not caught up.
    #[error("the log has used up its share of the disk")]
    Budget,
    /// The disk refused it.
    #[error("the disk failed")]
    Disk,
    /// It could not be written down as a row.
    #[error("the record cannot be written")]
    Record,
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}

impl Unlogged {
    /// All of them, in the order of their numbers as array places.
    pub const ALL: [Unlogged; 5] =
        [Unlogged::Queue, Unlogged::Budget, Unlogged::Disk, Unlogged::Record, Unlogged::Closed];

    /// The value of the `reason` label on `/metrics`.
    pub fn label(self) -> &'static str {
        match self {
            Unlogged::Queue => "queue",
            Unlogged::Budget => "disk_budget",
            Unlogged::Disk => "disk",
            Unlogged::Record => "record",
            Unlogged::Closed => "closed",
        }
    }
}

/// Who is told, once, that a record is on the disk, or why it is not.
pub type Told = Box<dyn FnOnce(Result<(), Unlogged>) + Send>;

/// The log of all models.
pub trait PredictionLog: fmt::Debug + Send + Sync {
    /// That of one version. An error: what its configuration asks for cannot be done.
    fn open(&self, subject: Subject) -> Result<Arc<dyn VersionLog>, String>;
}

/// The log of one version. Neither method waits, or keeps the record itself.
pub trait VersionLog: Send + Sync {
    /// What is wanted.
    fn config(&self) -> &LogConfig;

    /// A record that nobody waits for.
    fn offer(&self, record: &Record);

    /// A record that somebody waits for. Called back from another thread, or at once.
    fn commit(&self, record: &Record, told: Told);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_by_id() {
        for share in [0.0, 0.01, 0.5, 1.0] {
            let share = Share::new(share).expect("a share");
            let taken = (0..100_000).filter(|it| share.takes(format!("id-{it}").as_bytes()));
            let taken = taken.count() as f32 / 1e5;
            assert!((taken - share.probability()).abs() < 0.005, "{taken} of {share:?}");
        }
        assert!(Share::ALL.takes(b"") && !Share::new(0.0).expect("none").takes(b"x"));
        assert_eq!(Share::new(1.1).or(Share::new(-0.1)).or(Share::new(f64::NAN)), None);
    }
}
