//! What a monitor leaves on the disk: a file for each version, replaced as a whole.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use server_base::{ModelName, Version};
use server_drift::{MonitorPlan, Pane, Panes};
use server_feedback::Files;

use crate::columns::Basis;
use crate::entry::Last;
use crate::telling::Untold;

/// The only format that is written and read.
const FORMAT: u32 = 1;

/// More than there can be, or what was written could not be read: 512 features at 64 KB each and 8 embeddings
/// at 4 MB, with a reference of as much, which are three to four times that as text.
const FILE_BYTES_MAX: usize = 512 << 20;

/// A file's name takes 255 bytes on every usual file system, and what is written aside has a longer one.
const NAME_BYTES_MAX: usize = 240;

/// A row of the log, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) event_id: String,
    pub(crate) row_index: u32,
}

/// Rows between two of the log's cursors: what comes again if the process ends before the second is
/// written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    pub(crate) first: Option<Row>,
    pub(crate) rows: u64,
}

/// Everything. There is nothing while a reference is being learned: a restart begins that anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    pub(crate) model: String,
    pub(crate) version: u64,
    pub(crate) digest: Option<String>,
    pub(crate) plan: MonitorPlan,
    pub(crate) basis: Basis,
    pub(crate) panes: Panes<Pane>,
    pub(crate) windows: u64,
    pub(crate) history: Vec<Value>,
    pub(crate) last: Option<Value>,
    /// Not told to anybody yet.
    pub(crate) untold: Vec<Untold>,
    /// What of the log is in it, so that it is not counted twice.
    pub(crate) stretch: Stretch,
}

/// What is written: the same, lent.
#[derive(Serialize)]
pub(crate) struct Saving<'a> {
    pub(crate) format: u32,
    pub(crate) model: &'a str,
    pub(crate) version: u64,
    pub(crate) digest: Option<&'a str>,
    pub(crate) plan: &'a MonitorPlan,
    pub(crate) basis: &'a Basis,
    pub(crate) panes: &'a Panes<Pane>,
    pub(crate) windows: u64,
    pub(crate) history: Vec<&'a Value>,
    pub(crate) last: Option<&'a Last>,
    pub(crate) untold: &'a [Untold],
    pub(crate) stretch: &'a Stretch,
}

impl Saving<'_> {
    pub(crate) const FORMAT: u32 = FORMAT;

    /// Whoever reads finds the state before or this one.
    pub(crate) fn write(&self, files: &dyn Files, path: &Path) -> io::Result<()> {
        files.replace(path, &serde_json::to_vec(self)?)
    }
}

/// Where a version's lies.
pub(crate) fn path(folder: &Path, model: &ModelName, version: Version) -> PathBuf {
    let mut name = String::new();
    for byte in model.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    let whole = format!("{name}@{version}.json");
    if whole.len() <= NAME_BYTES_MAX {
        return folder.join(whole);
    }
    // Every byte of a name in another alphabet takes three: it is cut, and told apart by all of it.
    let print = model.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |print, byte| {
        (print ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let end = format!("~{print:016x}@{version}.json");
    name.truncate(NAME_BYTES_MAX - end.len());
    folder.join(name + &end)
}

/// Reads one. An error: the file is left alone, and what it said is lost to the monitor.
pub(crate) fn read(files: &dyn Files, path: &Path) -> io::Result<Saved> {
    let text = files.read(path, 0, FILE_BYTES_MAX)?;
    let saved: Saved = serde_json::from_slice(&text)?;
    if saved.format != FORMAT {
        let words = format!("it has format {}, this version reads {FORMAT}", saved.format);
        return Err(io::Error::other(words));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_name_that_a_file_can_have() {
        let name = |model: &str, version| {
            let path = path(
                Path::new("/state"),
                &ModelName::new(model).expect("a name"),
                Version(version),
            );
            path.file_name().expect("a name").to_string_lossy().into_owned()
        };
        assert_eq!(name("m", 1), "m@1.json");
        assert_eq!(name("a b", 1), "a%20b@1.json");
        // 85 letters of three bytes, each of which is escaped.
        let long = "模".repeat(85);
        let other = "模".repeat(84) + "型";
        let names = [name(&long, 1), name(&long, u64::MAX), name(&other, 1)];
        assert!(names.iter().all(|it| it.len() <= NAME_BYTES_MAX && it.is_ascii()), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }
}
