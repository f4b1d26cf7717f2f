//! Labels on the disk: lines of JSON by model and day, for whoever trains, and for the next start.
//!
//! `labels/model=wine/date=2026-11-22/labels.jsonl`. A line that is there is whole or the last; a label
//! that is corrected has another line, and the last one counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use server_base::ModelName;
use server_base::calendar::{self, Date};

use crate::label::{Given, Label};

pub(crate) const DAY_US: i64 = 86_400_000_000;

/// What a day's file is called.
pub(crate) const FILE: &str = "labels.jsonl";

/// A label takes a few hundred bytes; a line of more is none.
const LINE_BYTES_MAX: usize = 4_096;

/// Labels of one write are recorded a microsecond apart: so far from the clock the last of them may be, which is
/// more than may wait to be written. A clock that is further back was set.
const LEAD_US: i64 = 1_000_000;

/// Files that are held open: of models whose labels come now.
const OPEN_MAX: usize = 64;

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    inference_id: Box<str>,
    row_index: u32,
    label: Given,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label_us: Option<i64>,
    recorded_time: String,
    recorded_us: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Dataset {
    folder: PathBuf,
    open: BTreeMap<ModelName, Day>,
    /// When the last label was recorded.
    last_us: i64,
}

#[derive(Debug)]
struct Day {
    number: i64,
    file: File,
    /// An append failed: the file's last line may be a piece.
    is_torn: bool,
}

impl Dataset {
    pub(crate) fn new(folder: PathBuf) -> Dataset {
        Dataset { folder, open: BTreeMap::new(), last_us: i64::MIN }
    }

    /// Labels of one model. They are on the disk when it returns. No two of them are recorded at one time: the
    /// last one of a row counts, and whoever reads them elsewhere is to know which that is.
    pub(crate) fn append(
        &mut self,
        model: &ModelName,
        labels: &[&[Label]],
        now_us: i64,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        let is_near = (now_us..now_us.saturating_add(LEAD_US)).contains(&self.last_us);
        let first_us = if is_near { self.last_us + 1 } else { now_us };
        for (recorded_us, label) in (first_us..).zip(labels.iter().copied().flatten()) {
            let line = Line {
                inference_id: label.id.clone(),
                row_index: label.row,
                label: label.value.clone(),
                label_time: label.time_us.map(calendar::of_us),
                label_us: label.time_us,
                recorded_time: calendar::of_us(recorded_us),
                recorded_us,
            };
            self.last_us = recorded_us;
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        let day = self.day(model, now_us.div_euclid(DAY_US))?;
        if day.is_torn {
            text.insert(0, b'\n');
        }
        day.is_torn = true;
        day.file.write_all(&text)?;
        day.file.sync_data()?;
        day.is_torn = false;
        Ok(())
    }

    fn day(&mut self, model: &ModelName, number: i64) -> io::Result<&mut Day> {
        if self.open.get(model).is_none_or(|it| it.number != number || it.is_torn) {
            let is_torn = self.open.get(model).is_some_and(|it| it.is_torn);
            if self.open.len() >= OPEN_MAX {
                self.open.clear();
            }
            let folder = folder(&self.folder, model, number);
            fs::create_dir_all(&folder)?;
            let file = OpenOptions::new().append(true).create(true).open(file(&folder))?;
            // The name is there after a crash too, and those of its folders.
            let above = folder.ancestors().take(3);
            above.filter(|it| it.is_dir()).try_for_each(|it| File::open(it)?.sync_all())?;
            // One of an earlier process may end in a piece; an empty line harms nobody.
            let is_torn = is_torn || file.metadata()?.len() > 0;
            self.open.insert(model.clone(), Day { number, file, is_torn });
        }
        self.open.get_mut(model).ok_or_else(|| io::Error::other("no file of labels"))
    }
}

/// Labels that were recorded since then, in their order, each with when. What cannot be read is left
/// out.
pub(crate) fn read(
    root: &Path,
    model: &ModelName,
    (since_us, now_us): (i64, i64),
    mut take: impl FnMut(&Label, i64),
) {
    // Those of a day's last write may be recorded on the next.
    for number in since_us.saturating_sub(LEAD_US).div_euclid(DAY_US)..=now_us.div_euclid(DAY_US) {
        let Ok(file) = File::open(file(&folder(root, model, number))) else { continue };
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            if line.len() > LINE_BYTES_MAX {
                continue;
            }
            let Ok(line) = serde_json::from_slice::<Line>(&line) else { continue };
            let Line { inference_id, row_index, label, recorded_us, .. } = line;
            if recorded_us < since_us {
                continue;
            }
            if let Ok(label) = Label::new(&inference_id, row_index, label, None) {
                take(&label, recorded_us);
            }
        }
    }
}

/// Labels of a file, in their order.
pub(crate) struct Piece {
    /// Each with where its line begins, and when it was recorded.
    pub(crate) labels: Vec<(u64, Label, i64)>,
    /// Where the next piece begins: behind the last whole line.
    pub(crate) end: u64,
}

