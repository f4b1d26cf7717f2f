//! Where replicas meet that drive their rollouts together: a folder, or a prefix of an object store.

use std::path::PathBuf;

use server_base::settings::Section;
use server_conductor::Share;

use crate::objects;

/// Where replicas meet, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// A folder that all of them see.
    Folder(PathBuf),
    /// A prefix of an object store, as its address.
    Objects(String),
}

impl Meeting {
    /// Of `file:DIR` or the address of an object store. Anything else is a fault.
    pub(crate) fn read(uri: &str, root: &mut Section<'_>) -> Option<Meeting> {
        let folder = uri.strip_prefix("file:").map(|it| it.strip_prefix("//").unwrap_or(it));
        let read = match (folder, objects::check(uri)) {
            (Some(folder), _) if !folder.is_empty() => Ok(Meeting::Folder(PathBuf::from(folder))),
            (None, Some(checked)) => checked.map(|()| Meeting::Objects(uri.to_owned())),
            _ => Err(format!("{uri:?} is not file:DIR or {}", objects::FORMS)),
        };
        read.map_err(|why| root.fault("rollout_share", &why)).ok()
    }

    /// It, not yet tried.
    pub(crate) fn share(&self) -> anyhow::Result<Share> {
        Ok(match self {
            Meeting::Folder(folder) => Share::Folder(folder.clone()),
            Meeting::Objects(uri) => Share::Store(objects::open(uri)?),
        })
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
