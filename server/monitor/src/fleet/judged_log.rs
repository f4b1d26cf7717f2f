//! A log whose rows are joined: the predictions of a version, or the labels of a model. How far it was
//! read is known as long as the process runs; the next one reads again what it needs.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_schema::Schema;
use server_base::{ModelName, TruthConfig};
use server_feedback::{
    LabelRow, LabelValue, LogFile, columns_of, label_of, labels_folder, read_labels, rows_of,
    version_folder,
};
use server_truth::{Given, Judge, Label, Reading, Seen};

use super::answers;
use super::cursor::Cursor;
use super::ledger::Ledger;
use super::listing::Page;
use super::metrics;
use super::repository::Followed;
use super::spare::spared;
use super::stream::Offsets;
use super::tries::Tries;

/// A label may be recorded so long before its prediction, which is as long as a server keeps it waiting.
const EARLY: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct JudgedLog {
    pub(crate) of: Of,
    /// Where its files lie.
    pub(crate) folder: String,
    /// What is older is nobody's business.
    pub(crate) begin_us: i64,
    /// How long it matters, at the most.
    pub(crate) span_us: i64,
    pub(crate) cursor: Cursor,
    pub(crate) tries: Tries,
    /// Where the next list goes on.
    pub(crate) page: Option<Page>,
    /// Of a stream, why its version cannot be judged, which is told once.
    pub(crate) refused: Option<String>,
    /// Of a stream, what lies before was taken, though it comes again for the sake of another log. `None`:
    /// nothing was.
    fed: Option<Offsets>,
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
        let span_us = span(&followed.plan);
        let folder = version_folder(&followed.model, followed.version);
        JudgedLog::new(Of::Predictions(Box::new(followed), None), folder, (clock_us, span_us))
    }

    /// The labels of a model whose versions are those.
    pub(crate) fn labels<'a>(
        model: ModelName,
        versions: impl Iterator<Item = &'a TruthConfig>,
        clock_us: i64,
    ) -> JudgedLog {
        let longest = versions.map(span).max().unwrap_or(0).saturating_add(us(EARLY));
        let folder = labels_folder(&model);
        JudgedLog::new(Of::Labels(model), folder, (clock_us, longest))
    }

    fn new(of: Of, folder: String, (clock_us, span_us): (i64, i64)) -> JudgedLog {
        let begin_us = clock_us.saturating_sub(span_us);
        let (cursor, tries) = (Cursor::new(begin_us), Tries::default());
        let (page, refused, fed) = (None, None, None);
        JudgedLog { of, folder, begin_us, span_us, cursor, tries, page, refused, fed }
    }

    pub(crate) fn are_labels(&self) -> bool {
        matches!(self.of, Of::Labels(_))
    }

    /// The stream goes back, and was read up to there.
    pub(crate) fn goes_back(&mut self, next: &Offsets) {
        let Some(fed) = &mut self.fed else { return };
        for (partition, next) in next {
            let known = fed.entry(*partition).or_insert(*next);
            *known = (*next).max(*known);
        }
    }

    /// From now on it is given what the stream brings, which ends there. A partition that ends before what was
    /// taken of it is another.
    pub(crate) fn is_fed(&mut self, ends: &Offsets) {
        let fed = self.fed.get_or_insert_default();
        fed.retain(|partition, it| ends.get(partition).is_some_and(|end| *it <= *end));
    }

    /// Was that taken? What waits for labels may have been forgotten since, and would count twice.
    pub(crate) fn has_taken(&self, partition: i32, offset: i64) -> bool {
        let fed = self.fed.as_ref().and_then(|it| it.get(&partition));
        fed.is_some_and(|it| offset < *it)
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

    /// Reads messages of it. How many of them are none, and what is wrong with the first. An error: the version
    /// cannot be judged as it is configured.
    pub(crate) fn take(
        &mut self,
        judge: &Mutex<Judge>,
        ledger: &Ledger,
        (columns, values): (&str, &[&[u8]]),
    ) -> Result<(usize, Option<String>), String> {
        let of = &mut self.of;
        let taken = spared(|| match of {
            Of::Predictions(followed, reading) => {
                rows(judge, (followed, reading), ledger, (columns, values))
            }
            Of::Labels(model) => Ok(label_messages(judge, model, values)),
        });
        taken.unwrap_or_else(|why| Ok((values.len(), Some(why))))
    }
}

