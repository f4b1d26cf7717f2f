//! What a connection is doing, and until when it may go on like that.
//!
//! Written by the stream (bytes came in), by requests (begun, ended), read by the connection's
//! driver. Times are milliseconds since the connection began, so that atomics hold them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::options::ConnectionLimits;
use crate::stream::Spoken;

/// How long an HTTP/1 connection without a request is kept while the server drains: a request that
/// was sent before its peer could know is answered, not cut off.
const LINGER: Duration = Duration::from_millis(500);

/// A moment that has been and was not looked at yet: it gets its time from the next look at the
/// connection, which follows at once. So most requests come and go without a look at the clock.
const UNSEEN: u64 = u64::MAX;

/// One connection's state.
pub(crate) struct Activity {
    began: Instant,
    seen_bytes: AtomicBool,
    http2: AtomicBool,
    /// Requests begun and not yet wholly answered.
    active: AtomicUsize,
    /// Since when there has been none, or [`UNSEEN`].
    quiet_since: AtomicU64,
    /// When the first byte of the header that is being read came in, plus one; 0 if there is none,
    /// or [`UNSEEN`].
    header_since: AtomicU64,
    /// Does a write wait for the peer?
    unwritten: AtomicBool,
    /// When one last went on.
    wrote: AtomicU64,
}

/// Why a connection is closed. Also the values of a label on `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Connected and said nothing.
    FirstByte,
    /// Began a request and did not finish its header.
    Header,
    /// Had nothing to ask for too long.
    Idle,
}

impl Overdue {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Overdue::FirstByte => "first_byte",
            Overdue::Header => "header",
            Overdue::Idle => "idle",
        }
    }
}

impl Activity {
    pub(crate) fn new() -> Activity {
        Activity {
            began: Instant::now(),
            seen_bytes: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            header_since: AtomicU64::new(0),
            unwritten: AtomicBool::new(false),
            wrote: AtomicU64::new(0),
        }
    }

    /// Bytes came in.
    pub(crate) fn read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.seen_bytes.load(Ordering::Relaxed) {
            self.seen_bytes.store(true, Ordering::Relaxed);
        }
        let is_header =
            !self.http2.load(Ordering::Relaxed) && self.active.load(Ordering::Relaxed) == 0;
        if is_header && self.header_since.load(Ordering::Relaxed) == 0 {
            self.header_since.store(UNSEEN, Ordering::Relaxed);
        }
    }

    /// It is clear what the peer speaks.
    pub(crate) fn speaks(&self, spoken: Spoken) {
        if spoken == Spoken::Http2 {
            self.http2.store(true, Ordering::Relaxed);
            self.header_since.store(0, Ordering::Relaxed);
        }
    }

    /// Something of an answer waits for the peer to read.
    pub(crate) fn cannot_write(&self) {
        self.unwritten.store(true, Ordering::Relaxed);
    }

    /// The peer has read on.
    pub(crate) fn writes_again(&self) {
        self.unwritten.store(false, Ordering::Relaxed);
        self.wrote.store(self.now(), Ordering::Relaxed);
    }

    /// When a peer that was behind last read something.
    pub(crate) fn last_write(&self) -> Instant {
        self.began + Duration::from_millis(self.wrote.load(Ordering::Relaxed))
    }

    /// A request's header is complete. The request lasts until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Activity>) -> Active {
        if self.active.fetch_add(1, Ordering::Relaxed) == 0 {
            self.quiet_since.store(UNSEEN, Ordering::Relaxed);
        }
        self.header_since.store(0, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// May the connection be asked to end now, without cutting off a request that is on its way?
    /// HTTP/2 peers are told which of their requests count; an HTTP/1 peer can be told with an
    /// answer only, so one without a request must be waited for.
    pub(crate) fn can_be_asked(&self) -> bool {
        self.http2.load(Ordering::Relaxed) || self.active.load(Ordering::Relaxed) > 0
    }

    /// Until when the connection may do what it does now, and what it is then; `None`: as long as
    /// its requests last, which have limits of their own. `leaving`: since when the server drains.
    pub(crate) fn deadline(
        &self,
        limits: &ConnectionLimits,
        leaving: Option<Instant>,
    ) -> Option<(Instant, Overdue)> {
        if self.active.load(Ordering::Relaxed) > 0 || self.unwritten.load(Ordering::Relaxed) {
            return None; // what cannot be written has a limit in the stream
        }
        if let Some(since) = leaving {
            return Some((since + LINGER, Overdue::Idle));
        }
        if !self.seen_bytes.load(Ordering::Relaxed) {
            return Some((self.began + limits.first_byte, Overdue::FirstByte));
        }
        let at = |millis: u64| self.began + Duration::from_millis(millis);
        match self.seen(&self.header_since) {
            0 => Some((at(self.seen(&self.quiet_since)) + limits.idle, Overdue::Idle)),
            since => Some((at(since - 1) + limits.header, Overdue::Header)),
        }
    }

    /// A moment, which is now if nobody has looked at it. Never 0 in that case: that is none.
    fn seen(&self, moment: &AtomicU64) -> u64 {
        let now = match moment.load(Ordering::Relaxed) {
            UNSEEN => self.now() + 1,
            seen => return seen,
        };
        // Unless it has passed meanwhile.
        let seen = moment.compare_exchange(UNSEEN, now, Ordering::Relaxed, Ordering::Relaxed);
        seen.map_or_else(|it| it, |_| now)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A request in progress on a connection.
pub(crate) struct Active(Arc<Activity>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_held_to_what_it_is_doing() {
        let limits = ConnectionLimits::default();
        let activity = Arc::new(Activity::new());
        let overdue = || activity.deadline(&limits, None).map(|(_, it)| it);
        assert_eq!(overdue(), Some(Overdue::FirstByte));
        activity.read(b"POST /v2");
        assert_eq!(overdue(), Some(Overdue::Header));
        let request = activity.begin();
        assert_eq!(overdue(), None);
        activity.read(b"body");
        drop(request);
        assert_eq!(overdue(), Some(Overdue::Idle));
        activity.read(b"G");
        assert_eq!(overdue(), Some(Overdue::Header));
    }

    #[test]
    fn frames_between_requests_are_no_headers() {
        let limits = ConnectionLimits::default();
        let activity = Arc::new(Activity::new());
        activity.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        activity.speaks(Spoken::Http2);
        assert_eq!(activity.deadline(&limits, None).map(|(_, it)| it), Some(Overdue::Idle));
        activity.read(b"ping");
        assert_eq!(activity.deadline(&limits, None).map(|(_, it)| it), Some(Overdue::Idle));
    }
}
