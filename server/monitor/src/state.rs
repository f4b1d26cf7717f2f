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
use crate::telling::Untold;

/// The only format that is written and read.
const FORMAT: u32 = 1;

/// 512 features at 64 KB each, as text.
const FILE_BYTES_MAX: usize = 128 << 20;

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
    pub(crate) last: Option<&'a Value>,
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
    folder.join(format!("{name}@{version}.json"))
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
