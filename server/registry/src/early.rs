//! The disk writes while more comes: what is left for the end is waited for with nothing else to do.

use std::fs::File;
use std::io;
use std::thread::{Builder, JoinHandle};

/// After so many bytes the disk is to write them. Each time costs a commit of the file system's journal: with one
/// MiB they cost more than they bring, with 32 the disk stands still in between (server/PERFORMANCE.md).
const STEP_BYTES: u64 = 8 << 20;

/// What of one file the disk was asked to write before its end.
#[derive(Debug)]
pub(crate) struct EarlySync {
    /// How it is asked.
    sync: fn(&File) -> io::Result<()>,
    /// Bytes since it was asked last.
    unasked: u64,
    /// A thread that ends when the disk has what was there. At most one.
    running: Option<JoinHandle<io::Result<()>>>,
    has_failed: bool,
}

impl Default for EarlySync {
    fn default() -> EarlySync {
        EarlySync::by(File::sync_data)
    }
}

impl EarlySync {
    pub(crate) fn by(sync: fn(&File) -> io::Result<()>) -> EarlySync {
        EarlySync { sync, unasked: 0, running: None, has_failed: false }
    }

    /// So many bytes more were written. Waits for no disk, only for a thread that has ended: where the disk is busy
    /// still, it is asked again after the next. An error is what it said the last time.
    pub(crate) fn wrote(&mut self, bytes: u64, file: &File) -> io::Result<()> {
        self.unasked += bytes;
        let busy = self.running.as_ref().is_some_and(|it| !it.is_finished());
        if self.unasked < STEP_BYTES || busy {
            return Ok(());
        }
        self.finish()?;
        self.unasked = 0;
        match self.ask(file) {
            Ok(running) => self.running = Some(running),
            // It would have been early: the end waits for all of it.
            Err(error) => tracing::debug!(%error, "the disk is not asked to write early"),
        }
        Ok(())
    }

    /// Waits for what is under way. The kernel may tell an error of the disk only once, and that is here.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let panicked = |_| Err(io::Error::other("registry/sync panicked"));
        let synced = running.join().unwrap_or_else(panicked);
        self.has_failed |= synced.is_err();
        synced
    }

    /// Has the disk not taken what it was asked to? Then whoever asks again is told that all is well.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn ask(&self, file: &File) -> io::Result<JoinHandle<io::Result<()>>> {
        let (file, sync) = (file.try_clone()?, self.sync);
        Builder::new().name("registry/sync".to_owned()).spawn(move || sync(&file))
    }
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
