//! A tree in the making: nobody sees it until it is whole.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::flock::{Flock, Hold};
use super::{Cache, Lease, Listing, sync_folder};
use crate::digest::Digest;
use crate::error::{RegistryError, local};
use crate::path::RelativePath;

/// Tells the stagings of one process from each other.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A folder of its own, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    _lock: Flock,
}

impl Staging {
    pub(crate) fn new(cache: &Cache) -> Result<Staging, RegistryError> {
        loop {
            let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let folder = cache.root.join("staging").join(name);
            match fs::create_dir(&folder) {
                // A process of that number was here before, or is, on another machine.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(local("make the folder", &folder))?,
            }
            let path = folder.join("lock");
            let lock = match Flock::try_on(&path, Hold::Exclusive, true) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                locked => locked.map_err(local("lock", &path))?,
            };
            // A sweeper took it for dead, in the moment before it was locked: leave it the folder.
            let Some(lock) = lock else { continue };
            let files = folder.join("tree/files");
            fs::create_dir_all(&files).map_err(local("make the folder", &files))?;
            return Ok(Staging { folder, _lock: lock });
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file of the tree goes; its folder exists afterwards.
    pub(crate) fn place(&self, path: &RelativePath) -> Result<PathBuf, RegistryError> {
        let place = path.under(&self.folder.join("tree/files"));
        let folder = place.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(local("make the folder", folder))?;
        Ok(place)
    }

    /// Where something goes that is no file of the tree.
    pub(crate) fn aside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Gives the tree its name, and takes it into use. If it is there already, that one is taken: it is
    /// the same, once it is checked.
    pub(crate) fn publish(self, cache: &Cache, listing: &Listing) -> Result<Lease, RegistryError> {
        let tree = self.folder.join("tree");
        let digest = listing.digest();
        let path = tree.join("listing");
        fs::write(&path, listing.text()).map_err(local("write", &path))?;
        let synced = fs::File::open(&path).and_then(|it| it.sync_all());
        synced.map_err(local("sync", &path))?;
        let used = tree.join("used");
        // In use before anyone can see it: no sweep comes in between.
        let lock = Flock::try_on(&used, Hold::Shared, true).map_err(local("lock", &used))?;
        let ours =
            lock.ok_or_else(|| RegistryError::Slow(format!("{} is locked", used.display())))?;
        sync_all(&tree)?;
        let to = cache.tree(digest);
        for _ in 0..PUBLISH_TRIES {
            match fs::rename(&tree, &to) {
                Err(error) if is_there(&error) => match cache.lease(digest) {
                    Ok(Some(lease)) => return Ok(lease),
                    // Swept, or without the file that is locked to judge it: then it gets one.
                    Ok(None) => drop(fs::File::create_new(to.join("used"))),
                    // It was damaged, and is no longer in the way.
                    Err(RegistryError::Corrupt(_)) => {}
                    Err(error) => return Err(error),
                },
                renamed => {
                    renamed.map_err(local("publish", &to))?;
                    sync_folder(&cache.root.join("trees"))?;
                    return Ok(Lease::new(&to, listing.clone(), digest, ours));
                }
            }
        }
        Err(RegistryError::Corrupt(format!("{digest} is damaged again and again")))
    }
}

/// Another tree of that name can be in the way, be damaged, and come back: not for ever.
const PUBLISH_TRIES: usize = 10;

fn is_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by a sweep.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Syncs a folder and those in it; their files were synced when they were written.
pub(super) fn sync_all(folder: &Path) -> Result<(), RegistryError> {
    for entry in fs::read_dir(folder).map_err(local("list", folder))? {
        let entry = entry.map_err(local("list", folder))?;
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            sync_all(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Gives the bytes at `from`, whole and hashed, their name among the blobs and a place in a staging,
/// and takes the old name away. At no time is the blob without a second link, by which a sweep would know
/// it for unused. The bytes are synced already; a crash may cost the name, which costs a download. Where
/// the staging has gone, `from` stays as it was, and can be written to.
pub(crate) fn settle(
    cache: &Cache,
    from: &Path,
    digest: Digest,
    to: &Path,
) -> Result<(), RegistryError> {
    fs::hard_link(from, to).map_err(local("link", to))?;
    let read_only = fs::Permissions::from_mode(0o444);
    fs::set_permissions(from, read_only).map_err(local("protect", from))?;
    let blob = cache.blob(digest);
    match fs::hard_link(from, &blob) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked.map_err(local("link", &blob))?,
    }
    fs::remove_file(from).map_err(local("remove", from))
}
