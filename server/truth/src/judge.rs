//! The join for whoever reads predictions and labels out of a log, of many replicas: without thread, disk
//! or clock of its own.
//!
//! What is shown twice counts once, in whichever order: of a row's predictions by one version, and of its
//! labels that were recorded in time, the latest by its own time counts, and what is the same is the same.

use backend_api::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server_base::{Finding, ModelName, Subject, TruthConfig, Version};
use std::sync::Arc;

use crate::book::{Book, Row, latest};
use crate::change::Change;
use crate::form::Form;
use crate::label::Label;
use crate::row_labels::Place;

/// How a version's answers are read.
#[derive(Clone, Debug)]
pub struct Reading(Arc<Form>);

impl Reading {
    /// The output that is held against labels.
    pub fn output(&self) -> &str {
        &self.0.output
    }
}

/// Rows of a version, and what it said of them.
#[derive(Debug)]
pub struct Answers<'a> {
    /// Of each row: the request's id, its row and its time in microseconds since 1970.
    pub rows: &'a [(&'a str, u32, i64)],
    /// A place of the first axis for each.
    pub tensor: &'a Tensor,
}

/// What is kept of a version over restarts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Standing(Change);

/// What has become of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Rows that count from now on.
    pub counted: u64,
    /// They did before, or a later one does.
    pub repeated: u64,
    /// The window that they belong in is over.
    pub late: u64,
}

/// See the module.
pub struct Judge {
    book: Book,
    now_us: i64,
    /// Rows can be of times up to then, as far as others know.
    latest_us: i64,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Judge").field("now_us", &self.now_us).finish_non_exhaustive()
    }
}

impl Judge {
    /// `bytes_max`: memory for what waits for labels. All windows that end before `now_us` are over.
    pub fn new(bytes_max: usize, now_us: i64) -> Judge {
        Judge { book: Book::new(bytes_max), now_us, latest_us: i64::MIN }
    }

    /// A version is judged from now on; one that is read as before goes on, and so does what stood if losses
    /// are measured as they were. An error: it cannot be, as it is configured.
    pub fn open(
        &mut self,
        subject: &Subject,
        config: &TruthConfig,
        standing: Option<Standing>,
    ) -> Result<Reading, String> {
        let form = Form::new(subject, config)?;
        let (model, version) = (&subject.model, subject.version);
        let known = self.book.form_of(model.as_str(), version).is_some_and(|it| it.is_like(&form));
        let form = self.book.open(model, form);
        let is_like = |Standing(it): &Standing| !known && it.print == form.print();
        if let Some(Standing(change)) = standing.filter(is_like) {
            self.book.resume(model, version, change);
        }
        Ok(Reading(form))
    }

    /// A version is not judged any more.
    pub fn close(&mut self, model: &ModelName, version: Version) {
        self.book.close(model, version);
    }

    /// Rows can be of times up to then: whoever reads what has piled up knows how late it is, and what has been
    /// shown so far may be of days ago.
    pub fn allow_until(&mut self, latest_us: i64) {
        self.latest_us = latest_us;
    }

    /// A version answered these rows.
    pub fn predicted(
        &mut self,
        model: &ModelName,
        reading: &Reading,
        answers: &Answers<'_>,
    ) -> Seen {
        let Reading(form) = reading;
        let version = form.version;
        let latest_us = latest(self.now_us).max(self.latest_us);
        let mut seen = Seen::default();
        let guesses = form.read(answers.tensor, answers.rows.len());
        for ((id, row, time_us), guess) in answers.rows.iter().zip(guesses) {
            let row = Row { id, row: *row, version, time_us: *time_us, guess };
            if self.book.has_predicted(model, &row) {
                seen.repeated += 1;
            } else if self.book.predicted_by(model, row, (self.now_us, latest_us)) {
                seen.counted += 1;
            } else {
                seen.late += 1;
            }
        }
        seen
    }

    /// The truth of a row, as it was recorded then.
    pub fn labelled(&mut self, model: &ModelName, label: &Label, recorded_us: i64) -> Seen {
        // Two replicas' logs are not in step: what a version answers may be read after what is said of it.
        self.book.expect(model);
        let mut seen = Seen::default();
        match self.book.recorded(model, label, recorded_us) {
            Place::Counts => seen.counted += 1,
            Place::Known | Place::Before => seen.repeated += 1,
            Place::Late => seen.late += 1,
        }
        seen
    }

    /// Everything up to then has been shown: ends what is over.
    pub fn tick(&mut self, now_us: i64) -> Vec<Finding> {
        self.now_us = self.now_us.max(now_us);
        self.book.tick(self.now_us)
    }

    /// What of versions is to be written down, each once.
    pub fn changed(&mut self) -> Vec<(ModelName, Version, Standing)> {
        let changed = self.book.changed().into_iter();
        changed.map(|(model, version, it)| (model, version, Standing(it))).collect()
    }

    /// How right the versions are.
    pub fn shown(&self, model: &str, version: Option<Version>) -> Option<Value> {
        self.book.shown(model, version)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
