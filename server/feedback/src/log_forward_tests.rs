use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::tests::{House, options};
use super::*;
use crate::cloudevents::{CloudEvents, Event, Events, Post};

/// A receiver that is away until it is back.
#[derive(Clone, Default)]
struct Receiver {
    is_back: Arc<AtomicBool>,
    posted: Arc<Mutex<Vec<u8>>>,
    /// What names one of these is too large for it.
    refuses: Arc<Mutex<Vec<String>>>,
}

impl Post for Receiver {
    fn post(&mut self, event: &Event) -> io::Result<()> {
        if !self.is_back.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let body = String::from_utf8_lossy(&event.body);
        if self.refuses.lock().expect("nobody panics").iter().any(|it| body.contains(it)) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.posted.lock().expect("nobody panics").extend_from_slice(&event.body);
        Ok(())
    }
}

impl Receiver {
    /// What it has been told, by the events' ids.
    fn events(&self) -> Vec<String> {
        let posted = self.posted.lock().expect("nobody panics");
        let text = String::from_utf8_lossy(&posted).into_owned();
        let ids = text.split("\"event_id\":\"").skip(1).filter_map(|it| it.split('"').next());
        ids.map(str::to_owned).collect()
    }
}

/// Rows of three days, and a restart after each: a small machine without a network.
#[test]
fn days_without_a_receiver_are_delivered_when_it_is_back() {
    let folder = tempfile::tempdir().expect("scratch");
    let receiver = Receiver::default();
    let make = |_: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        Ok(vec![Box::new(CloudEvents::new(receiver.clone(), Events::Rows))])
    };
    let start = || House::new(Arc::new(Disk), options(folder.path()), &make);
    let mut durable = BTreeSet::new();
    for day in 0..3 {
        let house = start();
        for hour in 0..24 {
            let event = house.commit(480_000 + 24 * day + hour);
            assert_eq!(house.told().1, Ok(()));
            durable.insert(event);
        }
        let by = Instant::now() + Duration::from_secs(1);
        assert!(!house.log.stop(by), "not all of it is delivered");
    }
    assert!(receiver.events().is_empty());
    receiver.is_back.store(true, Ordering::Relaxed);
    assert!(start().stop(), "all of it is delivered");
    let events = receiver.events();
    assert_eq!(events.len(), durable.len(), "each once");
    assert_eq!(events.into_iter().collect::<BTreeSet<_>>(), durable);
}

#[test]
fn what_a_receiver_finds_too_large_is_not_counted_as_delivered() {
    let (folder, counts) =
        (tempfile::tempdir().expect("scratch"), crate::fixture::Counts::default());
    let receiver = Receiver::default();
    let make = |_: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        Ok(vec![Box::new(CloudEvents::new(receiver.clone(), Events::Rows))])
    };
    let start = || House::new(Arc::new(Disk), options(folder.path()), &make);
    let house = ::metrics::with_local_recorder(&counts, start);
    let events: Vec<String> = (0..8).map(|_| house.commit(480_000)).collect();
    receiver.refuses.lock().expect("nobody panics").extend_from_slice(&events[2..5]);
    receiver.is_back.store(true, Ordering::Relaxed);
    assert!(house.stop(), "nothing waits for what nobody takes");
    let mut taken = receiver.events();
    taken.sort();
    let mut expect = [&events[..2], &events[5..]].concat();
    expect.sort();
    assert_eq!(taken, expect);
    assert_eq!(counts.of("salver_log_sink_rows_total"), 5);
}
