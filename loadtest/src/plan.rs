//! What a run will do: the options, checked once. After this, nonsense does not exist.
//!
//! Made by `main` and `compare`; carried out by `run`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::arrivals::Arrival;
use crate::client::{Protocol, Target};
use crate::limits;
use crate::options::LoadOptions;
use crate::payload::Payload;
use crate::window::Limit;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) source: Source,
    pub(crate) load: Load,
    pub(crate) limit: Limit,
    pub(crate) timeout: Duration,
    /// At least one per thread.
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) check_every: u64,
    pub(crate) seed: u64,
}

/// Where the requests come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Random(Payload),
    Recorded(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    Closed { concurrency: usize },
    Open { rate_per_s: f64, arrival: Arrival, outstanding_max: usize, spin: bool },
}

/// Options that cannot be carried out, with what would do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable(Vec<String>);

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Unusable {}

/// Connections of an open loop over HTTP/1.1: what can be in flight at once.
const OPEN_HTTP_CONNECTIONS: usize = 64;

impl Plan {
    /// Reports every fault at once, each with its option.
    pub(crate) fn validate(options: &LoadOptions, url: Option<&str>) -> Result<Plan, Unusable> {
        let mut faults = Faults::default();
        let load = load(options, &mut faults);
        let connections = connections(options, load, &mut faults);
        faults.within("--threads", options.threads, limits::THREADS_MAX);
        faults.within("--distinct", options.distinct, limits::CONCURRENCY_MAX);
        faults.within("--rows", options.rows, usize::MAX);
        if options.requests == Some(0) {
            faults.add("--requests 0, expected at least 1");
        }
        if options.duration.is_zero() {
            faults.add("--duration 0, expected some time");
        }
        if options.timeout.is_zero() || options.timeout > limits::TIMEOUT_MAX {
            let (given, most) = (options.timeout, limits::TIMEOUT_MAX);
            faults.add(format!("--timeout {given:?}, expected more than 0 and at most {most:?}"));
        }
        let authority = authority(options.protocol, url, &mut faults);
        if !faults.0.is_empty() {
            return Err(Unusable(faults.0));
        }
        Ok(Plan {
            target: Target {
                protocol: options.protocol,
                authority,
                model: options.model.clone(),
                version: options.model_version.clone(),
            },
            source: source(options),
            load,
            limit: match options.requests {
                Some(requests) => Limit::Requests(requests),
                None => Limit::Time { warmup: options.warmup, duration: options.duration },
            },
            timeout: options.timeout,
            connections,
            threads: options.threads,
            check_every: options.check_every,
            seed: options.seed,
        })
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    fn within(&mut self, option: &str, given: usize, most: usize) {
        if given == 0 || given > most {
            self.add(format!("{option} {given}, expected 1 to {most}"));
        }
    }
}

fn source(options: &LoadOptions) -> Source {
    match &options.recorded {
        Some(path) => Source::Recorded(path.clone()),
        None => Source::Random(Payload {
            rows: options.rows,
            axes: options.axes.clone(),
            shapes: options.shapes.clone(),
            integers_below: options.integers_below,
            seed: options.seed,
            distinct: options.distinct,
        }),
    }
}

fn load(options: &LoadOptions, faults: &mut Faults) -> Load {
    let Some(rate_per_s) = options.rate else {
        let concurrency = options.concurrency.unwrap_or(1);
        faults.within("--concurrency", concurrency, limits::CONCURRENCY_MAX);
        if concurrency > 0 && concurrency < options.threads {
            let threads = options.threads;
            faults
                .add(format!("--concurrency {concurrency} leaves some of {threads} threads idle"));
        }
        return Load::Closed { concurrency };
    };
    if !(1e-3..=1e7).contains(&rate_per_s) {
        faults.add(format!("--rate {rate_per_s}, expected 0.001 to 10000000 per second"));
    }
    let outstanding_max = options.outstanding_max;
    faults.within("--outstanding-max", outstanding_max, 1 << 20);
    Load::Open { rate_per_s, arrival: options.arrival, outstanding_max, spin: options.spin }
}

fn connections(options: &LoadOptions, load: Load, faults: &mut Faults) -> usize {
    let usual = match (options.protocol, load) {
        (Protocol::Grpc, _) => 1,
        (Protocol::HttpBinary | Protocol::HttpJson, Load::Closed { concurrency }) => concurrency,
        (Protocol::HttpBinary | Protocol::HttpJson, Load::Open { .. }) => OPEN_HTTP_CONNECTIONS,
    };
    let connections = options.connections.unwrap_or(usual.max(options.threads));
    faults.within("--connections", connections, limits::CONNECTIONS_MAX);
    if connections > 0 && connections < options.threads {
        let threads = options.threads;
        faults.add(format!("--connections {connections} leaves some of {threads} threads without"));
    }
    connections
}

/// `host:port`, with or without a scheme in front.
fn authority(protocol: Protocol, url: Option<&str>, faults: &mut Faults) -> String {
    let Some(url) = url else {
        let port = if protocol == Protocol::Grpc { 8001 } else { 8000 };
        return format!("127.0.0.1:{port}");
    };
    let bare = ["http://", "grpc://"].iter().find_map(|it| url.strip_prefix(it)).unwrap_or(url);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let good = bare.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
    });
    if !good {
        faults.add(format!("url {url:?}, expected host:port"));
    }
    bare.to_owned()
}
