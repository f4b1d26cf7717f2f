//! The monitor of one version: rows in, verdicts out. Without file, thread or clock: time is what
//! the rows say.

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::ArrowError;
use server_drift::{MonitorPlan, Origin, Pane, Panes, Reference, Windows};

use crate::columns::{Basis, Scratch, of_batch, see};
use crate::learner::Learner;
use crate::verdict::{Subject, Verdict};

/// See the module.
#[derive(Debug)]
pub(crate) struct Monitor {
    model: String,
    plan: MonitorPlan,
    stage: Stage,
    scratch: Scratch,
    /// Rows that were looked at, and rows that were left out, since the process began.
    pub(crate) seen: u64,
    pub(crate) left_out: u64,
}

#[derive(Debug)]
enum Stage {
    Learning(Learner),
    Watching(Box<Watching>),
}

#[derive(Debug)]
struct Watching {
    basis: Basis,
    references: Vec<Reference>,
    windows: Windows<Pane>,
    /// Complete ones.
    count: u64,
}

/// Where a monitor stands, to be gone on with.
pub(crate) struct Standing {
    pub(crate) basis: Basis,
    pub(crate) panes: Panes<Pane>,
    pub(crate) count: u64,
}

impl Monitor {
    /// Begins; without a basis it learns one.
    pub(crate) fn new(
        model: &str,
        plan: MonitorPlan,
        basis: Option<Basis>,
    ) -> Result<Monitor, String> {
        let stage = match (&plan.origin, basis) {
            (_, Some(basis)) => Stage::Watching(Box::new(Watching::new(&plan, basis)?)),
            (Origin::Learned(rows), None) => Stage::Learning(Learner::new(*rows, &plan)),
            (_, None) => return Err("there is no reference".to_owned()),
        };
        let model = model.to_owned();
        Ok(Monitor { model, plan, stage, scratch: Scratch::default(), seen: 0, left_out: 0 })
    }

    /// Goes on where another of the same plan stood.
    pub(crate) fn resume(
        model: &str,
        plan: MonitorPlan,
        standing: Standing,
    ) -> Result<Monitor, String> {
        let mut monitor = Monitor::new(model, plan, Some(standing.basis))?;
        if let Stage::Watching(it) = &mut monitor.stage {
            let features = it.references.len();
            if standing.panes.states().any(|it| it.features.len() != features) {
                return Err("its windows are of other features".to_owned());
            }
            it.windows.resume(standing.panes);
            it.count = standing.count;
        }
        Ok(monitor)
    }

    pub(crate) fn plan(&self) -> &MonitorPlan {
        &self.plan
    }

    /// What it holds data against, once it knows.
    pub(crate) fn basis(&self) -> Option<&Basis> {
        match &self.stage {
            Stage::Learning(_) => None,
            Stage::Watching(it) => Some(&it.basis),
        }
    }

    /// What is to be written down, once there is anything.
    pub(crate) fn standing(&self) -> Option<(&Basis, &Panes<Pane>, u64)> {
        match &self.stage {
            Stage::Learning(_) => None,
            Stage::Watching(it) => Some((&it.basis, it.windows.panes(), it.count)),
        }
    }

    /// Rows on the way, and how many make what it waits for; 0: that ends by time.
    pub(crate) fn progress(&self) -> (u64, u64) {
        match &self.stage {
            Stage::Learning(it) => {
                let (rows, of) = it.progress();
                (rows as u64, of as u64)
            }
            Stage::Watching(it) => {
                (it.windows.panes().rows(), self.plan.windowing.step_rows.unwrap_or(0))
            }
        }
    }

    /// Takes rows from `first` on.
    pub(crate) fn see(
        &mut self,
        batch: &RecordBatch,
        first: usize,
    ) -> Result<Vec<Verdict>, ArrowError> {
        let rows = Rows::of(batch)?;
        let mut verdicts = Vec::new();
        let mut at = first;
        while at < batch.num_rows() {
            let end = rows.run(at);
            if rows.counts(at) {
                self.seen += (end - at) as u64;
                self.run(batch, (&rows, at, end), &mut verdicts);
            } else {
                self.left_out += (end - at) as u64;
            }
            at = end;
        }
        Ok(verdicts)
    }

