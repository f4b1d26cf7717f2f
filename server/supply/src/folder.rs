//! One model's folder in the repository: links to versions in the cache, and its `model.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use server_base::{Content, Version};
use server_registry::{Digest, Lease, Uri};
use toml::Table;

use crate::facts::Facts;
use crate::file::model_toml;
use crate::supply::Fate;
use crate::target::Target;

/// See the module.
#[derive(Debug)]
pub(crate) struct ModelFolder {
    path: PathBuf,
    target: Target,
    /// What each address names.
    named: BTreeMap<String, Version>,
    /// What is linked, and whose it is. Held, so that no sweep of the cache takes the files.
    linked: BTreeMap<Version, Link>,
    /// What the source named before: it may still be answering, and is what a roll-back wants.
    before: Option<Version>,
    /// The rollout that the tags of the source's version ask for.
    asked: Option<Table>,
}

#[derive(Debug)]
struct Link {
    lease: Arc<Lease>,
    /// The address that named it last, as people may see it.
    source: String,
    /// What its registry says of it.
    facts: Facts,
    is_shown: bool,
}

/// Why a version is not placed.
#[derive(Debug)]
pub(crate) enum Misplaced {
    /// Only other content cures it.
    Unusable(String),
    /// It cannot be linked.
    Disk(io::Error),
}

impl From<io::Error> for Misplaced {
    fn from(error: io::Error) -> Misplaced {
        Misplaced::Disk(error)
    }
}

impl ModelFolder {
    /// An empty folder. The model is known from here on, though it has no version yet.
    pub(crate) fn new(repository: &Path, target: Target) -> io::Result<ModelFolder> {
        let path = repository.join(target.model.as_str());
        fs::create_dir_all(&path)?;
        let (named, linked) = (BTreeMap::new(), BTreeMap::new());
        Ok(ModelFolder { path, target, named, linked, before: None, asked: None })
    }

    /// Whose it is.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// What is linked, for people.
    pub(crate) fn contents(&self) -> BTreeMap<Version, Content> {
        let content = |it: &Link| {
            let (source, digest) = (it.source.clone(), it.lease.digest().to_string());
            Content { source, digest, facts: it.facts.clone() }
        };
        self.linked.iter().map(|(version, it)| (*version, content(it))).collect()
    }

    /// What an address named last.
    fn named_by(&self, uri: &Uri) -> Option<(Version, Digest)> {
        let version = *self.named.get(uri.as_str())?;
        Some((version, self.linked.get(&version)?.lease.digest()))
    }

    /// Is it linked, or as good as?
    pub(crate) fn has(&self, version: Version) -> bool {
        self.linked.contains_key(&version)
    }

    /// What an address names, if that could be used.
    pub(crate) fn names(&self, uri: &Uri) -> Option<Version> {
        self.named.get(uri.as_str()).copied()
    }

    /// What the source named before.
    pub(crate) fn before(&self) -> Option<Version> {
        self.before
    }

    /// A version that no address names, and that is wanted all the same. One that is there stays. `tell` is called
    /// before it is there, as in `place`.
    pub(crate) fn keep(
        &mut self,
        version: Version,
        (lease, source, facts): (Lease, &str, Facts),
        tell: impl FnOnce(&ModelFolder),
    ) -> io::Result<()> {
        if !self.has(version) {
            let (lease, source) = (Arc::new(lease), source.to_owned());
            self.linked.insert(version, Link { lease, source, facts, is_shown: false });
        }
        tell(self);
        // What could not be linked is still missing.
        self.show().inspect_err(|_| self.take_back(version, None))
    }

    /// What answers if the source's version cannot be loaded. It is linked.
    pub(crate) fn fall_back_to(&mut self, version: Version) -> io::Result<()> {
        self.before = Some(version);
        self.show()
    }

