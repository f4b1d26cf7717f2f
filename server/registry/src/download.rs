//! One file: from its source to the disk, hashed on the way.
//!
//! The network is read here; hashing and writing is done by a thread of the file's own, a few pieces behind,
//! and the disk keeps up with it.
//! What broke off stays as a partial file and is gone on with where that is safe: when its digest is known;
//! or when the registry can be asked for the very same content, by its validator, and what is there still is
//! what came. Bytes that nobody synced need not be, after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cache::{Cache, Flock, settle};
use crate::digest::{Digest, Hasher};
use crate::early::EarlySync;
use crate::error::{ErrorKind, RegistryError, local};
use crate::limits::{Limits, PIECES_WAITING_MAX};
use crate::progress::Progress;
use crate::source::{Pieces, Remote, Source};
use crate::thread;

/// After so many bytes what has come is noted: as many are lost at most when the process is killed.
const NOTED_EVERY: u64 = 16 << 20;

/// What is written beside a partial file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// What the beginning was of.
    #[serde(default)]
    validator: Option<String>,
    /// So many bytes of it have this digest.
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    so_far: Option<String>,
    /// Set when it is whole: the blob.
    #[serde(default)]
    done: Option<String>,
}

impl Note {
    pub(crate) fn read(cache: &Cache, key: &str) -> Option<Note> {
        serde_json::from_slice(&fs::read(Note::path(cache, key)).ok()?).ok()
    }

    fn path(cache: &Cache, key: &str) -> PathBuf {
        cache.partial(&format!("{key}.json"))
    }

    fn write(&self, path: &Path) -> Result<(), RegistryError> {
        let text = serde_json::to_vec(self);
        let text = text.map_err(|it| local("write", path)(std::io::Error::other(it)))?;
        // Neither synced nor renamed: a note that is torn is none, and a download begins anew.
        fs::write(path, &text).map_err(local("write", path))
    }

    pub(crate) fn done(&self) -> Option<Digest> {
        self.done.as_ref()?.parse().ok()
    }
}

/// What to download, and where to.
pub(crate) struct Job<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) source: &'a dyn Source,
    pub(crate) file: &'a Remote,
    /// Names the content across processes and pulls.
    pub(crate) key: String,
    /// Does `key` name one content for ever?
    pub(crate) lasting: bool,
    /// What the bytes must be: declared by the source, or pinned.
    pub(crate) digest: Option<Digest>,
    /// Its place in a staging.
    pub(crate) to: PathBuf,
    /// Bytes that the files of the model whose length is not declared may still have together.
    pub(crate) room: &'a AtomicU64,
    pub(crate) limits: &'a Limits,
    pub(crate) progress: &'a dyn Progress,
}

/// A file on its way. Whoever holds this holds its lock, the writing thread included: a pull that was given
/// up leaves nobody behind who writes where the next one does.
struct Partial {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    bytes: u64,
    /// Where what is known of it is written down.
    note: PathBuf,
    validator: Option<String>,
    _lock: Flock,
}

