//! Records in the making, used again.
//!
//! A record is several hundred bytes, more than allocators keep many of at hand for a thread. Those that
//! have ended on a thread are kept by it for the next that begin there.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use server_base::{EventId, Kept, Protocol, Reason, Record, Route, Timing};
use smallvec::SmallVec;

/// Records that a thread keeps, about fifty kilobytes, and at most two more for the values that each has copied; as
/// many requests are seldom under way on one.
const SPARES_MAX: usize = 64;

/// One that has had more tensors is not kept: its room for them would be.
const TENSORS_MAX: usize = 16;

thread_local! {
    // Boxed, as it comes and goes: what is moved is a pointer.
    #[expect(clippy::vec_box, reason = "as said")]
    static SPARES: RefCell<Vec<Box<Record>>> = RefCell::default();
}

/// That of a request of which nothing is known but when it came, in milliseconds since 1970 too.
pub(crate) fn fresh((time, millis): (SystemTime, u64)) -> Box<Record> {
    // A thread that ends has none any more.
    let spare = SPARES.try_with(|it| it.borrow_mut().pop()).ok().flatten();
    let mut record = spare.unwrap_or_else(|| Box::new(blank(time)));
    (record.event, record.time) = (EventId::at(millis), time);
    record
}

/// Nobody looks at it any more.
pub(crate) fn done(mut record: Box<Record>) {
    let Record {
        event: _,
        request_id,
        trace,
        time: _,
        protocol: _,
        route,
        inputs,
        held,
        outputs,
        rows,
        failure,
        timing,
        latency,
        probability,
        reason,
        pair,
        drawn,
    } = &mut *record;
    request_id.clear();
    inputs.clear();
    outputs.clear();
    (*trace, *route, *failure, *pair, *drawn) = (None, Route::Direct, None, None, None);
    (*held, *rows, *probability, *reason) = (0, 1, 1.0, Reason::Uniform);
    (*timing, *latency) = (Timing::default(), Duration::ZERO);
    let is_small = inputs.capacity() + outputs.capacity() <= TENSORS_MAX;
    // If it cannot be kept, it goes.
    let _ = SPARES.try_with(|it| {
        let mut spares = it.borrow_mut();
        if is_small && spares.len() < SPARES_MAX {
            spares.push(record);
        }
    });
}

fn blank(time: SystemTime) -> Record {
    Record {
        event: EventId(0),
        request_id: SmallVec::new(),
        trace: None,
        time,
        protocol: Protocol::Grpc,
        route: Route::Direct,
        inputs: Kept::default(),
        held: 0,
        outputs: Kept::default(),
        rows: 1,
        failure: None,
        timing: Timing::default(),
        latency: Duration::ZERO,
        probability: 1.0,
        reason: Reason::Uniform,
        pair: None,
        drawn: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use backend_api::Tensor;
    use server_base::{Drawn, Kind, Trace};

    use super::*;

    fn spares() -> usize {
        SPARES.with_borrow(Vec::len)
    }

    #[test]
    fn one_that_is_used_again_is_like_a_new_one() {
        let time = UNIX_EPOCH + Duration::from_secs(9);
        let mut record = fresh((UNIX_EPOCH, 0));
        record.request_id.extend_from_slice(&[7; 50]);
        record.trace = Some(Trace { trace: 1, span: 2 });
        record.route = Route::Replay;
        record.inputs.push(&Tensor::from_elements(&[1], &[1_u8]).expect("fits"));
        record.outputs.push(&Tensor::from_elements(&[1], &[1_u8]).expect("fits"));
        (record.held, record.rows, record.probability) = (1, 2, 0.5);
        record.drawn = Some(Drawn { weight: 0.5, rollout: Some("r".into()) });
        record.failure = Some((Kind::Invalid, "x".to_owned()));
        record.timing.batch_rows = 3;
        record.latency = Duration::from_secs(1);
        (record.reason, record.pair) = (Reason::Slow, Some(EventId(1)));
        let address: *const Record = &raw const *record;
        done(record);
        let again = fresh((time, 9_000));
        assert!(std::ptr::eq(address, &raw const *again));
        assert_eq!(again.event.0 >> 80, 9_000);
        let blank = Record { event: again.event, ..blank(time) };
        assert_eq!(format!("{again:?}"), format!("{blank:?}"));
    }

    #[test]
    fn only_some_are_kept_and_none_with_much_room() {
        let many: Vec<_> = (0..SPARES_MAX + 5).map(|_| fresh((UNIX_EPOCH, 0))).collect();
        many.into_iter().for_each(done);
        assert_eq!(spares(), SPARES_MAX);
        let mut wide = fresh((UNIX_EPOCH, 0));
        let tensor = Tensor::from_elements(&[1], &[1_u8]).expect("fits");
        (0..=TENSORS_MAX).for_each(|_| wide.inputs.push(&tensor));
        done(wide);
        assert_eq!(spares(), SPARES_MAX - 1);
    }
}