/// How a version's answers are read, which the first of them tell.
fn opened<'a>(
    judge: &Mutex<Judge>,
    (followed, reading): (&Followed<TruthConfig>, &'a mut Option<Reading>),
    (ledger, schema): (&Ledger, &Schema),
) -> Result<&'a Reading, String> {
    let Followed { model, version, plan, .. } = followed;
    match reading {
        Some(it) => Ok(it),
        None => {
            let subject = answers::subject(model, *version, schema);
            let standing = ledger.standing(&(model.clone(), *version));
            Ok(reading.insert(lock(judge).open(&subject, plan, standing)?))
        }
    }
}

fn predictions(
    judge: &Mutex<Judge>,
    (followed, reading): (&Followed<TruthConfig>, &mut Option<Reading>),
    ledger: &Ledger,
    file: File,
) -> Result<(), Fault> {
    let file = LogFile::open(file).map_err(Fault::of)?;
    let Followed { model, version, .. } = followed;
    if !file.is_of(model, *version) {
        return Err(Fault::File("its rows are of another version than its path".to_owned()));
    }
    let schema = file.schema().clone();
    let reading = opened(judge, (followed, reading), (ledger, &schema));
    let reading = reading.map_err(Fault::Version)?;
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

/// As messages bring them.
fn rows(
    judge: &Mutex<Judge>,
    (followed, reading): (&Followed<TruthConfig>, &mut Option<Reading>),
    ledger: &Ledger,
    (columns, values): (&str, &[&[u8]]),
) -> Result<(usize, Option<String>), String> {
    let none = |why| Ok((values.len(), Some(why)));
    let schema = match columns_of(columns) {
        Ok(schema) => schema,
        Err(why) => return none(why),
    };
    let reading = opened(judge, (followed, reading), (ledger, &schema))?;
    let output = reading.output();
    let fields = schema.fields().iter();
    let fields = fields.filter(|it| answers::is_wanted(&schema, output, it.name())).cloned();
    let wanted = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let (batches, wrong, why) = match rows_of(&wanted, values) {
        Ok(read) => read,
        Err(error) => return none(error.to_string()),
    };
    let mut all = Seen::default();
    for batch in &batches {
        // Every message of a row has a column that says which it is.
        answers::each(batch, output, |it| {
            add(&mut all, lock(judge).predicted(&followed.model, reading, it));
        });
    }
    metrics::joined(&followed.model, "predictions", all);
    Ok((wrong, why))
}

fn label_messages(
    judge: &Mutex<Judge>,
    model: &ModelName,
    values: &[&[u8]],
) -> (usize, Option<String>) {
    let (mut all, mut wrong, mut first) = (Seen::default(), 0, None);
    for value in values {
        let read = label_of(value).and_then(|row| {
            let recorded = row.recorded_time;
            Ok((label(row)?, recorded))
        });
        match read {
            Ok((label, recorded)) => {
                add(&mut all, lock(judge).labelled(model, &label, recorded));
            }
            Err(why) => {
                wrong += 1;
                first.get_or_insert(why);
            }
        }
    }
    metrics::joined(model, "labels", all);
    (wrong, first)
}

fn labels(judge: &Mutex<Judge>, model: &ModelName, file: File) -> io::Result<()> {
    let mut all = Seen::default();
    read_labels(file, model, |rows| {
        for row in rows {
            let mut judge = lock(judge);
            let recorded = row.recorded_time;
            // What a server has taken can be.
            if let Ok(label) = label(row) {
                add(&mut all, judge.labelled(model, &label, recorded));
            }
        }
    })?;
    metrics::joined(model, "labels", all);
    Ok(())
}

fn label(row: LabelRow) -> Result<Label, String> {
    let value = match row.value {
        LabelValue::Bool(it) => Given::Bool(it),
        LabelValue::Number(it) => Given::Number(it),
        LabelValue::Text(it) => Given::Text(it.into()),
    };
    Label::new(&row.inference_id, row.row_index, value, row.label_time)
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
