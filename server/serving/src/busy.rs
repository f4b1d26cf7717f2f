//! How long an instance has been at work.

use std::time::Duration;

use metrics::{Counter, counter};
use server_base::{ModelName, Version};

use crate::metrics::BUSY;

/// One instance's busy time. The counter holds whole numbers, so the rest is carried over.
pub(crate) struct Busy {
    seconds: Counter,
    rest: Duration,
}

impl Busy {
    pub(crate) fn new(
        model: &ModelName,
        version: Version,
        instance: usize,
        device: String,
    ) -> Busy {
        let seconds = counter!(BUSY, "model" => model.shared(), "version" => version.to_string(),
            "instance" => instance.to_string(), "device" => device);
        Busy { seconds, rest: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.rest += time;
        let whole = self.rest.as_secs();
        if whole > 0 {
            self.seconds.increment(whole);
            self.rest -= Duration::from_secs(whole);
        }
    }
}
