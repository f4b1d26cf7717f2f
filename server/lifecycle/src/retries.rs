//! When is a load that failed tried again? Pure: time is a parameter.
//!
//! What lasts is not tried again. What may pass is, after pauses that double up to a minute, and
//! not for ever: each try costs a load, and an outage of hours is seen by people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use backend_api::Device;
use server_base::Version;

use crate::eviction::backoff;
use crate::fault::Fault;

/// Retries after faults of the disk: with pauses of a minute, an hour.
const PASSING_MAX: u32 = 60;

/// Retries of what may as well be the content's fault: three minutes.
const DOUBTFUL_MAX: u32 = 8;

/// Times that a version is loaded again whose device has failed: as for what is doubtful.
const LOST_MAX: u32 = DOUBTFUL_MAX;

/// A device that has failed and then served for so long is no longer held against it.
const CALM: Duration = Duration::from_secs(600);

/// Whoever asks for what is given up is told to come again after so long: content or an operator changes it, and
/// both are heard of at once.
const GIVEN_UP: Duration = Duration::from_secs(3_600);

/// A version and the print of its content.
pub(crate) type Key = (Version, u64);

/// One model's failed loads.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    failed: BTreeMap<Key, Failed>,
    /// Those whose devices have failed. A good load does not end it: that it runs has to be seen.
    lost: BTreeMap<Key, Lost>,
}

#[derive(Debug)]
struct Failed {
    /// Loads that failed since the last good one.
    count: u32,
    /// When it is tried again; `None`: not by itself.
    again: Option<Instant>,
}

#[derive(Debug)]
struct Lost {
    count: u32,
    last: Instant,
    /// Not loaded before that; `None`: given up.
    again: Option<Instant>,
    gpu: Option<u32>,
}

impl Lost {
    fn barred(&self, now: Instant) -> Option<Instant> {
        let until = self.again.unwrap_or(now + GIVEN_UP);
        (until > now).then_some(until)
    }
}

impl Retries {
    /// The device of one that was loaded has failed. Gives when it is loaded again.
    pub(crate) fn lose(&mut self, key: Key, device: &Device, now: Instant) -> Option<Instant> {
        let first = Lost { count: 0, last: now, again: None, gpu: None };
        let lost = self.lost.entry(key).or_insert(first);
        if now.saturating_duration_since(lost.last) > CALM {
            lost.count = 0;
        }
        lost.count = lost.count.saturating_add(1);
        lost.last = now;
        lost.gpu = match device {
            Device::Cuda(number) => Some(*number),
            Device::Cpu | Device::CpuPart(_) | Device::Tpu(_) | Device::EdgeTpu => None,
        };
        let (count, again) = (lost.count, now + backoff(lost.count));
        let again = (count <= LOST_MAX).then_some(again);
        lost.again = again;
        self.failed.insert(key, Failed { count, again });
        again
    }

    /// The GPU that has failed it last.
    pub(crate) fn avoids(&self, key: Key) -> Option<u32> {
        self.lost.get(&key).and_then(|it| it.gpu)
    }

    /// Until when it is not loaded for what its devices have done, whoever asks for it.
    pub(crate) fn barred(&self, key: Key, now: Instant) -> Option<Instant> {
        self.lost.get(&key).and_then(|it| it.barred(now))
    }

    /// A load has failed. Gives when it is tried again.
    pub(crate) fn fail(&mut self, key: Key, fault: Fault, now: Instant) -> Option<Instant> {
        let failed = self.failed.entry(key).or_insert(Failed { count: 0, again: None });
        failed.count = failed.count.saturating_add(1);
        let most = match fault {
            // A device that does not come back at once may later.
            Fault::Lasting if self.lost.contains_key(&key) => DOUBTFUL_MAX,
            Fault::Lasting => 0,
            Fault::Doubtful => DOUBTFUL_MAX,
            Fault::Passing => PASSING_MAX,
        };
        failed.again = (failed.count <= most).then(|| now + backoff(failed.count));
        failed.again
    }

    /// A load has come to a good end.
    pub(crate) fn succeed(&mut self, key: Key) {
        self.failed.remove(&key);
    }

    /// Those whose pause is over. Each is given once.
    pub(crate) fn due(&mut self, now: Instant) -> BTreeSet<Key> {
        let over = |it: &Failed| it.again.is_some_and(|again| again <= now);
        let due = self.failed.iter_mut().filter(|(_, it)| over(it));
        due.map(|(key, it)| {
            it.again = None;
            *key
        })
        .collect()
    }

    /// Is it to be tried again?
    pub(crate) fn is_pending(&self, key: Key) -> bool {
        self.failed.get(&key).is_some_and(|it| it.again.is_some())
    }

