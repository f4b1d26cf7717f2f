//! What the process uses, as Prometheus's own clients name it. Read when metrics are scraped.

use std::fs;

use metrics::{counter, gauge};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server_base::{Series, SeriesKind};

const BUILD_INFO: &str = "salver_build_info";
const MEMORY: &str = "process_resident_memory_bytes";
const CPU: &str = "process_cpu_seconds_total";
const OPEN_FDS: &str = "process_open_fds";
const MAX_FDS: &str = "process_max_fds";
const THREADS: &str = "process_threads";
const START: &str = "process_start_time_seconds";

/// The machine's name; empty if it has none.
pub(crate) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

/// Everything this crate shows.
pub(crate) const SERIES: &[Series] = &[
    Series {
        name: BUILD_INFO,
        kind: SeriesKind::Gauge,
        labels: &["version"],
        help: "1; the label says what is running.",
        buckets: &[],
    },
    Series {
        name: MEMORY,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "Resident memory.",
        buckets: &[],
    },
    Series {
        name: CPU,
        kind: SeriesKind::Counter,
        labels: &[],
        help: "Whole seconds of processor time, user and system.",
        buckets: &[],
    },
    Series {
        name: OPEN_FDS,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "Open file descriptors.",
        buckets: &[],
    },
    Series {
        name: MAX_FDS,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "File descriptors that may be open.",
        buckets: &[],
    },
    Series { name: THREADS, kind: SeriesKind::Gauge, labels: &[], help: "Threads.", buckets: &[] },
    Series {
        name: START,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "When the process was started, in seconds since 1970.",
        buckets: &[],
    },
];

/// Fields of `/proc/self/stat` behind the name, counted from 0 (proc_pid_stat(5) counts from 3).
const UTIME: usize = 11;
const STIME: usize = 12;
const NUM_THREADS: usize = 17;
const START_TIME: usize = 19;
const RSS_PAGES: usize = 21;

/// Sets the gauges. What cannot be read is left as it was.
pub(crate) fn observe() {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    if let Some(stat) = Stat::read() {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        counter!(CPU).absolute((stat.field(UTIME) + stat.field(STIME)) / ticks);
        gauge!(THREADS).set(stat.field(NUM_THREADS) as f64);
        gauge!(MEMORY).set(stat.field(RSS_PAGES) as f64 * rustix::param::page_size() as f64);
        if let Some(boot) = boot_time() {
            gauge!(START).set(boot + stat.field(START_TIME) as f64 / ticks as f64);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!(OPEN_FDS).set(open.count().saturating_sub(1) as f64); // not the one that counts
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        gauge!(MAX_FDS).set(most as f64);
    }
}

/// Raises the number of open files to what the system allows: the usual 1,024 is no limit that
/// anybody chose for a server.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current < maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

struct Stat(Vec<u64>);

impl Stat {
    fn read() -> Option<Stat> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The name stands in parentheses and may hold anything, parentheses included.
        let (_, fields) = text.rsplit_once(')')?;
        Some(Stat(fields.split_whitespace().map(|it| it.parse().unwrap_or(0)).collect()))
    }

    fn field(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }
}

fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|it| it.strip_prefix("btime "))?.trim().parse().ok()
}
