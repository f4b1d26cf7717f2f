//! A log whose rows are joined: the predictions of a version, or the labels of a model. How far it was
//! read is known as long as the process runs; the next one reads again what it needs.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use server_base::{ModelName, TruthConfig};
use server_feedback::{LabelRow, LabelValue, LogFile, labels_folder, read_labels, version_folder};
use server_truth::{Given, Judge, Label, Reading, Seen};

use super::answers;
use super::cursor::Cursor;
use super::ledger::Ledger;
use super::listing::Page;
use super::metrics;
use super::repository::Followed;
use super::spare::spared;
use super::tries::Tries;

/// A label may be recorded so long before its prediction, which is as long as a server keeps it waiting.
const EARLY: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct JudgedLog {
    pub(crate) of: Of,
    /// Where its files lie.
    pub(crate) folder: String,
    pub(crate) cursor: Cursor,
    pub(crate) tries: Tries,
    /// Where the next list goes on.
    pub(crate) page: Option<Page>,
}

/// Whose log it is.
pub(crate) enum Of {
    /// What a version has answered, and how that is read, which the first file tells.
    Predictions(Box<Followed<TruthConfig>>, Option<Reading>),
    /// What turned out to be true of a model's answers.
    Labels(ModelName),
}

/// Why a file was not taken.
pub(crate) enum Fault {
    /// There is nothing to be had of it, ever.
    File(String),
    /// The disk or the volume has failed: it is read again.
    Disk(io::Error),
    /// The version cannot be judged as it is configured.
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

impl JudgedLog {
    /// The predictions of a version, from the first window on that is not over.
    pub(crate) fn predictions(followed: Followed<TruthConfig>, clock_us: i64) -> JudgedLog {
        let begin = clock_us.saturating_sub(span(&followed.plan));
        let folder = version_folder(&followed.model, followed.version);
        let of = Of::Predictions(Box::new(followed), None);
        JudgedLog { of, folder, cursor: Cursor::new(begin), tries: Tries::default(), page: None }
    }

    /// The labels of a model whose versions are those.
    pub(crate) fn labels<'a>(
        model: ModelName,
        versions: impl Iterator<Item = &'a TruthConfig>,
        clock_us: i64,
    ) -> JudgedLog {
        let longest = versions.map(span).max().unwrap_or(0).saturating_add(us(EARLY));
        let begin = clock_us.saturating_sub(longest);
        let folder = labels_folder(&model);
        let of = Of::Labels(model);
        JudgedLog { of, folder, cursor: Cursor::new(begin), tries: Tries::default(), page: None }
    }

    pub(crate) fn are_labels(&self) -> bool {
        matches!(self.of, Of::Labels(_))
    }

    /// Reads a file of it.
    pub(crate) fn read(
        &mut self,
        judge: &Mutex<Judge>,
        ledger: &Ledger,
        file: File,
    ) -> Result<(), Fault> {
        let of = &mut self.of;
        let read = spared(|| match of {
            Of::Predictions(followed, reading) => {
                predictions(judge, (followed, reading), ledger, file)
            }
            Of::Labels(model) => labels(judge, model, file).map_err(Fault::of),
        });
        read.unwrap_or_else(|why| Err(Fault::File(why)))
    }
}

fn predictions(
    judge: &Mutex<Judge>,
    (followed, reading): (&Followed<TruthConfig>, &mut Option<Reading>),
    ledger: &Ledger,
    file: File,
) -> Result<(), Fault> {
    let file = LogFile::open(file).map_err(Fault::of)?;
    let Followed { model, version, plan, .. } = followed;
    if !file.is_of(model, *version) {
        return Err(Fault::File("its rows are of another version than its path".to_owned()));
    }
    let schema = file.schema().clone();
    let reading = match reading {
        Some(it) => &*it,
        None => {
            let subject = answers::subject(model, *version, &schema);
            let standing = ledger.standing(&(model.clone(), *version));
            let opened = lock(judge).open(&subject, plan, standing).map_err(Fault::Version)?;
            &*reading.insert(opened)
        }
    };
    let output = reading.output();
    let mut all = Seen::default();
    let pieces = file.pieces(|it| answers::is_wanted(&schema, output, it));
    for batch in pieces.map_err(Fault::of)? {
        let batch = batch.map_err(Fault::of)?;
        let each = answers::each(&batch, output, |it| {
            add(&mut all, lock(judge).predicted(model, reading, it));
        });
        each.ok_or_else(|| Fault::File("it has no column that says which row it is".to_owned()))?;
    }
    metrics::joined(model, "predictions", all);
    Ok(())
}

fn labels(judge: &Mutex<Judge>, model: &ModelName, file: File) -> io::Result<()> {
    let mut all = Seen::default();
    read_labels(file, model, |rows| {
        for row in rows {
            let mut judge = lock(judge);
            let recorded = row.recorded_time;
            // What a server has taken can be.
            if let Some(label) = label(row) {
                add(&mut all, judge.labelled(model, &label, recorded));
            }
        }
    })?;
    metrics::joined(model, "labels", all);
    Ok(())
}

fn label(row: LabelRow) -> Option<Label> {
    let value = match row.value {
        LabelValue::Bool(it) => Given::Bool(it),
        LabelValue::Number(it) => Given::Number(it),
        LabelValue::Text(it) => Given::Text(it.into()),
    };
    Label::new(&row.inference_id, row.row_index, value, row.label_time).ok()
}

fn add(all: &mut Seen, seen: Seen) {
    all.counted += seen.counted;
    all.repeated += seen.repeated;
    all.late += seen.late;
}

/// How long after its beginning a window is judged.
fn span(config: &TruthConfig) -> i64 {
    us(config.window.saturating_add(config.horizon))
}

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What a panic leaves half done is a row's, at the most: others go on.
pub(crate) fn lock(judge: &Mutex<Judge>) -> MutexGuard<'_, Judge> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}
