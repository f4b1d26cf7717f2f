//! A monitor with all that is around it: its file, what it has found, and what is still to be told.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use serde::Serialize;
use serde_json::Value;
use server_base::{Finding, FindingKind, Findings, ModelName, Version};
use server_drift::MonitorPlan;
use server_feedback::Files;

use crate::columns::Basis;
use crate::metrics::{self, VersionMetrics};
use crate::monitor::{Monitor, Standing};
use crate::readings::Readings;
use crate::state::{self, Row, Saved, Saving, Stretch};
use crate::telling::{Untold, short};
use crate::verdict::Verdict;
use crate::view::{Shown, view};

/// Windows that are remembered.
pub(crate) const HISTORY_MAX: usize = 64;

/// Findings that wait until whoever acts on them has taken them: of some 16 windows, which is with 30 features less
/// than the monitor itself takes. Beyond that the oldest are lost.
const UNTOLD_MAX: usize = 64;

/// What came with the version; a reset begins with it if there is no file.
struct Origin {
    plan: MonitorPlan,
    basis: Option<Basis>,
    digest: Option<String>,
}

/// See the module.
pub(crate) struct Entry {
    pub(crate) model: ModelName,
    pub(crate) version: Version,
    origin: Origin,
    path: PathBuf,
    monitor: Monitor,
    last: Option<Last>,
    history: VecDeque<Value>,
    untold: Vec<Untold>,
    /// So many of them, the first, are told again, and were counted when they were told first.
    counted: usize,
    /// Rows since the log's last cursor.
    stretch: Stretch,
    /// Rows of the file that may come again.
    again: Again,
    /// The file is behind: the disk refused it.
    is_unsaved: bool,
    metrics: Option<VersionMetrics>,
    presence: Weak<()>,
}

/// The last window as it is shown: put into words when somebody looks, since under load most are never looked at.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Last {
    Judged(Box<Verdict>),
    /// By a process before this one.
    Read(Value),
}

enum Again {
    /// They do if the next row is the first of these.
    Perhaps(Stretch),
    /// So many more.
    Rows(u64),
}

impl Entry {
    /// Of a version that has been loaded.
    pub(crate) fn new(
        (model, version): (ModelName, Version),
        path: PathBuf,
        plan: MonitorPlan,
        (basis, digest): (Option<Basis>, Option<String>),
    ) -> Result<Entry, String> {
        let monitor = Monitor::new(model.as_str(), plan.clone(), basis.clone())?;
        Ok(Entry {
            model,
            version,
            origin: Origin { plan, basis, digest },
            path,
            monitor,
            last: None,
            history: VecDeque::new(),
            untold: Vec::new(),
            counted: 0,
            stretch: Stretch::default(),
            again: Again::Rows(0),
            is_unsaved: false,
            metrics: None,
            presence: Weak::new(),
        })
    }

    /// Of a file.
    pub(crate) fn saved(saved: Saved, path: PathBuf) -> Result<Entry, String> {
        let model = ModelName::new(&saved.model).map_err(|it| it.to_string())?;
        let who = (model, Version(saved.version));
        let known = (Some(saved.basis.clone()), saved.digest.clone());
        let mut entry = Entry::new(who, path, saved.plan.clone(), known)?;
        entry.go_on(saved)?;
        Ok(entry)
    }

    fn go_on(&mut self, saved: Saved) -> Result<(), String> {
        let standing = Standing { basis: saved.basis, panes: saved.panes, count: saved.windows };
        self.monitor = Monitor::resume(self.model.as_str(), saved.plan, standing)?;
        self.last = saved.last.map(Last::Read);
        self.history = saved.history.into();
        self.untold = saved.untold;
        self.counted = self.counted.min(self.untold.len());
        self.stretch = Stretch::default();
        self.again = Again::Perhaps(saved.stretch);
        self.show();
        Ok(())
    }

    /// What was found by the last window, by whichever process.
    fn show(&mut self) {
        let Some(metrics) = &mut self.metrics else { return };
        let last = match &self.last {
            Some(Last::Judged(it)) => Some(Readings::of(it)),
            Some(Last::Read(it)) => Readings::read(it),
            None => None,
        };
        if let Some(it) = last {
            metrics.show(&it);
        }
        let found = self.history.back().and_then(|it| it["found"].as_object());
        for (kind, found) in found.into_iter().flatten() {
            if let (Some(kind), Some(it)) =
                (FindingKind::of_label(kind), found["is_alarm"].as_bool())
            {
                metrics.stands(kind, it);
            }
        }
    }

