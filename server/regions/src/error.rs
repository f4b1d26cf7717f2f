//! Why memory was not registered, found, read or written.

use server_base::Kind;

/// In words for clients: names are those that the caller gave itself. Nothing of another's region, its key above
/// all, may stand here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// Nothing is registered under that name.
    #[error("Unable to find {of}shared memory region: '{region}'")]
    Unknown {
        /// `system ` or `cuda `, or nothing where any will do.
        of: &'static str,
        /// As asked.
        region: String,
    },
    /// Something is.
    #[error("shared memory region '{region}' already in manager")]
    Exists {
        /// Its name.
        region: String,
    },
    /// A name that cannot be one.
    #[error("name of a shared memory region: {why}")]
    Name {
        /// What is wrong with it.
        why: String,
    },
    /// A key that cannot be one, or that is not for clients.
    #[error("key of shared memory region '{region}': {why}")]
    Key {
        /// Name of the region.
        region: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such object, or the server may not open it.
    #[error("Unable to open shared memory region '{region}': {why}")]
    Object {
        /// Name of the region.
        region: String,
        /// The system's word for it.
        why: String,
    },
    /// Nothing of a GPU can be opened.
    #[error("memory of GPUs cannot be shared with this server: {why}")]
    NoGpu {
        /// What is missing, and what would help.
        why: String,
    },
    /// So many calls to a GPU's driver wait for one that has not come back.
    #[error(
        "memory of GPUs cannot be used now: NVIDIA's driver does not answer, {waiting} calls wait for it; try \
         again later"
    )]
    Busy {
        /// As many as may wait.
        waiting: usize,
    },
    /// The object is smaller than what is to be registered of it, or that is nothing.
    #[error("Unable to register shared memory region '{region}': {why}")]
    Size {
        /// Name of the region.
        region: String,
        /// What was asked for, and what is there.
        why: String,
    },
    /// So many are registered, or so large ones.
    #[error(
        "Unable to register shared memory region '{region}': the server holds as much as it may ({limit}); \
         unregister what is no longer used"
    )]
    Full {
        /// Name of the region.
        region: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// A request names bytes outside of the region.
    #[error(
        "Invalid offset + byte size for shared memory region '{region}': {offset} + {bytes}, the region has \
         {size} bytes"
    )]
    Outside {
        /// Name of the region.
        region: String,
        /// As asked.
        offset: u64,
        /// As asked.
        bytes: u64,
        /// As registered.
        size: u64,
    },
    /// The object has become smaller than what was registered of it.
    #[error(
        "shared memory region '{region}' has changed: {bytes} bytes at offset {offset} were registered, and are \
         no longer all there"
    )]
    Shrunk {
        /// Name of the region.
        region: String,
        /// Within the region.
        offset: u64,
        /// How many were to be read or written.
        bytes: u64,
    },
    /// What was given for an output is less than the output needs.
    #[error(
        "shared memory size specified with the request for output '{output}' ({given} bytes) should be at least \
         {needed} bytes to hold the results"
    )]
    TooSmall {
        /// Name of the output.
        output: String,
        /// As asked.
        given: u64,
        /// What the model gave.
        needed: u64,
    },
    /// The system could not read or write it, which should not happen.
    #[error("shared memory region '{region}' could not be {done}: {why}")]
    Failed {
        /// Name of the region.
        region: String,
        /// `read` or `written`.
        done: &'static str,
        /// The system's word for it.
        why: String,
    },
}

impl RegionError {
    /// What a caller can do about it. [`RegionError::Exists`] has words of its own in the protocols.
    pub fn kind(&self) -> Kind {
        match self {
            RegionError::Unknown { .. } => Kind::NotFound,
            RegionError::Full { .. } => Kind::Overloaded,
            RegionError::NoGpu { .. } => Kind::Unimplemented,
            RegionError::Busy { .. } => Kind::Unavailable,
            RegionError::Exists { .. }
            | RegionError::Name { .. }
            | RegionError::Key { .. }
            | RegionError::Object { .. }
            | RegionError::Size { .. }
            | RegionError::Outside { .. }
            | RegionError::Shrunk { .. } => Kind::Invalid,
            // The first is the caller's mistake, but clients of Triton know it by this code.
            RegionError::TooSmall { .. } | RegionError::Failed { .. } => Kind::Internal,
        }
    }

    /// The value of the `reason` label on `/metrics`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            RegionError::Unknown { .. } => "unknown",
            RegionError::Exists { .. } => "exists",
            RegionError::Name { .. } => "name",
            RegionError::Key { .. } => "key",
            RegionError::Object { .. } => "object",
            RegionError::NoGpu { .. } => "no_gpu",
            RegionError::Busy { .. } => "busy",
            RegionError::Size { .. } => "size",
            RegionError::Full { .. } => "full",
            RegionError::Outside { .. } => "outside",
            RegionError::Shrunk { .. } => "shrunk",
            RegionError::TooSmall { .. } => "too_small",
            RegionError::Failed { .. } => "failed",
        }
    }
}
