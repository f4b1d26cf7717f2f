//! How much, how many and how long: every bound of this crate, with its reason.

use std::time::Duration;

/// What a registry may make us do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Files of one model. A model sharded into gigabyte files has hundreds; a listing of more is a
    /// mistake in the address, or an attack.
    pub files_max: usize,
    /// Bytes of one file, whatever its registry declares.
    pub file_bytes_max: u64,
    /// Bytes of one model, archives unpacked.
    pub model_bytes_max: u64,
    /// Bytes of an answer that is held in memory: listings, manifests, tokens.
    pub answer_bytes_max: usize,
    /// How many times larger an archive may become than it is. Weights hardly shrink at all; deflate
    /// could do 1032 to 1.
    pub unpack_ratio_max: u64,
    /// What a small archive may become whatever the ratio: text and zeros shrink well.
    pub unpack_bytes_free: u64,
    /// Redirects of one request. Registries use one, to their storage.
    pub redirects_max: usize,
    /// From nothing to a connection: name, TCP and TLS.
    pub connect_max: Duration,
    /// From a request to the head of its answer. MLflow fetches an artifact from its own storage
    /// before it answers, so this is not short.
    pub head_max: Duration,
    /// All questions of one look at a registry, and the whole of an answer that is held in memory.
    pub look_max: Duration,
    /// Between two pieces of a body.
    pub idle_max: Duration,
    /// A body must bring `pace_bytes_min` in each of these, or else it is dripped at us.
    pub pace_window: Duration,
    /// See `pace_window`.
    pub pace_bytes_min: u64,
    /// How long to wait for another process that pulls the same thing. It holds its lock only while
    /// it lives, and each of its own steps is bounded.
    pub lock_max: Duration,
    /// How often a file that broke off is gone on with in one pull. Each needs progress since the last.
    pub resumes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            files_max: 4096,
            file_bytes_max: 256 << 30,
            model_bytes_max: 1 << 40,
            answer_bytes_max: 8 << 20,
            unpack_ratio_max: 100,
            unpack_bytes_free: 64 << 20,
            redirects_max: 5,
            connect_max: Duration::from_secs(10),
            head_max: Duration::from_secs(120),
            look_max: Duration::from_secs(600),
            idle_max: Duration::from_secs(30),
            pace_window: Duration::from_secs(60),
            pace_bytes_min: 64 << 10,
            lock_max: Duration::from_secs(3600),
            resumes_max: 8,
        }
    }
}

/// Longest path of a file within a model, and longest part of it: what Linux can name.
pub(crate) const PATH_BYTES_MAX: usize = 1024;
pub(crate) const PART_BYTES_MAX: usize = 255;
/// Folders within folders.
pub(crate) const DEPTH_MAX: usize = 16;
/// One buffer of the network; hyper grows to it and hands out pieces up to it.
pub(crate) const BUFFER_BYTES: usize = 512 << 10;
/// Pieces that wait for the disk. With `BUFFER_BYTES` the memory of a download: 4 MiB.
pub(crate) const PIECES_WAITING_MAX: usize = 8;
/// Addresses of one name that are tried.
pub(crate) const ADDRESSES_MAX: usize = 4;