impl Job<'_> {
    /// Brings the bytes to `to` and among the blobs, and says what they are.
    pub(crate) async fn run(self) -> Result<(Digest, u64), RegistryError> {
        let lock = Flock::wait(&self.cache.lock(&self.key), self.limits.lock_max).await?;
        if let Some(found) = self.present().await? {
            self.progress.moved(found.1);
            return Ok(found);
        }
        let mut partial = self.begin(lock).await?;
        self.came(partial.bytes)?;
        let mut resumes = 0;
        loop {
            let from = partial.bytes;
            let (back, ended) = self.attempt(partial).await?;
            partial = back;
            match ended {
                Ok(()) => break,
                Err(error) => {
                    resumes += 1;
                    let progress = partial.bytes > from && self.resumable();
                    if !error.is_interruption() || !progress || resumes > self.limits.resumes_max {
                        return Err(error);
                    }
                }
            }
        }
        self.finish(partial).await
    }

    /// The blob, if it is there already.
    async fn present(&self) -> Result<Option<(Digest, u64)>, RegistryError> {
        let noted = || Note::read(self.cache, &self.key).filter(|_| self.lasting)?.done();
        let Some(digest) = self.digest.or_else(noted) else { return Ok(None) };
        let (cache, to) = (self.cache.clone(), self.to.clone());
        let reuse = move || cache.reuse(digest, &to);
        let found = thread::run("registry/hash", reuse).await?;
        Ok(found.map(|size| (digest, size)))
    }

    /// May a beginning be gone on with?
    fn resumable(&self) -> bool {
        self.digest.is_some() || self.file.validator.is_some()
    }

    /// Opens the partial file and hashes what it holds, or empties it.
    async fn begin(&self, lock: Flock) -> Result<Partial, RegistryError> {
        let (cache, key, most) = (self.cache.clone(), self.key.clone(), self.size_max());
        let (known, resumable) = (self.digest.is_some(), self.resumable());
        let validator = self.file.validator.clone();
        thread::run("registry/hash", move || {
            let noted = Note::read(&cache, &key).unwrap_or_default();
            let resume = resumable && (known || noted.validator == validator);
            let path = cache.partial(&key);
            // One with a second name is a blob, or becomes one: nobody writes to it again.
            if fs::metadata(&path).is_ok_and(|it| it.nlink() > 1) {
                fs::remove_file(&path).map_err(local("remove", &path))?;
            }
            let mut options = OpenOptions::new();
            let opened = options.read(true).write(true).create(true).truncate(!resume).open(&path);
            let file = opened.map_err(local("open", &path))?;
            let mut hasher = Hasher::new();
            let trusted = if known { u64::MAX } else { noted.bytes };
            let read = hasher.read(&mut (&file).take(trusted));
            let bytes = read.map_err(local("read", &path))?;
            file.set_len(bytes).map_err(local("empty", &path))?;
            let same = known || noted.so_far == Some(hasher.so_far().to_string());
            let note = Note::path(&cache, &key);
            let mut partial = Partial { path, file, hasher, bytes, note, validator, _lock: lock };
            // Other bytes than came; or all of them, and nothing would be left to ask for.
            if !same || partial.bytes >= most {
                partial.restart()?;
            }
            partial.take_note()?;
            Ok(partial)
        })
        .await
    }

    /// The most bytes that may come.
    fn size_max(&self) -> u64 {
        let limits = self.limits.file_bytes_max.min(self.limits.model_bytes_max);
        self.file.size.unwrap_or(limits).min(limits)
    }

    /// Asks once and takes what comes. The partial comes back also when that fails, with what came.
    async fn attempt(
        &self,
        mut partial: Partial,
    ) -> Result<(Partial, Result<(), RegistryError>), RegistryError> {
        let fetched = match self.source.fetch(self.file, partial.bytes).await {
            Ok(fetched) => fetched,
            // The beginning is of something else, or past its end: the next pull starts anew.
            Err(error) if partial.bytes > 0 && error.kind() == ErrorKind::Answer => {
                partial.restart()?;
                return Ok((partial, Err(error)));
            }
            Err(error) => return Ok((partial, Err(error))),
        };
        if fetched.from != 0 && fetched.from != partial.bytes {
            let (asked, from) = (partial.bytes, fetched.from);
            let words = format!("{}: bytes from {from} on, asked from {asked}", self.file.path);
            return Err(RegistryError::Answer(words));
        }
        if fetched.from != partial.bytes {
            partial.restart()?;
        }
        let declared = fetched.size.or(self.file.size);
        let most = self.size_max();
        if let Some(bytes) = declared.filter(|it| *it > most) {
            let words = format!("{}: {bytes} bytes, at most {most}", self.file.path);
            return Err(RegistryError::TooLarge(words));
        }
        let start = partial.bytes;
        let (send, receive) = mpsc::channel(PIECES_WAITING_MAX);
        let write =
            thread::run("registry/write", move || partial.write(receive, EarlySync::default()));
        let pump = self.pump(fetched.pieces, send, (start, declared.unwrap_or(most)));
        let (pumped, written) = join(pump, write).await;
        let partial = written?;
        let ended = pumped.and_then(|()| match declared {
            Some(size) if partial.bytes != size => Err(RegistryError::Unavailable(format!(
                "{}: {} bytes came of {size}",
                self.file.path, partial.bytes
            ))),
            _ => Ok(()),
        });
        Ok((partial, ended))
    }

    /// Hands pieces over, as many as there may be and no slower than is waited for.
    async fn pump(
        &self,
        mut pieces: Pieces,
        send: mpsc::Sender<Bytes>,
        (mut bytes, most): (u64, u64),
    ) -> Result<(), RegistryError> {
        let mut pace = Pace { since: Instant::now(), bytes: 0 };
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            if bytes > most {
                let words = format!("{}: more than the {most} bytes declared", self.file.path);
                return Err(RegistryError::Answer(words));
            }
            pace.came(piece.len() as u64, self.limits, self.file.path.as_str())?;
            self.came(piece.len() as u64)?;
            if send.send(piece).await.is_err() {
                break; // the writer has ended, and says why
            }
        }
        Ok(())
    }

    /// Takes note of bytes that are there. Those that nobody declared may be too many.
    fn came(&self, bytes: u64) -> Result<(), RegistryError> {
        self.progress.moved(bytes);
        if self.file.size.is_some() {
            return Ok(());
        }
        let taken = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(bytes));
        taken.map(drop).map_err(|left| {
            let words = format!("{}: the model may have {left} bytes more", self.file.path);
            RegistryError::TooLarge(words)
        })
    }

    /// Checks the digest and makes the bytes last.
    async fn finish(&self, mut partial: Partial) -> Result<(Digest, u64), RegistryError> {
        let (cache, to) = (self.cache.clone(), self.to.clone());
        let (expected, name) = (self.digest, self.file.path.clone());
        thread::run("registry/write", move || {
            partial.file.sync_all().map_err(local("sync", &partial.path))?;
            let hasher = std::mem::replace(&mut partial.hasher, Hasher::new());
            let digest = hasher.finish();
            if let Some(expected) = expected.filter(|it| *it != digest) {
                partial.restart()?;
                let words = format!("{name}: {digest} came where {expected} was promised");
                return Err(RegistryError::Differs { words, expected, got: digest });
            }
            settle(&cache, &partial.path, digest, &to)?;
            let done = Some(digest.to_string());
            Note { done, ..Note::default() }.write(&partial.note)?;
            Ok((digest, partial.bytes))
        })
        .await
    }
}

