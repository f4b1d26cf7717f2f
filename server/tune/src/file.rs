//! The `model.toml` of a setting: what stood there, with the tuned keys changed.
//!
//! Other keys, comments and order stay. Nothing is written but by [`write`], which replaces the
//! file as a whole: whoever reads it meanwhile sees the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::setting::Setting;

/// How lines begin that say what was measured; a later run replaces them.
const HEAD: &str = "# tuned: ";

/// The keys that tuning sets, with the tables that they stand in.
const KEYS: [&[&str]; 5] = [
    &["engine"],
    &["max_batch_size"],
    &["instances", "count"],
    &["instances", "intra_op_threads"],
    &["warmup", "batch_sizes"],
];

/// A value that stood in the file and is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `instances.count`.
    pub key: String,
    /// As it stood there.
    pub old: String,
    /// As it is now.
    pub new: String,
}

/// Why a file was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// Somebody else wrote it.
    #[error("{} has changed since it was read; it is left as it is", .0.display())]
    Changed(PathBuf),
    /// The file system refused.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
}

/// `text` with the keys of `setting`.
pub(crate) fn merged(text: &str, setting: &Setting) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|it: toml_edit::TomlError| it.to_string())?;
    let root = document.as_table_mut();
    put(root, "engine", setting.engine.into());
    if let Some(rows) = setting.batch.map(number) {
        put(root, "max_batch_size", rows.into());
        keep_warm_up(root, rows);
    }
    let instances = root.entry("instances").or_insert_with(toml_edit::table);
    let instances = instances.as_table_like_mut().ok_or("instances: is not a table")?;
    put(instances, "count", number(setting.instances).into());
    put(instances, "intra_op_threads", number(setting.threads).into());
    Ok(document.to_string())
}

/// Sets a value; the comment beside it stays. One that is so already is not touched.
fn put(table: &mut dyn TableLike, key: &str, new: Value) {
    let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) else {
        table.insert(key, Item::Value(new));
        return;
    };
    if said(old) != said(&new) {
        let decor = old.decor().clone();
        *old = new;
        *old.decor_mut() = decor;
    }
}

/// A value without the comments around it.
fn said(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// Warm-up runs of more rows than a batch has would be refused.
fn keep_warm_up(root: &mut dyn TableLike, rows: i64) {
    let warmup = root.get_mut("warmup").and_then(Item::as_table_like_mut);
    let sizes = warmup.and_then(|it| it.get_mut("batch_sizes")).and_then(Item::as_array_mut);
    let too_large = |it: &Value| it.as_integer().is_some_and(|it| it > rows);
    if let Some(sizes) = sizes.filter(|it| it.iter().any(too_large)) {
        sizes.retain(|it| !too_large(it));
        if !sizes.iter().any(|it| it.as_integer() == Some(rows)) {
            sizes.push(rows);
        }
    }
}

fn number(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Values of the old file that are others in the new one.
pub fn changes(old: &str, new: &str) -> Vec<Change> {
    let parse = |text: &str| text.parse::<DocumentMut>().unwrap_or_default();
    let (old, new) = (parse(old), parse(new));
    let change = |path: &&[&str]| {
        let (old, new) = (value(&old, path)?, value(&new, path)?);
        (old != new).then(|| Change { key: path.join("."), old, new })
    };
    KEYS.iter().filter_map(change).collect()
}

fn value(document: &DocumentMut, path: &[&str]) -> Option<String> {
    let mut item = document.as_item();
    for key in path {
        item = item.as_table_like()?.get(key)?;
    }
    item.as_value().map(said)
}

/// `text` below lines that say where it comes from, in place of those of a run before.
pub fn head(text: &str, lines: &[String]) -> String {
    let mut headed: String = lines.iter().map(|it| format!("{HEAD}{it}\n")).collect();
    let is_old = |it: &&str| it.starts_with(HEAD);
    headed.extend(text.split_inclusive('\n').skip_while(is_old));
    headed
}

/// Replaces the file by `text` if `old` still stands there (nothing, if it was not there).
pub fn write(path: &Path, old: &str, text: &str) -> Result<(), NotWritten> {
    let failed = |error| NotWritten::Io(path.to_path_buf(), error);
    // What links to it goes on doing so.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(failed(error)),
    };
    match fs::read_to_string(&target) {
        Ok(now) if now == old => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && old.is_empty() => {}
        Ok(_) => return Err(NotWritten::Changed(path.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(NotWritten::Changed(path.to_path_buf()));
        }
        Err(error) => return Err(failed(error)),
    }
    replace(&target, text).map_err(failed)
}

/// Beside the target first, under a name that no scan of the repository looks at.
fn replace(target: &Path, text: &str) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let part = folder.join(format!(".model.toml.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&part)?;
        file.write_all(text.as_bytes())?;
        if let Ok(metadata) = fs::metadata(target) {
            file.set_permissions(metadata.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&part, target)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
