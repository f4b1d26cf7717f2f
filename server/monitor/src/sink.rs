//! Where the prediction log hands its rows to the monitors. Its cursor moves after their state is
//! on the disk, or was refused by it, and rows that come again are known by their names, so each counts
//! once.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::{ModelName, Version};
use server_feedback::{LeftOut, Position, Rows, Sink};

use crate::house::Monitors;

/// Under load windows are complete many times a second; writing all states down each time would cost
/// more than counting.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct MonitorSink {
    monitors: Arc<Monitors>,
    /// Those that have rows that are not written down.
    touched: BTreeSet<(ModelName, Version)>,
    /// A window is complete: somebody may wait for it.
    is_complete: bool,
    flushed: Option<Instant>,
}

impl MonitorSink {
    /// For those monitors.
    pub fn new(monitors: Arc<Monitors>) -> MonitorSink {
        MonitorSink { monitors, touched: BTreeSet::new(), is_complete: false, flushed: None }
    }
}

impl Sink for MonitorSink {
    fn name(&self) -> &'static str {
        "monitor"
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        let who = (rows.model.clone(), rows.version);
        if let Some(is_complete) = self.monitors.write(&who, &rows.batch) {
            self.is_complete |= is_complete;
            self.touched.insert(who);
        }
        Ok(())
    }

    fn flush(&mut self, _from: Position, _of: &str) -> io::Result<LeftOut> {
        // Those that the disk refused, or that have more to tell, are tried again with the next, and hold up nobody.
        self.touched.retain(|it| !self.monitors.flush(it));
        self.monitors.sweep();
        self.is_complete = false;
        self.flushed = Some(Instant::now());
        Ok(LeftOut::default())
    }

    fn reset(&mut self) {
        self.touched.iter().for_each(|it| self.monitors.reset(it));
        self.touched.clear();
        self.is_complete = false;
    }

    fn is_full(&self) -> bool {
        self.is_complete && self.flushed.is_none_or(|it| it.elapsed() >= PAUSE)
    }
}
