//! A log in an object store, read for `salver monitor`. Each file is copied to the disk first, whole, so
//! that a connection that breaks tears nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use server_feedback::hour_folder;
use server_monitor::fleet::{Object, Source, Wanted};
use server_registry::{Collection, ErrorKind, Limits, RegistryError, Uri};
use tokio::runtime::{Builder, Runtime};

use crate::stock;

/// A store that has not begun to answer by then is away.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A list of many thousands takes pages.
const LIST_MAX: Duration = Duration::from_secs(120);

/// Forms of addresses.
pub(crate) const FORMS: &str = "a folder, s3://BUCKET/PREFIX, gs://.. or az://..";

/// An object store. `None`: that is no address. `folder` is where files lie while they are read.
pub(crate) fn source(word: &str, folder: &Path) -> Option<io::Result<Box<dyn Source>>> {
    let (scheme, _) = word.split_once("://")?;
    let made = match scheme {
        "s3" | "gs" | "az" => made(word, folder),
        _ => Err(io::Error::other(format!("{word:?}: expected {FORMS}"))),
    };
    Some(made)
}

fn made(word: &str, folder: &Path) -> io::Result<Box<dyn Source>> {
    let limits = Limits { head_max: ANSWER_MAX, look_max: LIST_MAX, ..Limits::default() };
    let uri = Uri::from_str(word).map_err(io::Error::other)?;
    let collection = stock::registries(limits).collection(&uri).map_err(io::Error::other)?;
    // One thread waits for it: the fleet's own.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    fs::create_dir_all(folder)?;
    Ok(Box::new(Store { collection, runtime, file: folder.join("incoming.parquet") }))
}

struct Store {
    collection: Collection,
    runtime: Runtime,
    file: PathBuf,
}

impl Source for Store {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Vec<Object>> {
        let after = hour_folder(wanted.from_hour);
        let listed = self.collection.list(wanted.folder, (&after, wanted.most));
        let found = self.runtime.block_on(listed).map_err(failed)?;
        let found = found.into_iter().filter(|it| it.path.ends_with(".parquet"));
        let object = |it: server_registry::Stored| {
            let server_registry::Stored { path, size, written } = it;
            Object { path, size, written }
        };
        Ok(found.map(object).collect())
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(true).open(&self.file)?;
        // It is gone when it is closed, or when the process ends.
        fs::remove_file(&self.file)?;
        let path = format!("{folder}/{}", object.path);
        let copied = self.collection.copy(&path, object.size, &mut file);
        self.runtime.block_on(copied).map_err(failed)?;
        file.rewind()?;
        Ok(file)
    }
}

fn failed(error: RegistryError) -> io::Error {
    let is_gone = error.kind() == ErrorKind::NotFound;
    let kind = if is_gone { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}
