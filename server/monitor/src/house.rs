//! All monitors of the process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use serde_json::Value;
use server_base::{Findings, ModelName, Version};
use server_drift::{MonitorPlan, Origin};
use server_feedback::Files;
use server_lifecycle::{Presence, Watched};

use crate::columns::Basis;
use crate::entry::Entry;
use crate::{metrics, reference, state};

/// Versions that are watched, those included that were and may come back: at 30 features some 2 MB
/// each.
const MONITORS_MAX: usize = 256;

/// Why there are no monitors.
pub type StartError = io::Error;

pub(crate) type Who = (ModelName, Version);

/// See the module.
pub struct Monitors {
    files: Arc<dyn Files>,
    folder: PathBuf,
    findings: Arc<dyn Findings>,
    entries: Mutex<BTreeMap<Who, Arc<Slot>>>,
}

/// The sink holds `entry` while it counts; whoever looks takes `view`.
struct Slot {
    entry: Mutex<Entry>,
    view: Mutex<Arc<Value>>,
}

impl std::fmt::Debug for Monitors {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Monitors").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Slot {
    fn new(entry: Entry) -> Arc<Slot> {
        let view = Mutex::new(Arc::new(entry.view()));
        Arc::new(Slot { entry: Mutex::new(entry), view })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entry = locked(&self.entry);
        let result = change(&mut entry);
        *locked(&self.view) = Arc::new(entry.view());
        result
    }
}

impl Monitors {
    /// With what lies in the folder, so that rows which come before their version is loaded count.
    pub fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        findings: Arc<dyn Findings>,
    ) -> Result<Monitors, StartError> {
        fs::create_dir_all(folder)?;
        let mut entries = BTreeMap::new();
        for path in files.list(folder)? {
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            let saved = state::read(&*files, &path).map_err(|it| it.to_string());
            match saved.and_then(|it| Entry::saved(it, path.clone())) {
                Ok(it) => {
                    entries.insert((it.model.clone(), it.version), Slot::new(it));
                }
                Err(error) => {
                    metrics::failed("read");
                    tracing::error!(file = %path.display(), error, "a monitor cannot be read: it begins anew");
                }
            }
        }
        let (folder, entries) = (folder.to_path_buf(), Mutex::new(entries));
        Ok(Monitors { files, folder, findings, entries })
    }

    /// What is shown of a model's versions, or of one: the newest first.
    pub fn views(&self, model: &str, version: Option<Version>) -> Vec<Arc<Value>> {
        let entries = locked(&self.entries);
        let of_model = entries.iter().rev().filter(|it| it.0.0.as_str() == model);
        let wanted = of_model.filter(|it| version.is_none_or(|version| it.0.1 == version));
        wanted.map(|it| Arc::clone(&locked(&it.1.view))).collect()
    }

    /// Rows of a version; `None`: nobody watches it. True: a window is complete.
    pub(crate) fn write(&self, who: &Who, batch: &RecordBatch) -> Option<bool> {
        Some(locked(&self.slot(who)?.entry).write(batch))
    }

    /// Lets go of what is held for versions that are not loaded any more, their series first of all.
    pub(crate) fn sweep(&self) {
        for slot in locked(&self.entries).values() {
            if locked(&slot.entry).leave() {
                slot.with(|_| ());
            }
        }
    }

    /// False: it is not on the disk, or not all of it is told.
    pub(crate) fn flush(&self, who: &Who) -> bool {
        let flush = |it: &mut Entry| it.flush(&*self.files, &*self.findings);
        self.slot(who).is_none_or(|it| it.with(flush))
    }

    pub(crate) fn reset(&self, who: &Who) {
        self.slot(who).iter().for_each(|it| it.with(|it| it.reset(&*self.files)));
    }

    fn slot(&self, who: &Who) -> Option<Arc<Slot>> {
        locked(&self.entries).get(who).cloned()
    }

    /// Those that are watched, or were.
    pub(crate) fn all(&self) -> Vec<Who> {
        locked(&self.entries).keys().cloned().collect()
    }

    /// Does it not know yet what to hold its data against?
    pub(crate) fn is_learning(&self, who: &Who) -> bool {
        self.slot(who).is_some_and(|it| locked(&it.entry).basis().is_none())
    }

    /// Writes down what a monitor has taken; nothing of it comes again. Where that does not count yet it is not
    /// shown either: a process that is killed would have shown what the next one does not know.
    pub(crate) fn keep(&self, who: &Who) -> io::Result<()> {
        self.slot(who).map_or(Ok(()), |it| locked(&it.entry).keep(&*self.files))
    }

    /// Tells what is written down, and shows it. False: some of it is to be told again.
    pub(crate) fn tell(&self, who: &Who) -> io::Result<bool> {
        let tell = |it: &mut Entry| it.tell(&*self.files, &*self.findings);
        self.slot(who).map_or(Ok(true), |it| it.with(tell))
    }

    /// What a version is to be held against, if that is known before its first row. `schema` is that of
    /// its rows.
    fn basis(
        who: &Who,
        (folder, schema): (&Path, &Schema),
        plan: &MonitorPlan,
    ) -> Result<Option<Basis>, String> {
        let (model, version) = who;
        let names = schema.fields().iter().filter_map(|it| it.name().strip_prefix("out."));
        let outputs: Vec<&str> = names.collect();
        let whose = (model.as_str(), outputs.as_slice());
        let Some(profile) = reference::read(&plan.origin, folder, whose)? else { return Ok(None) };
        if let Some(stranger) = plan
            .embeddings
            .iter()
            .find(|name| !profile.features.iter().any(|it| it.name == **name && it.is_embedding()))
        {
            return Err(format!("embeddings: the reference has no vectors of {stranger:?}"));
        }
        let basis = Basis::of(&profile, schema, (plan.features.as_deref(), plan.windowing.steps))?;
        if !basis.absent.is_empty() {
            let absent = basis.absent.join("; ");
            tracing::warn!(%model, %version, absent, "features of the reference cannot be watched");
        }
        let unjudged = basis.unjudged(&plan.rule).join(", ");
        if !unjudged.is_empty() {
            tracing::warn!(%model, %version, unjudged, "the test that is set says nothing of these features");
        }
        Ok(Some(basis))
    }

    /// Watches a version from now on, as long as what it returns is held; with it come the columns that
    /// are looked at, `None` while the reference is being learned.
    pub(crate) fn take_up(
        &self,
        who: Who,
        (folder, schema): (&Path, &Schema),
        (plan, digest): (MonitorPlan, Option<String>),
    ) -> Result<(Presence, Option<Vec<String>>), String> {
        let basis = Monitors::basis(&who, (folder, schema), &plan)?;
        let names = |it: &Basis| it.columns.iter().map(|it| it.0.clone()).collect();
        let columns: Option<Vec<String>> = basis.as_ref().map(names);
        let presence = Arc::new(());
        loop {
            // The sink may be at the disk with it: who looks, at others too, does not wait for that.
            let known = self.slot(&who);
            let goes_on = known.as_ref().and_then(|it| {
                it.with(|it| {
                    let goes_on = it.is_for(&plan, basis.as_ref(), digest.as_deref());
                    goes_on.then(|| {
                        it.present(&presence);
                        it.basis().map(names)
                    })
                })
            });
            if let Some(learned) = goes_on {
                if is_same(locked(&self.entries).get(&who), known.as_ref()) {
                    return Ok((Box::new(presence), columns.or(learned)));
                }
                // It has given way to another meanwhile.
                continue;
            }
            let path = state::path(&self.folder, &who.0, who.1);
            let about = (basis.clone(), digest.clone());
            let mut entry = Entry::new(who.clone(), path, plan.clone(), about)?;
            entry.present(&presence);
            if self.put(&who, known.as_ref(), entry)? {
                if let Origin::Learned(rows) = plan.origin {
                    let (model, version) = (&who.0, who.1);
                    tracing::info!(%model, %version, rows, "the reference is learned from the first rows");
                }
                return Ok((Box::new(presence), columns));
            }
        }
    }
}

