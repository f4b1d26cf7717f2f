//! Why a request got no prediction.

use std::time::Duration;

use backend_api::{BackendError, TensorError};
use server_base::{IdError, Kind, Unlogged, VersionChoice};

use crate::demand::Scarce;

/// Before the first try to load a model again whose device has failed.
const RELOAD_MIN: Duration = Duration::from_secs(1);

/// The end of a request that did not come to an answer. The texts reach the caller: they name
/// the offending value and what was expected, and nothing of the machine.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InferError {
    /// No model of that name.
    #[error("Request for unknown model: '{model}' is not found")]
    UnknownModel {
        /// As asked.
        model: String,
    },
    /// The model has no such version or label.
    #[error("Request for unknown model: '{model}' version {version} is not found")]
    UnknownVersion {
        /// Name of the model.
        model: String,
        /// As asked.
        version: VersionChoice,
    },
    /// The model is known, and nothing of it can answer now.
    #[error("Request for model '{model}' cannot be served: it has no available versions")]
    NotReady {
        /// Name of the model.
        model: String,
    },
    /// It is loaded on demand, and whoever asked did not mean to wait for that.
    #[error("Request for model '{model}' cannot be served yet: it loads on its first request")]
    Asleep {
        /// Name of the model.
        model: String,
    },
    /// It is loaded on demand, and its last load failed.
    #[error(
        "Request for model '{model}' cannot be served: its load failed, the next is tried in \
         {:.1} s at the earliest: {reason}", retry.as_secs_f64()
    )]
    LoadFailed {
        /// Name of the model.
        model: String,
        /// Why.
        reason: String,
        /// Until it is tried again.
        retry: Duration,
    },
    /// It is loaded on demand, and no other may be unloaded for it.
    #[error(
        "Request for model '{model}' cannot be served: {scarce}, and no more of what is loaded may be \
         unloaded in the next {:.1} s",
        retry.as_secs_f64()
    )]
    NoRoom {
        /// Name of the model.
        model: String,
        /// Of what there is too little.
        scarce: Scarce,
        /// Until one may.
        retry: Duration,
    },
    /// It is being loaded on demand, and enough requests wait for that.
    #[error("Exceeds maximum queue size: {waiting_max} requests wait for model '{model}' to load")]
    WaitFull {
        /// Name of the model.
        model: String,
        /// The limit, that of its lane.
        waiting_max: usize,
    },
    /// A name or version that cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The request does not fit the model's signature, or not the protocol.
    #[error("{0}")]
    Invalid(String),
    /// An input's bytes are not the tensor they claim to be.
    #[error("input '{input}': {source}")]
    Tensor {
        /// Name of the input.
        input: String,
        /// What is wrong with it.
        source: TensorError,
    },
    /// It was answered, but must be logged to be, and is not.
    #[error("the prediction could not be logged, which its model insists on: {why}")]
    Unlogged {
        /// Why.
        why: Unlogged,
    },
    /// More bytes than a request may have.
    #[error("request has more than {bytes_max} bytes, the limit that --request-bytes-max sets")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The body is compressed in a way that is not served.
    #[error("content encoding '{encoding}' is not served, send the body as it is")]
    Encoding {
        /// As given.
        encoding: String,
    },
    /// The request's body trickled in.
    #[error("only {received} bytes of the request came in within {within:?}")]
    SlowBody {
        /// How many.
        received: usize,
        /// In what time.
        within: Duration,
    },
    /// The model's lane is full.
    #[error("Exceeds maximum queue size: {queue_max} requests wait for model '{model}'")]
    QueueFull {
        /// Name of the model.
        model: String,
        /// The lane's limit.
        queue_max: usize,
    },
    /// What waits already would take longer than the request has.
    #[error(
        "Exceeds what can be answered in time: model '{model}' has {wait:?} of work waiting, the \
         request's deadline is in {left:?}"
    )]
    Late {
        /// Name of the model.
        model: String,
        /// How long the work ahead will take, from what runs have taken.
        wait: Duration,
        /// What was left of the request's time.
        left: Duration,
    },
    /// What waits already would take longer than callers have been seen to wait.
    #[error(
        "Exceeds what callers wait for: model '{model}' has {wait:?} of work waiting, and its \
         callers have given up sooner; send a deadline to be admitted by it"
    )]
    Long {
        /// Name of the model.
        model: String,
        /// How long the work ahead will take, from what runs have taken.
        wait: Duration,
    },
    /// The whole server is full.
    #[error("the server holds as many {what} as it may ({limit}); try again later")]
    Full {
        /// `requests` or `bytes`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The request's time was up.
    #[error("Request timeout expired: no answer within {waited:?}")]
    Expired {
        /// How long it was in the house.
        waited: Duration,
    },
    /// The caller went away.
    #[error("the caller cancelled the request")]
    Cancelled,
    /// The server does not do this.
    #[error("{0}")]
    Unimplemented(String),
    /// Memory that the client shares with the server is not what the request says of it.
    #[error("{text}")]
    Memory {
        /// What the caller can do about it.
        kind: Kind,
        /// What is wrong.
        text: String,
    },
    /// What it runs on has failed, and nothing of it has been answered.
    #[error(
        "Request for model '{model}' cannot be served: the device that it runs on has failed, and it is \
         to be loaded again; try again later"
    )]
    DeviceLost {
        /// Name of the model.
        model: String,
    },
    /// The model failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The model panicked; the message is in the log, not here.
    #[error("the model failed: it panicked")]
    Panicked,
    /// The batch was lost on the way: a bug, never silence.
    #[error("the request was dropped without an answer")]
    Dropped,
}

impl InferError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            InferError::UnknownModel { .. } | InferError::UnknownVersion { .. } => Kind::NotFound,
            InferError::NotReady { .. }
            | InferError::Asleep { .. }
            | InferError::LoadFailed { .. }
            | InferError::Unlogged { .. }
            | InferError::DeviceLost { .. }
            | InferError::Backend(BackendError::DeviceLost { .. }) => Kind::Unavailable,
            InferError::Id(_) | InferError::Invalid(_) | InferError::Tensor { .. } => Kind::Invalid,
            InferError::TooLarge { .. } => Kind::TooLarge,
            InferError::QueueFull { .. }
            | InferError::WaitFull { .. }
            | InferError::NoRoom { .. }
            | InferError::Late { .. }
            | InferError::Long { .. }
            | InferError::Full { .. } => Kind::Overloaded,
            InferError::Expired { .. } => Kind::Expired,
            InferError::Encoding { .. } => Kind::Encoding,
            InferError::SlowBody { .. } => Kind::Slow,
            InferError::Cancelled => Kind::Cancelled,
            InferError::Unimplemented(_) => Kind::Unimplemented,
            InferError::Memory { kind, .. } => *kind,
            InferError::Backend(BackendError::Input { .. }) => Kind::Invalid,
            InferError::Backend(
                BackendError::Unavailable { .. }
                | BackendError::Artifact { .. }
                | BackendError::Unsupported { .. }
                | BackendError::Run { .. },
            )
            | InferError::Panicked
            | InferError::Dropped => Kind::Internal,
        }
    }

    /// After what pause another try may fare better, where that is known.
    pub fn retry(&self) -> Option<Duration> {
        if let InferError::LoadFailed { retry, .. } | InferError::NoRoom { retry, .. } = self {
            return Some(*retry);
        }
        matches!(self, InferError::DeviceLost { .. }).then_some(RELOAD_MIN)
    }
}
