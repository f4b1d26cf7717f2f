//! What goes when the cache is full: what was used longest ago.
//!
//! `plan` decides and is pure; `sweep` looks and does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::flock::{Flock, Hold};
use super::{Cache, Listing};
use crate::digest::Digest;
use crate::error::{RegistryError, local};

/// What a process that died left behind is removed when it is so old.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);
/// A note that a file is whole serves a pull that was given up and is taken up again, at most so late.
const NOTES_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Something that can be thrown away as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) what: What,
    pub(super) used: SystemTime,
    pub(super) in_use: bool,
    /// Files by inode, with their sizes: two items can share one.
    pub(super) files: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Tree(Digest),
    Blob(Digest),
    Partial(String),
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Bytes of everything that is left.
    pub bytes: u64,
    /// Models that are gone.
    pub trees: Vec<Digest>,
}

/// Which items go, oldest first, until the rest takes `bytes_max` or nothing more may go; and what the
/// rest takes. A file that is shared goes with the last item that has it.
pub(super) fn plan(items: &[Item], bytes_max: u64) -> (Vec<usize>, u64) {
    let mut holders: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for (inode, size) in items.iter().flat_map(|it| &it.files) {
        holders.entry(*inode).or_insert((0, *size)).0 += 1;
    }
    let mut bytes: u64 = holders.values().map(|(_, size)| size).sum();
    let mut order: Vec<usize> = (0..items.len()).filter(|&it| !items[it].in_use).collect();
    order.sort_by_key(|&it| items[it].used);
    let mut gone = Vec::new();
    for item in order {
        if bytes <= bytes_max {
            break;
        }
        for (inode, _) in &items[item].files {
            if let Some((holders, size)) = holders.get_mut(inode) {
                *holders -= 1;
                bytes -= if *holders == 0 { *size } else { 0 };
            }
        }
        gone.push(item);
    }
    (gone, bytes)
}

pub(super) fn sweep(
    cache: &Cache,
    bytes_max: u64,
    keep: &BTreeSet<Digest>,
) -> Result<Swept, RegistryError> {
    tidy(cache)?;
    let items = look(cache, keep)?;
    let (gone, bytes) = plan(&items, bytes_max);
    let mut swept = Swept { bytes, trees: Vec::new() };
    for item in gone.into_iter().map(|it| &items[it]) {
        match &item.what {
            What::Tree(digest) => {
                let used = cache.tree(*digest).join("used");
                // Locked while it is moved away: who comes now finds another file, or none.
                let held = Flock::try_on(&used, Hold::Exclusive, false);
                let held = held.map_err(local("lock", &used))?;
                if let Some(held) = held {
                    let listing = read(cache, *digest);
                    cache.discard(*digest, &held)?;
                    swept.trees.push(*digest);
                    for (_, fact) in listing.iter().flat_map(Listing::iter) {
                        remove_loose(cache, fact.digest)?;
                    }
                }
            }
            What::Blob(digest) => remove_loose(cache, *digest)?,
            What::Partial(key) => {
                let lock = cache.lock(key);
                let held = Flock::try_on(&lock, Hold::Exclusive, true);
                let held = held.map_err(local("lock", &lock))?;
                if held.is_some() {
                    let _ = fs::remove_file(cache.partial(key));
                    let _ = fs::remove_file(cache.partial(&format!("{key}.json")));
                }
            }
        }
    }
    Ok(swept)
}

