//! Models on this machine's disk, named by their content and shared by every process.
//!
//! ```text
//! blobs/<hex>          every file once, read-only; <hex> is its SHA-256
//! trees/<hex>/         a model: `listing`, `files/..` (hard links to blobs), `used` (lock and last use), and,
//!                      where somebody has vouched for it, `vouched`
//! records/<hex>.json   what an address was when it was last looked at
//! partial/<hex>        a file on its way, and <hex>.json about it
//! staging/<name>/      a tree in the making
//! locks/<hex>          single flight
//! ```
//!
//! Whatever has its final name is whole: it was written elsewhere, synced and renamed. What was promised by
//! a name is checked again when it is used.

mod evict;
mod flock;
mod listing;
mod record;
mod staging;
mod vouched;

pub use evict::Swept;
pub(crate) use flock::Flock;
pub use listing::{Fact, Listing};
pub use record::{Record, replace};
use staging::sync_all;
pub(crate) use staging::{Staging, settle};

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::digest::Digest;
use crate::error::{RegistryError, local};
use crate::path::RelativePath;
use flock::Hold;

/// A folder of models.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    bytes_max: u64,
}

/// A model in use: it is whole, and stays while this is held.
#[derive(Debug)]
pub struct Lease {
    folder: PathBuf,
    listing: Listing,
    digest: Digest,
    lock: Flock,
}

impl Lease {
    /// Of a tree whose bytes have been hashed, and whose lock is held.
    fn new(tree: &Path, listing: Listing, digest: Digest, lock: Flock) -> Lease {
        Lease { folder: tree.join("files"), listing, digest, lock }
    }

    /// Where its files lie. They are read-only: a change would be one to the cache.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What they are.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The model's name.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Copies the files to a folder that is empty or new. It appears whole: copied beside, then renamed.
    pub fn copy_to(&self, to: &Path) -> Result<(), RegistryError> {
        let name = to.file_name().ok_or_else(|| {
            RegistryError::Invalid(format!("{} is no name for a folder", to.display()))
        })?;
        let beside = to.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let aside = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let aside = beside.join(aside);
        // Of a process that had our number and died half way, as the first of a container always has.
        let _ = fs::remove_dir_all(&aside);
        let copied = self.copy_files(&aside).and_then(|()| {
            sync_all(&aside)?;
            fs::rename(&aside, to).map_err(local("fill", to))?;
            sync_folder(beside)
        });
        if copied.is_err() {
            let _ = fs::remove_dir_all(&aside);
        }
        copied
    }

    fn copy_files(&self, to: &Path) -> Result<(), RegistryError> {
        for (path, fact) in self.listing.iter() {
            let (from, to) = (path.under(&self.folder), path.under(to));
            let folder = to.parent().unwrap_or(&to);
            fs::create_dir_all(folder).map_err(local("make the folder", folder))?;
            fs::copy(&from, &to).map_err(local("write", &to))?;
            let writable = fs::Permissions::from_mode(0o644);
            fs::set_permissions(&to, writable).map_err(local("write", &to))?;
            let synced = File::open(&to).and_then(|it| it.sync_all());
            synced.map_err(local("sync", &to))?;
            if Digest::of_file(&to)? != (fact.digest, fact.size) {
                let words = format!("{} was not copied as it is", from.display());
                return Err(RegistryError::Corrupt(words));
            }
        }
        Ok(())
    }
}

/// A model of the cache that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub tree: Digest,
    /// What is wrong, in words.
    pub why: String,
}