    /// An address names this now. False if that is nothing new. `asked` is how it is to take over, if it is the source's;
    /// `fate` tells what has become of a version. `tell` is called when all is known of the version and it is not there
    /// yet: as soon as it is, others load it. If this fails it is not there, and nothing is known of it any more.
    pub(crate) fn place(
        &mut self,
        uri: &Uri,
        (version, lease, facts, asked): (Version, &Arc<Lease>, &Facts, Option<&Table>),
        fate: impl Fn(Version) -> Fate,
        tell: impl FnOnce(&ModelFolder),
    ) -> Result<bool, Misplaced> {
        let tree = lease.digest();
        let before = self.named_by(uri);
        if before == Some((version, tree)) {
            // What people say of it may have changed.
            if let Some(it) = self.linked.get_mut(&version) {
                it.facts.clone_from(facts);
            }
            let asked_before = self.take_asked(uri, asked);
            tell(self);
            if let Some(before) = asked_before
                && let Err(error) = self.write_settings()
            {
                self.asked = before;
                return Err(error.into());
            }
            return Ok(false);
        }
        let differs = |it: (Version, Digest)| it.0 == version && it.1 != tree;
        let is_other = |it: &&Uri| *it != uri && self.named_by(it).is_some_and(differs);
        let other = self.target.addresses().find(is_other).cloned();
        if let Some(other) = other {
            let words = format!("{uri}: version {version} is something else by {other}");
            return Err(Misplaced::Unusable(words));
        }
        let (lease, source) = (Arc::clone(lease), uri.to_string());
        let new = Link { lease, source, facts: facts.clone(), is_shown: false };
        let replaced = self.linked.insert(version, new);
        let last = self.named.insert(uri.as_str().to_owned(), version);
        let (before, asked_before) = (self.before, self.take_asked(uri, asked));
        if *uri == self.target.source && last != Some(version) {
            // What could not be loaded is nothing to go back to.
            let is_good = |it: &Version| before.is_none() || fate(*it) != Fate::Failed;
            self.before = last.filter(is_good).or(before).filter(|it| *it != version);
        }
        tell(self);
        if let Err(error) = self.show() {
            // As before, so that it is tried again.
            match last {
                Some(last) => drop(self.named.insert(uri.as_str().to_owned(), last)),
                None => drop(self.named.remove(uri.as_str())),
            }
            self.before = before;
            asked_before.into_iter().for_each(|it| self.asked = it);
            self.take_back(version, replaced);
            return Err(error.into());
        }
        Ok(true)
    }

    /// A version could not be linked: in its place is what was there before.
    fn take_back(&mut self, version: Version, replaced: Option<Link>) {
        if self.linked.get(&version).is_some_and(|it| it.is_shown) {
            return; // it is there, and something else went wrong
        }
        match replaced {
            Some(it) => drop(self.linked.insert(version, it)),
            None => drop(self.linked.remove(&version)),
        }
    }

    /// Gives what was asked before, if an address has the say and says something else.
    fn take_asked(&mut self, uri: &Uri, asked: Option<&Table>) -> Option<Option<Table>> {
        let is_new = *uri == self.target.source && self.asked.as_ref() != asked;
        is_new.then(|| std::mem::replace(&mut self.asked, asked.cloned()))
    }

    /// Until the source names something nothing is shown: others would answer in its place.
    fn show(&mut self) -> io::Result<()> {
        if !self.named.contains_key(self.target.source.as_str()) {
            return Ok(());
        }
        for (version, it) in self.linked.iter_mut().filter(|(_, it)| !it.is_shown) {
            link(&self.path, *version, &it.lease)?;
            it.is_shown = true;
        }
        // Only now that it is there: what is wanted and cannot be found would be a fault.
        self.write_settings()
    }

    /// Lets go of what no address names and nobody needs.
    pub(crate) fn prune(&mut self, fate: impl Fn(Version) -> Fate) -> io::Result<()> {
        let kept = self.kept();
        let done = self.linked.keys().filter(|it| !kept.contains(it) && fate(**it) != Fate::Needed);
        for version in done.copied().collect::<Vec<_>>() {
            if self.linked.get(&version).is_some_and(|it| it.is_shown) {
                fs::remove_file(self.path.join(version.to_string()))?;
            }
            self.linked.remove(&version);
        }
        Ok(())
    }

    /// Is there anything to prune, as far as is known here?
    pub(crate) fn is_crowded(&self) -> bool {
        let kept = self.kept();
        self.linked.keys().any(|it| !kept.contains(it))
    }

    fn kept(&self) -> BTreeSet<Version> {
        self.named.values().copied().chain(self.before).collect()
    }

    fn write_settings(&self) -> io::Result<()> {
        let Some(source) = self.named.get(self.target.source.as_str()) else { return Ok(()) };
        let named = |uri: &Uri| self.named.get(uri.as_str()).copied();
        let labels = self.target.labels.iter();
        let labels = labels.filter_map(|(name, it)| Some((name.clone(), named(it)?))).collect();
        let fallback = self.before.filter(|it| it != source && self.has(*it));
        let text =
            model_toml(&self.target, (*source, fallback), &labels, self.asked.as_ref()).to_string();
        let aside = self.path.join(".model.toml");
        File::create(&aside)?.write_all(text.as_bytes())?;
        fs::rename(&aside, self.path.join("model.toml"))
    }
}

/// Where a version was linked before, it is another one in one step.
fn link(folder: &Path, version: Version, lease: &Lease) -> io::Result<()> {
    let aside = folder.join(format!(".{version}"));
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    symlink(lease.folder(), &aside)?;
    fs::rename(&aside, folder.join(version.to_string()))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
