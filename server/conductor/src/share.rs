//! Where replicas meet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use server_replicas::{Folder, ReplicaId, conformance};

pub use server_replicas::{ENTRY_BYTES_MAX, Store};

/// Less, and a folder that is slow for a moment would change the leader.
const FOLDER_LEASE_MIN: Duration = Duration::from_secs(1);

/// The same for what is asked over the network, where one call may take some seconds.
const STORE_LEASE_MIN: Duration = Duration::from_secs(10);

/// A store that many threads may ask.
pub(crate) type AnyStore = Arc<dyn Store + Send + Sync>;

/// Where replicas meet.
#[derive(Clone, Debug)]
pub enum Share {
    /// A folder that all of them see.
    Folder(PathBuf),
    /// Anything else that does what is asked of a store. Its calls must come back, within seconds.
    Store(AnyStore),
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Folder(folder) => fmt::Display::fmt(&folder.display(), out),
            Share::Store(store) => fmt::Debug::fmt(store, out),
        }
    }
}

impl Share {
    /// Tries whether it does what is asked of it, and how long a leader may be silent there.
    pub(crate) fn open(&self, id: &ReplicaId) -> io::Result<(AnyStore, Duration)> {
        match self {
            Share::Folder(folder) => {
                Ok((Arc::new(Folder::open(folder, id.clone())?), FOLDER_LEASE_MIN))
            }
            Share::Store(store) => {
                conformance(store, store, &format!("probes/{id}"))?;
                Ok((Arc::clone(store), STORE_LEASE_MIN))
            }
        }
    }
}
