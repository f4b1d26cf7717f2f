//! The file system, as far as segments and cursors need it, so that tests can have it fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use server_base::files;

/// What segments are kept in.
pub trait Files: Send + Sync {
    /// A file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>>;

    /// So many bytes from there on; fewer at the end of the file.
    fn read(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;

    /// How long a file is.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// What lies in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Writes a small file whole: after a crash it is the old one or the new.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Names in the folder are on the disk when it returns.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// Makes a folder whose name is on the disk when it returns, as far up as names may be new: a crash
/// could lose it with all that was synced within.
pub(crate) fn create_folder(files: &dyn Files, folder: &Path) -> io::Result<()> {
    let there: Vec<&Path> = folder.ancestors().skip(1).filter(|it| it.is_dir()).collect();
    fs::create_dir_all(folder)?;
    let mut is_new = true;
    for above in folder.ancestors().skip(1) {
        let is_here = above.as_os_str().is_empty();
        let synced = files.sync_folder(if is_here { Path::new(".") } else { above });
        // Who made what was there may have ended before it was synced; it may be none of ours, though.
        if is_new {
            synced?;
        }
        is_new &= !there.contains(&above);
    }
    Ok(())
}

/// A file that grows.
pub trait Append: Send {
    /// All of it, or an error after which the file's end is unknown.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// What was appended is on the disk when it returns without an error. After an error nothing is
    /// known of it for ever: the system may have thrown the pages away and say nothing next time.
    fn sync(&mut self) -> io::Result<()>;
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn read(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut content = Vec::new();
        file.take(bytes as u64).read_to_end(&mut content)?;
        Ok(content)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|it| Ok(it?.path())).collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        files::replace(path, &path.with_extension("part"), content)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        files::sync_folder(folder)
    }
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
