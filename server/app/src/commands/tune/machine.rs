//! What was measured on, and when.

use std::fmt;
use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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
    date(passed.as_secs() / 86_400)
}

/// The date so many days after 1970-01-01.
fn date(days: u64) -> String {
    let (mut year, mut left) = (1970, days);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut length = 365;
    while left >= length {
        left -= length;
        year += 1;
        length = if is_leap(year) { 366 } else { 365 };
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let table = [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (364, "1970-12-31"),
            (365, "1971-01-01"),
            (789, "1972-02-29"),
            (790, "1972-03-01"),
            (11_016, "2000-02-29"),
            (20_778, "2026-11-21"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ];
        for (days, expect) in table {
            assert_eq!(date(days), expect, "{days}");
        }
    }

    #[test]
    fn a_processor_says_its_name() {
        let info = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\nflags\t: a b\n";
        assert_eq!(model_name(info), Some("Intel(R) Xeon(R) Processor"));
        assert_eq!(model_name("processor\t: 0\nBogoMIPS\t: 50\n"), None);
    }
}