impl server_lifecycle::Monitors for Monitors {
    fn watch(&self, watched: Watched) -> Result<Presence, String> {
        let Watched { subject, folder, plan } = watched;
        let schema = server_feedback::schema(&subject)?;
        let who = (subject.model, subject.version);
        let watched = self.take_up(who, (&folder, &schema), (plan, subject.digest));
        watched.map(|it| it.0)
    }
}

impl Monitors {
    /// In place of what was known of it. False: others have changed something; to be tried again.
    fn put(&self, who: &Who, known: Option<&Arc<Slot>>, entry: Entry) -> Result<bool, String> {
        let slot = Slot::new(entry);
        let mut entries = locked(&self.entries);
        if !is_same(entries.get(who), known) {
            return Ok(false);
        }
        if entries.len() >= MONITORS_MAX && known.is_none() {
            drop(entries);
            return self.make_room().map(|()| false);
        }
        entries.insert(who.clone(), slot);
        Ok(true)
    }

    /// Forgets a version that is not loaded, unless it is just then.
    fn make_room(&self) -> Result<(), String> {
        let all = locked(&self.entries).clone();
        let Some((who, slot)) = all.iter().find(|it| !locked(&it.1.entry).is_loaded()) else {
            return Err(format!("{MONITORS_MAX} versions are watched already, which is the most"));
        };
        let mut entries = locked(&self.entries);
        // Nobody waits for it with all of them locked. Whoever loads it sees afterwards whether it is still here.
        let entry = match slot.entry.try_lock() {
            Ok(it) => it,
            Err(TryLockError::Poisoned(it)) => it.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if is_same(entries.get(who), Some(slot)) && !entry.is_loaded() {
            // If it stays it is read at the next start, and has to make room again.
            let _ = self.files.remove(entry.path());
            entries.remove(who);
        }
        Ok(())
    }
}

fn is_same(one: Option<&Arc<Slot>>, other: Option<&Arc<Slot>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "house_tests.rs"]
mod tests;
