use std::sync::TryLockError;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::*;

/// Nothing here takes longer, on a machine that is busy either; whatever does is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says that it was told, and is done when it may be.
#[derive(Debug)]
struct Slow(SyncSender<()>, Mutex<Receiver<()>>);

impl Findings for Slow {
    fn found(&self, _: &[Finding]) -> bool {
        self.0.send(()).expect("somebody waits for it");
        // Whoever lets it go on lets go of the other end.
        let _ = locked(&self.1).recv();
        true
    }
}

/// Those who look are where requests are answered.
#[test]
fn nobody_who_looks_waits_for_a_version_that_waits_for_the_disk() {
    let house = House::new(PLAN);
    let folder = house.root.path().join("monitor");
    let ((told, is_told), (go, gate)) = (sync_channel(1), sync_channel(0));
    let slow = Arc::new(Slow(told, Mutex::new(gate)));
    let monitors = Arc::new(Monitors::open(Arc::new(Disk), &folder, slow).expect("opens"));
    let presence = monitors.watch(house.watched()).expect("watches");
    let mut sink = MonitorSink::new(Arc::clone(&monitors));
    sink.write(&rows(Rows::new(9).draw(500, CALM))).expect("takes rows");
    let slot = Arc::downgrade(&monitors.slot(&monitors.all()[0]).expect("it is watched"));
    std::thread::scope(|scope| {
        scope.spawn(|| flush(&mut sink));
        is_told.recv_timeout(PATIENCE).expect("the window is told");
        let again = scope.spawn(|| monitors.watch(house.watched()));
        // It is listed, told of, and taken up again; and who takes it up has let go of the list.
        let begun = Instant::now();
        let mut is_free = false;
        while !is_free && begun.elapsed() < PATIENCE {
            is_free = match monitors.entries.try_lock() {
                Ok(_) => slot.strong_count() == 3,
                Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => false,
            };
            std::thread::yield_now();
        }
        let seen = is_free.then(|| monitors.views("m", None).len());
        drop(go);
        assert_eq!(seen, Some(1));
        again.join().expect("it ends").expect("watches");
    });
    drop(presence);
}
