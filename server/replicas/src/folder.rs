//! A folder that all replicas see, such as a volume that many pods mount.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use server_base::files;

use crate::id::ReplicaId;
use crate::store::{ENTRY_BYTES_MAX, Store};

/// Entries are files. What is being written lies beside them, under a name that begins with a dot and ends with
/// the replica's: nobody reads it.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    id: ReplicaId,
}

impl Folder {
    /// Makes the folder if there is none, and tries whether its file system does what is asked of a [`Store`].
    pub fn open(root: &Path, id: ReplicaId) -> io::Result<Folder> {
        let probe = format!("probes/{id}");
        let folder = Folder { root: root.to_path_buf(), id };
        folder.remove(&probe)?;
        let tries = (folder.create(&probe, b"probe")?, folder.create(&probe, b"again")?);
        folder.remove(&probe)?;
        if tries == (true, false) {
            return Ok(folder);
        }
        Err(io::Error::other("its file system does not keep one file from being made twice"))
    }

    /// Writes what an entry shall be; returns where it lies and where it shall.
    fn beside(&self, name: &str, bytes: &[u8], safe: bool) -> io::Result<(PathBuf, PathBuf)> {
        let path = self.root.join(name);
        let (Some(folder), Some(file)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(ErrorKind::InvalidInput));
        };
        fs::create_dir_all(folder)?;
        // The name of a model may be as long as that of a file.
        let short: String = file.to_string_lossy().chars().take(24).collect();
        let aside = folder.join(format!(".{short}.{}", self.id));
        if safe {
            files::write(&aside, bytes)?
        } else {
            fs::write(&aside, bytes)?
        }
        Ok((aside, path))
    }
}

impl Store for Folder {
    /// By a hard link, which is made or not made on every file system that has them, NFS included.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let (aside, path) = self.beside(name, bytes, true)?;
        let linked = fs::hard_link(&aside, &path);
        fs::remove_file(&aside)?;
        match linked {
            Ok(()) => {
                path.parent().map_or(Ok(()), files::sync_folder)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Not forced to the disk: what is replaced is written anew in a moment.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (aside, path) = self.beside(name, bytes, false)?;
        fs::rename(aside, path)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.root.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        let most = u64::try_from(ENTRY_BYTES_MAX).unwrap_or(u64::MAX);
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > ENTRY_BYTES_MAX {
            let text = format!("{name} has more than {ENTRY_BYTES_MAX} bytes");
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        Ok(Some(bytes))
    }

    fn read_all(&self, names: &[String]) -> Vec<io::Result<Option<Vec<u8>>>> {
        names.iter().map(|it| self.read(it)).collect()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // Names that are no text are not ours.
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::thread;

    fn id(text: &str) -> ReplicaId {
        ReplicaId::new(text).expect("a name")
    }

    #[test]
    fn a_folder_is_a_store() {
        let root = tempfile::tempdir().expect("scratch");
        let path = root.path().join("made/here");
        let [a, b] = ["a", "b"].map(|it| Folder::open(&path, id(it)).expect("opened"));
        crate::store::conformance(&a, &b, "trial/x").expect("a store");
    }

    #[test]
    fn one_of_many_makes_an_entry() {
        let root = tempfile::tempdir().expect("scratch");
        let threads: Vec<_> = (0..8)
            .map(|it| {
                let folder = Folder::open(root.path(), id(&format!("r{it}"))).expect("opened");
                thread::spawn(move || {
                    let made = |n: &u32| folder.create(&format!("x/{n}"), &[it]).expect("tried");
                    (0..50).filter(made).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut made: Vec<u32> =
            threads.into_iter().flat_map(|it| it.join().expect("no panic")).collect();
        made.sort_unstable();
        assert_eq!(made, (0..50).collect::<Vec<_>>(), "each by one");
    }

    #[test]
    fn half_of_an_entry_is_seen_by_nobody() {
        let root = tempfile::tempdir().expect("scratch");
        let folder = Folder::open(root.path(), id("a")).expect("opened");
        fs::create_dir_all(root.path().join("x")).expect("made");
        // As a process leaves it that ends while it writes.
        fs::write(root.path().join("x/.1.b"), "{").expect("written");
        assert!(folder.list("x").expect("listed").is_empty());
        assert!(folder.create("x/1", b"whole").expect("created"));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let root = tempfile::tempdir().expect("scratch");
        let folder = Folder::open(root.path(), id("a")).expect("opened");
        folder.replace("x/1", &vec![b' '; ENTRY_BYTES_MAX + 1]).expect("written");
        assert_eq!(folder.read("x/1").expect_err("too large").kind(), ErrorKind::InvalidData);
    }
}