    /// Rows that all count.
    fn run(
        &mut self,
        batch: &RecordBatch,
        (rows, mut at, end): (&Rows<'_>, usize, usize),
        verdicts: &mut Vec<Verdict>,
    ) {
        if let Stage::Learning(learner) = &mut self.stage {
            at = learner.take(batch, (at, end));
            let Some(profile) = learner.learned(&self.model) else { return };
            let basis = Basis::of(&profile, &batch.schema(), (None, self.plan.windowing.steps));
            let watching = basis.and_then(|it| Watching::new(&self.plan, it));
            match watching {
                Ok(it) => {
                    let unjudged = it.basis.unjudged(&self.plan.rule).join(", ");
                    if !unjudged.is_empty() {
                        tracing::warn!(
                            model = self.model,
                            unjudged,
                            "the test that is set says nothing of these features"
                        );
                    }
                    self.stage = Stage::Watching(Box::new(it));
                }
                Err(error) => {
                    tracing::error!(model = self.model, error, "nothing could be learned: anew");
                    self.stage = Stage::Learning(Learner::new(learner.progress().1, &self.plan));
                    return;
                }
            }
        }
        if let Stage::Watching(watching) = &mut self.stage {
            watching.run(batch, (rows, at, end), (&self.plan, &mut self.scratch), verdicts);
        }
    }
}

impl Watching {
    fn new(plan: &MonitorPlan, basis: Basis) -> Result<Watching, String> {
        let references = basis.references(plan.windowing.steps);
        let windows = Windows::new(plan.windowing, Pane::new(&references))?;
        Ok(Watching { basis, references, windows, count: 0 })
    }

    /// Step by step, so that each has the rows that are its own.
    fn run(
        &mut self,
        batch: &RecordBatch,
        (rows, mut at, end): (&Rows<'_>, usize, usize),
        (plan, scratch): (&MonitorPlan, &mut Scratch),
        verdicts: &mut Vec<Verdict>,
    ) {
        let columns = of_batch(&self.basis.columns, batch);
        while at < end {
            let began_s = self.windows.panes().opened_s();
            if let Some(window) = self.windows.tick(rows.time_s(at)) {
                let step_s = plan.windowing.step_s.unwrap_or(0.0);
                verdicts.push(self.verdict(plan, window, step_s));
                continue;
            }
            let room = usize::try_from(self.windows.room()).unwrap_or(usize::MAX);
            let most = end.min(at.saturating_add(room.max(1)));
            let due_s = self.windows.due_s();
            let to = (at + 1..most).find(|it| rows.time_s(*it) >= due_s).unwrap_or(most);
            let span = (rows.time_s(at), rows.time_s(to - 1));
            let references = &self.references;
            let complete = self.windows.add(span.1, (to - at) as u64, |pane| {
                pane.saw((to - at) as u64, (span.0.min(span.1), span.1.max(span.0)));
                see(references, &columns, (at, to), (pane, &mut *scratch));
            });
            for window in complete {
                let step_s = span.1 - began_s.unwrap_or(span.0);
                verdicts.push(self.verdict(plan, window, step_s));
            }
            at = to;
        }
    }

    fn verdict(&mut self, plan: &MonitorPlan, window: Pane, step_s: f64) -> Verdict {
        self.count += 1;
        let subject = Subject { plan, basis: &self.basis, references: &self.references };
        Verdict::of(&subject, &window, (self.count, step_s))
    }
}

/// What of a batch says which rows count, and when they came.
struct Rows<'a> {
    times: &'a TimestampMicrosecondArray,
    status: &'a StringArray,
    reason: &'a StringArray,
    route: &'a StringArray,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Rows<'a>, ArrowError> {
        let column = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("the log has no column {name}"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let text = |name: &str| {
            let wrong = || ArrowError::SchemaError(format!("{name} is no text"));
            column(name)?.as_string_opt::<i32>().ok_or_else(wrong)
        };
        let wrong = || ArrowError::SchemaError("event_time is no time".to_owned());
        let times = column("event_time")?.as_primitive_opt::<TimestampMicrosecondType>();
        Ok(Rows {
            times: times.ok_or_else(wrong)?,
            status: text("status")?,
            reason: text("sample_reason")?,
            route: text("route")?,
        })
    }

    /// Answered, and in the log by the sample's own choice. What is logged by a rule alone comes more
    /// often than it should, and would shift every distribution; without it each row that is here stands
    /// for as many that are not, so none has to be weighed. What was asked before is no traffic.
    fn counts(&self, row: usize) -> bool {
        let is_sampled = self.reason.value(row) == "uniform" && self.status.value(row) == "OK";
        is_sampled && self.route.value(row) != "replay"
    }

    /// Up to where it is the same as for that row.
    fn run(&self, from: usize) -> usize {
        let counts = self.counts(from);
        let all = self.status.len();
        (from + 1..all).find(|it| self.counts(*it) != counts).unwrap_or(all)
    }

    fn time_s(&self, row: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact to the microsecond until 2255")]
        let micros = self.times.value(row) as f64;
        micros / 1e6
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
