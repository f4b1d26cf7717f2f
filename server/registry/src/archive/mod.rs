//! Unpacks archives of verified bytes into a staging. Nothing of a name or a length in them is believed.

mod tar;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::cache::{Cache, Fact, Staging, settle};
use crate::digest::Hasher;
use crate::error::{RegistryError, local};
use crate::limits::Limits;
use crate::path::RelativePath;
use tar::{Kind, Tar};

/// How layers of an image say that a file of an earlier one is gone.
const WHITEOUT: &str = ".wh.";
/// Likewise, that everything of a folder is.
const OPAQUE: &str = ".wh..wh..opq";

/// Files of a model so far, by name; later layers replace earlier ones.
pub(crate) type Files = BTreeMap<RelativePath, Fact>;

/// Where to, and how much at most.
pub(crate) struct Unpack<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) staging: &'a Staging,
    pub(crate) limits: &'a Limits,
    /// Bytes of files that all archives of the model together may still bring.
    pub(crate) left: u64,
}

impl Unpack<'_> {
    /// Adds the files of the archive at `path` to `files`: those in `folder`, which becomes the root.
    pub(crate) fn run(
        &mut self,
        path: &Path,
        (gzip, folder): (bool, &str),
        files: &mut Files,
    ) -> Result<(), RegistryError> {
        let packed = File::open(path).map_err(local("open", path))?;
        let size = packed.metadata().map_err(local("open", path))?.len();
        let most = size.saturating_mul(self.limits.unpack_ratio_max);
        let most = most.max(self.limits.unpack_bytes_free).min(self.limits.model_bytes_max);
        let buffered = BufReader::with_capacity(256 << 10, packed);
        let plain: Box<dyn Read> = match gzip {
            true => Box::new(MultiGzDecoder::new(buffered)),
            false => Box::new(buffered),
        };
        let mut tar = Tar::new(Bounded { inner: plain, left: most });
        // Files alone would not do: an archive of nothing but folders has none.
        let (mut entries, mut own) = (0, Files::new());
        while let Some(entry) = tar.next()? {
            entries += 1;
            if entries > self.limits.files_max.saturating_mul(16) {
                return Err(RegistryError::TooLarge(format!("{entries} entries in an archive")));
            }
            if hides_all(&entry.name, folder) {
                self.hide("", files)?;
                continue;
            }
            let inside = match within(&entry.name, folder) {
                Some(name) => RelativePath::new(name)?,
                None => continue,
            };
            match entry.kind {
                Kind::Folder => {}
                Kind::Other => {
                    let words = format!("{inside} in an archive is a link or no plain file");
                    return Err(RegistryError::Policy(words));
                }
                Kind::File => self.entry(&inside, &mut tar, (&mut own, files))?,
            }
        }
        files.append(&mut own);
        Ok(())
    }

    /// `own` are files of this archive, `lower` those of archives before: what is marked as gone is gone
    /// from these.
    fn entry<R: Read>(
        &mut self,
        path: &RelativePath,
        tar: &mut Tar<R>,
        (own, lower): (&mut Files, &mut Files),
    ) -> Result<(), RegistryError> {
        if let Some(gone) = path.name().strip_prefix(WHITEOUT) {
            let folder = path.as_str().strip_suffix(path.name()).unwrap_or_default();
            let one = format!("{folder}{gone}");
            let whole = path.name() == OPAQUE;
            return self.hide(if whole { folder } else { &one }, lower);
        }
        if own.len() + lower.len() >= self.limits.files_max {
            let words = format!("more than {} files in archives", self.limits.files_max);
            return Err(RegistryError::TooLarge(words));
        }
        if tar.left() > self.left {
            let (bytes, left) = (tar.left(), self.left);
            let words =
                format!("{path} in an archive has {bytes} bytes, the model may have {left} more");
            return Err(RegistryError::TooLarge(words));
        }
        let to = self.staging.place(path)?;
        if own.remove(path).or(lower.remove(path)).is_some() {
            remove(&to)?;
        }
        let aside = self.staging.aside("unpacked");
        let fact = write(&aside, tar)?;
        self.left -= fact.size;
        own.insert(path.clone(), fact);
        settle(self.cache, &aside, fact.digest, &to)
    }

    /// Takes away what a mark for `target` hides.
    fn hide(&self, target: &str, lower: &mut Files) -> Result<(), RegistryError> {
        let gone: Vec<RelativePath> =
            lower.keys().filter(|it| hides(target, it)).cloned().collect();
        for path in gone {
            lower.remove(&path);
            remove(&self.staging.place(&path)?)?;
        }
        Ok(())
    }
}

/// Is this a mark outside `folder` that hides all of it: its own, or that of the root?
fn hides_all(name: &str, folder: &str) -> bool {
    let name = name.trim_start_matches("./");
    !folder.is_empty() && (name == OPAQUE || name.strip_prefix(WHITEOUT) == Some(folder))
}

/// What is left of an entry's name within `folder`; `None` if it lies elsewhere. Names elsewhere, in the
/// rest of an image, are not ours to judge.
fn within<'a>(name: &'a str, folder: &str) -> Option<&'a str> {
    let name = name.trim_start_matches("./").trim_end_matches('/');
    let inside = match folder {
        "" => name,
        folder => name.strip_prefix(folder)?.strip_prefix('/')?,
    };
    if inside.is_empty() || inside == "." { None } else { Some(inside) }
}

/// Does a mark for `target` hide the file? A target that ends in `/`, or is empty, means all below.
fn hides(target: &str, path: &RelativePath) -> bool {
    let whole = target.is_empty() || target.ends_with('/');
    let rest = path.as_str().strip_prefix(target);
    rest.is_some_and(|it| whole || it.is_empty() || it.starts_with('/'))
}

fn remove(path: &Path) -> Result<(), RegistryError> {
    std::fs::remove_file(path).map_err(local("remove", path))
}

/// Writes the entry at hand to a file and hashes it.
fn write<R: Read>(path: &Path, tar: &mut Tar<R>) -> Result<Fact, RegistryError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = opened.map_err(local("make", path))?;
    file.set_permissions(Permissions::from_mode(0o644)).map_err(local("protect", path))?;
    let (mut hasher, mut size) = (Hasher::new(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = tar.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(local("write", path))?;
        size += read as u64;
    }
    file.sync_all().map_err(local("sync", path))?;
    Ok(Fact { digest: hasher.finish(), size })
}

/// Fails where an archive turns out larger than it may be.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it grows too large")),
        }
        Ok(read)
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
