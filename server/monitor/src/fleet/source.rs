//! Where the files of a log are listed and fetched.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use server_feedback::{hour_folder, hour_of};

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path below the version's folder: `date=…/hour=…/….parquet`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, in microseconds since 1970, as its store says.
    pub written: i64,
}

/// Which files.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of that version: `model=…/version=…`.
    pub folder: &'a str,
    /// Of that hour since 1970, and of later ones.
    pub from_hour: u32,
    /// No more than those.
    pub most: usize,
}

/// A place that files of the log lie in.
pub trait Source: Send {
    /// The first files, in the order of their paths. A folder that is not there has none.
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Vec<Object>>;

    /// A file, whole. An error of the kind `NotFound`: it is not there any more.
    fn fetch(&mut self, folder: &str, object: &Object) -> io::Result<File>;
}

/// Folders of this machine, of volumes that replicas share with it for the most part.
#[derive(Debug)]
pub struct FolderSource(Vec<PathBuf>);

impl FolderSource {
    /// Those: each holds `model=…`. A replica's files bear a name of their own.
    pub fn new(roots: Vec<PathBuf>) -> FolderSource {
        FolderSource(roots)
    }
}

impl Source for FolderSource {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Vec<Object>> {
        let mut found = Vec::new();
        for root in &self.0 {
            found.extend(list(root, wanted)?);
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.truncate(wanted.most);
        Ok(found)
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> io::Result<File> {
        let mut opened = Err(io::Error::from(io::ErrorKind::NotFound));
        for root in &self.0 {
            opened = File::open(root.join(folder).join(&object.path));
            let is_gone = |it: &io::Error| it.kind() == io::ErrorKind::NotFound;
            if !opened.as_ref().is_err_and(is_gone) {
                break;
            }
        }
        opened
    }
}

fn list(root: &Path, wanted: &Wanted<'_>) -> io::Result<Vec<Object>> {
    // A volume that is away has no files either, and is no empty log.
    fs::metadata(root).map_err(|it| named(root, &it))?;
    let root = root.join(wanted.folder);
    let from = hour_folder(wanted.from_hour);
    let mut found = Vec::new();
    // Their names are in the order of time.
    for date in names(&root)? {
        if from.split('/').next().is_some_and(|it| date.as_str() < it) {
            continue;
        }
        for hour in names(&root.join(&date))? {
            let folder = format!("{date}/{hour}");
            if hour_of(&folder).is_none_or(|it| it < wanted.from_hour) {
                continue;
            }
            for name in names(&root.join(&folder))? {
                found.extend(object(&root, format!("{folder}/{name}"))?);
                if found.len() >= wanted.most {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

fn named(folder: &Path, error: &io::Error) -> io::Error {
    // Not `NotFound`, which is a file that has gone.
    io::Error::other(format!("{}: {error}", folder.display()))
}

/// `None`: it is no file of the log, or is gone.
fn object(root: &Path, path: String) -> io::Result<Option<Object>> {
    if !path.ends_with(".parquet") {
        return Ok(None);
    }
    let about = match fs::metadata(root.join(&path)) {
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(Object { path, size: about.len(), written: micros(about.modified()?) }))
}

/// What lies in a folder, by name; nothing, if there is none.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok().filter(|it| !it.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

/// Microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_from_an_hour_on() {
        let root = tempfile::tempdir().expect("scratch");
        let version = root.path().join("model=m/version=1");
        for (hour, name) in [(47, "a"), (48, "c"), (48, "b"), (49, "d"), (72, "e")] {
            let folder = version.join(hour_folder(hour));
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join(format!("{name}.parquet")), name).expect("written");
            fs::write(folder.join(format!("{name}.part")), name).expect("written");
        }
        let other = tempfile::tempdir().expect("scratch");
        let folder = other.path().join("model=m/version=1").join(hour_folder(49));
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("c.parquet"), "other").expect("written");
        let roots = [root.path(), other.path()].map(Path::to_path_buf);
        let mut source = FolderSource::new(roots.to_vec());
        let mut listed = |from_hour, most| -> Vec<String> {
            let wanted = Wanted { folder: "model=m/version=1", from_hour, most };
            let found = source.list(&wanted).expect("a list");
            found
                .into_iter()
                .map(|it| it.path.rsplit('/').next().expect("a name")[..1].to_owned())
                .collect()
        };
        assert_eq!(listed(0, 9), ["a", "b", "c", "c", "d", "e"]);
        assert_eq!(listed(48, 9), ["b", "c", "c", "d", "e"]);
        assert_eq!(listed(49, 1), ["c"]);
        assert!(listed(73, 9).is_empty());
        let strange = Wanted { folder: "model=x/version=1", from_hour: 0, most: 9 };
        assert_eq!(source.list(&strange).expect("nothing is there"), []);
        drop(other);
        source.list(&strange).expect_err("a volume is away");
    }
}
