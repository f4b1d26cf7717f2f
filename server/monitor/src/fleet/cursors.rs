//! Where versions stand, on the disk: a file for each, so that none grows until no version can be written
//! down, and what has not changed is not written. How far a stream was read lies beside them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use server_base::{ModelName, Version};
use server_feedback::Files as _;

use super::cursor::Cursor;
use super::stream;
use super::transaction::Transaction;
use crate::house::Who;
use crate::state;

/// The folder of cursors.
pub(crate) const FOLDER: &str = "cursors";

/// Beside it: the stream. An earlier release has written the cursors of all versions there.
const STREAM: &str = "cursor.json";

/// What is read: more than a cursor takes whose names are as many as there may be, and than all of an earlier
/// release did.
const BYTES_MAX: usize = 257 << 20;

/// The only format that is written.
const FORMAT: u32 = 2;

/// One file for all, which is read and written anew.
const FORMAT_OF_ALL: u32 = 1;

/// The file of the stream, or of an earlier release.
#[derive(Deserialize)]
struct Beside {
    format: u32,
    /// Of an earlier release.
    #[serde(default)]
    versions: Vec<(String, u64, Cursor)>,
    #[serde(default)]
    stream: Option<stream::Saved>,
}

#[derive(Serialize)]
struct Besides<'a> {
    format: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a stream::Saved>,
}

/// A version's file.
#[derive(Deserialize)]
struct Saved {
    format: u32,
    model: String,
    version: u64,
    cursor: Cursor,
}

#[derive(Serialize)]
struct Saving<'a> {
    format: u32,
    model: &'a str,
    version: u64,
    cursor: &'a Cursor,
}

/// What the process before has left.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) cursors: BTreeMap<Who, Cursor>,
    pub(crate) stream: Option<stream::Saved>,
    /// It is to be written down anew.
    pub(crate) is_old: bool,
}

/// See the module. What is written counts with the transaction's next record.
pub(crate) struct Cursors {
    disk: Arc<Transaction>,
    root: PathBuf,
    /// Cursors that are written, and how often they had changed by then.
    written: BTreeMap<Who, u64>,
    /// There is a file beside them, and it says nothing of a stream.
    is_marked: bool,
}

impl Cursors {
    /// Those below that folder.
    pub(crate) fn open(disk: Arc<Transaction>, root: &Path) -> io::Result<(Cursors, Known)> {
        let mut cursors =
            Cursors { disk, root: root.to_path_buf(), written: BTreeMap::new(), is_marked: false };
        let known = cursors.read()?;
        Ok((cursors, known))
    }

    fn read(&mut self) -> io::Result<Known> {
        let path = self.root.join(STREAM);
        let beside = match self.disk.read(&path, 0, BYTES_MAX) {
            Ok(text) => parsed::<Beside>(&path, &text)?,
            // Versions say themselves from when on a stream is to be read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Beside { format: FORMAT, versions: Vec::new(), stream: None }
            }
            Err(error) => return Err(error),
        };
        let Beside { format, versions, stream } = beside;
        let (files, mut cursors) = (self.files()?, BTreeMap::new());
        if format == FORMAT_OF_ALL {
            // Those that lie there are of a time before that was put back.
            files.iter().try_for_each(fs::remove_file)?;
            for (model, version, cursor) in versions {
                cursors.insert(who(&path, &model, version)?, cursor);
            }
            return Ok(Known { cursors, stream, is_old: true });
        }
        if format != FORMAT {
            return Err(wrong(&path, &unknown(format)));
        }
        for file in files {
            let (who, cursor) = self.one(&file)?;
            self.written.insert(who.clone(), cursor.changes());
            cursors.insert(who, cursor);
        }
        Ok(Known { cursors, stream, is_old: false })
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = self.disk.list(&self.root.join(FOLDER))?;
        files.retain(|it| it.extension().is_some_and(|it| it == "json"));
        Ok(files)
    }

    fn one(&self, path: &Path) -> io::Result<(Who, Cursor)> {
        let text = self.disk.read(path, 0, BYTES_MAX)?;
        let Saved { format, model, version, cursor } = parsed(path, &text)?;
        if format != FORMAT {
            return Err(wrong(path, &unknown(format)));
        }
        Ok((who(path, &model, version)?, cursor))
    }

    /// Where a version's lies.
    pub(crate) fn path(&self, (model, version): &Who) -> PathBuf {
        state::path(&self.root.join(FOLDER), model, *version)
    }

    /// Writes down where a version stands, if other files were read since it was written, or its rows were
    /// counted: that nothing was found up to some time is found again.
    pub(crate) fn write(
        &mut self,
        who: &Who,
        cursor: &Cursor,
        has_counted: bool,
    ) -> io::Result<()> {
        if !has_counted && self.written.get(who) == Some(&cursor.changes()) {
            return Ok(());
        }
        // What lies there after an error nobody knows.
        self.written.remove(who);
        let (model, version) = (who.0.as_str(), who.1.0);
        let text = serde_json::to_vec(&Saving { format: FORMAT, model, version, cursor })?;
        self.disk.replace(&self.path(who), &text)?;
        self.written.insert(who.clone(), cursor.changes());
        Ok(())
    }

    /// Writes down how far a stream was read, or that there is none.
    pub(crate) fn beside(&mut self, stream: Option<&stream::Saved>) -> io::Result<()> {
        if stream.is_none() && self.is_marked {
            return Ok(());
        }
        self.is_marked = false;
        let text = serde_json::to_vec(&Besides { format: FORMAT, stream })?;
        self.disk.replace(&self.root.join(STREAM), &text)?;
        self.is_marked = stream.is_none();
        Ok(())
    }

    /// A version is not remembered any more.
    pub(crate) fn forget(&mut self, who: &Who) {
        if self.written.remove(who).is_some() {
            // If it stays it is read at the next start, and has to make room again.
            let _ = self.disk.remove(&self.path(who));
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(path: &Path, text: &'a [u8]) -> io::Result<T> {
    serde_json::from_slice(text).map_err(|it| wrong(path, &it.to_string()))
}

fn wrong(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

fn unknown(format: u32) -> String {
    format!("it has format {format}, this version reads {FORMAT_OF_ALL} and {FORMAT}")
}

fn who(path: &Path, model: &str, version: u64) -> io::Result<Who> {
    let model = ModelName::new(model).map_err(|it| wrong(path, &it.to_string()))?;
    Ok((model, Version(version)))
}

#[cfg(test)]
#[path = "cursors_tests.rs"]
mod tests;
