//! `salver logs tail` and `salver logs export`.

mod follow;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use server_base::calendar::Date;
use server_feedback::source::Archive;
use server_feedback::{
    Columns, Export, Found, JsonLines, Newest, Position, Rows, Sink as _, Wanted, files, open, read,
};

use self::follow::Follow;
use super::{Outcome, complain, print};
use crate::cli::{ExportArgs, RowArgs, TailArgs};
use crate::log_reader::LogReader;

/// How often new files are looked for: in folders, and where each look is a request over the network.
const LOOK: Duration = Duration::from_millis(500);
const REMOTE_LOOK: Duration = Duration::from_secs(5);

const MICROS_A_SECOND: i64 = 1_000_000;

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
    let LogReader { archive, is_remote, .. } = &mut LogReader::open(&args.log_dir)?;
    let archive = archive.as_mut();
    let wanted = Wanted { model: args.model.clone(), ..Wanted::default() };
    let mut out = JsonLines::new(io::stdout());
    let mut show = |rows: &Rows| {
        out.write(rows)?;
        out.flush(Position::default(), "").map(drop)
    };
    // Before the last are read: what comes meanwhile is new.
    let mut follow = args.follow.then(|| Follow::new(archive, &wanted)).transpose()?;
    last(archive, &wanted, args.lines)?.iter().try_for_each(&mut show)?;
    let mut warn = |it: &str| {
        complain(it, Outcome::Done);
    };
    while let Some(follow) = &mut follow {
        thread::sleep(if *is_remote { REMOTE_LOOK } else { LOOK });
        follow.look(archive, &mut show, &mut warn)?;
    }
    Ok(())
}

/// The last rows, in the order of files.
fn last(
    archive: &mut dyn Archive,
    wanted: &Wanted,
    lines: usize,
) -> anyhow::Result<VecDeque<Rows>> {
    let mut newest = Newest::new(archive, wanted)?;
    let (mut last, mut left) = (VecDeque::new(), lines);
    while left > 0
        && let Some(found) = newest.next(archive)?
    {
        let named = || found.path();
        let Some(file) = open(archive, &found).with_context(named)? else { continue };
        let file = file.last(left);
        let mut pieces = Vec::new();
        for rows in read(file, wanted).with_context(named)? {
            let rows = rows.with_context(named)?;
            left -= rows.batch.num_rows().min(left);
            pieces.push(rows);
        }
        pieces.into_iter().rev().for_each(|it| last.push_front(it));
    }
    Ok(last)
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
    let mut reader = LogReader::open(&args.rows.log_dir)?;
    let archive = reader.archive.as_mut();
    let named = || args.output.display().to_string();
    let files = files(archive, &wanted)?;
    let columns = if Export::is_table(&args.output).with_context(named)? {
        columns(archive, &files, &wanted)?
    } else {
        Columns::default()
    };
    let mut export = Export::create(&args.output, columns).with_context(named)?;
    for found in &files {
        let path = || found.path();
        let Some(file) = open(archive, found).with_context(path)? else { continue };
        for rows in read(file, &wanted).with_context(path)? {
            export.write(&rows.with_context(path)?).with_context(named)?;
        }
    }
    export.finish().with_context(named)
}

/// All that the files have, of servers older and newer. A table says its columns even without rows: then those
/// of the last file, of whatever time.
fn columns(archive: &mut dyn Archive, files: &[Found], wanted: &Wanted) -> anyhow::Result<Columns> {
    let mut columns = Columns::default();
    let mut add = |archive: &mut dyn Archive, found: &Found| {
        let Some(file) = open(archive, found).with_context(|| found.path())? else { return Ok(()) };
        columns.add(file.schema()).map_err(|it| anyhow!("{}: {it}", found.path()))
    };
    for found in files {
        add(archive, found)?;
    }
    if files.is_empty() {
        let any = Wanted { time: None, ..wanted.clone() };
        let last = Newest::new(archive, &any)?.next(archive)?;
        last.iter().try_for_each(|it| add(archive, it))?;
    }
    Ok(columns)
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
