//! Where replicas meet that drive their rollouts together: a folder, or a prefix of an object store.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use server_base::Journal;
use server_base::settings::Section;
use server_conductor::{Kept, Share};

use crate::objects;
use crate::settings::Settings;

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

    fn share(&self) -> anyhow::Result<Share> {
        Ok(match self {
            Meeting::Folder(folder) => Share::Folder(folder.clone()),
            Meeting::Objects(uri) => Share::Store(objects::open(uri)?),
        })
    }
}

/// Reads what was under way, here and elsewhere.
pub(crate) fn rollouts(settings: &Settings, audit: Option<Arc<Journal>>) -> anyhow::Result<Kept> {
    let folder = settings.state.clone();
    let share = settings.rollout_share.as_ref().map(Meeting::share).transpose()?;
    let mut places =
        folder.as_ref().map(|it| it.display().to_string()).into_iter().collect::<Vec<_>>();
    places.extend(share.as_ref().map(ToString::to_string));
    let options = server_conductor::Options {
        folder,
        share,
        // Without a name a number tells replicas apart.
        host: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
        audit,
        interval: settings.rollout_interval,
    };
    let read = server_conductor::read(&options);
    read.with_context(|| format!("state of rollouts {}", places.join(" ")))
}
