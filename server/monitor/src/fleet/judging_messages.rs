//! A round over predictions and labels in two streams: from where they stand to what was there when the round
//! began, some thousand messages at a time.
//!
//! A label that comes after its window is over has to find its prediction, to be known for late, and only a few of
//! a row are remembered until then. So labels are joined when predictions have been read up to their time.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use server_feedback::{MESSAGE_BYTES_MAX, source_of, source_of_model};

use super::chunk::{Chunk, Fate};
use super::course::{Times, end_of};
use super::cursor::latest;
use super::follower::Round;
use super::judged_log::{JudgedLog, Of, lock};
use super::judging::{Judging, Sources};
use super::messages::ROUND_MAX;
use super::metrics;
use super::stream::{Message, Offsets};

/// Where a round ends, and when it began.
struct Ends {
    predictions: Offsets,
    labels: Offsets,
    now: i64,
}

/// What is to be done next.
enum Next {
    Nothing,
    Predictions,
    /// Labels are read up to the first that is later than that.
    Labels(i64),
    /// Those that wait are joined.
    Join,
}

/// What both streams are to be read for: logs, by what their messages say of themselves.
struct Sought {
    predictions: BTreeMap<String, usize>,
    labels: BTreeMap<String, usize>,
}

impl Judging {
    /// Reads what has come since.
    pub(super) fn read_messages(&mut self) -> io::Result<Round> {
        let now = self.clock.wall_us();
        if self.logs.is_empty() {
            let settled = now.min(self.clock.borne_out_us());
            self.advance(settled.saturating_sub(self.lateness()))?;
            return Ok(Round::Whole);
        }
        lock(&self.judge).allow_until(latest(now, self.lateness()));
        let read = match self.set_out(now) {
            Ok(Some(ends)) => self.read_to(&ends),
            Ok(None) => Ok(Round::Whole),
            Err(error) => Err(error),
        };
        if let (Err(_), Sources::Streams { predictions, labels }) = (&read, &mut self.sources) {
            (predictions.positions.is_set, labels.positions.is_set) = (false, false);
        }
        read
    }

    /// Says where the next process has to begin.
    pub(super) fn leave(&mut self) {
        let (predicted, labelled) = self.begins();
        let Sources::Streams { predictions, labels } = &mut self.sources else { return };
        if !self.is_behind && !self.logs.is_empty() {
            let left = [predictions.saved(predicted), labels.saved(labelled)];
            self.ledger.courses = left.into_iter().flatten().collect();
        }
    }

    /// From which times on predictions and labels are needed.
    fn begins(&self) -> (i64, i64) {
        let of = |are_labels| {
            let logs = self.logs.iter().filter(move |it| it.are_labels() == are_labels);
            let longest = logs.map(|it| it.span_us).max().unwrap_or(0);
            self.ledger.clock_us.saturating_sub(longest)
        };
        (of(false), of(true))
    }

    /// Puts both where they are to be read. `None`: that is to be seen in the next round.
    fn set_out(&mut self, now: i64) -> io::Result<Option<Ends>> {
        let begins = self.is_behind.then(|| self.begins()).unzip();
        let Judging { sources, logs, .. } = self;
        let Sources::Streams { predictions, labels } = sources else {
            return Ok(None);
        };
        if begins.0.is_some() {
            for log in &mut *logs {
                let course = if log.are_labels() { &*labels } else { &*predictions };
                log.goes_back(&course.positions.next);
            }
        }
        let ends = predictions.set_out(begins.0)?.zip(labels.set_out(begins.1)?);
        let Some((predictions, labels)) = ends else { return Ok(None) };
        let ends = Ends { predictions, labels, now };
        for log in logs {
            log.is_fed(if log.are_labels() { &ends.labels } else { &ends.predictions });
        }
        self.is_behind = false;
        Ok(Some(ends))
    }

    fn read_to(&mut self, ends: &Ends) -> io::Result<Round> {
        let begin = Instant::now();
        let sought = Sought::new(&self.logs);
        let mut waiting = None;
        self.judge_to(ends)?;
        loop {
            let is_stopped = self.stop.load(Ordering::Relaxed);
            if is_stopped || begin.elapsed() > ROUND_MAX {
                if let Sources::Streams { labels, .. } = &mut self.sources {
                    // Those that wait come again.
                    labels.positions.is_set &= waiting.is_none();
                }
                return Ok(if is_stopped { Round::Stopped } else { Round::Cut });
            }
            match self.next(ends, waiting.as_ref()) {
                Next::Nothing => return Ok(Round::Whole),
                Next::Predictions => {
                    let chunk = self.chunk((false, i64::MAX), ends, &sought)?;
                    self.take_in(false, chunk);
                }
                Next::Labels(until) => waiting = Some(self.chunk((true, until), ends, &sought)?),
                Next::Join => waiting.take().into_iter().for_each(|it| self.take_in(true, it)),
            }
            self.judge_to(ends)?;
        }
    }

