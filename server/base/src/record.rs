//! What is remembered of one prediction.
//!
//! Made on the hot path out of copies of what is short and handles to what is long; turned into rows by
//! the prediction log, on its own thread.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;

use crate::kept::Kept;
use crate::kind::{Kind, Protocol};
use crate::request::Timing;

/// Longest id of a caller's that is kept.
pub const REQUEST_ID_BYTES_MAX: usize = 256;

/// Numbers that a thread takes at a time: it asks the others for them no more often than that.
const COUNTS: u64 = 1_024;

/// What a thread has left of the numbers that it took: the next one, how many, and the process's own.
#[derive(Clone, Copy)]
struct Counted {
    next: u64,
    left: u64,
    process: u64,
}

thread_local! {
    static COUNTED: Cell<Counted> = const { Cell::new(Counted { next: 0, left: 0, process: 0 }) };
}

impl Counted {
    /// A number that no other thread has, and the process's own.
    fn next() -> (u64, u64) {
        let mut it = COUNTED.get();
        if it.left == 0 {
            it = Counted::take();
        }
        COUNTED.set(Counted { next: it.next.wrapping_add(1), left: it.left - 1, ..it });
        (it.next, it.process)
    }

    #[cold]
    fn take() -> Counted {
        static NEXT: OnceLock<(AtomicU64, u64)> = OnceLock::new();
        let random = |what| RandomState::new().hash_one(what);
        let start = || (AtomicU64::new(random("event id")), random("process"));
        let (next, process) = NEXT.get_or_init(start);
        let next = next.fetch_add(COUNTS, Ordering::Relaxed);
        Counted { next, left: COUNTS, process: *process }
    }
}

/// Names one record for ever: a UUID of version 7. A record that is delivered twice keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u128);

impl EventId {
    /// Of a record made at that time.
    pub fn new(time: SystemTime) -> EventId {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        EventId::at(since.as_secs().wrapping_mul(1_000) + u64::from(since.subsec_millis()))
    }

    /// Of a record made so many milliseconds after 1970. Unique in the process by counting, among processes by
    /// where the count begins; not a secret.
    pub fn at(millis: u64) -> EventId {
        let (count, process) = Counted::next();
        let high = (millis & ((1 << 48) - 1)) << 16 | 7 << 12 | (process & 0xfff);
        let low = 1 << 63 | (count & ((1 << 62) - 1));
        EventId(u128::from(high) << 64 | u128::from(low))
    }
}

impl EventId {
    /// As text, in ASCII. One is written for every row that is logged, so it is done by hand.
    pub fn text(self) -> [u8; 36] {
        let mut text = [b'-'; 36];
        let places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        for (place, byte) in places.into_iter().zip(self.0.to_be_bytes()) {
            text[place] = DIGITS[usize::from(byte >> 4)];
            text[place + 1] = DIGITS[usize::from(byte & 0xf)];
        }
        text
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// Where a request stands in its caller's trace, as W3C's `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The whole trace.
    pub trace: u128,
    /// The caller's span.
    pub span: u64,
}

impl Trace {
    /// From the header's value; nothing if it is not of that form.
    pub fn parse(header: &[u8]) -> Option<Trace> {
        let text = std::str::from_utf8(header).ok()?;
        let mut parts = text.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = |it: &str| it.bytes().all(|it| it.is_ascii_hexdigit());
        if version.len() != 2 || trace.len() != 32 || span.len() != 16 || !hex(trace) || !hex(span)
        {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|it| *it != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|it| *it != 0)?;
        Some(Trace { trace, span })
    }
}

/// How a request came to its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// As its caller or the newest version says.
    Direct,
    /// The model's traffic has chosen.
    Shared,
    /// It is a copy whose answer nobody was given.
    Shadow,
    /// Its caller says that it, or what it is a copy of, was asked before, by others: it is no traffic.
    Replay,
}

impl Route {
    /// As in the log.
    pub fn label(self) -> &'static str {
        match self {
            Route::Direct => "direct",
            Route::Shared => "shared",
            Route::Shadow => "shadow",
            Route::Replay => "replay",
        }
    }
}

/// How the model's traffic chose a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The version's part of the requests that name none, from 0 to 1.
    pub weight: f32,
    /// The rollout that shared them out.
    pub rollout: Option<Arc<str>>,
}

/// Why a record is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its id fell into the sample.
    Uniform,
    /// It failed.
    Error,
    /// It took long.
    Slow,
    /// The model was not sure of its answer.
    LowConfidence,
    /// The request was copied to another version, which answered otherwise.
    Disagreement,
}

impl Reason {
    /// As in the log.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Uniform => "uniform",
            Reason::Error => "error",
            Reason::Slow => "slow",
            Reason::LowConfidence => "low_confidence",
            Reason::Disagreement => "disagreement",
        }
    }
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its name.
    pub event: EventId,
    /// The caller's name for the request; empty: it gave none.
    pub request_id: SmallVec<[u8; 40]>,
    /// The caller's trace.
    pub trace: Option<Trace>,
    /// When the request came in, by the wall clock.
    pub time: SystemTime,
    /// How it came.
    pub protocol: Protocol,
    /// How it got to its version.
    pub route: Route,
    /// If the model's traffic has chosen the version: how likely that was.
    pub drawn: Option<Drawn>,
    /// In the signature's order; empty if it never came that far.
    pub inputs: Kept,
    /// Bytes of the request that the inputs are parts of, which they keep in memory; 0: not known.
    pub held: usize,
    /// In the signature's order; empty if there was no answer.
    pub outputs: Kept,
    /// Rows of the request, 1 if that is not known.
    pub rows: usize,
    /// Why there is no answer.
    pub failure: Option<(Kind, String)>,
    /// Where the time went inside.
    pub timing: Timing,
    /// From the first byte to the answer.
    pub latency: Duration,
    /// How likely it was that a record like this one is in the log: 1 if a rule keeps all of its kind.
    /// Where two versions disagreed: how likely it was that the request is copied at all.
    pub probability: f32,
    /// Why it is: a rule, unless the sample has chosen it anyhow.
    pub reason: Reason,
    /// The record of the request that this is a copy of.
    pub pair: Option<EventId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_and_never_the_same() {
        let time = UNIX_EPOCH + Duration::from_millis(0x0190_1234_5678);
        let (first, second) = (EventId::new(time), EventId::new(time));
        assert_ne!(first, second);
        let text = first.to_string();
        assert!(text.starts_with("01901234-5678-7"), "{text}");
        assert!(matches!(text.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b')), "{text}");
        assert_eq!(text.len(), 36);
        let others = std::thread::spawn(move || (0..3_000).map(|_| EventId::new(time)).collect());
        let mut all: Vec<EventId> = others.join().expect("no panics");
        all.extend((0..3_000).map(|_| EventId::new(time)));
        let alike = |it: &EventId| (it.0 >> 62, it.0 >> 64);
        assert!(all.iter().all(|it| alike(it) == alike(&first)), "time, version, process, variant");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6_000, "of two threads");
        let all = EventId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(all.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        let before = EventId::new(UNIX_EPOCH - Duration::from_secs(1));
        assert!(before.to_string().starts_with("00000000-0000-7"), "a clock before 1970");
    }

    #[test]
    fn traces_are_read_or_left() {
        let good = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::parse(good).expect("a trace");
        assert_eq!((trace.trace >> 120, trace.span), (0x4b, 0x00f0_67aa_0ba9_02b7));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
