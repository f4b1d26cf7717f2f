//! Files that fail when a test says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Append, Disk, Files};

#[derive(Default)]
pub(crate) struct Faulty {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    next: Mutex<Vec<&'static str>>,
    folders: Mutex<Vec<PathBuf>>,
    broken: AtomicBool,
    created: AtomicUsize,
    read: AtomicUsize,
    synced_after_failure: AtomicUsize,
    gate: Mutex<()>,
}

/// As long as it lives, syncs hang.
pub(crate) struct Gate<'a>(#[expect(dead_code, reason = "held")] MutexGuard<'a, ()>);

impl Faulty {
    /// The next call of that name fails: sync, append, an append that writes half, or panics, replace.
    pub(crate) fn fail_once(&self, what: &'static str) {
        self.state.next.lock().expect("no panics").push(what);
    }

    /// And the one after it.
    pub(crate) fn fail_twice(&self, what: &'static str) {
        self.state.next.lock().expect("no panics").extend([what; 2]);
    }

    /// Folders whose names were synced.
    pub(crate) fn folders_synced(&self) -> Vec<PathBuf> {
        self.state.folders.lock().expect("no panics").clone()
    }

    /// Everything fails, or nothing.
    pub(crate) fn break_down(&self, broken: bool) {
        self.state.broken.store(broken, Ordering::Relaxed);
    }

    pub(crate) fn hang(&self) -> Gate<'_> {
        Gate(self.state.gate.lock().expect("no panics"))
    }

    pub(crate) fn created(&self) -> usize {
        self.state.created.load(Ordering::Relaxed)
    }

    /// How often a segment was read.
    pub(crate) fn read(&self) -> usize {
        self.state.read.load(Ordering::Relaxed)
    }

    /// How often a file that had failed was asked whether its content is on the disk.
    pub(crate) fn synced_after_failure(&self) -> usize {
        self.state.synced_after_failure.load(Ordering::Relaxed)
    }
}

impl State {
    fn fails(&self, what: &str) -> bool {
        self.hits(what) || self.broken.load(Ordering::Relaxed)
    }

    fn hits(&self, what: &str) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = next.first() == Some(&what);
        if hit {
            next.remove(0);
        }
        hit
    }

    fn panics(&self) -> bool {
        self.hits("panic")
    }
}

struct File {
    inner: Box<dyn Append>,
    state: Arc<State>,
    failed: bool,
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(!self.state.panics(), "a bug that a test asked for");
        if self.state.fails("append") {
            self.failed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.state.fails("half") {
            self.failed = true;
            self.inner.append(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        drop(self.state.gate.lock().unwrap_or_else(PoisonError::into_inner));
        if self.failed {
            // As a system that has thrown the pages away does.
            self.state.synced_after_failure.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if self.state.fails("sync") {
            self.failed = true;
            return Err(io::Error::other("EIO"));
        }
        self.inner.sync()
    }
}

impl Files for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        if self.state.broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.state.created.fetch_add(1, Ordering::Relaxed);
        let (inner, state) = (Disk.create(path)?, Arc::clone(&self.state));
        Ok(Box::new(File { inner, state, failed: false }))
    }

    fn read(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        if path.extension().is_some_and(|it| it == "wal") {
            self.state.read.fetch_add(1, Ordering::Relaxed);
        }
        Disk.read(path, offset, bytes)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Disk.len(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if self.state.hits("replace") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Disk.replace(path, content)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.state.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder.into());
        Disk.sync_folder(folder)
    }
}