    /// What is to be done, while these labels wait.
    fn next(&self, ends: &Ends, waiting: Option<&Chunk>) -> Next {
        let Sources::Streams { predictions, labels } = &self.sources else { return Next::Nothing };
        // At its end it is as late as can be.
        let predicted = predictions.positions.written(&ends.predictions, i64::MAX);
        let are_open = !predictions.positions.has_reached(&ends.predictions);
        let labels_are_open = !labels.positions.has_reached(&ends.labels);
        match (waiting, predicted) {
            (Some(chunk), _) => {
                let latest = chunk.times.iter().map(|it| it.1).max();
                let is_known = latest.is_none_or(|it| predicted.is_some_and(|known| it <= known));
                if is_known || !are_open { Next::Join } else { Next::Predictions }
            }
            (None, Some(until)) if labels_are_open => Next::Labels(until),
            (None, _) if are_open => Next::Predictions,
            (None, _) => Next::Nothing,
        }
    }

    /// Judges what is over by what was read of both.
    fn judge_to(&mut self, ends: &Ends) -> io::Result<()> {
        let Sources::Streams { predictions, labels } = &self.sources else { return Ok(()) };
        let predicted = predictions.positions.written(&ends.predictions, ends.now);
        let labelled = labels.positions.written(&ends.labels, ends.now);
        let Some((predicted, labelled)) = predicted.zip(labelled) else { return Ok(()) };
        // Nothing is over before others' clocks show it, whatever this one does.
        let written = predicted.min(labelled).min(self.clock.borne_out_us());
        self.advance(written.saturating_sub(self.lateness()))
    }

    /// What comes next of one of the two.
    fn chunk(
        &mut self,
        (are_labels, until): (bool, i64),
        ends: &Ends,
        sought: &Sought,
    ) -> io::Result<Chunk> {
        let latest = latest(ends.now, self.lateness());
        let (predicted, labelled) = self.begins();
        let again = if are_labels { labelled } else { predicted };
        let times = Times { clock: self.ledger.clock_us, again, latest, until };
        let Judging { sources, logs, stop, .. } = self;
        let Sources::Streams { predictions, labels } = sources else {
            return Ok(Chunk::new("", Offsets::new()));
        };
        let (course, ends, sought) = if are_labels {
            (labels, &ends.labels, &sought.labels)
        } else {
            (predictions, &ends.predictions, &sought.predictions)
        };
        course.chunk((ends, stop), times, |message, again| {
            // A label says of itself what it is, in its JSON.
            let columns = if are_labels { Some("") } else { message.columns };
            let of = message.source.zip(columns);
            let of = of.map(|(source, columns)| (sought.get(source).copied(), columns));
            fate((message, again), (of, logs), times)
        })
    }

    /// Has it joined.
    fn take_in(&mut self, are_labels: bool, chunk: Chunk) {
        let Judging { sources, logs, judge, ledger, clock, .. } = self;
        let Sources::Streams { predictions, labels } = sources else { return };
        let course = if are_labels { labels } else { predictions };
        chunk.times.iter().for_each(|it| clock.shown(it.1));
        for heap in &chunk.heaps {
            let Some(log) = logs.get_mut(heap.log) else { continue };
            let (wrong, why) = match log.take(judge, ledger, (&heap.columns, &heap.values())) {
                Ok(taken) => taken,
                Err(error) => {
                    if log.refused.as_ref() != Some(&error) {
                        metrics::failed("watch");
                        tracing::error!(log = log.folder, error, "a version cannot be judged");
                        log.refused = Some(error);
                    }
                    (heap.len(), None)
                }
            };
            if !heap.again {
                course.counted((heap.len(), wrong));
            }
            if let Some(error) = why.filter(|_| course.positions.is_news("unreadable")) {
                tracing::error!(
                    log = log.folder,
                    messages = wrong,
                    error,
                    "messages cannot be read: they are left out, and others of their kind will be"
                );
            }
        }
        course.passed(chunk);
    }
}

impl Sought {
    fn new(logs: &[JudgedLog]) -> Sought {
        let mut sought = Sought { predictions: BTreeMap::new(), labels: BTreeMap::new() };
        for (n, log) in logs.iter().enumerate() {
            match &log.of {
                Of::Predictions(it, _) => {
                    sought.predictions.insert(source_of(&it.model, it.version), n)
                }
                Of::Labels(model) => sought.labels.insert(source_of_model(model), n),
            };
        }
        sought
    }
}

/// `of`: which log it is of, and what its columns are. `None`: it does not say so.
fn fate<'a>(
    (message, again): (&Message<'a>, bool),
    (of, logs): (Option<(Option<usize>, &'a str)>, &[JudgedLog]),
    times: Times,
) -> Fate<'a> {
    let Some((log, columns)) = of else { return Fate::Left("foreign") };
    if message.value.len() > MESSAGE_BYTES_MAX {
        return Fate::Left("too_large");
    }
    let Some((log, of)) = log.and_then(|it| Some((it, logs.get(it)?))) else {
        return Fate::Left("other");
    };
    if of.has_taken(message.partition, message.offset) {
        return Fate::Left("other");
    }
    // What was read before matters as long as its window is open.
    let over = if again { times.clock.saturating_sub(of.span_us) } else { i64::MIN };
    let needed = of.begin_us.max(over);
    match message.time {
        Some(it) if end_of(it) < needed || it > times.latest => Fate::Left("other"),
        Some(_) | None => Fate::Row { log, columns },
    }
}

#[cfg(test)]
#[path = "judging_messages_tests.rs"]
mod tests;
