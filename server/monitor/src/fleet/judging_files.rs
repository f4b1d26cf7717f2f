//! A round over predictions and labels in files: what is new of either is listed, and read hour by hour.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;

use server_feedback::hour_of;

use super::cursor::{MICROS_AN_HOUR, Turn, start_of};
use super::follower::Round;
use super::judged_log::{Fault, JudgedLog};
use super::judging::{Judging, Sources};
use super::listing;
use super::metrics;
use super::{Missing, Object};

/// How far the hour of a file may be ahead of what is judged: rows that are a day ahead would be taken for those
/// of a clock that is wrong, and left out. Others wait for it: they are of such a clock, or a log is listed in
/// parts and holds up the others.
const FAR_US: i64 = 23 * MICROS_AN_HOUR;

/// A file that is to be read: of which log, and which of its turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    hour: Option<u32>,
    /// Of an hour predictions come first: a label is held against what is known then.
    is_label: bool,
    log: usize,
    place: usize,
}

impl Judging {
    /// What is new of each log.
    pub(super) fn list(&mut self) -> io::Result<Vec<Turn>> {
        let lateness = self.lateness();
        let Sources::Files { predictions, labels } = &mut self.sources else { return Ok(vec![]) };
        // Rows up to then are there before anything is listed.
        let settled = self.clock.wall_us().saturating_sub(lateness);
        let mut turns = Vec::with_capacity(self.logs.len());
        for log in &mut self.logs {
            let source = if log.are_labels() { &mut *labels } else { &mut *predictions };
            // After whatever ends this the list begins anew.
            let page = log.page.take();
            let known = (&log.cursor, &BTreeSet::new());
            let turn = listing::turn((source.as_mut(), &log.folder), known, (page, settled))?;
            for it in &turn.objects {
                self.clock.shown(it.written);
                self.clock.shown(hour_of(&it.path).map_or(i64::MIN, start_of));
            }
            turns.push(turn);
        }
        // Nothing is over before others' clocks show it, whatever this one does.
        let borne_out = self.clock.borne_out_us();
        let settled = settled.min(borne_out.saturating_sub(lateness));
        turns.iter_mut().for_each(|it| it.until = it.until.min(settled));
        if turns.is_empty() {
            self.advance(settled)?;
        }
        Ok(turns)
    }

    /// Reads all of that, the hours of all logs together.
    pub(super) fn read_files(&mut self, turns: &[Turn]) -> io::Result<Round> {
        let mut due = Vec::new();
        for (log, turn) in turns.iter().enumerate() {
            let is_label = self.logs.get(log).is_some_and(JudgedLog::are_labels);
            let hours = turn.objects.iter().map(|it| hour_of(&it.path)).enumerate();
            due.extend(hours.map(|(place, hour)| Due { hour, is_label, log, place }));
        }
        due.sort();
        let mut read = vec![0; turns.len()];
        for Due { hour, log, place, .. } in due {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Round::Stopped);
            }
            let Some(object) = turns.get(log).and_then(|it| it.objects.get(place)) else {
                continue;
            };
            // Before the first file of an hour everything before that hour is there.
            self.advance(all_until(turns, &read))?;
            if hour.is_some_and(|it| start_of(it) > self.ledger.clock_us.saturating_add(FAR_US)) {
                break;
            }
            if let Some(it) = self.logs.get_mut(log)
                && listing::is_crowded(&it.folder, &mut it.cursor)
            {
                return Err(io::Error::other(format!("{}: too many files", it.folder)));
            }
            self.take(log, object)?;
            if let Some(it) = read.get_mut(log) {
                *it = place + 1;
            }
        }
        self.advance(all_until(turns, &read))?;
        for ((log, turn), read) in self.logs.iter_mut().zip(turns).zip(read) {
            log.cursor.advance(turn.settled(read));
            log.cursor.forget();
            // What was left for later is listed once more.
            log.page = turn.next.clone().filter(|_| read == turn.objects.len());
        }
        Ok(if turns.iter().any(|it| it.next.is_some()) { Round::Cut } else { Round::Whole })
    }

    pub(super) fn take(&mut self, n: usize, object: &Object) -> io::Result<()> {
        let Sources::Files { predictions, labels } = &mut self.sources else { return Ok(()) };
        let Some(log) = self.logs.get_mut(n) else { return Ok(()) };
        let source = if log.are_labels() { labels } else { predictions };
        let name = format!("{}/{}", log.folder, object.path);
        let most = self.bounds.object_bytes_max;
        let result = if object.size > most {
            let bytes = object.size;
            tracing::error!(file = name, bytes, most, "a file is too large: it is left out");
            "too_large"
        } else {
            let read = match source.fetch(&log.folder, object) {
                Err(Missing::Gone) => Ok("gone"),
                Err(Missing::Away(error)) => return Err(error),
                Err(Missing::Refused(error)) => Err(error),
                Ok(file) => match log.read(&self.judge, &self.ledger, file) {
                    Ok(()) => Ok("read"),
                    Err(Fault::Disk(error)) => Err(error),
                    Err(Fault::File(error)) => {
                        tracing::error!(file = name, error, "a file of the log cannot be read");
                        Ok("unreadable")
                    }
                    Err(Fault::Version(error)) => {
                        metrics::failed("watch");
                        tracing::error!(file = name, error, "a version cannot be judged");
                        Ok("unreadable")
                    }
                },
            };
            match read {
                Ok(result) => result,
                Err(error) if log.tries.failed(&object.path) => {
                    tracing::error!(file = name, %error, "a file of the log cannot be had: it is left out");
                    "failed"
                }
                Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
            }
        };
        log.cursor.was_read(object, i64::MIN);
        metrics::object(result);
        Ok(())
    }
}

/// Up to when all logs have been read, so many files of each.
fn all_until(turns: &[Turn], read: &[usize]) -> i64 {
    let until = turns.iter().zip(read).map(|(turn, read)| turn.settled(*read));
    until.min().unwrap_or(i64::MIN)
}
