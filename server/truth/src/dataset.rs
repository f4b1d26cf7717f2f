//! Labels on the disk: lines of JSON by model and day, for whoever trains, and for the next start.
//!
//! `labels/model=wine/date=2026-11-22/labels.jsonl`. A line that is there is whole or the last; a label
//! that is corrected has another line, and the last one counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use server_base::ModelName;

use crate::label::{Given, Label};

const DAY_US: i64 = 86_400_000_000;

/// What a day's file is called.
pub(crate) const FILE: &str = "labels.jsonl";

/// A label takes a few hundred bytes; a line of more is none.
const LINE_BYTES_MAX: usize = 4_096;

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
    recorded_time: String,
    recorded_us: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Dataset {
    folder: PathBuf,
    open: BTreeMap<ModelName, Day>,
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
        Dataset { folder, open: BTreeMap::new() }
    }

    /// Labels of one model. They are on the disk when it returns.
    pub(crate) fn append(
        &mut self,
        model: &ModelName,
        labels: &[&[Label]],
        now_us: i64,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for label in labels.iter().copied().flatten() {
            let line = Line {
                inference_id: label.id.clone(),
                row_index: label.row,
                label: label.value.clone(),
                label_time: label.time_us.map(stamp),
                recorded_time: stamp(now_us),
                recorded_us: now_us,
            };
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
    for number in since_us.div_euclid(DAY_US)..=now_us.div_euclid(DAY_US) {
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

fn folder(root: &Path, model: &ModelName, day: i64) -> PathBuf {
    let date: String = stamp(day.saturating_mul(DAY_US)).chars().take(10).collect();
    root.join(format!("model={model}")).join(format!("date={date}"))
}

fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// `2026-11-22T01:02:03.000004Z`.
///
/// # Source
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub(crate) fn stamp(us: i64) -> String {
    let (days, rest) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, us) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
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
    fn times_are_those_of_the_calendar() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(stamp(951_827_696_000_001), "2000-02-29T12:34:56.000001Z");
        assert_eq!(stamp(1_795_392_000_000_000), "2026-11-23T00:00:00.000000Z");
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
        assert_eq!(all(0), [of("a", now - 1), of("b", now - 1), of("a", now), of("c", now + 5)]);
        assert_eq!(all(now), [of("a", now), of("c", now + 5)]);
        let text = fs::read_to_string(&path).expect("text");
        let first = text.lines().find(|it| it.contains("\"a\"")).expect("a line");
        assert_eq!(
            first,
            "{\"inference_id\":\"a\",\"row_index\":1,\"label\":3.0,\
             \"label_time\":\"1970-01-01T00:00:00.000000Z\",\
             \"recorded_time\":\"2026-11-23T00:00:00.000000Z\",\"recorded_us\":1795392000000000}"
        );
    }
}
