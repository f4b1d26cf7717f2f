//! The log of one version: what of it was read, what waits, and where it goes from there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use server_feedback::{LogFile, rows_of, version_folder};
use server_lifecycle::Presence;

use super::Object;
use super::columns::{conformed, shared, wanted};
use super::cursor::Cursor;
use super::listing::Page;
use super::metrics::{self, VersionMetrics};
use super::repository::Followed;
use super::spare::spared;
use super::stream::{Offsets, least};
use super::tries::Tries;
use super::waiting::{Came, Waiting};
use crate::house::{Monitors, Who};

/// Rounds in which a version that cannot be watched is not listed: minutes, as rounds are.
const LOOKS_MAX: u32 = 60;

/// See the module.
pub(crate) struct VersionLog {
    pub(crate) followed: Followed,
    pub(crate) who: Who,
    /// Where its files lie.
    pub(crate) folder: String,
    pub(crate) cursor: Cursor,
    pub(crate) waiting: Waiting,
    /// Rows of a later time are of a clock that is wrong.
    pub(crate) latest: i64,
    /// Files that are read once more: what waited in them is in memory no longer.
    pub(crate) again: BTreeSet<String>,
    pub(crate) tries: Tries,
    /// Where the next list goes on.
    pub(crate) page: Option<Page>,
    pub(crate) metrics: VersionMetrics,
    /// Of a stream, messages from that time on are still to be read for it.
    pub(crate) since: Option<i64>,
    /// Of a stream, messages from there on are to be read once more for it.
    at: Option<Offsets>,
    /// Of a stream, messages from there on are needed by the next process: a reference is being learned, or the
    /// version cannot be watched.
    held: Option<Arc<Offsets>>,
    /// The columns with which it could not be watched: its messages pass, until it can.
    lacks: Option<SchemaRef>,
    /// What is written down while a reference is being learned: a restart begins that anew, from here.
    anchor: Option<Cursor>,
    watched: Option<Taken>,
    /// The columns of a file with which it could not be watched, and how often that was looked at since.
    refused_with: Option<(SchemaRef, u32)>,
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
    /// The disk or the volume has failed: it is read again.
    Failed(io::Error),
    /// Nobody takes its rows, for now.
    Refused,
}

/// Why a file was not read.
enum Fault {
    File(String),
    Disk(io::Error),
    Version(String),
}

impl Fault {
    fn of(error: io::Error) -> Fault {
        if error.kind() == io::ErrorKind::InvalidData {
            Fault::File(error.to_string())
        } else {
            Fault::Disk(error)
        }
    }
}

impl VersionLog {
    /// Goes on there.
    pub(crate) fn new(followed: Followed, cursor: Cursor) -> VersionLog {
        let Followed { model, version, .. } = &followed;
        VersionLog {
            who: (model.clone(), *version),
            folder: version_folder(model, *version),
            waiting: Waiting::default(),
            latest: i64::MAX,
            again: cursor.unfinished(),
            tries: Tries::default(),
            page: None,
            metrics: VersionMetrics::new(model, *version),
            since: Some(cursor.watermark()),
            at: None,
            held: None,
            lacks: None,
            anchor: None,
            watched: None,
            refused: None,
            refused_with: None,
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
        (self.watched, self.refused_with) = (None, None);
        let mut needed = self.needs();
        self.at = needed.next().cloned().map(|it| least(&it, needed));
        self.waiting = Waiting::default();
        self.again = self.cursor.unfinished();
        self.page = None;
    }

    /// What is to be written down of it.
    pub(crate) fn standing(&mut self, monitors: &Monitors) -> &Cursor {
        if !monitors.is_learning(&self.who) {
            self.anchor = None;
            self.held = self.held.take().filter(|_| self.lacks.is_some());
        }
        self.anchor.as_ref().unwrap_or(&self.cursor)
    }

    /// Reads a file of the version's folder.
    pub(crate) fn read(&mut self, monitors: &Monitors, object: &Object, file: File) -> Read {
        let again = self.again.contains(&object.path) && self.cursor.is_read(object);
        let mut came = Came::default();
        let read = spared(|| self.rows(monitors, file, &mut came));
        let read = read.unwrap_or_else(|why| Err(Fault::File(why)));
        match read {
            Ok(()) => {
                // Of a file that was read before it is known already which of its rows were left out.
                if !again {
                    self.metrics.left(&came);
                }
                self.was_read(object, came.newest.unwrap_or(i64::MIN));
                Read::Done
            }
            Err(Fault::File(why)) => {
                // What waits of it is read again by the next process.
                self.was_read(object, came.newest.unwrap_or(i64::MIN));
                Read::Unreadable(why)
            }
            Err(Fault::Disk(error)) => Read::Failed(error),
            Err(Fault::Version(why)) => {
                self.refuse(why);
                Read::Refused
            }
        }
    }

    fn refuse(&mut self, why: String) {
        if self.refused.as_ref() != Some(&why) {
            let (model, version) = &self.who;
            metrics::failed("watch");
            tracing::error!(%model, %version, error = why, "a version cannot be watched");
            self.refused = Some(why);
        }
    }

    /// Takes rows out of messages of a stream, which come again `from` there. How many of them are none, and
    /// what is wrong with the first.
    pub(crate) fn take(
        &mut self,
        monitors: &Monitors,
        (columns, values): (&SchemaRef, &[&[u8]]),
        (again, from): (bool, &Arc<Offsets>),
    ) -> (usize, Option<String>) {
        if self.lacks.is_some() {
            return (0, None);
        }
        let wanted = match self.columns(monitors, columns) {
            Ok(it) => it,
            Err(why) => {
                self.refuse(why);
                self.lacks = Some(Arc::clone(columns));
                self.held.get_or_insert_with(|| Arc::clone(from));
                return (0, None);
            }
        };
        if self.anchor.is_some() {
            self.held.get_or_insert_with(|| Arc::clone(from));
        }
        let taken = rows_of(&shared(columns, &wanted), values).and_then(|(batches, wrong, why)| {
            for batch in batches {
                let batch = conformed(&wanted, &batch)?;
                let came = self.waiting.add((&self.cursor, self.latest), batch, Some(from))?;
                // Of what was read before it is known already what of it was left out.
                if !again {
                    self.metrics.left(&came);
                }
            }
            Ok((wrong, why))
        });
        taken.unwrap_or_else(|it| (values.len(), Some(it.to_string())))
    }

    /// If it could not be watched: perhaps it can now. Then the messages that have passed are to come again.
    pub(crate) fn try_again(&mut self, monitors: &Monitors) {
        let Some(columns) = self.lacks.clone() else { return };
        match self.columns(monitors, &columns) {
            Ok(_) => {
                self.lacks = None;
                self.at = self.held.take().map(|it| least(&it, self.at.iter()));
            }
            Err(why) => self.refuse(why),
        }
    }

    /// Is there any use in a list of its files? Of a version that could not be watched: if it can now, with
    /// the columns that are known, or after a while, since the file that they are of may have gone.
    pub(crate) fn is_to_be_listed(&mut self, monitors: &Monitors) -> bool {
        let Some((columns, looks)) = self.refused_with.take() else { return true };
        if looks >= LOOKS_MAX {
            return true;
        }
        match self.columns(monitors, &columns) {
            Ok(_) => true,
            Err(why) => {
                self.refuse(why);
                self.refused_with = Some((columns, looks + 1));
                false
            }
        }
    }

    /// Are messages of a stream to be read for it that were passed by?
    pub(crate) fn is_behind(&self) -> bool {
        self.since.is_some() || self.at.is_some()
    }

    /// From where on messages of a stream are needed.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &Offsets> {
        self.waiting.from().chain(self.held.as_deref()).chain(&self.at)
    }