    /// When the next pause is over.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.failed.values().filter_map(|it| it.again).min()
    }

    /// Has a load of it failed before?
    pub(crate) fn has_failed(&self, key: Key) -> bool {
        self.failed.contains_key(&key)
    }

    /// Forgets content that is gone.
    pub(crate) fn keep(&mut self, present: &BTreeSet<Key>) {
        self.failed.retain(|key, _| present.contains(key));
        self.lost.retain(|key, _| present.contains(key));
    }

    /// What may be tried is to be tried at once, as if it had never failed. What its devices have done is
    /// remembered, and their pauses are kept.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.failed.retain(|key, _| self.lost.get(key).is_some_and(|it| it.barred(now).is_some()));
    }

    /// An operator says that all is well, the devices too.
    pub(crate) fn absolve(&mut self) {
        self.failed.clear();
        self.lost.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    const KEY: Key = (Version(1), 7);

    /// Fails as often as it is tried; gives the pauses in seconds.
    fn pauses(fault: Fault) -> Vec<u64> {
        let (mut retries, mut now, mut pauses) = (Retries::default(), Instant::now(), Vec::new());
        while let Some(again) = retries.fail(KEY, fault, now) {
            pauses.push(again.duration_since(now).as_secs());
            assert!(pauses.len() < 1_000, "it comes to an end");
            assert_eq!(
                (retries.next(), retries.due(again - Duration::from_millis(1)).len()),
                (Some(again), 0)
            );
            assert_eq!(retries.due(again), BTreeSet::from([KEY]));
            assert_eq!((retries.next(), retries.due(again).len()), (None, 0), "given once");
            now = again;
        }
        assert_eq!(retries.next(), None);
        pauses
    }

    #[test]
    fn what_lasts_is_not_tried_again() {
        assert_eq!(pauses(Fault::Lasting), Vec::<u64>::new());
    }

    #[test]
    fn what_is_doubtful_is_tried_a_few_times() {
        assert_eq!(pauses(Fault::Doubtful), [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_device_that_fails_again_and_again_is_given_up() {
        let (mut retries, mut now, mut pauses) = (Retries::default(), Instant::now(), Vec::new());
        while let Some(again) = retries.lose(KEY, &Device::Cuda(3), now) {
            pauses.push(again.duration_since(now).as_secs());
            assert_eq!((retries.due(again).len(), retries.avoids(KEY)), (1, Some(3)));
            retries.succeed(KEY); // it loads, and fails when it runs
            now = again;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        // What has served for long begins anew; what is not there at once may come.
        now += CALM + Duration::from_secs(1);
        assert_eq!(retries.lose(KEY, &Device::Cpu, now), Some(now + Duration::from_secs(1)));
        assert_eq!(retries.avoids(KEY), None);
        assert_eq!(retries.fail(KEY, Fault::Lasting, now), Some(now + Duration::from_secs(2)));
        retries.forget(now + Duration::from_secs(1));
        assert!(retries.fail(KEY, Fault::Lasting, now).is_some(), "a request forgets less");
        retries.absolve();
        assert_eq!(retries.fail(KEY, Fault::Lasting, now), None);
    }

    #[test]
    fn nobody_who_asks_shortens_a_devices_pause() {
        let (mut retries, mut now) = (Retries::default(), Instant::now());
        let other = (Version(2), 7);
        for _ in 0..LOST_MAX {
            let again = retries.lose(KEY, &Device::Cuda(0), now).expect("it is tried again");
            retries.fail(other, Fault::Lasting, now);
            retries.forget(again - Duration::from_millis(1));
            assert_eq!((retries.barred(KEY, now), retries.has_failed(KEY)), (Some(again), true));
            assert_eq!((retries.barred(other, now), retries.has_failed(other)), (None, false));
            retries.forget(again);
            assert_eq!((retries.barred(KEY, again), retries.has_failed(KEY)), (None, false));
            now = again;
        }
        assert_eq!(retries.lose(KEY, &Device::Cuda(0), now), None);
        now += CALM * 100;
        retries.forget(now);
        assert_eq!(retries.barred(KEY, now), Some(now + GIVEN_UP));
        assert!(retries.has_failed(KEY), "for good");
        retries.absolve();
        assert_eq!((retries.barred(KEY, now), retries.has_failed(KEY)), (None, false));
    }

    #[test]
    fn the_disk_has_an_hour() {
        let pauses = pauses(Fault::Passing);
        assert_eq!((pauses.len(), pauses[5], pauses[59]), (60, 32, 60));
        assert!(pauses.iter().sum::<u64>() > 3_000);
    }

    #[test]
    fn each_content_has_pauses_of_its_own() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let (old, new) = ((Version(1), 1), (Version(1), 2));
        retries.fail(old, Fault::Doubtful, now);
        retries.fail(old, Fault::Doubtful, now);
        retries.fail(new, Fault::Doubtful, now);
        assert_eq!(retries.next(), Some(now + Duration::from_secs(1)));
        assert!(retries.has_failed(old));
        retries.keep(&BTreeSet::from([new]));
        assert!(!retries.has_failed(old));
        retries.succeed(new);
        assert_eq!(retries.next(), None);
        retries.fail(new, Fault::Doubtful, now);
        assert_eq!(retries.next(), Some(now + Duration::from_secs(1)), "from the beginning");
    }

    #[test]
    fn a_fault_that_turns_out_to_last_ends_it() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        assert!(retries.fail(KEY, Fault::Passing, now).is_some());
        assert_eq!(retries.fail(KEY, Fault::Lasting, now), None);
        assert_eq!(retries.next(), None);
    }
}
