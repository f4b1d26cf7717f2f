//! What a version's answers were like, on the disk: a restart must not take what has become worse for
//! what it was like at first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use server_base::{ModelName, Version, files};

use crate::change::Change;
use crate::form::Form;
use crate::metrics;

/// A reference and the last windows, or what is known of one that is being learned, whose curves of 16
/// classes are 16,384 numbers. Anything larger is something else.
const BYTES_MAX: u64 = 512 << 10;

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
    if let Err(error) = files::sync_folder(folder) {
        tracing::warn!(folder = %folder.display(), %error, "references may not be on the disk");
        metrics::disk_failed("references");
    }
}

/// Writes it beside the old one, then puts it in its place. The folder is synced once for all of them.
fn write(
    folder: &Path,
    (model, version): (&ModelName, Version),
    change: &Change,
) -> io::Result<()> {
    let path = path(folder, model, version);
    let beside = path.with_extension("json.new");
    files::write(&beside, &serde_json::to_vec(change)?)?;
    fs::rename(&beside, &path)
}

/// What was written; nothing if there is none, or it is of other bytes of the model or of another loss.
pub(crate) fn read(
    folder: &Path,
    (model, version): (&ModelName, Version),
    form: &Form,
) -> Option<Change> {
    let path = path(folder, model, version);
    if fs::metadata(&path).ok()?.len() > BYTES_MAX {
        return None;
    }
    let change: Change = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    (change.digest == form.digest && change.print == form.print()).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use server_base::TruthConfig;

    use crate::fixture::{model, of_classes, of_values};

    #[test]
    fn what_was_kept_is_that_of_the_same_bytes() {
        let root = tempfile::tempdir().expect("scratch");
        let who = (&model(), Version(3));
        let of = |digest: Option<&str>| {
            let mut form = of_classes(3, 3, &TruthConfig::default());
            form.digest = digest.map(str::to_owned);
            form
        };
        let form = of(Some("ab"));
        assert_eq!(read(root.path(), who, &form), None, "nothing yet");
        let change = Change::new(&form);
        write(root.path(), who, &change).expect("written");
        write(root.path(), who, &change).expect("in its place");
        assert_eq!(read(root.path(), who, &form), Some(change));
        for other in [Some("cd"), None] {
            assert_eq!(read(root.path(), who, &of(other)), None, "other bytes begin anew");
        }
        assert_eq!(read(root.path(), (who.0, Version(4)), &form), None);
        let path = path(root.path(), who.0, who.1);
        fs::write(
            &path,
            r#"{"digest":"ab","reference":null,"detector":{"stakes":[],"recent":[]}}"#,
        )
        .expect("written");
        assert_eq!(read(root.path(), who, &form), None, "of a loss that is not known");
        fs::write(path, "{").expect("written");
        assert_eq!(read(root.path(), who, &form), None, "torn");
    }

    #[track_caller]
    fn check(before: &Form, now: &Form, is_like: bool) {
        let root = tempfile::tempdir().expect("scratch");
        let who = (&model(), Version(3));
        write(root.path(), who, &Change::new(before)).expect("written");
        assert_eq!(read(root.path(), who, now).is_some(), is_like);
    }

    #[test]
    fn what_was_kept_is_that_of_the_same_loss() {
        let config = |error_max| TruthConfig { error_max: Some(error_max), ..Default::default() };
        let values = of_values(3, &config(10.0));
        check(&values, &values, true);
        check(&values, &of_values(3, &config(5.0)), false);
        let (mut renamed, mut moved) = (values.clone(), values.clone());
        (renamed.output, moved.place) = (Arc::from("other"), 1);
        check(&values, &renamed, false);
        check(&values, &moved, false);
        check(&values, &of_classes(3, 3, &config(10.0)), false);
        let named = |names: [&str; 2]| {
            let classes = names.map(str::to_owned).to_vec();
            of_classes(3, 2, &TruthConfig { classes, ..Default::default() })
        };
        check(&named(["no", "yes"]), &named(["no", "yes"]), true);
        check(&named(["no", "yes"]), &named(["yes", "no"]), false);
        // When windows end and what is too bad changes no loss.
        let later = TruthConfig { rows_min: 7, false_alarm_windows: 30.0, ..config(10.0) };
        check(&values, &of_values(3, &later), true);
    }
}
