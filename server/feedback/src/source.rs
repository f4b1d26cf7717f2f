//! Where the files of a log are listed and fetched.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hive::hour_of;

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Whose paths are behind this one: a file, or the folder of an hour.
    pub after: &'a str,
    /// No more than those.
    pub most: usize,
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Files of the log, in the order of their paths.
    pub objects: Vec<Object>,
    /// There are more behind this path, whatever is there.
    pub next: Option<String>,
}

/// Why a file was not fetched.
#[derive(Debug)]
pub enum Missing {
    /// It is not there any more.
    Gone,
    /// The store is away, or this machine cannot keep files: that holds for all of them.
    Away(io::Error),
    /// This one is not given out.
    Refused(io::Error),
}

/// A place that files of the log lie in.
pub trait Source: Send {
    /// The first files. A folder that is not there has none.
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Listed>;

    /// A file, whole.
    fn fetch(&mut self, folder: &str, object: &Object) -> Result<File, Missing>;
}

/// One that can be looked through, too.
pub trait Archive: Source {
    /// Names of the folders in a folder, in their order. A folder that is not there has none.
    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>>;
}

/// Folders of this machine, of volumes that replicas share with it for the most part.
#[derive(Debug)]
pub struct FolderSource(Vec<Root>);

#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// What must be there, or the volume is away.
    there: PathBuf,
}

impl FolderSource {
    /// Those: each holds `model=…`. A replica's files bear a name of their own.
    pub fn new(roots: Vec<PathBuf>) -> FolderSource {
        FolderSource(roots.into_iter().map(|path| Root { there: path.clone(), path }).collect())
    }

    /// Folders of labels, each beside one of predictions, which must be there; that of labels need not,
    /// since a replica that takes none has none.
    pub fn labels(roots: Vec<(PathBuf, PathBuf)>) -> FolderSource {
        FolderSource(roots.into_iter().map(|(there, path)| Root { path, there }).collect())
    }
}

impl Source for FolderSource {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Listed> {
        let mut objects = Vec::new();
        for root in &self.0 {
            objects.extend(list(root, wanted)?);
        }
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        // One that is cut has as many, none of which is behind its last.
        let is_cut = objects.len() >= wanted.most;
        objects.truncate(wanted.most);
        let next = objects.last().map(|it| it.path.clone()).filter(|_| is_cut);
        Ok(Listed { objects, next })
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> Result<File, Missing> {
        for root in &self.0 {
            match File::open(root.path.join(folder).join(&object.path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened.map_err(Missing::Refused),
            }
        }
        Err(Missing::Gone)
    }
}

impl Archive for FolderSource {
    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>> {
        let mut found = BTreeSet::new();
        for Root { path, there } in &self.0 {
            fs::metadata(there).map_err(|it| named(there, &it))?;
            let path = path.join(folder);
            found.extend(names(&path)?.into_iter().filter(|it| path.join(it).is_dir()));
        }
        Ok(found.into_iter().collect())
    }
}

fn list(root: &Root, wanted: &Wanted<'_>) -> io::Result<Vec<Object>> {
    // A volume that is away has no files either, and is no empty log.
    fs::metadata(&root.there).map_err(|it| named(&root.there, &it))?;
    let root = root.path.join(wanted.folder);
    // Days and hours before that of the path have nothing behind it.
    let day = wanted.after.split('/').next().unwrap_or_default();
    let hours: Vec<&str> = wanted.after.split('/').take(2).collect();
    let hours = hours.join("/");
    let mut found = Vec::new();
    // Their names are in the order of time.
    for date in names(&root)? {
        if date.as_str() < day {
            continue;
        }
        for hour in names(&root.join(&date))? {
            let folder = format!("{date}/{hour}");
            if hour_of(&folder).is_none() || folder < hours {
                continue;
            }
            for name in names(&root.join(&folder))? {
                let path = format!("{folder}/{name}");
                if path.as_str() > wanted.after {
                    found.extend(object(&root, path)?);
                }
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
fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::hour_folder;

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
        let mut listed = |hour, most| -> Vec<String> {
            let (mut names, mut next) = (Vec::new(), Some(hour_folder(hour)));
            // To the end, so many at a time.
            while let Some(after) = next {
                let wanted = Wanted { folder: "model=m/version=1", after: &after, most };
                let found = source.list(&wanted).expect("a list");
                assert!(found.objects.len() <= most);
                let name =
                    |it: &Object| it.path.rsplit('/').next().expect("a name")[..1].to_owned();
                names.extend(found.objects.iter().map(name));
                next = found.next;
            }
            names
        };
        assert_eq!(listed(0, 9), ["a", "b", "c", "c", "d", "e"]);
        assert_eq!(listed(48, 9), ["b", "c", "c", "d", "e"]);
        assert_eq!(listed(48, 2), ["b", "c", "c", "d", "e"]);
        assert_eq!(listed(49, 1), ["c", "d", "e"]);
        assert!(listed(73, 9).is_empty());
        assert_eq!(source.folders("").expect("a list"), ["model=m"]);
        assert_eq!(source.folders("model=m").expect("a list"), ["version=1"]);
        assert!(source.folders("model=x").expect("a list").is_empty());
        let strange = Wanted { folder: "model=x/version=1", after: "", most: 9 };
        assert_eq!(source.list(&strange).expect("nothing is there"), Listed::default());
        drop(other);
        source.list(&strange).expect_err("a volume is away");
    }
}
