//! What a tree holds, as one canonical text whose digest names the tree.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::path::{RelativePath, check_together};

/// A file as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Of all its bytes.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

/// The files of a model and their digests. Equal listings are equal models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<RelativePath, Fact>);

impl Listing {
    /// Refuses names that cannot lie in one folder.
    pub fn new(files: BTreeMap<RelativePath, Fact>) -> Result<Listing, RegistryError> {
        check_together(files.keys())?;
        Ok(Listing(files))
    }

    /// In the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&RelativePath, &Fact)> {
        self.0.iter()
    }

    /// One of them.
    pub fn get(&self, path: &RelativePath) -> Option<&Fact> {
        self.0.get(path)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|it| it.size).sum()
    }

    /// Names the model: SHA-256 of `text`.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// A line `<hex> <size> <path>` for each file.
    pub(super) fn text(&self) -> String {
        let line =
            |(path, fact): (_, &Fact)| format!("{} {} {path}\n", fact.digest.hex(), fact.size);
        self.0.iter().map(line).collect()
    }

    /// The listing with that digest, or nothing.
    pub(super) fn parse(text: &str, digest: Digest) -> Option<Listing> {
        if Digest::of(text.as_bytes()) != digest {
            return None;
        }
        let line = |line: &str| {
            let mut parts = line.splitn(3, ' ');
            let digest = parts.next()?.parse().ok()?;
            let size = parts.next()?.parse().ok()?;
            Some((RelativePath::new(parts.next()?).ok()?, Fact { digest, size }))
        };
        let files: Option<BTreeMap<_, _>> = text.lines().map(line).collect();
        Listing::new(files?).ok()
    }
}