impl Cache {
    /// Opens, and makes if need be. `bytes_max` is what all files together may take; what is in use
    /// stays even so.
    pub fn open(root: &Path, bytes_max: u64) -> Result<Cache, RegistryError> {
        for folder in ["blobs", "trees", "records", "partial", "staging", "locks"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(local("make the folder", &folder))?;
        }
        let root = root.canonicalize().map_err(local("open", root))?;
        Ok(Cache { root, bytes_max })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What all files together may take.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Every model that is there.
    pub fn trees(&self) -> Result<Vec<Digest>, RegistryError> {
        let folder = self.root.join("trees");
        let names = fs::read_dir(&folder).map_err(local("list", &folder))?;
        let digests =
            names.filter_map(|it| it.ok()?.file_name().to_string_lossy().parse::<Digest>().ok());
        let mut digests: Vec<Digest> = digests.collect();
        digests.sort();
        Ok(digests)
    }

    /// Is it there? What `lease` then finds may be another matter.
    pub(crate) fn has(&self, tree: Digest) -> bool {
        self.tree(tree).join("listing").exists()
    }

    /// Takes a model into use, every byte checked. `None` if it is not there. One that is not what its
    /// name says is thrown away, so that it can be fetched again.
    pub fn lease(&self, tree: Digest) -> Result<Option<Lease>, RegistryError> {
        let Some(lease) = self.lease_unchecked(tree)? else { return Ok(None) };
        match self.check(&lease) {
            Ok(()) => Ok(Some(lease)),
            Err(why) => {
                if matches!(why, RegistryError::Corrupt(_)) {
                    self.discard(tree, &lease.lock)?;
                }
                Err(why)
            }
        }
    }

    /// Likewise, without looking at the bytes yet.
    pub(crate) fn lease_unchecked(&self, tree: Digest) -> Result<Option<Lease>, RegistryError> {
        let folder = self.tree(tree);
        let used = folder.join("used");
        let mut tries = 0;
        let lock = loop {
            match Flock::try_on(&used, Hold::Shared, false).map_err(local("lock", &used))? {
                Some(lock) => break lock,
                None if !used.exists() => return Ok(None),
                // Someone looks whether it is in use, which takes a moment.
                None if tries < 1000 => std::thread::sleep(Duration::from_millis(1)),
                None => {
                    let words = format!("{} stays locked", used.display());
                    return Err(RegistryError::Slow(words));
                }
            }
            tries += 1;
        };
        let touched = lock.file().set_times(FileTimes::new().set_modified(SystemTime::now()));
        touched.map_err(local("touch", &used))?;
        let path = folder.join("listing");
        let listing = match fs::read_to_string(&path).map_err(local("read", &path)) {
            Ok(text) => Listing::parse(&text, tree),
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error),
        };
        let Some(listing) = listing else {
            self.discard(tree, &lock)?;
            let words = format!("{} is not the listing it is named after", path.display());
            return Err(RegistryError::Corrupt(words));
        };
        Ok(Some(Lease::new(&folder, listing, tree, lock)))
    }

    /// Hashes every file; there may be no others.
    fn check(&self, lease: &Lease) -> Result<(), RegistryError> {
        let mut wrong = Vec::new();
        for (path, fact) in lease.listing.iter() {
            let found = match Digest::of_file(&path.under(&lease.folder)) {
                Ok(found) if found == (fact.digest, fact.size) => continue,
                Ok((digest, size)) => format!("{digest}, {size} bytes"),
                Err(error) if is_damage(&error) => error.to_string(),
                Err(error) => return Err(error),
            };
            wrong.push(format!("{path} is not {} with {} bytes: {found}", fact.digest, fact.size));
            // The blob is the same file by another name.
            let _ = fs::remove_file(self.blob(fact.digest));
        }
        if wrong.is_empty() {
            strangers(&lease.folder, &lease.folder, (&lease.listing, &mut wrong))?;
        }
        match wrong.first() {
            None => Ok(()),
            Some(first) => {
                let (folder, more) = (lease.folder.display(), wrong.len() - 1);
                let rest = if more > 0 { format!(" (and {more} more)") } else { String::new() };
                Err(RegistryError::Corrupt(format!("{folder}: {first}{rest}")))
            }
        }
    }

