//! `salver logs tail` and `salver logs export`.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use server_base::calendar::Date;
use server_feedback::{Export, JsonLines, Position, Rows, Sink as _, Wanted, files, read};

use super::{Outcome, complain, print};
use crate::cli::{ExportArgs, RowArgs, TailArgs};

/// How often new files are looked for.
const LOOK: Duration = Duration::from_millis(500);

const MICROS_A_SECOND: i64 = 1_000_000;

/// The folder in which the server's Parquet files lie.
pub(crate) fn folder(log: &Path) -> anyhow::Result<PathBuf> {
    let folder = log.join("parquet");
    ensure!(folder.is_dir(), "{}: no Parquet files are logged there", log.display());
    Ok(folder)
}

/// From what was said to what is wanted.
pub(crate) fn wanted(
    rows: &RowArgs,
    model: Option<&str>,
    version: Option<u64>,
) -> anyhow::Result<Wanted> {
    let at = |name: &str, text: &Option<String>, other: i64| match text {
        None => Ok(other),
        Some(text) => micros(text).with_context(|| {
            format!(
                "--{name} is {text:?}: expected 2026-11-21, 2026-11-21T22:00 or 2026-11-21T22:00:00"
            )
        }),
    };
    let (from, until) = (at("from", &rows.from, i64::MIN)?, at("until", &rows.until, i64::MAX)?);
    let bounded = rows.from.is_some() || rows.until.is_some();
    let time: Option<Range<i64>> = bounded.then_some(from..until);
    Ok(Wanted { model: model.map(str::to_owned), version, time })
}

/// Prints the last rows.
pub(crate) fn tail(args: &TailArgs) -> Outcome {
    match tailed(args) {
        Ok(()) => Outcome::Done,
        Err(error) if is_gone(&error) => Outcome::Done,
        Err(error) => complain(&format!("{error:#}"), Outcome::Failed),
    }
}

/// A reader that has gone away is no failure.
fn is_gone(error: &anyhow::Error) -> bool {
    let pipe = |it: &io::Error| it.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(pipe)
}

fn tailed(args: &TailArgs) -> anyhow::Result<()> {
    let folder = folder(&args.log_dir)?;
    let wanted = Wanted { model: args.model.clone(), ..Wanted::default() };
    let mut out = JsonLines::new(io::stdout());
    let there = files(&folder, &wanted)?;
    let mut last: VecDeque<Rows> = VecDeque::new();
    let mut left = args.lines;
    for path in there.iter().rev() {
        for rows in
            read(path, &wanted).with_context(|| path.display().to_string())?.into_iter().rev()
        {
            let take = left.min(rows.batch.num_rows());
            let batch = rows.batch.slice(rows.batch.num_rows() - take, take);
            left -= take;
            last.push_front(Rows { batch, ..rows });
        }
        if left == 0 {
            break;
        }
    }
    let mut show = |rows: &Rows| out.write(rows).and_then(|()| out.flush(Position::default(), ""));
    last.iter().try_for_each(&mut show)?;
    if !args.follow {
        return Ok(());
    }
    let mut seen: BTreeSet<PathBuf> = there.into_iter().collect();
    loop {
        thread::sleep(LOOK);
        let now: BTreeSet<PathBuf> = files(&folder, &wanted)?.into_iter().collect();
        for path in now.difference(&seen) {
            // It may have been deleted since.
            for rows in read(path, &wanted).unwrap_or_default() {
                show(&rows)?;
            }
        }
        seen = now;
    }
}

/// Writes rows to a file.
pub(crate) fn export(args: &ExportArgs) -> Outcome {
    match exported(args) {
        Ok(0) => print(&format!("0 rows in {}: none that is logged fits", args.output.display())),
        Ok(rows) => print(&format!("{rows} rows in {}", args.output.display())),
        Err(error) => complain(&format!("{error:#}"), Outcome::Failed),
    }
}

fn exported(args: &ExportArgs) -> anyhow::Result<u64> {
    let wanted = wanted(&args.rows, args.model.as_deref(), args.version)?;
    let folder = folder(&args.rows.log_dir)?;
    let named = || args.output.display().to_string();
    let mut export = Export::create(&args.output).with_context(named)?;
    let files = files(&folder, &wanted)?;
    let mut is_empty = true;
    for path in &files {
        for rows in read(path, &wanted).with_context(|| path.display().to_string())? {
            export.write(&rows).with_context(named)?;
            is_empty = false;
        }
    }
    // A table says its columns even so: those of the last rows, of whatever time.
    if let Some(path) = files.last().filter(|_| is_empty) {
        let any = Wanted { time: None, ..wanted };
        let rows = read(path, &any).with_context(|| path.display().to_string())?;
        for Rows { batch, model, version, hour } in rows.into_iter().take(1) {
            let batch = batch.slice(0, 0);
            export.write(&Rows { model, version, hour, batch }).with_context(named)?;
        }
    }
    export.finish().with_context(named)
}

/// Microseconds since 1970 of a day, or of a time of it, in UTC.
pub(crate) fn micros(text: &str) -> anyhow::Result<i64> {
    let text = text.trim_end_matches('Z');
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00"));
    let numbers = |text: &str, by: char| -> Option<Vec<i64>> {
        text.split(by)
            .map(|it| it.parse::<i64>().ok().filter(|_| it.bytes().all(|it| it.is_ascii_digit())))
            .collect()
    };
    let wrong = || anyhow!("{text:?} is no time");
    let date = numbers(date, '-').ok_or_else(wrong)?;
    let time = numbers(time, ':').ok_or_else(wrong)?;
    let &[year, month, day] = &date[..] else { return Err(wrong()) };
    let (hour, minute, second) = match time[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return Err(wrong()),
    };
    let days = Date::new(year, month, day).ok_or_else(wrong)?.days();
    ensure!(hour < 24 && minute < 60 && second < 60, "{text:?} is no time");
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * MICROS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_or_refused() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-11-21T22:30", 1_795_300_200),
            ("2026-11-21T22:30:05Z", 1_795_300_205),
        ] {
            assert_eq!(micros(text).expect(text), seconds * MICROS_A_SECOND);
        }
        for text in ["", "2026", "2026-13-01", "2026-11-21T25:00", "2026-11-21T-1:00", "yesterday"]
        {
            assert!(micros(text).is_err(), "{text}");
        }
    }
}
