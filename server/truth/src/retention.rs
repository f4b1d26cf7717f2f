//! Which labels are deleted, if any: whole days, the oldest first.
//!
//! Off by default: labels are what later models are trained on. Only files of our own form, and never
//! one of today, which is being written to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use server_base::calendar::Date;

use crate::dataset::{DAY_US, FILE};

/// Looking at all files is not done more often.
const PAUSE_US: i64 = 60_000_000;

/// What is kept; `None`: without that bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Nothing of a day that was over longer ago.
    pub age: Option<Duration>,
    /// No more bytes in all, beside today's.
    pub bytes: Option<u64>,
}

/// Deletes what is not kept, once in a while.
pub(crate) struct Retention {
    keep: Keep,
    last_us: Option<i64>,
}

struct Stored {
    /// As in the folder's name: in the order of time.
    date: String,
    path: PathBuf,
    bytes: u64,
}

impl Retention {
    pub(crate) fn new(keep: Keep) -> Retention {
        Retention { keep, last_us: None }
    }

    /// What cannot be deleted now is tried again; labels are taken either way.
    pub(crate) fn sweep(&mut self, root: &Path, now_us: i64) {
        let is_early = self.last_us.is_some_and(|it| (0..PAUSE_US).contains(&(now_us - it)));
        if self.keep == Keep::default() || is_early {
            return;
        }
        self.last_us = Some(now_us);
        let mut stored = Vec::new();
        if let Err(error) = look(root, &mut stored) {
            tracing::warn!(%error, "the files of labels cannot be looked at");
        }
        let (mut files, mut bytes) = (0, 0);
        for it in doomed(stored, self.keep, now_us) {
            match fs::remove_file(&it.path) {
                Ok(()) => (files, bytes) = (files + 1, bytes + it.bytes),
                Err(error) => {
                    tracing::warn!(path = %it.path.display(), %error, "a file of labels cannot be deleted");
                }
            }
            // Folders go with their last file: one that is not empty cannot be removed.
            let above = it.path.ancestors().skip(1).take_while(|it| *it != root);
            let _ = above.map(fs::remove_dir).take_while(Result::is_ok).count();
        }
        if files > 0 {
            tracing::info!(files, bytes, "old labels were deleted");
        }
    }
}

/// Those that are to go.
fn doomed(mut stored: Vec<Stored>, keep: Keep, now_us: i64) -> impl Iterator<Item = Stored> {
    let today = date(now_us);
    let age_us = keep.age.map(|it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX));
    let oldest = age_us.map(|it| date(now_us.saturating_sub(it).max(0)));
    stored.retain(|it| it.date < today);
    stored.sort_by(|a, b| (&a.date, &a.path).cmp(&(&b.date, &b.path)));
    let mut bytes: u64 = stored.iter().map(|it| it.bytes).sum();
    stored.into_iter().take_while(move |it| {
        let is_old = oldest.as_ref().is_some_and(|oldest| it.date < *oldest);
        let is_over = keep.bytes.is_some_and(|most| bytes > most);
        bytes = bytes.saturating_sub(it.bytes);
        is_old || is_over
    })
}

fn date(us: i64) -> String {
    Date::of_day(us.div_euclid(DAY_US)).to_string()
}

/// Files of our form. What others put there has other names.
fn look(root: &Path, found: &mut Vec<Stored>) -> io::Result<()> {
    for model in folders(root, "model=")? {
        for (path, date) in folders(&model.0, "date=")?.into_iter().filter(|it| it.1.len() == 10) {
            let path = path.join(FILE);
            if let Ok(about) = fs::metadata(&path) {
                found.push(Stored { date, path, bytes: about.len() });
            }
        }
    }
    Ok(())
}

/// Each with what comes after the prefix in its name.
fn folders(folder: &Path, prefix: &str) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|it| it.strip_prefix(prefix));
        if let Some(rest) = rest.filter(|_| entry.file_type().is_ok_and(|it| it.is_dir())) {
            found.push((entry.path(), rest.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of a day.
    const NOW_US: i64 = 20_000 * DAY_US + DAY_US / 2;

    fn put(root: &Path, model: &str, days_ago: i64) {
        let folder = root.join(format!("model={model}/date={}", date(NOW_US - days_ago * DAY_US)));
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(FILE), [0; 10]).expect("written");
    }

    /// Models and ages of the days that are left of four of 10 bytes each.
    #[track_caller]
    fn check(keep: Keep, expect: &str) {
        let root = tempfile::tempdir().expect("scratch");
        let all = [("a", 3), ("b", 2), ("a", 1), ("b", 0)];
        all.iter().for_each(|(model, days)| put(root.path(), model, *days));
        fs::write(root.path().join("notes"), "of others").expect("written");
        Retention::new(keep).sweep(root.path(), NOW_US);
        let is_there = |(model, days): &&(&str, i64)| {
            let date = date(NOW_US - days * DAY_US);
            root.path().join(format!("model={model}/date={date}")).is_dir()
        };
        let left: Vec<String> =
            all.iter().filter(is_there).map(|(model, days)| format!("{model}{days}")).collect();
        assert_eq!(left.join(" "), expect, "{keep:?}");
        assert!(root.path().join("notes").is_file());
        assert_eq!(root.path().join("model=a").is_dir(), expect.contains('a'), "folders go too");
    }

    #[test]
    fn whole_days_go_the_oldest_first_and_never_today() {
        let days = |it: f64| Some(Duration::from_secs_f64(it * 86_400.0));
        for (age, bytes, expect) in [
            (None, None, "a3 b2 a1 b0"),
            (days(2.0), None, "b2 a1 b0"),
            // Noon: the day before yesterday was over a day and a half ago.
            (days(1.6), None, "b2 a1 b0"),
            (days(1.4), None, "a1 b0"),
            (days(1.0), None, "a1 b0"),
            (days(0.0), None, "b0"),
            (None, Some(30), "a3 b2 a1 b0"),
            (None, Some(29), "b2 a1 b0"),
            (None, Some(0), "b0"),
            (days(2.0), Some(10), "a1 b0"),
        ] {
            check(Keep { age, bytes }, expect);
        }
    }

    #[test]
    fn it_looks_once_a_minute() {
        let root = tempfile::tempdir().expect("scratch");
        let mut retention = Retention::new(Keep { age: None, bytes: Some(0) });
        let left = || fs::read_dir(root.path()).expect("there").count();
        retention.sweep(root.path(), NOW_US);
        put(root.path(), "a", 1);
        retention.sweep(root.path(), NOW_US + PAUSE_US - 1);
        assert_eq!(left(), 1);
        retention.sweep(root.path(), NOW_US + PAUSE_US);
        assert_eq!(left(), 0);
        // A clock that goes back is no reason to wait.
        put(root.path(), "a", 2);
        retention.sweep(root.path(), NOW_US);
        assert_eq!(left(), 0);
    }
}
