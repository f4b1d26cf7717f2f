//! The part of a model's books that is about the memory it takes.

use std::collections::BTreeSet;

use server_base::Version;

use super::Model;
use crate::eviction::Space;
use crate::folder::print;
use crate::memory::Lesson;
use crate::repository::FoundVersion;
use crate::retries::Key;
use crate::state::State;

impl Model {
    /// What it takes of the room for models.
    pub(crate) fn space(&self) -> Space {
        let is_occupant = self.is_in_memory() || self.is_pending();
        Space { models: usize::from(is_occupant), bytes: self.bytes() }
    }

    /// Memory of what is in it, on its way there or on its way out.
    pub(super) fn bytes(&self) -> u64 {
        self.artifacts.iter().filter(|it| it.is_in_memory()).map(|it| it.bytes).sum()
    }

    /// Memory of what is on its way out.
    pub(crate) fn leaving_bytes(&self) -> u64 {
        let leaving = self.artifacts.iter().filter(|it| it.state == State::Unloading);
        leaving.map(|it| it.bytes).sum()
    }

    /// Memory that it would take if it was loaded.
    pub(crate) fn needs(&self, lesson: &Lesson) -> u64 {
        let present = self.folder.present();
        let wanted = self.wanted();
        let found = wanted.iter().filter_map(|it| Some((*it, present.get(it)?)));
        let config = self.folder.config();
        let need = |(version, it): (Version, &FoundVersion)| {
            self.estimate((version, print(it, config)), it.look.bytes, lesson)
        };
        found.map(need).sum()
    }

    /// What a version takes: as measured, if it was in memory before.
    fn estimate(&self, key: Key, on_disk: u64, lesson: &Lesson) -> u64 {
        self.measured.get(&key).copied().unwrap_or_else(|| lesson.estimate(on_disk))
    }

    /// What the load of an artifact is going to take.
    pub(crate) fn load_needs(&self, id: u64, lesson: &Lesson) -> u64 {
        let artifact = self.artifacts.iter().find(|it| it.id == id);
        artifact.map_or(0, |it| self.estimate((it.version, it.print), it.on_disk, lesson))
    }

    /// Is this an artifact that is wanted and whose load has not begun?
    pub(crate) fn awaits(&self, id: u64) -> bool {
        let wanted = self.desired();
        let mut same = self.artifacts.iter().filter(|it| it.id == id);
        same.any(|it| it.state == State::Start && wanted.contains(&it.version))
    }

    /// So much is taken by an artifact, as far as is known. What was measured is remembered for as
    /// long as the content is there.
    pub(crate) fn takes(&mut self, id: u64, bytes: u64, is_measured: bool) {
        let present: BTreeSet<Key> = self.folder.prints().collect();
        self.measured.retain(|key, _| present.contains(key));
        let Some(artifact) = self.artifacts.iter_mut().find(|it| it.id == id) else { return };
        artifact.bytes = bytes;
        if is_measured {
            let known = self.measured.entry((artifact.version, artifact.print)).or_default();
            // A later load may find memory that was freed and not given back.
            *known = bytes.max(*known);
        }
    }

    /// Size on disk of what an artifact is made of.
    pub(crate) fn on_disk(&self, id: u64) -> u64 {
        self.artifacts.iter().find(|it| it.id == id).map_or(0, |it| it.on_disk)
    }
}
