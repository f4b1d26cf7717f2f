//! Events of the JSON batch content mode: many in one post, and one that is too large in parts.

use std::io;

use bytes::Bytes;

use crate::cloudevents::{Event, Post};
use crate::sink::LeftOut;

/// Events of one batch. Receivers are free to refuse more than they like; these are modest.
pub(crate) const BATCH_EVENTS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What is posted at once, and where in its body the events end, if it is a batch.
pub(crate) struct Waiting {
    pub(crate) event: Event,
    ends: Vec<usize>,
    /// Rows that are delivered by it.
    rows: usize,
}

/// A batch that is being made.
#[derive(Default)]
pub(crate) struct Batch {
    body: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Adds an event, in parts; gives the batch if it is full with it.
    pub(crate) fn add(&mut self, event: &[&[u8]]) -> Option<Waiting> {
        let Batch { body, ends } = self;
        body.push(if ends.is_empty() { b'[' } else { b',' });
        event.iter().for_each(|it| body.extend_from_slice(it));
        ends.push(body.len());
        let is_full = ends.len() >= BATCH_EVENTS_MAX || body.len() >= BATCH_BYTES_MAX;
        is_full.then(|| self.close()).flatten()
    }

    /// It is complete. `None`: there is nothing in it.
    pub(crate) fn close(&mut self) -> Option<Waiting> {
        let Batch { mut body, ends } = std::mem::take(self);
        (!ends.is_empty()).then(|| {
            body.push(b']');
            Waiting { event: batch(body.into()), rows: ends.len(), ends }
        })
    }
}

impl Waiting {
    /// An event that is no batch, and by which so many rows are delivered.
    pub(crate) fn alone(event: Event, rows: usize) -> Waiting {
        Waiting { event, ends: Vec::new(), rows }
    }

    pub(crate) fn crc(&self) -> u32 {
        crc32fast::hash(&self.event.body)
    }
}

/// Posts it; if it is too large in parts, down to single events, and without those that are too large by
/// themselves: says what was left out. Whoever counts that does so when all of it is posted, for after an
/// error it comes again.
pub(crate) fn post<P: Post>(
    to: &mut P,
    sink: &'static str,
    waiting: &Waiting,
) -> io::Result<LeftOut> {
    let Waiting { event, ends, rows } = waiting;
    match to.post(event) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {}
        other => return other.map(|()| LeftOut::default()),
    }
    let bytes = event.body.len();
    let Some((first, second)) = halves(event, ends) else {
        tracing::error!(sink, bytes, "an event is too large for who takes them: it is left out");
        return Ok(LeftOut { events: 1, rows: *rows });
    };
    let mut left_out = post(to, sink, &first)?;
    left_out += post(to, sink, &second)?;
    Ok(left_out)
}

/// A batch in two; `None`: it is one event.
fn halves(event: &Event, ends: &[usize]) -> Option<(Waiting, Waiting)> {
    let (first, second) = ends.split_at_checked(ends.len() / 2).filter(|it| !it.0.is_empty())?;
    let (middle, end) = (*first.last()?, *second.last()?);
    let part = |begin: usize, ends: &[usize], end: usize| {
        let events = event.body.get(begin..end)?;
        let body = [b"[", events, b"]"].concat();
        // Behind the bracket or comma that stood before it, as behind the bracket of its own.
        let ends: Vec<usize> = ends.iter().map(|it| it + 1 - begin).collect();
        Some(Waiting { event: batch(body.into()), rows: ends.len(), ends })
    };
    Some((part(1, first, middle)?, part(middle + 1, second, end)?))
}

fn batch(body: Bytes) -> Event {
    let kind = "application/cloudevents-batch+json; charset=utf-8".to_owned();
    Event { headers: vec![("content-type", kind)], body }
}
