//! New files of a log, shown as they come: `salver logs tail --follow`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use server_feedback::source::Archive;
use server_feedback::{Found, Rows, Wanted, files, open, read};

/// Requests of the last hours, of which new files are shown: what comes later than that is history.
const FOLLOWED: Duration = Duration::from_secs(3 * 3_600);

/// Looks at which a file is tried: in a store almost a minute, which is more than most of its bad moments
/// last. One that cannot be opened then will not be.
const TRIES_MAX: u32 = 10;

/// Which files were shown.
pub(super) struct Follow {
    wanted: Wanted,
    seen: BTreeSet<Found>,
    /// How often each was tried that could not be opened yet. They are among the recent ones.
    tries: BTreeMap<Found, u32>,
}

impl Follow {
    /// What is there by now is not shown.
    pub(super) fn new(archive: &mut dyn Archive, wanted: &Wanted) -> io::Result<Follow> {
        let seen = recent(archive, wanted)?;
        Ok(Follow { wanted: wanted.clone(), seen, tries: BTreeMap::new() })
    }

    /// Shows what has come since the last look, and says what cannot be shown.
    pub(super) fn look(
        &mut self,
        archive: &mut dyn Archive,
        show: &mut dyn FnMut(&Rows) -> io::Result<()>,
        warn: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        let mut now = recent(archive, &self.wanted)?;
        let new: Vec<Found> = now.difference(&self.seen).cloned().collect();
        let mut tries = BTreeMap::new();
        for found in new {
            let tried = self.tries.get(&found).map_or(1, |it| it + 1);
            let file = match open(archive, &found) {
                Ok(Some(it)) => it,
                // It has been deleted since.
                Ok(None) => continue,
                Err(error) => {
                    let path = found.path();
                    if tried >= TRIES_MAX {
                        warn(&format!("{path}: {error}: given up after {tried} tries"));
                        continue;
                    }
                    if tried == 1 {
                        warn(&format!("{path}: {error}: it is tried again"));
                    }
                    now.remove(&found);
                    tries.insert(found, tried);
                    continue;
                }
            };
            let path = || found.path();
            for rows in read(file, &self.wanted).with_context(path)? {
                show(&rows.with_context(path)?)?;
            }
        }
        (self.seen, self.tries) = (now, tries);
        Ok(())
    }
}

/// Files of the last hours.
fn recent(archive: &mut dyn Archive, wanted: &Wanted) -> io::Result<BTreeSet<Found>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let from = i64::try_from(now.saturating_sub(FOLLOWED).as_micros()).unwrap_or(0);
    let wanted = Wanted { time: Some(from..i64::MAX), ..wanted.clone() };
    Ok(files(archive, &wanted)?.into_iter().collect())
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
