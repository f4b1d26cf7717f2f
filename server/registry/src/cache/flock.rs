//! Advisory locks between processes. The kernel frees them when their holder dies, however it dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{RegistryError, local};

/// How often a lock that another process holds is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Flock(File);

/// How a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// With others that use.
    Shared,
    /// Alone.
    Exclusive,
}

impl Flock {
    /// Takes the lock if that is possible at once. Makes the file if `create`; without it a file that is
    /// not there is `None` too.
    pub(crate) fn try_on(path: &Path, hold: Hold, create: bool) -> io::Result<Option<Flock>> {
        loop {
            let file = match OpenOptions::new().read(true).write(true).create(create).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !create => {
                    return Ok(None);
                }
                opened => opened?,
            };
            let locked = match hold {
                Hold::Shared => file.try_lock_shared(),
                Hold::Exclusive => file.try_lock(),
            };
            match locked {
                Ok(()) => {
                    let held = Flock(file);
                    if held.is_at(path)? {
                        return Ok(Some(held));
                    } // what was locked has been removed meanwhile: look again
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Waits for the lock, at most so long.
    pub(crate) async fn wait(path: &Path, most: Duration) -> Result<Flock, RegistryError> {
        let until = Instant::now() + most;
        loop {
            let held = Flock::try_on(path, Hold::Exclusive, true).map_err(local("lock", path))?;
            if let Some(held) = held {
                return Ok(held);
            }
            if Instant::now() >= until {
                let words = format!("{}: held by another process for {most:?}", path.display());
                return Err(RegistryError::Slow(words));
            }
            sleep(RETRY).await;
        }
    }

    /// The locked file.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    /// Is this still the file that the path names?
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let held = self.0.metadata()?;
        match fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (held.dev(), held.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
