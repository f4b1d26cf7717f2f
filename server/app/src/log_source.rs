//! A log in an object store, read for `salver monitor` and `salver logs`. Each file is copied to the disk first, whole, so
//! that a connection that breaks tears nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

#[cfg(feature = "fleet")]
use server_feedback::LABELS_SUFFIX;
use server_feedback::hour_of;
use server_feedback::source::{Archive, Listed, Missing, Object, Source, Wanted};
use server_registry::{Collection, ErrorKind, Limits, RegistryError, Stored, Uri};
use tokio::runtime::{Builder, Runtime};

use crate::stock;

/// A store that has not begun to answer by then is away.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A list of many thousands takes pages.
const LIST_MAX: Duration = Duration::from_secs(120);

/// Forms of addresses.
pub(crate) const FORMS: &str = "a folder, s3://BUCKET/PREFIX, gs://.. or az://..";

/// An object store. `None`: that is no address. `folder` is where files lie while they are read.
pub(crate) fn source(word: &str, folder: &Path) -> Option<io::Result<Box<dyn Archive>>> {
    let (scheme, _) = word.split_once("://")?;
    let uri = match scheme {
        "s3" | "gs" | "az" => Uri::from_str(word).map_err(io::Error::other),
        _ => return Some(Err(io::Error::other(format!("{word:?}: expected {FORMS}")))),
    };
    Some(uri.and_then(|it| made(&it, folder)))
}

/// The labels beside the predictions of an object store.
#[cfg(feature = "fleet")]
pub(crate) fn labels(word: &str, folder: &Path) -> Option<io::Result<Box<dyn Archive>>> {
    word.contains("://").then(|| {
        let uri = Uri::from_str(word).and_then(|it| it.beside(LABELS_SUFFIX));
        made(&uri.map_err(io::Error::other)?, folder)
    })
}

fn made(uri: &Uri, folder: &Path) -> io::Result<Box<dyn Archive>> {
    let limits = Limits { head_max: ANSWER_MAX, look_max: LIST_MAX, ..Limits::default() };
    let collection = stock::registries(limits).collection(uri).map_err(io::Error::other)?;
    // One thread waits for it: the one that reads.
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
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Listed> {
        let listed = self.collection.list(wanted.folder, (wanted.after, wanted.most));
        let found = self.runtime.block_on(listed).map_err(io::Error::other)?;
        Ok(told(found, wanted.most))
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> Result<File, Missing> {
        let mut file = self.incoming().map_err(Missing::Away)?;
        let path = format!("{folder}/{}", object.path);
        let copied = self.collection.copy(&path, object.size, &mut file);
        self.runtime.block_on(copied).map_err(missing)?;
        file.rewind().map_err(Missing::Away)?;
        Ok(file)
    }
}

impl Archive for Store {
    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>> {
        // An object of such a name has nothing below it.
        self.runtime.block_on(self.collection.names(folder)).map_err(io::Error::other)
    }
}

/// Those of the log, of the first `most` that there are.
fn told(found: Vec<Stored>, most: usize) -> Listed {
    // Whatever they are: of those of the log there may be fewer in a list that is cut, or none.
    let next = found.last().map(|it| it.path.clone()).filter(|_| found.len() >= most);
    // What lies in no hour's folder says nothing of how far the log has come.
    let is_ours = |it: &Stored| it.path.ends_with(".parquet") && hour_of(&it.path).is_some();
    let found = found.into_iter().filter(is_ours);
    let object = |Stored { path, size, written }| Object { path, size, written };
    Listed { objects: found.map(object).collect(), next }
}

impl Store {
    /// A file on the disk, to be written and read. It is gone when it is closed, or when the process ends.
    fn incoming(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&self.file)?;
        fs::remove_file(&self.file)?;
        Ok(file)
    }
}

/// Is it of one file, or of the store, or of this machine?
fn missing(error: RegistryError) -> Missing {
    match error.kind() {
        ErrorKind::NotFound => Missing::Gone,
        ErrorKind::Unavailable | ErrorKind::Slow | ErrorKind::Local => {
            Missing::Away(io::Error::other(error))
        }
        ErrorKind::Invalid
        | ErrorKind::Refused
        | ErrorKind::Answer
        | ErrorKind::TooLarge
        | ErrorKind::Corrupt
        | ErrorKind::Policy => Missing::Refused(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: fn(String) -> RegistryError, expect: &str) {
        let missing = format!("{:?}", missing(error("x".to_owned())));
        assert!(missing.starts_with(expect), "{missing}");
    }

    /// What is told of a list of at most three, and where the next one begins.
    #[track_caller]
    fn check_list(names: &[&str], expect: (&[&str], Option<&str>)) {
        let stored = |it: &&str| Stored { path: (*it).to_owned(), size: 1, written: 0 };
        let Listed { objects, next } = told(names.iter().map(stored).collect(), 3);
        let paths: Vec<&str> = objects.iter().map(|it| it.path.as_str()).collect();
        assert_eq!((paths.as_slice(), next.as_deref()), expect);
    }

    #[test]
    fn a_list_that_is_cut_goes_on_behind_names_of_others() {
        check_list(&[], (&[], None));
        let [one, other] =
            ["date=2026-01-02/hour=03/a.parquet", "date=2026-01-02/hour=04/a.parquet"];
        check_list(&[one, "e.tmp"], (&[one], None));
        check_list(&[one, "e.tmp", "f.tmp"], (&[one], Some("f.tmp")));
        check_list(&["a.tmp", "b.tmp", "c.tmp"], (&[], Some("c.tmp")));
        check_list(&["a.tmp", one, other], (&[one, other], Some(other)));
    }

    /// Such as those that somebody else has made of them.
    #[test]
    fn tables_of_no_hour_are_not_the_logs() {
        let (day, ours) = ("date=2026-01-02/all.parquet", "date=2026-01-02/hour=03/a.parquet");
        check_list(&["all.parquet", day], (&[], None));
        check_list(&["all.parquet", day, ours], (&[ours], Some(ours)));
    }

    #[test]
    fn a_file_that_is_not_given_out_is_no_store_that_is_away() {
        check(RegistryError::NotFound, "Gone");
        check(RegistryError::Unavailable, "Away");
        check(RegistryError::Slow, "Away");
        check(|it| RegistryError::Local(it, io::Error::other("full")), "Away");
        check(RegistryError::Refused, "Refused");
        check(RegistryError::Answer, "Refused");
    }
}
