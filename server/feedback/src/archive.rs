//! Rows that lie in Parquet files already: the files that have them, and the rows that are wanted.

use std::io;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use server_base::{ModelName, Version};

use crate::hive::{hour_folder, hour_of, model_folder};
use crate::past::times;
use crate::reader::LogFile;
use crate::sink::Rows;
use crate::source::{Archive, Missing, Object, Wanted as Below};

const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Files of one list, of which a log has many.
const LISTED_MAX: usize = 10_000;

/// How far back, in hours, one looks at a time for what was written last.
const STEPS: [u32; 3] = [3, 72, 24 * 60];

/// Which rows.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of that model.
    pub model: Option<String>,
    /// Of that version.
    pub version: Option<u64>,
    /// Of requests that came in then, in microseconds since 1970.
    pub time: Option<Range<i64>>,
}

/// A file in which there may be some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Of its version: `model=…/version=…`.
    pub folder: String,
    /// Where it lies there.
    pub object: Object,
}

impl Found {
    /// Its path below the root.
    pub fn path(&self) -> String {
        format!("{}/{}", self.folder, self.object.path)
    }
}

impl Wanted {
    fn is_at(&self, micros: i64) -> bool {
        self.time.as_ref().is_none_or(|it| it.contains(&micros))
    }

    /// The hours that they may be of.
    fn hours(&self) -> Range<u32> {
        let hour =
            |it: i64| u32::try_from(it.div_euclid(MICROS_AN_HOUR).max(0)).unwrap_or(u32::MAX);
        let Some(Range { start, end }) = self.time else { return 0..u32::MAX };
        hour(start)..hour(end.saturating_sub(1)).saturating_add(1)
    }
}

/// The files in which there may be some, in the order of time.
pub fn files(archive: &mut dyn Archive, wanted: &Wanted) -> io::Result<Vec<Found>> {
    let folders = versions(archive, wanted)?;
    of_hours(archive, &folders, wanted.hours())
}

/// The folders of versions.
fn versions(archive: &mut dyn Archive, wanted: &Wanted) -> io::Result<Vec<String>> {
    let Wanted { model, version, .. } = wanted;
    let (model, version) =
        (model.as_deref().map(model_folder), version.map(|it| format!("version={it}")));
    let mut folders = Vec::new();
    for found in archive.folders("")? {
        let is_wanted = model.as_ref().is_none_or(|it| *it == found);
        if !found.starts_with("model=") || !is_wanted {
            continue;
        }
        for inner in archive.folders(&found)? {
            if inner.starts_with("version=") && version.as_ref().is_none_or(|it| *it == inner) {
                folders.push(format!("{found}/{inner}"));
            }
        }
    }
    Ok(folders)
}

/// Those of some hours, in the order of time.
fn of_hours(
    archive: &mut dyn Archive,
    folders: &[String],
    hours: Range<u32>,
) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for folder in folders.iter().filter(|_| !hours.is_empty()) {
        let mut next = Some(hour_folder(hours.start));
        while let Some(after) = next {
            let listed = archive.list(&Below { folder, after: &after, most: LISTED_MAX })?;
            next = listed.next.filter(|it| hour_of(it).is_none_or(|it| it < hours.end));
            let ours = |it: &Object| hour_of(&it.path).is_some_and(|it| hours.contains(&it));
            let objects = listed.objects.into_iter().filter(ours);
            found.extend(objects.map(|object| Found { folder: folder.clone(), object }));
        }
    }
    // Below model and version the names of folders and files are in the order of time.
    found.sort_by(|a, b| (&a.object.path, &a.folder).cmp(&(&b.object.path, &b.folder)));
    Ok(found)
}

/// The same files, the newest first, listed as far back as somebody wants them.
pub struct Newest {
    folders: Vec<String>,
    hours: Range<u32>,
    /// Where lists begin, the last first.
    begins: Vec<u32>,
    /// In the order of time.
    found: Vec<Found>,
}

impl Newest {
    /// Nothing but the versions is listed yet.
    pub fn new(archive: &mut dyn Archive, wanted: &Wanted) -> io::Result<Newest> {
        let hours = wanted.hours();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u32::try_from(now.as_secs() / 3_600).unwrap_or(u32::MAX).min(hours.end);
        let begins = STEPS.iter().rev().map(|it| now.saturating_sub(*it).max(hours.start));
        let begins = std::iter::once(hours.start).chain(begins).collect();
        Ok(Newest { folders: versions(archive, wanted)?, hours, begins, found: Vec::new() })
    }

    /// The one before, if there is one.
    pub fn next(&mut self, archive: &mut dyn Archive) -> io::Result<Option<Found>> {
        while self.found.is_empty() {
            let Some(begin) = self.begins.pop() else { return Ok(None) };
            self.found = of_hours(archive, &self.folders, begin..self.hours.end)?;
            self.hours.end = self.hours.end.min(begin);
        }
        Ok(self.found.pop())
    }
}

/// A file, whole; `None`: it is gone.
pub fn open(archive: &mut dyn Archive, found: &Found) -> io::Result<Option<LogFile>> {
    match archive.fetch(&found.folder, &found.object) {
        Ok(file) => LogFile::open(file).map(Some),
        Err(Missing::Gone) => Ok(None),
        Err(Missing::Away(error) | Missing::Refused(error)) => Err(error),
    }
}

/// The rows of a file, a piece at a time, in as few as there are gaps in what is wanted of them.
pub fn read(
    file: LogFile,
    wanted: &Wanted,
) -> io::Result<impl Iterator<Item = io::Result<Rows>> + use<>> {
    let (model, version) = file.whose()?;
    let wanted = wanted.clone();
    let split = move |batch: io::Result<RecordBatch>| match batch {
        Ok(batch) => pieces(&batch, (&model, version), &wanted).into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    Ok(file.pieces(|_| true)?.flat_map(split))
}

fn pieces(
    batch: &RecordBatch,
    (model, version): (&ModelName, Version),
    wanted: &Wanted,
) -> Vec<Rows> {
    let times = times(batch);
    let (mut found, mut begin) = (Vec::new(), 0);
    for run in times.chunk_by(|a, b| wanted.is_at(*a) == wanted.is_at(*b)) {
        if run.first().is_some_and(|it| wanted.is_at(*it)) {
            let hour = run.first().map_or(0, |it| it.div_euclid(MICROS_AN_HOUR));
            let hour = u32::try_from(hour).unwrap_or(0);
            let batch = batch.slice(begin, run.len());
            found.push(Rows { model: model.clone(), version, hour, batch });
        }
        begin += run.len();
    }
    found
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
