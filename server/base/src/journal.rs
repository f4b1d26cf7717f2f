//! A file of lines that only grows, and begins anew when it is large.
//!
//! One value for each file of a process: its lines come one after the other, and are on the disk
//! when they have been written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Lines in `<name>.jsonl`, those before them in `<name>.1.jsonl`, and none of any earlier ones.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    older: PathBuf,
    bytes_max: u64,
    turn: Mutex<()>,
}

impl Journal {
    /// How far back a line is looked for that a process before may have written: a few thousand of the longest.
    pub const LAST_BYTES: u64 = 4 << 20;

    /// In a folder that is there. Nothing is opened before the first line.
    pub fn new(folder: &Path, name: &str, bytes_max: u64) -> Journal {
        let (path, older) =
            (folder.join(format!("{name}.jsonl")), folder.join(format!("{name}.1.jsonl")));
        Journal { path, older, bytes_max, turn: Mutex::new(()) }
    }

    /// Adds a line, without its end.
    pub fn append(&self, line: &[u8]) -> io::Result<()> {
        // Whoever panicked here has left a file that can be added to.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&self.path).is_ok_and(|it| it.len() >= self.bytes_max) {
            fs::rename(&self.path, &self.older)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        // In one piece: a line that is cut short by a full disk must not swallow the next.
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        file.write_all(&whole)?;
        file.sync_data()
    }

    /// The last lines, also those of processes before: of each file so many bytes at the most. The first of them
    /// may be cut off.
    pub fn last(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = Vec::new();
        for path in [&self.older, &self.path] {
            let mut file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
            file.take(bytes_max).read_to_end(&mut last)?;
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).unwrap_or_default()
    }

    #[test]
    fn a_large_file_is_begun_anew_and_one_is_kept() {
        let folder = tempfile::tempdir().expect("scratch");
        let journal = Journal::new(folder.path(), "audit", 8);
        for line in ["1234", "56", "7", "8"] {
            journal.append(line.as_bytes()).expect("written");
        }
        let now = || (read(folder.path(), "audit.1.jsonl"), read(folder.path(), "audit.jsonl"));
        assert_eq!(now(), ("1234\n56\n".to_owned(), "7\n8\n".to_owned()));
        for line in ["9012", "3"] {
            journal.append(line.as_bytes()).expect("written");
        }
        assert_eq!(now(), ("7\n8\n9012\n".to_owned(), "3\n".to_owned()));
    }

    #[test]
    fn another_process_goes_on_where_one_ended() {
        let folder = tempfile::tempdir().expect("scratch");
        for line in ["a", "b"] {
            let journal = Journal::new(folder.path(), "audit", 1 << 20);
            journal.append(line.as_bytes()).expect("written");
        }
        assert_eq!(read(folder.path(), "audit.jsonl"), "a\nb\n");
    }

    #[test]
    fn the_last_lines_are_those_of_both_files() {
        let folder = tempfile::tempdir().expect("scratch");
        let journal = Journal::new(folder.path(), "audit", 8);
        let last = |bytes| String::from_utf8(journal.last(bytes).expect("read")).expect("text");
        assert_eq!(last(9), "");
        for (line, all, few) in
            [("1234567", "1234567\n", "67\n"), ("89", "1234567\n89\n", "67\n89\n")]
        {
            journal.append(line.as_bytes()).expect("written");
            assert_eq!((last(9), last(3)), (all.to_owned(), few.to_owned()));
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().expect("scratch");
        let journal = Journal::new(&folder.path().join("gone"), "audit", 8);
        assert!(journal.append(b"x").is_err());
    }
}
