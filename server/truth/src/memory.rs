//! Predictions on the disk, as far as labels may still come for them: so that a restart forgets none
//! but those of the last second.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use server_base::{Journal, ModelName, Version};

use crate::book::Row;
use crate::form::Guess;

/// Of one of the two files of a model: about a quarter of a million rows of three classes.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What waits to be written, of one model. More is left out: it is remembered, and a restart forgets it.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// A row of 1,024 classes is shorter.
const LINE_BYTES_MAX: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Value(f64),
    Scores(Vec<f32>),
    Class(Box<str>),
}

/// Id, row, version, time and guess.
type Line<'a> = (&'a str, u32, u64, i64, Kept);
type OwnLine = (Box<str>, u32, u64, i64, Kept);

/// See the module.
pub(crate) struct Memory {
    folder: PathBuf,
    waiting: BTreeMap<ModelName, Vec<u8>>,
}

impl Memory {
    pub(crate) fn new(folder: PathBuf) -> Memory {
        Memory { folder, waiting: BTreeMap::new() }
    }

    /// To be written soon.
    pub(crate) fn keep(&mut self, model: &ModelName, row: &Row<'_>) {
        let kept = match &row.guess {
            Guess::Value(it) => Kept::Value(*it),
            Guess::Scores(it) => Kept::Scores(it.to_vec()),
            Guess::Class(it) => Kept::Class(it.clone()),
        };
        let waiting = self.waiting.entry(model.clone()).or_default();
        if waiting.len() > WAITING_BYTES_MAX {
            return;
        }
        let line: Line<'_> = (row.id, row.row, row.version.0, row.time_us, kept);
        // Texts and numbers: there is nothing that cannot be written to memory.
        if serde_json::to_writer(&mut *waiting, &line).is_ok() {
            waiting.push(b'\n');
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for (model, mut lines) in std::mem::take(&mut self.waiting) {
            lines.pop(); // the journal ends lines itself
            let journal = Journal::new(&self.folder, model.as_str(), FILE_BYTES_MAX);
            if let Err(error) = journal.append(&lines) {
                result = Err(error);
            }
        }
        result
    }

    /// Where everything lies.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Where the files of a model lie, the older one first.
    pub(crate) fn files(&self, model: &ModelName) -> [PathBuf; 2] {
        ["1.jsonl", "jsonl"].map(|it| self.folder.join(format!("{model}.{it}")))
    }
}

/// Rows of a version, in their order. What cannot be read is left out.
pub(crate) fn read(files: &[PathBuf], version: Version, mut take: impl FnMut(Row<'_>)) {
    for file in files.iter().filter_map(|it| File::open(it).ok()) {
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            if line.len() > LINE_BYTES_MAX {
                continue;
            }
            let Ok((id, row, of, time_us, kept)) = serde_json::from_slice::<OwnLine>(&line) else {
                continue;
            };
            if of != version.0 {
                continue;
            }
            let guess = match kept {
                Kept::Value(it) => Guess::Value(it),
                Kept::Scores(it) => Guess::Scores(it.into()),
                Kept::Class(it) => Guess::Class(it),
            };
            take(Row { id: &id, row, version, time_us, guess });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again() {
        let root = tempfile::tempdir().expect("scratch");
        let model = ModelName::new("wine").expect("a name");
        let mut memory = Memory::new(root.path().to_path_buf());
        let guesses = [
            Guess::Value(1.5),
            Guess::Scores([0.25, 0.75].into_iter().collect()),
            Guess::Class("cat".into()),
        ];
        for (row, guess) in (0..).zip(guesses.clone()) {
            let row = Row { id: "a", row, version: Version(u64::from(row % 2)), time_us: 7, guess };
            memory.keep(&model, &row);
        }
        memory.flush().expect("written");
        memory.flush().expect("nothing to write");
        let mut seen = Vec::new();
        read(&memory.files(&model), Version(0), |it| seen.push((it.row, it.guess.clone())));
        assert_eq!(seen, [(0, guesses[0].clone()), (2, guesses[2].clone())]);
    }
}
