//! Lists of what a log has: a part at a time, so that no number of files in an hour is too many for one.

use std::collections::BTreeSet;
use std::io;

use server_feedback::hour_folder;

use super::cursor::{Cursor, Turn};
use super::metrics;
use super::{Source, Wanted};

/// Files of one list: those of four hours of a version, of 400 replicas that write one each minute.
const LISTED_MAX: usize = 100_000;

/// Where the next part of a list begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Behind that path.
    pub(crate) after: String,
    /// Rows up to then had to be there when the first part was made.
    pub(crate) settled: i64,
}

/// Are there too many files for one more? That is said.
pub(crate) fn is_crowded(folder: &str, cursor: &mut Cursor) -> bool {
    if !cursor.is_full() {
        return false;
    }
    // So many are not listed from the hours before: what is late of these is not looked for any more.
    cursor.forget_counted();
    let is_crowded = cursor.is_full();
    if is_crowded {
        metrics::failed("crowded");
        tracing::error!(folder, "the hours of a log have too many files: no more is read");
    }
    is_crowded
}

/// What is new below `folder`, from `page` on, when rows up to `settled` have to be there; what is in `again`
/// is read once more.
pub(crate) fn turn(
    (source, folder): (&mut dyn Source, &str),
    (cursor, again): (&Cursor, &BTreeSet<String>),
    (page, settled): (Option<Page>, i64),
) -> io::Result<Turn> {
    let mut list = |after: &str| source.list(&Wanted { folder, after, most: LISTED_MAX });
    if let Some(Page { after, settled }) = page {
        return Ok(Turn::new((cursor, again), list(&after)?, settled));
    }
    let mut listed = list(&hour_folder(cursor.first_hour()))?;
    if listed.next.is_some() {
        // Without the hours that are looked at for what is late.
        listed = list(&hour_folder(cursor.next_hour()))?;
    }
    Ok(Turn::new((cursor, again), listed, settled))
}
