//! The folders that rows lie in: `model=…/version=…/date=…/hour=…`, made and read again.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use server_base::calendar::Date;
use server_base::{ModelName, Version};

const HOURS_A_DAY: u32 = 24;

/// Of a folder's name, on every usual file system.
const NAME_BYTES_MAX: usize = 255;

/// The folder of a version.
pub fn version_folder(model: &ModelName, version: Version) -> String {
    format!("{}/version={version}", model_folder(model.as_str()))
}

/// The folder of an hour, counted from 1970, within a version's.
pub fn hour_folder(hour: u32) -> String {
    let day = Date::of_day(i64::from(hour / HOURS_A_DAY));
    format!("date={day}/hour={:02}", hour % HOURS_A_DAY)
}

/// A model's folder.
pub(crate) fn model_folder(model: &str) -> String {
    format!("model={}", escaped(model))
}

/// Can a file system have that folder? One that it cannot have would hold up all others.
pub(crate) fn check_name(model: &str) -> Result<(), String> {
    let bytes = model_folder(model).len();
    if bytes <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(format!("log: the model's name takes {bytes} bytes as a folder: at most {NAME_BYTES_MAX}"))
}

/// As Hive escapes what would be misread in a path: `%` and two hexadecimal digits.
fn escaped(name: &str) -> String {
    let plain = |it: char| !it.is_control() && !"\"#%'*/:=?\\{}[]^".contains(it);
    let escape = |it: char| {
        if plain(it) {
            it.to_string()
        } else {
            let mut bytes = [0; 4];
            it.encode_utf8(&mut bytes).bytes().map(|it| format!("%{it:02X}")).collect()
        }
    };
    name.chars().map(escape).collect()
}

/// The hour of a path that begins with an hour's folder.
pub fn hour_of(path: &str) -> Option<u32> {
    let (day, rest) = path.strip_prefix("date=")?.split_once('/')?;
    let hour = rest.strip_prefix("hour=")?.split('/').next()?;
    let hour: u32 = hour.parse().ok().filter(|it| *it < HOURS_A_DAY)?;
    let days = u32::try_from(day.parse::<Date>().ok()?.days()).ok()?;
    days.checked_mul(HOURS_A_DAY)?.checked_add(hour)
}

/// Of folders below the root, down to the files.
#[cfg(feature = "parquet")]
pub(crate) const FOLDERS: &[&str] = &["model=", "version=", "date=", "hour="];

/// The same of labels, which are of no version.
#[cfg(feature = "parquet")]
pub(crate) const LABEL_FOLDERS: &[&str] = &["model=", "date=", "hour="];

/// Files of our form below folders of those names that are `wanted`, by depth and name. What is being written lies
/// elsewhere, and what others put there has other names. What goes away meanwhile was not there.
pub(crate) fn below(
    (root, names): (&Path, &[&str]),
    wanted: &dyn Fn(usize, &str) -> bool,
) -> io::Result<Vec<DirEntry>> {
    let (mut found, mut folders) = (Vec::new(), vec![(root.to_path_buf(), 0)]);
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match names.get(depth) {
                Some(prefix) if name.starts_with(prefix) && wanted(depth, &name) => {
                    if there(entry.file_type())?.is_some_and(|it| it.is_dir()) {
                        folders.push((entry.path(), depth + 1));
                    }
                }
                None if name.ends_with(".parquet") => found.push(entry),
                Some(_) | None => {}
            }
        }
    }
    Ok(found)
}

/// `None`: it has gone away.
pub(crate) fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_they_are_written() {
        for hour in [0, 23, 24, 264_143, 480_001, 498_623, 700_000] {
            let folder = hour_folder(hour);
            assert_eq!(hour_of(&folder), Some(hour), "{folder}");
            assert_eq!(hour_of(&format!("{folder}/x.parquet")), Some(hour), "{folder}");
        }
        assert_eq!(hour_folder(498_623), "date=2026-11-18/hour=23");
        for text in [
            "",
            "date=2026-11-18",
            "date=2026-13-18/hour=1",
            "date=x/hour=01/x",
            "date=2026-11-18/hour=24",
        ] {
            assert_eq!(hour_of(text), None, "{text}");
        }
    }

    /// Folders and files that come and go while others are looked at.
    #[test]
    #[cfg(feature = "parquet")]
    fn what_goes_away_meanwhile_was_not_there() {
        let root = tempfile::tempdir().expect("scratch");
        let hour = |model: &str| root.path().join(format!("model={model}/version=1/date=d/hour=1"));
        for model in ["a", "b"] {
            fs::create_dir_all(hour(model)).expect("made");
            fs::write(hour(model).join("1.parquet"), "x").expect("written");
            fs::write(hour(model).join("notes"), "x").expect("written");
        }
        let walk = |wanted: &dyn Fn(usize, &str) -> bool| below((root.path(), FOLDERS), wanted);
        let files = |wanted: &dyn Fn(usize, &str) -> bool| walk(wanted).expect("walked").len();
        assert_eq!(files(&|_, _| true), 2);
        assert_eq!(files(&|depth, name| depth > 0 || name == "model=a"), 1);
        // Retention comes between the look at a folder and the look into it.
        let removes = |depth: usize, name: &str| {
            if (depth, name) == (3, "hour=1") {
                for model in ["a", "b"] {
                    let _ =
                        fs::remove_dir_all(root.path().join(format!("model={model}/version=1")));
                }
            }
            true
        };
        assert_eq!(files(&removes), 0);
        fs::remove_dir_all(root.path()).expect("removed");
        assert!(walk(&|_, _| true).is_err(), "the root itself has to be there");
    }
}