    /// Checks every model and throws away what is not what it should be.
    pub fn verify(&self) -> Result<(Vec<Digest>, Vec<Fault>), RegistryError> {
        let (mut whole, mut faults) = (Vec::new(), Vec::new());
        for tree in self.trees()? {
            match self.lease(tree) {
                Ok(Some(_)) => whole.push(tree),
                Ok(None) => {}
                Err(error @ RegistryError::Corrupt(_)) => {
                    faults.push(Fault { tree, why: error.to_string() });
                }
                Err(other) => return Err(other),
            }
        }
        Ok((whole, faults))
    }

    /// Makes room for `room` bytes by throwing away what was used longest ago; never what is leased or
    /// in `keep`.
    pub fn sweep(&self, room: u64, keep: &BTreeSet<Digest>) -> Result<Swept, RegistryError> {
        evict::sweep(self, self.bytes_max.saturating_sub(room), keep)
    }

    /// Takes a tree out of sight and removes it. Those who have its files open keep them. `held` is its
    /// lock: if that is no longer the tree's, the tree is another, and not the one that was judged.
    fn discard(&self, tree: Digest, held: &Flock) -> Result<(), RegistryError> {
        let used = self.tree(tree).join("used");
        if !held.is_at(&used).map_err(local("open", &used))? {
            return Ok(());
        }
        let staging = Staging::new(self)?;
        let (from, to) = (self.tree(tree), staging.folder().join("discarded"));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(local("move", &from)(error))
            }
            _ => Ok(()),
        }
    }

    /// Links a blob to `to`, if there is one and it is what its name says.
    pub(crate) fn reuse(&self, digest: Digest, to: &Path) -> Result<Option<u64>, RegistryError> {
        let blob = self.blob(digest);
        match fs::hard_link(&blob, to) {
            Ok(()) => {}
            // Not there; another user's; or the same in so many models that it can have no more names.
            Err(error) if cannot_link(&error) => return Ok(None),
            Err(error) => return Err(local("link", &blob)(error)),
        }
        // From here on it cannot be swept away: the link keeps it.
        let (found, size) = Digest::of_file(to)?;
        if found == digest {
            return Ok(Some(size));
        }
        let _ = fs::remove_file(&blob);
        fs::remove_file(to).map_err(local("remove", to))?;
        Ok(None)
    }

    pub(crate) fn lock(&self, key: &str) -> PathBuf {
        self.root.join("locks").join(key)
    }

    pub(crate) fn partial(&self, key: &str) -> PathBuf {
        self.root.join("partial").join(key)
    }

    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    fn tree(&self, digest: Digest) -> PathBuf {
        self.root.join("trees").join(digest.hex())
    }
}

/// What Linux says when a disk cannot read a block.
const EIO: i32 = 5;

/// Is it the file that is damaged? Or is it us who cannot read it now: too many are open, a mount is away?
/// Then it must not be thrown away: its registry may be down as well.
fn is_damage(error: &RegistryError) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound};
    let RegistryError::Local(_, error) = error else { return false };
    let gone = matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidData);
    gone || error.raw_os_error() == Some(EIO)
}

fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, TooManyLinks};
    matches!(error.kind(), NotFound | PermissionDenied | TooManyLinks)
}

/// Says what lies in the folder of a model and is none of its files. Whoever reads the folder would read it.
fn strangers(
    root: &Path,
    folder: &Path,
    (listing, wrong): (&Listing, &mut Vec<String>),
) -> Result<(), RegistryError> {
    for entry in fs::read_dir(folder).map_err(local("list", folder))? {
        let entry = entry.map_err(local("list", folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(local("list", &path))?;
        if kind.is_dir() {
            strangers(root, &path, (listing, &mut *wrong))?;
            continue;
        }
        let name = path.strip_prefix(root).ok().and_then(Path::to_str);
        let name = name.and_then(|it| RelativePath::new(it).ok());
        if !kind.is_file() || name.is_none_or(|it| listing.get(&it).is_none()) {
            wrong.push(format!("{} does not belong to it", path.display()));
        }
    }
    Ok(())
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), RegistryError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(local("sync", folder))
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