    /// All that it needs comes again.
    pub(crate) fn begin(&mut self) {
        self.waiting = Waiting::default();
        (self.since, self.at) = (None, None);
    }

    /// Nothing more of it is expected.
    pub(crate) fn was_read(&mut self, object: &Object, newest: i64) {
        self.again.remove(&object.path);
        self.cursor.was_read(object, newest);
    }

    /// `came` says what has become of its rows, also of those in front of what cannot be read.
    fn rows(&mut self, monitors: &Monitors, file: File, came: &mut Came) -> Result<(), Fault> {
        let file = LogFile::open(file).map_err(Fault::of)?;
        let (model, version) = &self.who;
        if !file.is_of(model, *version) {
            return Err(Fault::File("its rows are of another version than its path".to_owned()));
        }
        let columns = self.columns(monitors, file.schema()).map_err(|why| {
            self.refused_with = Some((Arc::clone(file.schema()), 0));
            Fault::Version(why)
        })?;
        let is_wanted = |it: &str| columns.field_with_name(it).is_ok();
        let broken = |it: ArrowError| Fault::File(it.to_string());
        for batch in file.pieces(is_wanted).map_err(Fault::of)? {
            let batch = conformed(&columns, &batch.map_err(Fault::of)?).map_err(broken)?;
            let place = (&self.cursor, self.latest);
            *came += self.waiting.add(place, batch, None).map_err(broken)?;
        }
        Ok(())
    }

    /// The columns that are looked at: known with the first file or message, which has those of `schema`.
    fn columns(&mut self, monitors: &Monitors, schema: &SchemaRef) -> Result<SchemaRef, String> {
        if let Some(it) = &self.watched {
            return Ok(it.columns.clone());
        }
        let about = (self.followed.folder.as_path(), schema.as_ref());
        // Its bytes are those of its number: replicas of a fleet may not differ in them.
        let taken = monitors.take_up(self.who.clone(), about, (self.followed.plan.clone(), None));
        let (presence, named) = taken?;
        self.refused = None;
        if monitors.is_learning(&self.who) {
            self.anchor.get_or_insert_with(|| self.cursor.clone());
        }
        let embeddings = &self.followed.plan.embeddings;
        let columns = wanted(schema, named.as_deref(), embeddings);
        self.watched = Some(Taken { columns: columns.clone(), _presence: presence });
        Ok(columns)
    }

    /// Leaves out rows of a later time. How many there were.
    pub(crate) fn shed(&mut self, latest: i64) -> u64 {
        match self.waiting.shed(latest) {
            Ok(rows) => {
                self.metrics.ahead.increment(rows);
                rows
            }
            Err(error) => {
                self.broken(&error);
                0
            }
        }
    }

    /// Moves on to that time, and hands on the rows up to it. True: there were some.
    pub(crate) fn advance(&mut self, monitors: &Monitors, to: i64) -> bool {
        // What waits is behind the watermark, whatever has come since.
        if self.lacks.is_some() || !self.cursor.advance(to) {
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
