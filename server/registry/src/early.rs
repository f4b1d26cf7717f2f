//! The disk writes while more comes: what is left for the end is waited for with nothing else to do.

use std::fs::File;
use std::io;
use std::thread::{Builder, JoinHandle};

/// After so many bytes the disk is to write them. Each time costs a commit of the file system's journal: with one
/// MiB they cost more than they bring, with 32 the disk stands still in between (server/PERFORMANCE.md).
const STEP_BYTES: u64 = 8 << 20;

/// What of one file the disk was asked to write before its end.
#[derive(Debug, Default)]
pub(crate) struct EarlySync {
    /// Bytes since it was asked last.
    unasked: u64,
    /// A thread that ends when the disk has what was there. At most one.
    running: Option<JoinHandle<io::Result<()>>>,
}

impl EarlySync {
    /// So many bytes more were written. Waits for nothing: where the disk is busy still, it is asked again after
    /// the next.
    pub(crate) fn wrote(&mut self, bytes: u64, file: &File) -> io::Result<()> {
        self.unasked += bytes;
        let busy = self.running.as_ref().is_some_and(|it| !it.is_finished());
        if self.unasked < STEP_BYTES || busy {
            return Ok(());
        }
        self.finish()?;
        let file = file.try_clone()?;
        let sync = Builder::new().name("registry/sync".to_owned());
        self.running = Some(sync.spawn(move || file.sync_data())?);
        self.unasked = 0;
        Ok(())
    }

    /// Waits for what is under way. The kernel may tell an error of the disk only once, and that is here.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.join().unwrap_or_else(|_| Err(io::Error::other("registry/sync panicked")))
    }
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