    /// Is it what would be made for that version now?
    pub(crate) fn is_for(
        &self,
        plan: &MonitorPlan,
        basis: Option<&Basis>,
        digest: Option<&str>,
    ) -> bool {
        let same = match basis {
            Some(_) => self.monitor.basis() == basis,
            // What was learned of other bytes says nothing of these.
            None => self.origin.digest.as_deref() == digest,
        };
        self.monitor.plan() == plan && same
    }

    /// It is loaded as long as somebody holds that.
    pub(crate) fn present(&mut self, presence: &Arc<()>) {
        self.presence = Arc::downgrade(presence);
        if self.metrics.is_none() {
            self.metrics = Some(VersionMetrics::new(&self.model, self.version));
            self.show();
        }
    }

    /// What it holds data against, once it knows.
    pub(crate) fn basis(&self) -> Option<&Basis> {
        self.monitor.basis()
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.presence.strong_count() > 0
    }

    /// Lets go of what is held for a version that is loaded. True: it was, and is not any more.
    pub(crate) fn leave(&mut self) -> bool {
        !self.is_loaded() && self.metrics.take().is_some()
    }

    /// Takes rows. True: a window is complete.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> bool {
        let rows = batch.num_rows();
        if rows == 0 {
            return false;
        }
        let first = row(batch);
        let mut again = match std::mem::replace(&mut self.again, Again::Rows(0)) {
            Again::Perhaps(it) if it.first.is_some() && it.first == first => it.rows,
            Again::Perhaps(_) => 0,
            Again::Rows(it) => it,
        };
        if self.stretch.first.is_none() {
            self.stretch.first = first;
        }
        self.stretch.rows += rows as u64;
        let skipped = usize::try_from(again).unwrap_or(rows).min(rows);
        again -= skipped as u64;
        self.again = Again::Rows(again);
        let before = (self.monitor.seen, self.monitor.left_out);
        let verdicts = match self.monitor.see(batch, skipped) {
            Ok(verdicts) => verdicts,
            // They would come again for ever, and hold up the log.
            Err(error) => {
                metrics::failed("rows");
                tracing::error!(model = %self.model, version = %self.version, %error, "rows cannot be watched");
                Vec::new()
            }
        };
        if let Some(it) = &self.metrics {
            it.rows(self.monitor.seen - before.0, self.monitor.left_out - before.1);
        }
        let is_complete = !verdicts.is_empty();
        verdicts.into_iter().for_each(|it| self.found(it));
        is_complete
    }

    fn found(&mut self, verdict: Verdict) {
        let findings = Untold::of(&verdict);
        self.history.push_back(short(&verdict, &findings));
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
        self.untold.extend(findings);
        if let Some(metrics) = &mut self.metrics {
            metrics.window(&Readings::of(&verdict));
        }
        self.last = Some(Last::Judged(Box::new(verdict)));
    }

    /// What was taken is there to stay, then told.
    ///
    /// A disk that refuses it holds up neither the log, whose segments are those of models that nobody
    /// watches too, nor the findings: what is in memory goes on, and a crash before the next file costs
    /// the rows in between, or tells a finding again. False: the file is behind, or something is still to be told.
    pub(crate) fn flush(&mut self, files: &dyn Files, findings: &dyn Findings) -> bool {
        self.write_down(files);
        if self.tell_all(findings) {
            self.write_down(files);
        }
        self.stretch = Stretch::default();
        !self.is_unsaved && self.untold.is_empty()
    }

    fn write_down(&mut self, files: &dyn Files) {
        let was_unsaved = self.is_unsaved;
        let saved = self.save(files);
        self.is_unsaved = saved.is_err();
        let (model, version) = (&self.model, self.version);
        match saved {
            Ok(()) if was_unsaved => {
                tracing::info!(%model, %version, "a monitor is on the disk again")
            }
            Ok(()) => {}
            Err(error) => {
                metrics::failed("write");
                if !was_unsaved {
                    tracing::error!(%model, %version, %error, "a monitor cannot be written down: it goes on in memory");
                }
            }
        }
    }

    /// True: there was something, which is to be written down as told. It is not told again, unless the
    /// process ends right here. What nobody could keep stays, in its order, and is told again.
    fn tell_all(&mut self, findings: &dyn Findings) -> bool {
        if self.untold.is_empty() {
            return false;
        }
        let told = self.untold.iter().filter_map(|it| it.told(&self.model, self.version));
        let told: Vec<Finding> = told.collect();
        if let Some(metrics) = &mut self.metrics {
            told.iter().skip(self.counted).for_each(|it| metrics.found(it.kind, it.is_alarm));
        }
        let is_kept = findings.found(&told);
        let most = if is_kept { 0 } else { UNTOLD_MAX };
        let goes = self.untold.len().saturating_sub(most);
        if goes > 0 && !is_kept {
            metrics::failed("tell");
            tracing::error!(model = %self.model, version = %self.version, goes, "findings are lost: too many wait");
        }
        self.untold.drain(..goes);
        self.counted = self.untold.len();
        goes > 0
    }

    /// Tells what is written down and has not been told. False: some of it is to be told again.
    pub(crate) fn tell(&mut self, files: &dyn Files, findings: &dyn Findings) -> io::Result<bool> {
        if self.tell_all(findings) {
            self.save(files)?;
        }
        Ok(self.untold.is_empty())
    }

    /// Writes down what was taken, for one whose own cursor is written with it: no row comes again.
    pub(crate) fn keep(&mut self, files: &dyn Files) -> io::Result<()> {
        self.stretch = Stretch::default();
        self.save(files)
    }

    fn save(&self, files: &dyn Files) -> io::Result<()> {
        let Some((basis, panes, windows)) = self.monitor.standing() else { return Ok(()) };
        let saving = Saving {
            format: Saving::FORMAT,
            model: self.model.as_str(),
            version: self.version.0,
            digest: self.origin.digest.as_deref(),
            plan: self.monitor.plan(),
            basis,
            panes,
            windows,
            history: self.history.iter().collect(),
            last: self.last.as_ref(),
            untold: &self.untold,
            stretch: &self.stretch,
        };
        saving.write(files, &self.path)
    }

    /// Back to what was written down last; rows after it come again.
    pub(crate) fn reset(&mut self, files: &dyn Files) {
        if self.is_unsaved {
            // What was written down last is of before the log's cursor. What comes again is known.
            self.again = Again::Perhaps(std::mem::take(&mut self.stretch));
            return;
        }
        let (plan, basis) = (self.origin.plan.clone(), self.origin.basis.clone());
        let read = state::read(files, &self.path).map_err(|it| it.to_string());
        let read = read.and_then(|it| {
            let ours = it.plan == plan;
            if ours { Ok(it) } else { Err("it is of another plan".to_owned()) }
        });
        let gone_on = read.and_then(|it| self.go_on(it));
        if gone_on.is_ok() {
            return;
        }
        match Monitor::new(self.model.as_str(), plan, basis) {
            Ok(it) => self.monitor = it,
            Err(error) => {
                metrics::failed("read");
                tracing::error!(model = %self.model, version = %self.version, error, "a monitor cannot begin anew");
            }
        }
        (self.last, self.history) = (None, VecDeque::new());
        (self.untold, self.again) = (Vec::new(), Again::Rows(0));
        self.stretch = Stretch::default();
    }

    /// What is shown of it.
    pub(crate) fn view(&self) -> Value {
        let shown = Shown {
            model: &self.model,
            version: self.version,
            is_loaded: self.is_loaded(),
            last: self.last.as_ref(),
            history: &self.history,
        };
        view(&self.monitor, &shown)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}

/// The first row's name.
fn row(batch: &RecordBatch) -> Option<Row> {
    let events = batch.column_by_name("event_id")?.as_string_opt::<i32>()?;
    let rows = batch.column_by_name("row_index")?.as_primitive_opt::<UInt32Type>()?;
    Some(Row { event_id: events.value(0).to_owned(), row_index: rows.value(0) })
}