/// Whole lines from there on, of about so many bytes. What cannot be read is left out. All of it is on the
/// disk: what a crash takes back, and others get the place of, was in no piece.
pub(crate) fn piece(mut file: File, from: u64, bytes: usize) -> io::Result<Piece> {
    let written = file.metadata()?.len().saturating_sub(from);
    file.sync_data()?;
    file.seek(SeekFrom::Start(from))?;
    let mut piece = Piece { labels: Vec::new(), end: from };
    let most = written.min(bytes as u64 + LINE_BYTES_MAX as u64);
    let mut reader = BufReader::new(file.take(most));
    let mut text = Vec::new();
    while piece.end - from < bytes as u64 {
        text.clear();
        let length = reader.read_until(b'\n', &mut text)?;
        if text.pop() != Some(b'\n') {
            // No label is that long: what it is does not hold up what follows.
            piece.end += if length > LINE_BYTES_MAX { length as u64 } else { 0 };
            break;
        }
        let at = piece.end;
        piece.end += length as u64;
        let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
        let Line { inference_id, row_index, label, label_us, recorded_us, .. } = line;
        if let Ok(label) = Label::new(&inference_id, row_index, label, label_us) {
            piece.labels.push((at, label, recorded_us));
        }
    }
    Ok(piece)
}

fn folder(root: &Path, model: &ModelName, day: i64) -> PathBuf {
    root.join(format!("model={model}")).join(format!("date={}", Date::of_day(day)))
}

fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ModelName {
        ModelName::new("wine").expect("a name")
    }

    fn label(id: &str, value: f64) -> Label {
        Label::new(id, 1, Given::Number(value), Some(0)).expect("a label")
    }

    #[test]
    fn what_was_written_is_read_again_and_pieces_are_left_out() {
        let root = tempfile::tempdir().expect("scratch");
        let now = 1_795_392_000_000_000;
        let mut dataset = Dataset::new(root.path().to_path_buf());
        dataset
            .append(&name(), &[&[label("a", 1.0)], &[label("b", 2.0)]], now - 1)
            .expect("written");
        dataset.append(&name(), &[&[label("a", 3.0)]], now).expect("another day");
        let path = root.path().join("model=wine/date=2026-11-23/labels.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).expect("the file");
        file.write_all(b"{\"inference_id\":\"torn").expect("a piece");
        let mut dataset = Dataset::new(root.path().to_path_buf());
        dataset.append(&name(), &[&[label("c", 4.0)]], now + 5).expect("after a crash");
        let all = |since| {
            let mut all = Vec::new();
            read(root.path(), &name(), (since, now + 10), |it, us| {
                all.push((it.id.to_string(), us))
            });
            all
        };
        let of = |id: &str, us| (id.to_owned(), us);
        assert_eq!(all(0), [of("a", now - 1), of("b", now), of("a", now + 1), of("c", now + 5)]);
        assert_eq!(all(now), [of("b", now), of("a", now + 1), of("c", now + 5)]);
        let text = fs::read_to_string(&path).expect("text");
        let first = text.lines().find(|it| it.contains("\"a\"")).expect("a line");
        assert_eq!(
            first,
            "{\"inference_id\":\"a\",\"row_index\":1,\"label\":3.0,\
             \"label_time\":\"1970-01-01T00:00:00.000000Z\",\"label_us\":0,\
             \"recorded_time\":\"2026-11-23T00:00:00.000001Z\",\"recorded_us\":1795392000000001}"
        );
    }

    #[test]
    fn no_two_labels_are_recorded_at_one_time() {
        let root = tempfile::tempdir().expect("scratch");
        let mut dataset = Dataset::new(root.path().to_path_buf());
        let recorded = |dataset: &mut Dataset, values: &[f64], now_us: i64| {
            let labels: Vec<Label> = values.iter().map(|it| label("a", *it)).collect();
            dataset.append(&name(), &[&labels], now_us).expect("written");
            let mut all = Vec::new();
            read(root.path(), &name(), (0, 2 * DAY_US), |it, us| all.push((it.value.shown(), us)));
            all.split_off(all.len() - values.len())
        };
        let of = |value: &str, us| (value.to_owned(), us);
        // Whoever ranks by the words alone would have 9 over 10.
        let got = recorded(&mut dataset, &[9.0, 10.0, 8.0], 5_000_000);
        assert_eq!(got, [of("9", 5_000_000), of("10", 5_000_001), of("8", 5_000_002)]);
        // Written within the same microsecond, and by a clock that was put right by a little.
        assert_eq!(recorded(&mut dataset, &[7.0], 5_000_000), [of("7", 5_000_003)]);
        assert_eq!(recorded(&mut dataset, &[6.0], 4_500_000), [of("6", 5_000_004)]);
        // One that was far ahead is not followed.
        assert_eq!(recorded(&mut dataset, &[5.0], 1_000_000), [of("5", 1_000_000)]);
    }
}
