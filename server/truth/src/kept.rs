//! What a version's answers were like, on the disk: a restart must not take what has become worse for
//! what it was like at first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use server_base::{ModelName, Version};

use crate::change::Change;
use crate::metrics;

/// A reference and the last windows; anything larger is something else.
const BYTES_MAX: u64 = 64 << 10;

/// Where it lies.
fn path(folder: &Path, model: &ModelName, version: Version) -> PathBuf {
    folder.join(format!("{model}@{version}.reference.json"))
}

/// Writes down what has changed. What cannot be is said: a restart learns it anew.
pub(crate) fn write_all(folder: &Path, changed: &[(ModelName, Version, Change)]) {
    for (model, version, change) in changed {
        if let Err(error) = write(folder, (model, *version), change) {
            tracing::warn!(%model, %version, %error, "a reference cannot be written down");
            metrics::disk_failed("references");
        }
    }
}

/// Writes it beside the old one, then puts it in its place.
fn write(
    folder: &Path,
    (model, version): (&ModelName, Version),
    change: &Change,
) -> io::Result<()> {
    let path = path(folder, model, version);
    let beside = path.with_extension("json.new");
    fs::write(&beside, serde_json::to_vec(change)?)?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, &path)
}

/// What was written; nothing if there is none, or it is of other bytes of the model.
pub(crate) fn read(
    folder: &Path,
    (model, version): (&ModelName, Version),
    digest: Option<&str>,
) -> Option<Change> {
    let path = path(folder, model, version);
    if fs::metadata(&path).ok()?.len() > BYTES_MAX {
        return None;
    }
    let change: Change = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    (change.digest.as_deref() == digest).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::model;

    #[test]
    fn what_was_kept_is_that_of_the_same_bytes() {
        let root = tempfile::tempdir().expect("scratch");
        let who = (&model(), Version(3));
        assert_eq!(read(root.path(), who, Some("ab")), None, "nothing yet");
        let change = Change::new(Some("ab".to_owned()));
        write(root.path(), who, &change).expect("written");
        write(root.path(), who, &change).expect("in its place");
        assert_eq!(read(root.path(), who, Some("ab")), Some(change));
        for other in [Some("cd"), None] {
            assert_eq!(read(root.path(), who, other), None, "other bytes begin anew");
        }
        assert_eq!(read(root.path(), (who.0, Version(4)), Some("ab")), None);
        let path = path(root.path(), who.0, who.1);
        fs::write(path, "{").expect("written");
        assert_eq!(read(root.path(), who, Some("ab")), None, "torn");
    }
}
