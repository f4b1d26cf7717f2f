//! What has become of labels and predictions, on the disk: up to when windows were judged, what is known
//! of versions since, and what has to be told. One file, which changes as a whole.
//!
//! What waits for a label is not in it: it is in the log, and read there once more.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use server_base::{Finding, Findings, ModelName, Version};
use server_feedback::{Disk, Files as _};
use server_truth::Standing;

use super::{course, metrics};
use crate::house::Who;
use crate::telling::Untold;

/// The only format that is written and read.
const FORMAT: u32 = 1;

const FILE: &str = "performance.json";

/// More than there can be, or what was written could not be read: half a megabyte for each version that is
/// judged or remembered, and what is to be told of them.
const BYTES_MAX: usize = 1 << 30;

/// Versions that are remembered while they are not judged: they may come back.
const VERSIONS_MAX: usize = 1_024;

/// Findings that wait until whoever acts on them has taken them: of hundreds of versions some windows each. Beyond
/// that the oldest are lost.
const UNTOLD_MAX: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    clock_us: i64,
    standing: Vec<(String, u64, Standing)>,
    untold: Vec<(String, u64, Untold)>,
    /// Of a log in streams: where the next process begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    courses: Vec<course::Saved>,
}

/// See the module.
pub(crate) struct Ledger {
    path: PathBuf,
    /// Windows that were over by then have been judged.
    pub(crate) clock_us: i64,
    standing: BTreeMap<Who, Standing>,
    untold: Vec<(Who, Untold)>,
    /// Of a log in streams: where the next process begins.
    pub(crate) courses: Vec<course::Saved>,
    /// The clock as it is on the disk; `None`: it is not.
    written_us: Option<i64>,
}

impl Ledger {
    /// Goes on where the process before has stopped; the first begins at that time.
    pub(crate) fn open(folder: &std::path::Path, begin_us: i64) -> io::Result<Ledger> {
        fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let mut ledger = Ledger {
            path,
            clock_us: begin_us,
            standing: BTreeMap::new(),
            untold: Vec::new(),
            courses: Vec::new(),
            written_us: None,
        };
        let text = match Disk.read(&ledger.path, 0, BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ledger),
            read => read?,
        };
        let wrong = |why: String| io::Error::other(format!("{}: {why}", ledger.path.display()));
        let saved: Saved = serde_json::from_slice(&text).map_err(|it| wrong(it.to_string()))?;
        if saved.format != FORMAT {
            let format = saved.format;
            return Err(wrong(format!("it has format {format}, this version reads {FORMAT}")));
        }
        let who = |model: &str, version: u64| -> io::Result<Who> {
            let model = ModelName::new(model).map_err(|it| wrong(it.to_string()))?;
            Ok((model, Version(version)))
        };
        let mut standing = BTreeMap::new();
        for (model, version, it) in saved.standing {
            standing.insert(who(&model, version)?, it);
        }
        let untold = saved.untold.into_iter();
        let untold = untold.map(|(model, version, it)| Ok((who(&model, version)?, it)));
        ledger.untold = untold.collect::<io::Result<Vec<_>>>()?;
        ledger.standing = standing;
        ledger.courses = saved.courses;
        ledger.clock_us = saved.clock_us;
        ledger.written_us = Some(saved.clock_us);
        Ok(ledger)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What is known of a version.
    pub(crate) fn standing(&self, who: &Who) -> Option<Standing> {
        self.standing.get(who).cloned()
    }

    /// Everything up to then was judged, and that is what came of it. On the disk with the next write.
    pub(crate) fn judged(
        &mut self,
        clock_us: i64,
        (findings, changed): (&[Finding], Vec<(ModelName, Version, Standing)>),
    ) {
        self.clock_us = clock_us;
        for (model, version, standing) in changed {
            self.standing.insert((model, version), standing);
        }
        let untold = |it: &Finding| ((it.model.clone(), it.version), Untold::of_finding(it));
        self.untold.extend(findings.iter().map(untold));
    }

    /// Is there something that nobody was told?
    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// By how much the clock is ahead of what is on the disk.
    pub(crate) fn unwritten_us(&self) -> i64 {
        self.written_us.map_or(i64::MAX, |it| self.clock_us.saturating_sub(it))
    }

    /// Forgets versions that are not judged, beyond some.
    pub(crate) fn keep(&mut self, is_judged: impl Fn(&Who) -> bool) {
        let mut spare = self.standing.len().saturating_sub(VERSIONS_MAX);
        self.standing.retain(|who, _| {
            let goes = spare > 0 && !is_judged(who);
            spare -= usize::from(goes);
            !goes
        });
    }

    /// Writes all of it down, then tells what is to be told. What a process that is killed in between has
    /// told is told again by the next, and what nobody could keep by this one.
    pub(crate) fn settle(&mut self, findings: &Arc<dyn Findings>) -> io::Result<()> {
        self.write()?;
        if self.untold.is_empty() {
            return Ok(());
        }
        let told = self.untold.iter().filter_map(|((model, version), it)| it.told(model, *version));
        let is_kept = findings.found(&told.collect::<Vec<_>>());
        let most = if is_kept { 0 } else { UNTOLD_MAX };
        let goes = self.untold.len().saturating_sub(most);
        if goes == 0 {
            return Ok(());
        }
        if !is_kept {
            metrics::failed("tell");
            tracing::error!(goes, "findings are lost: too many wait");
        }
        self.untold.drain(..goes);
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let named = |(model, version): &Who| (model.to_string(), version.0);
        let standing = self.standing.iter().map(|(who, it)| {
            let (model, version) = named(who);
            (model, version, it.clone())
        });
        let untold = self.untold.iter().map(|(who, it)| {
            let (model, version) = named(who);
            (model, version, it.clone())
        });
        let saved = Saved {
            format: FORMAT,
            clock_us: self.clock_us,
            standing: standing.collect(),
            untold: untold.collect(),
            courses: self.courses.clone(),
        };
        Disk.replace(&self.path, &serde_json::to_vec(&saved)?)?;
        self.written_us = Some(self.clock_us);
        Ok(())
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