fn look(cache: &Cache, keep: &BTreeSet<Digest>) -> Result<Vec<Item>, RegistryError> {
    let (mut items, mut in_trees) = (Vec::new(), BTreeSet::new());
    for tree in cache.trees()? {
        let used = cache.tree(tree).join("used");
        let Ok(about) = fs::metadata(&used) else { continue };
        let free = Flock::try_on(&used, Hold::Exclusive, false).map_err(local("lock", &used))?;
        let leased = free.is_none();
        drop(free); // who wants to lease it meanwhile waits for us
        let mut files = Vec::new();
        for (path, fact) in read(cache, tree).iter().flat_map(Listing::iter) {
            let path = path.under(&cache.tree(tree).join("files"));
            if let Ok(about) = fs::metadata(&path) {
                files.push((about.ino(), about.len()));
                in_trees.insert(fact.digest);
            }
        }
        let in_use = leased || keep.contains(&tree);
        items.push(Item { what: What::Tree(tree), used: when(&about), in_use, files });
    }
    each(&cache.root.join("blobs"), |entry, about| {
        let Ok(digest) = entry.file_name().to_string_lossy().parse::<Digest>() else { return };
        if !in_trees.contains(&digest) {
            // A second link is a tree in the making.
            let (in_use, files) = (about.nlink() > 1, vec![(about.ino(), about.len())]);
            items.push(Item { what: What::Blob(digest), used: when(about), in_use, files });
        }
    })?;
    each(&cache.root.join("partial"), |entry, about| {
        let key = entry.file_name().to_string_lossy().into_owned();
        if !key.contains('.') {
            let lock = Flock::try_on(&cache.lock(&key), Hold::Exclusive, true);
            let in_use = !matches!(lock, Ok(Some(_)));
            let files = vec![(about.ino(), about.len())];
            items.push(Item { what: What::Partial(key), used: when(about), in_use, files });
        }
    })?;
    Ok(items)
}

/// Removes what dead processes left: stagings, and locks, notes and records that nobody needs.
fn tidy(cache: &Cache) -> Result<(), RegistryError> {
    let older = |about: &Metadata, than| when(about).elapsed().is_ok_and(|it| it > than);
    let old = |about: &Metadata| older(about, LEFT_BEHIND);
    each(&cache.root.join("staging"), |entry, about| {
        let lock = Flock::try_on(&entry.path().join("lock"), Hold::Exclusive, false);
        let dead = matches!(lock, Ok(Some(_))) || old(about) && !entry.path().join("lock").exists();
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    })?;
    each(&cache.root.join("locks"), |entry, about| {
        // Unlinked while it is held: who locked it just before looks again and makes a new one.
        let held = old(about).then(|| Flock::try_on(&entry.path(), Hold::Exclusive, false));
        if let Some(Ok(Some(_))) = held {
            let _ = fs::remove_file(entry.path());
        }
    })?;
    each(&cache.root.join("partial"), |entry, about| {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(key) = name.strip_suffix(".json") {
            let done = crate::download::Note::read(cache, key).and_then(|it| it.done());
            let blob = done.is_some_and(|it| cache.blob(it).exists());
            let serves = blob && !older(about, NOTES_KEPT) || cache.partial(key).exists();
            if old(about) && !serves {
                let _ = fs::remove_file(entry.path());
            }
        }
    })?;
    each(&cache.root.join("records"), |entry, about| {
        let aside = entry.file_name().as_encoded_bytes().starts_with(b".");
        if old(about) && (aside || !cache.is_backed(&entry.path())) {
            let _ = fs::remove_file(entry.path());
        }
    })
}

/// A blob that no tree has any more.
fn remove_loose(cache: &Cache, digest: Digest) -> Result<(), RegistryError> {
    let blob = cache.blob(digest);
    match fs::metadata(&blob) {
        Ok(about) if about.nlink() == 1 => fs::remove_file(&blob).map_err(local("remove", &blob)),
        _ => Ok(()),
    }
}

fn read(cache: &Cache, tree: Digest) -> Option<Listing> {
    let text = fs::read_to_string(cache.tree(tree).join("listing")).ok()?;
    Listing::parse(&text, tree)
}

fn when(about: &Metadata) -> SystemTime {
    about.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Every entry that is still there when it is looked at.
fn each(folder: &Path, mut see: impl FnMut(&DirEntry, &Metadata)) -> Result<(), RegistryError> {
    for entry in fs::read_dir(folder).map_err(local("list", folder))? {
        let entry = entry.map_err(local("list", folder))?;
        if let Ok(about) = entry.metadata() {
            see(&entry, &about);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "evict_tests.rs"]
mod tests;
