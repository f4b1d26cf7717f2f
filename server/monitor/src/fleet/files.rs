//! A round over a log of files: what is new of each version is listed, and read file by file.

use std::io;
use std::sync::atomic::Ordering;

use super::follower::{Follower, Log, Round};
use super::listing;
use super::metrics;
use super::version::Read;
use super::{Missing, Object};

/// What has become of a file.
enum Taken {
    /// It is done with.
    Dealt,
    /// Nobody takes its rows, for now.
    Refused,
    /// It is tried again.
    Failed,
}

impl Follower {
    /// Reads what is new of every version. After an error the rest waits: the store is away for all of them.
    /// Where it is of one file, its version waits, and the others go on.
    pub(super) fn read_files(&mut self) -> io::Result<Round> {
        let mut ended = Round::Whole;
        for n in 0..self.logs.len() {
            ended = match self.check_clock(n, (self.now)()) {
                Ok(()) => ended.max(self.follow(n)?),
                Err(error) => {
                    tracing::error!(%error, "a version is not followed");
                    ended.max(Round::Failed)
                }
            };
        }
        Ok(ended)
    }

    /// Reads what is new of one version.
    fn follow(&mut self, n: usize) -> io::Result<Round> {
        let settled = (self.now)() - self.lateness();
        let (Log::Files(source), Some(log)) = (&mut self.log, self.logs.get_mut(n)) else {
            return Ok(Round::Whole);
        };
        if !log.is_to_be_listed(&self.monitors) {
            return Ok(Round::Whole);
        }
        // After whatever ends this the list begins anew.
        let page = log.page.take();
        let known = (&log.cursor, &log.again);
        let turn = listing::turn((source.as_mut(), &log.folder), known, (page, settled))?;
        for (read, object) in turn.objects.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Round::Stopped);
            }
            let Some(log) = self.logs.get_mut(n) else { return Ok(Round::Whole) };
            if listing::is_crowded(&log.folder, &mut log.cursor) {
                return Ok(Round::Failed);
            }
            match self.take(n, object)? {
                Taken::Dealt => {}
                Taken::Refused => return Ok(Round::Whole),
                Taken::Failed => return Ok(Round::Failed),
            }
            self.advance(n, turn.settled(read + 1));
            self.relieve();
            self.checkpoint_now_and_then()?;
        }
        self.advance(n, turn.until);
        let Some(log) = self.logs.get_mut(n) else { return Ok(Round::Whole) };
        log.page = turn.next;
        if log.page.is_none() {
            // Those that no list shows are gone, with what waited in them.
            for path in std::mem::take(&mut log.again) {
                metrics::object("gone");
                log.cursor.is_gone(&path);
            }
        }
        log.cursor.forget();
        log.metrics.stands(log.waiting.rows(), log.cursor.watermark());
        Ok(if log.page.is_some() { Round::Cut } else { Round::Whole })
    }

    /// Reads a file.
    fn take(&mut self, n: usize, object: &Object) -> io::Result<Taken> {
        let (Log::Files(source), Some(log)) = (&mut self.log, self.logs.get_mut(n)) else {
            return Ok(Taken::Refused);
        };
        let name = format!("{}/{}", log.folder, object.path);
        let result = if object.size > self.bounds.object_bytes_max {
            let (bytes, most) = (object.size, self.bounds.object_bytes_max);
            tracing::error!(
                file = name,
                bytes,
                most,
                "a file of the log is too large: it is left out"
            );
            "too_large"
        } else {
            let read = match source.fetch(&log.folder, object) {
                Err(Missing::Gone) => Ok("gone"),
                Err(Missing::Away(error)) => return Err(error),
                Err(Missing::Refused(error)) => Err(error),
                Ok(file) => match log.read(&self.monitors, object, file) {
                    Read::Done => Ok("read"),
                    Read::Refused => return Ok(Taken::Refused),
                    Read::Unreadable(error) => {
                        tracing::error!(file = name, error, "a file of the log cannot be read");
                        Ok("unreadable")
                    }
                    Read::Failed(error) => Err(error),
                },
            };
            match read {
                Ok(result) => result,
                Err(error) if log.tries.failed(&object.path) => {
                    tracing::error!(file = name, %error, "a file of the log cannot be had: it is left out");
                    "failed"
                }
                Err(error) => {
                    tracing::warn!(file = name, %error, "a file of the log cannot be had: it is tried again");
                    return Ok(Taken::Failed);
                }
            }
        };
        if !matches!(result, "read" | "unreadable") {
            log.was_read(object, i64::MIN);
        }
        metrics::object(result);
        self.is_moved = true;
        Ok(Taken::Dealt)
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
