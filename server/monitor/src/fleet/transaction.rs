//! Several small files that change together: after a crash all are as before, or all are new.
//!
//! Each is written aside and synced; then a record of their names is put there, which is the moment at
//! which they count; then they take their places. Who finds the record after a crash goes on with that.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use server_base::files;
use server_feedback::{Append, Disk, Files};

/// The record.
const RECORD: &str = "commit.json";

/// What a file that does not count yet is called: its name and this.
const ASIDE: &str = "next";

/// A record names two files for each version that is followed, and one for each that was: some 1,500 names of
/// a folder and 255 bytes.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// See the module. `replace` puts a file aside; nothing else is changed by it.
#[derive(Debug)]
pub(crate) struct Transaction {
    root: PathBuf,
    staged: Mutex<Staged>,
}

#[derive(Debug, Default)]
struct Staged {
    /// What lies aside and is to count with the next record, below the root.
    names: BTreeSet<PathBuf>,
    /// There is a record that has not been carried out to its end.
    is_recorded: bool,
}

impl Transaction {
    /// Of files in that folder, or in the folders `inner` within it. Ends what was begun.
    pub(crate) fn open(root: PathBuf, inner: &[&str]) -> io::Result<Transaction> {
        let folders: Vec<PathBuf> = inner.iter().map(|it| root.join(it)).collect();
        folders.iter().try_for_each(fs::create_dir_all)?;
        // What is synced within a folder is lost with its name.
        Disk.sync_folder(&root)?;
        let transaction = Transaction { root, staged: Mutex::default() };
        transaction.carry_out(&mut transaction.staged())?;
        for folder in std::iter::once(&transaction.root).chain(&folders) {
            for path in Disk.list(folder)? {
                if path.extension().is_some_and(|it| it == ASIDE) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(transaction)
    }

    /// Everything that was put aside counts when it returns. After an error it is there still, for the
    /// next try.
    pub(crate) fn commit(&self) -> io::Result<()> {
        let mut staged = self.staged();
        if staged.is_recorded {
            self.carry_out(&mut staged)?;
        }
        if staged.names.is_empty() {
            return Ok(());
        }
        for folder in staged.names.iter().filter_map(|it| it.parent()).collect::<BTreeSet<_>>() {
            Disk.sync_folder(&self.root.join(folder))?;
        }
        // It may be there even if that fails.
        staged.is_recorded = true;
        Disk.replace(&self.root.join(RECORD), &serde_json::to_vec(&staged.names)?)?;
        staged.names.clear();
        self.carry_out(&mut staged)
    }

    /// What the record names takes its place, if there is a record.
    fn carry_out(&self, staged: &mut Staged) -> io::Result<()> {
        let record = self.root.join(RECORD);
        let text = match Disk.read(&record, 0, RECORD_BYTES_MAX) {
            Ok(it) => it,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                staged.is_recorded = false;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let names: BTreeSet<PathBuf> = serde_json::from_slice(&text)?;
        for name in &names {
            let path = self.root.join(name);
            match fs::rename(aside(&path), &path) {
                // It did before the crash.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        for folder in names.iter().filter_map(|it| it.parent()).collect::<BTreeSet<_>>() {
            Disk.sync_folder(&self.root.join(folder))?;
        }
        fs::remove_file(&record)?;
        // Before anything is put aside anew: a record that came back would take it for its own.
        Disk.sync_folder(&self.root)?;
        staged.is_recorded = false;
        Ok(())
    }

    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ASIDE);
    PathBuf::from(name)
}

impl Files for Transaction {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        Disk.create(path)
    }

    fn read(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        Disk.read(path, offset, bytes)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Disk.len(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if let Ok(name) = path.strip_prefix(&self.root) {
            self.staged().names.remove(name);
        }
        Disk.remove(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let name = path.strip_prefix(&self.root).map_err(io::Error::other)?.to_path_buf();
        let mut staged = self.staged();
        if staged.is_recorded {
            // What lies aside is what the record means.
            self.carry_out(&mut staged)?;
        }
        staged.names.remove(&name);
        files::write(&aside(path), content)?;
        staged.names.insert(name);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.sync_folder(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["cursor.json", "in/a.json", "in/b.json"];

    fn open(root: &Path) -> Transaction {
        Transaction::open(root.to_path_buf(), &["in"]).expect("opens")
    }

    fn write(transaction: &Transaction, text: &str) {
        for name in NAMES {
            let path = transaction.root.join(name);
            transaction.replace(&path, text.as_bytes()).expect("written aside");
        }
    }

    /// What a process finds that starts there.
    #[track_caller]
    fn check(root: &Path, expect: &str) {
        let transaction = open(root);
        let read = |name: &str| fs::read_to_string(transaction.root.join(name)).expect(name);
        assert_eq!(NAMES.map(read), [expect; 3]);
        for folder in [root.to_path_buf(), root.join("in")] {
            let names = Disk.list(&folder).expect("a list");
            let left: Vec<&PathBuf> = names.iter().filter(|it| it.is_file()).collect();
            assert!(left.iter().all(|it| NAMES.iter().any(|name| it.ends_with(name))), "{left:?}");
        }
    }

    #[test]
    fn all_or_nothing_is_there_after_a_crash() {
        let root = tempfile::tempdir().expect("scratch");
        let root = root.path();
        let transaction = open(root);
        write(&transaction, "old");
        transaction.commit().expect("commits");
        check(root, "old");
        // Aside, and not all of it.
        write(&transaction, "lost");
        fs::remove_file(root.join("in/b.json.next")).expect("it was there");
        check(root, "old");
        // It counted, and one had taken its place.
        let transaction = open(root);
        write(&transaction, "new");
        let record = serde_json::to_vec(&NAMES).expect("JSON");
        fs::write(root.join(RECORD), record).expect("written");
        fs::rename(root.join("cursor.json.next"), root.join("cursor.json")).expect("renamed");
        check(root, "new");
    }

    #[test]
    fn what_a_record_means_is_not_written_over() {
        let root = tempfile::tempdir().expect("scratch");
        let root = root.path();
        let transaction = open(root);
        write(&transaction, "first");
        // A folder that is not empty is in the way of one of the files.
        fs::create_dir_all(root.join("in/b.json/full")).expect("made");
        transaction.commit().expect_err("it cannot take its place");
        let path = root.join("cursor.json");
        transaction.replace(&path, b"second").expect_err("the first is not done");
        fs::remove_dir_all(root.join("in/b.json")).expect("gone");
        transaction.replace(&path, b"second").expect("written aside");
        check(root, "first");
    }

    #[test]
    fn what_failed_is_tried_again() {
        let root = tempfile::tempdir().expect("scratch");
        let root = root.path();
        let transaction = open(root);
        write(&transaction, "old");
        transaction.commit().expect("commits");
        write(&transaction, "new");
        // A folder is in the record's way.
        fs::create_dir(root.join(RECORD)).expect("made");
        transaction.commit().expect_err("no record can be put there");
        fs::remove_dir(root.join(RECORD)).expect("gone");
        transaction.commit().expect("commits");
        check(root, "new");
    }
}
