//! Work that waits for the disk, on a named thread of its own.

use std::io;
use std::thread::Builder;

use tokio::sync::oneshot;

use crate::error::RegistryError;

/// Starts a thread that nobody waits for; it ends with its work.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), RegistryError> {
    let started = Builder::new().name(name.to_owned()).spawn(work);
    let failed = |error: io::Error| RegistryError::Local("cannot start a thread".into(), error);
    started.map(drop).map_err(failed)
}

/// Does `work` elsewhere and waits for it without blocking.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    let (send, receive) = oneshot::channel();
    start(name, move || {
        let _ = send.send(work()); // the one who asked may have gone
    })?;
    let gone = |_| RegistryError::Local(format!("thread {name}"), io::Error::other("it panicked"));
    receive.await.map_err(gone)?
}
