//! What was measured on, and when.

use std::fmt;
use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use server_base::calendar::Date;

/// A processor, as far as it says what it is.
pub(super) struct Machine {
    name: String,
    cores: usize,
}

impl Machine {
    /// This one, of which so many cores were used.
    pub(super) fn here(cores: usize) -> Machine {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = model_name(&info).unwrap_or(std::env::consts::ARCH).to_owned();
        Machine { name, cores }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.cores == 1 { "" } else { "s" };
        write!(out, "{}, {} core{plural}", self.name, self.cores)
    }
}

/// x86 has it; others leave it out.
fn model_name(info: &str) -> Option<&str> {
    let line = info.lines().find(|it| it.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim()).filter(|it| !it.is_empty())
}

/// Lets this thread, and those that it starts, run on the first `cores` of its cores alone.
pub(super) fn keep_to(cores: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut fewer = CpuSet::new();
    let places = (0..CpuSet::MAX_CPU).filter(|&it| allowed.is_set(it));
    places.take(cores).for_each(|it| fewer.set(it));
    Ok(sched_setaffinity(None, &fewer)?)
}

/// The date, in UTC: 2026-11-21.
pub(super) fn today() -> String {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Date::of_day(i64::try_from(passed.as_secs() / 86_400).unwrap_or(0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_says_its_name() {
        let info = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\nflags\t: a b\n";
        assert_eq!(model_name(info), Some("Intel(R) Xeon(R) Processor"));
        assert_eq!(model_name("processor\t: 0\nBogoMIPS\t: 50\n"), None);
    }
}
