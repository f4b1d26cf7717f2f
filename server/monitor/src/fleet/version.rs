//! The log of one version: what of it was read, what waits, and where it goes from there.

use std::collections::BTreeSet;
use std::fs::File;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use server_feedback::{LogFile, version_folder};
use server_lifecycle::Presence;

use super::columns::{conformed, wanted};
use super::cursor::Cursor;
use super::metrics::{self, VersionMetrics};
use super::repository::Followed;
use super::waiting::{Came, Waiting, newest};
use crate::house::{Monitors, Who};

/// See the module.
pub(crate) struct VersionLog {
    pub(crate) followed: Followed,
    pub(crate) who: Who,
    /// Where its files lie.
    pub(crate) folder: String,
    pub(crate) cursor: Cursor,
    pub(crate) waiting: Waiting,
    /// Files that are read once more: what waited in them is in memory no longer.
    pub(crate) again: BTreeSet<String>,
    pub(crate) metrics: VersionMetrics,
    /// What is written down while a reference is being learned: a restart begins that anew, from here.
    anchor: Option<Cursor>,
    watched: Option<Taken>,
    /// Why it cannot be watched, which is told once.
    refused: Option<String>,
}

/// A monitor takes its rows.
struct Taken {
    columns: SchemaRef,
    _presence: Presence,
}

/// What has become of a file.
pub(crate) enum Read {
    /// Its rows wait.
    Done,
    /// There is nothing to be had of it, ever.
    Unreadable(String),
    /// Nobody takes its rows, for now.
    Refused,
}

/// Why a file was not read.
enum Fault {
    File(String),
    Version(String),
}

impl VersionLog {
    /// Goes on there.
    pub(crate) fn new(followed: Followed, cursor: Cursor) -> VersionLog {
        let Followed { model, version, .. } = &followed;
        VersionLog {
            who: (model.clone(), *version),
            folder: version_folder(model, *version),
            waiting: Waiting::default(),
            again: cursor.unfinished(),
            metrics: VersionMetrics::new(model, *version),
            anchor: None,
            watched: None,
            refused: None,
            followed,
            cursor,
        }
    }

    /// It is to be watched in another way from now on: what waits is read once more, as that needs it.
    pub(crate) fn change(&mut self, followed: Followed) {
        self.followed = followed;
        self.forsake();
        self.refused = None;
    }

    fn forsake(&mut self) {
        self.watched = None;
        self.waiting = Waiting::default();
        self.again = self.cursor.unfinished();
    }

    /// What is to be written down of it.
    pub(crate) fn standing(&mut self, monitors: &Monitors) -> &Cursor {
        if !monitors.is_learning(&self.who) {
            self.anchor = None;
        }
        self.anchor.as_ref().unwrap_or(&self.cursor)
    }

    /// Reads a file that lies at `path` in the version's folder.
    pub(crate) fn read(&mut self, monitors: &Monitors, path: &str, file: File) -> Read {
        let again = self.again.contains(path);
        match self.rows(monitors, file) {
            Ok((came, last)) => {
                // Of a file that was read before it is known already which of its rows were late.
                self.metrics.late.increment(if again { 0 } else { came.late });
                self.was_read(path, last);
                Read::Done
            }
            Err(Fault::File(why)) => Read::Unreadable(why),
            Err(Fault::Version(why)) => {
                if self.refused.as_ref() != Some(&why) {
                    let (model, version) = &self.who;
                    metrics::failed("watch");
                    tracing::error!(%model, %version, error = why, "a version cannot be watched");
                    self.refused = Some(why);
                }
                Read::Refused
            }
        }
    }

    /// Nothing more of it is expected.
    pub(crate) fn was_read(&mut self, path: &str, newest: i64) {
        self.again.remove(path);
        self.cursor.was_read(path.to_owned(), newest);
    }

    fn rows(&mut self, monitors: &Monitors, file: File) -> Result<(Came, i64), Fault> {
        let broken = |it: &dyn std::fmt::Display| Fault::File(it.to_string());
        let file = LogFile::open(file).map_err(|it| broken(&it))?;
        let (model, version) = &self.who;
        if !file.is_of(model, *version) {
            return Err(Fault::File("its rows are of another version than its path".to_owned()));
        }
        let columns = self.columns(monitors, &file).map_err(Fault::Version)?;
        let is_wanted = |it: &str| columns.field_with_name(it).is_ok();
        let (mut came, mut last) = (Came::default(), i64::MIN);
        for batch in file.pieces(is_wanted).map_err(|it| broken(&it))? {
            let batch = batch.map_err(|it| broken(&it))?;
            let batch = conformed(&columns, &batch).map_err(|it| broken(&it))?;
            last = last.max(newest(&batch).unwrap_or(i64::MIN));
            let added = self.waiting.add(&self.cursor, batch).map_err(|it| broken(&it))?;
            came.late += added.late;
            came.waiting += added.waiting;
        }
        Ok((came, last))
    }

    /// The columns that are looked at: known with the first file.
    fn columns(&mut self, monitors: &Monitors, file: &LogFile) -> Result<SchemaRef, String> {
        if let Some(it) = &self.watched {
            return Ok(it.columns.clone());
        }
        let about = (self.followed.folder.as_path(), file.schema().as_ref());
        // Its bytes are those of its number: replicas of a fleet may not differ in them.
        let taken = monitors.take_up(self.who.clone(), about, (self.followed.plan.clone(), None));
        let (presence, named) = taken?;
        self.refused = None;
        if monitors.is_learning(&self.who) {
            self.anchor.get_or_insert_with(|| self.cursor.clone());
        }
        let embeddings = &self.followed.plan.embeddings;
        let columns = wanted(file.schema(), named.as_deref(), embeddings);
        self.watched = Some(Taken { columns: columns.clone(), _presence: presence });
        Ok(columns)
    }

    /// Moves on to that time, and hands on the rows up to it. True: there were some.
    pub(crate) fn advance(&mut self, monitors: &Monitors, to: i64) -> bool {
        // What waits is behind the watermark, whatever has come since.
        if !self.cursor.advance(to) {
            return false;
        }
        let pieces = match self.waiting.release(self.cursor.watermark()) {
            Ok((pieces, twice)) => {
                self.metrics.duplicate.increment(twice);
                pieces
            }
            Err(error) => self.broken(&error),
        };
        let rows: usize = pieces.iter().map(RecordBatch::num_rows).sum();
        self.metrics.counted.increment(rows as u64);
        pieces.iter().for_each(|it| {
            monitors.write(&self.who, it);
        });
        rows > 0
    }

    /// They would be broken for ever.
    fn broken(&mut self, error: &ArrowError) -> Vec<RecordBatch> {
        let (model, version) = &self.who;
        metrics::failed("rows");
        tracing::error!(%model, %version, %error, "rows that waited cannot be watched");
        self.waiting = Waiting::default();
        Vec::new()
    }
}