impl Partial {
    fn restart(&mut self) -> Result<(), RegistryError> {
        self.file.set_len(0).map_err(local("empty", &self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(local("empty", &self.path))?;
        (self.hasher, self.bytes) = (Hasher::new(), 0);
        Ok(())
    }

    /// Writes down what is there, by which another process can tell whether it still is.
    fn take_note(&self) -> Result<(), RegistryError> {
        let so_far = Some(self.hasher.so_far().to_string());
        let (validator, bytes) = (self.validator.clone(), self.bytes);
        Note { validator, bytes, so_far, done: None }.write(&self.note)
    }

    /// Takes pieces until there are no more.
    fn write(
        mut self,
        pieces: mpsc::Receiver<Bytes>,
        mut early: EarlySync,
    ) -> Result<Partial, RegistryError> {
        let taken = self.take(pieces, &mut early);
        // Also when something else has failed before: only here is told what became of these bytes.
        let synced = early.finish().map_err(local("sync", &self.path));
        if early.has_failed() {
            self.forget();
        }
        taken.and(synced).map(|()| self)
    }

    /// Leaves nothing to go on with. What the disk has not taken looks well in memory, and the kernel tells of it
    /// once: the next to sync this file would hear no word of it.
    fn forget(&mut self) {
        if let Err(error) = self.restart().and_then(|()| self.take_note()) {
            tracing::warn!(%error, "what the disk did not take of a download cannot be forgotten");
        }
    }

    fn take(
        &mut self,
        mut pieces: mpsc::Receiver<Bytes>,
        early: &mut EarlySync,
    ) -> Result<(), RegistryError> {
        let mut noted = self.bytes;
        while let Some(piece) = pieces.blocking_recv() {
            self.hasher.update(&piece);
            self.file.write_all(&piece).map_err(local("write", &self.path))?;
            self.bytes += piece.len() as u64;
            early.wrote(piece.len() as u64, &self.file).map_err(local("sync", &self.path))?;
            if self.bytes - noted >= NOTED_EVERY {
                self.take_note()?;
                noted = self.bytes;
            }
        }
        self.take_note()
    }
}

/// Is a body dripped at us?
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn came(&mut self, bytes: u64, limits: &Limits, name: &str) -> Result<(), RegistryError> {
        self.bytes += bytes;
        if self.since.elapsed() < limits.pace_window {
            return Ok(());
        }
        if self.bytes < limits.pace_bytes_min {
            let (bytes, window) = (self.bytes, limits.pace_window);
            return Err(RegistryError::Slow(format!("{name}: {bytes} bytes in {window:?}")));
        }
        *self = Pace { since: Instant::now(), bytes: 0 };
        Ok(())
    }
}

/// Names a download: by its content where that is known, else by where it comes from.
pub(crate) fn key(file: &Remote, digest: Option<Digest>, origin: &str) -> String {
    match digest {
        Some(digest) => digest.hex(),
        None => {
            let validator = file.validator.as_deref().unwrap_or_default();
            let words = format!("{origin}\n{}\n{}\n{validator}", file.at, file.path);
            Digest::of(words.as_bytes()).hex()
        }
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
