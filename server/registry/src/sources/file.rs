//! `file:`: a folder, or one file, of this machine.

use std::fs::{self, File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::digest::Digest;
use crate::error::{RegistryError, local};
use crate::judge::Judge;
use crate::limits::{BUFFER_BYTES, DEPTH_MAX, Limits};
use crate::path::RelativePath;
use crate::source::{Fetched, Form, Manifest, Remote, Resolution, Source};
use crate::thread;
use crate::versions;

/// A folder of this machine.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    version: Option<u64>,
    limits: Limits,
}

impl Folder {
    pub(super) fn new(root: PathBuf, version: Option<u64>, limits: Limits) -> Folder {
        Folder { root, version, limits }
    }

    fn look(&self) -> Result<Manifest, RegistryError> {
        if !self.root.exists() {
            let words = format!("{} does not exist", self.root.display());
            return Err(RegistryError::NotFound(words));
        }
        let root = self.root.canonicalize().map_err(local("open", &self.root))?;
        let mut files = Vec::new();
        if root.is_file() {
            let name = root.file_name().map(|it| it.to_string_lossy().into_owned());
            files.push(remote(&root, &RelativePath::new(&name.unwrap_or_default())?)?);
        } else {
            self.walk(&root, &root, &mut files, &mut 0)?;
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let (version, files) = versions::choose(files, self.version)?;
        let seen = files
            .iter()
            .map(|it| format!("{} {}\n", it.path, it.validator.as_deref().unwrap_or_default()));
        let identity = format!("files {}", Digest::of(seen.collect::<String>().as_bytes()));
        Ok(Manifest { identity, version, files, ..Manifest::default() })
    }

    /// Links are followed as long as they stay inside: that is how Kubernetes mounts its volumes.
    fn walk(
        &self,
        root: &Path,
        folder: &Path,
        files: &mut Vec<Remote>,
        entries: &mut usize,
    ) -> Result<(), RegistryError> {
        let inside = folder.strip_prefix(root).unwrap_or(folder);
        if inside.components().count() >= DEPTH_MAX {
            return Err(RegistryError::TooLarge(format!("{} is too deep", folder.display())));
        }
        for entry in fs::read_dir(folder).map_err(local("list", folder))? {
            let entry = entry.map_err(local("list", folder))?;
            let path = entry.path();
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue; // what editors, Git and mounts leave behind is no part of a model
            }
            // Links to folders around them have no end, and no files.
            *entries += 1;
            let most = self.limits.files_max;
            if files.len() > most || *entries > most.saturating_mul(4) {
                let words = format!("{} has more than {most} files, or links", root.display());
                return Err(RegistryError::TooLarge(words));
            }
            let real = path.canonicalize().map_err(local("open", &path))?;
            if !real.starts_with(root) {
                let words = format!("{} is a link out of the model", path.display());
                return Err(RegistryError::Policy(words));
            }
            if real.is_dir() {
                self.walk(root, &path, files, entries)?;
                continue;
            }
            let inside = path.strip_prefix(root).unwrap_or(&path);
            let text = inside
                .to_str()
                .ok_or_else(|| RegistryError::Policy(format!("{} is not UTF-8", path.display())))?;
            files.push(remote(&path, &RelativePath::new(text)?)?);
        }
        Ok(())
    }
}

/// A file and what tells its content from an earlier one.
fn remote(path: &Path, name: &RelativePath) -> Result<Remote, RegistryError> {
    let about = fs::metadata(path).map_err(local("open", path))?;
    if !about.is_file() {
        return Err(RegistryError::Policy(format!("{} is no plain file", path.display())));
    }
    let at = path.to_string_lossy().into_owned();
    let (size, validator) = (Some(about.len()), Some(validator(&about)));
    Ok(Remote { path: name.clone(), size, digest: None, validator, form: Form::Plain, at })
}

fn validator(about: &Metadata) -> String {
    let (inode, size) = (about.ino(), about.len());
    format!("{inode}-{size}-{}.{}", about.mtime(), about.mtime_nsec())
}

/// Is an open file the one that was seen, as it was? Else what was read of it may be half of each.
fn check_same(file: &File, seen: Option<&str>, path: &Path) -> Result<(), RegistryError> {
    let now = validator(&file.metadata().map_err(local("open", path))?);
    match seen.is_some_and(|it| it != now) {
        true => Err(RegistryError::Answer(format!("{} changed while it was read", path.display()))),
        false => Ok(()),
    }
}

#[async_trait]
impl Source for Folder {
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError> {
        let folder = self.clone();
        let manifest = thread::run("registry/file", move || folder.look()).await?;
        Ok(match known == Some(manifest.identity.as_str()) {
            true => Resolution::Unchanged,
            false => Resolution::Manifest(manifest),
        })
    }

    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError> {
        let (path, seen) = (PathBuf::from(&file.at), file.validator.clone());
        let (opened, expected) = (path.clone(), seen.clone());
        let (mut file, size) = thread::run("registry/file", move || {
            let mut file = File::open(&opened).map_err(local("open", &opened))?;
            check_same(&file, expected.as_deref(), &opened)?;
            file.seek(SeekFrom::Start(from)).map_err(local("read", &opened))?;
            let size = file.metadata().map_err(local("open", &opened))?.len();
            Ok((file, size))
        })
        .await?;
        let (send, receive) = mpsc::channel::<Result<Bytes, RegistryError>>(2);
        thread::start("registry/file", move || {
            loop {
                let mut piece = BytesMut::zeroed(BUFFER_BYTES);
                let piece = match file.read(&mut piece) {
                    Ok(0) => match check_same(&file, seen.as_deref(), &path) {
                        Ok(()) => return,
                        Err(error) => Err(error),
                    },
                    Ok(read) => Ok(piece.split_to(read).freeze()),
                    Err(error) => Err(local("read", &path)(error)),
                };
                let last = piece.is_err();
                if send.blocking_send(piece).is_err() || last {
                    return;
                }
            }
        })?;
        let next = |mut receive: mpsc::Receiver<_>| async move {
            receive.recv().await.map(|piece| (piece, receive))
        };
        Ok(Fetched { from, size: Some(size), pieces: Box::pin(stream::unfold(receive, next)) })
    }

    async fn vouchers(&self, _: &mut Judge<'_>) {}
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
