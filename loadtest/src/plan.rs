//! What a run will do: the options, checked once. After this, nonsense does not exist.
//!
//! Made by `main` and `compare`; carried out by `run`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::arrivals::Schedule;
use crate::client::{Protocol, Target};
use crate::endpoint::Endpoint;
use crate::limits;
use crate::options::{DeliveryOptions, LoadOptions, RequestOptions};
use crate::pace::Pace;
use crate::payload::Payload;
use crate::window::Limit;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    /// At least one, each of another name.
    pub(crate) models: Vec<ModelShare>,
    pub(crate) source: Source,
    pub(crate) load: Load,
    pub(crate) limit: Limit,
    /// Where the parts of the counted time end that get a row each.
    pub(crate) phases: Vec<Duration>,
    pub(crate) timeout: Duration,
    /// Is the server told?
    pub(crate) send_deadline: bool,
    /// At least one per thread.
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) check_every: u64,
    pub(crate) seed: u64,
    /// How long to measure this client's own ceiling; `None`: not at all.
    pub(crate) ceiling: Option<Duration>,
}

/// A model and its share of the requests, in proportion to those of the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelShare {
    pub(crate) name: String,
    /// Empty: the server chooses.
    pub(crate) version: String,
    /// More than 0.
    pub(crate) weight: f64,
}

/// Where the requests come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Random(Payload),
    Recorded(PathBuf),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Load {
    Closed {
        concurrency: usize,
    },
    Open {
        schedule: Schedule,
        /// The schedule, for people.
        words: String,
        /// `None`: it varies.
        rate_per_s: Option<f64>,
        outstanding_max: usize,
        spin: bool,
    },
}

/// Options that cannot be carried out, with what would do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) Vec<String>);

impl Unusable {
    pub(crate) fn one(fault: impl Into<String>) -> Unusable {
        Unusable(vec![fault.into()])
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Unusable {}

/// Connections of an open loop over HTTP/1.1: what can be in flight at once.
const OPEN_HTTP_CONNECTIONS: usize = 64;

impl Plan {
    /// Reports every fault at once, each with its option. `address`: where the server is.
    pub(crate) fn validate(options: &LoadOptions, address: Option<&str>) -> Result<Plan, Unusable> {
        let LoadOptions { request, pace, delivery } = options;
        let mut faults = Faults::default();
        let endpoint = endpoint(delivery, address, &mut faults);
        let models = models(request, &mut faults);
        let names: Vec<String> = models.iter().map(|it| it.name.clone()).collect();
        let Pace { load, limit, phases } = Pace::new(pace, delivery, &names, &mut faults);
        let connections = connections(endpoint.protocol, delivery, &load, &mut faults);
        faults.within("--threads", delivery.threads, limits::THREADS_MAX);
        faults.within("--distinct", request.distinct, limits::CONCURRENCY_MAX);
        faults.within("--rows", request.rows, usize::MAX);
        if pace.requests == Some(0) {
            faults.add("--requests 0, expected at least 1");
        }
        times(delivery, &mut faults);
        faults.none()?;
        Ok(Plan {
            endpoint,
            models,
            source: source(request),
            load,
            limit,
            phases,
            timeout: delivery.timeout,
            send_deadline: delivery.send_deadline,
            connections,
            threads: delivery.threads,
            check_every: request.check_every,
            seed: request.seed,
            ceiling: Some(delivery.ceiling).filter(|it| !it.is_zero()),
        })
    }

    pub(crate) fn target(&self, share: &ModelShare) -> Target {
        let ModelShare { name, version, .. } = share;
        Target { endpoint: self.endpoint.clone(), model: name.clone(), version: version.clone() }
    }
}

#[derive(Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    fn none(self) -> Result<(), Unusable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unusable(self.0)) }
    }

    pub(crate) fn within(&mut self, option: &str, given: usize, most: usize) {
        if given == 0 || given > most {
            self.add(format!("{option} {given}, expected 1 to {most}"));
        }
    }
}

fn endpoint(options: &DeliveryOptions, address: Option<&str>, faults: &mut Faults) -> Endpoint {
    let usual = Endpoint::usual(options.protocol);
    match address.map(|it| Endpoint::parse(it, options.protocol)) {
        None => usual,
        Some(Ok(endpoint)) => endpoint,
        Some(Err(fault)) => {
            faults.add(fault);
            usual
        }
    }
}

fn models(options: &RequestOptions, faults: &mut Faults) -> Vec<ModelShare> {
    let plain = options.model.iter().map(|name| (name.clone(), 1.0));
    let shares = plain.chain(options.models.iter().cloned());
    let share =
        |(name, weight)| ModelShare { name, version: options.model_version.clone(), weight };
    let shares: Vec<ModelShare> = shares.map(share).collect();
    for (index, ModelShare { name, weight, .. }) in shares.iter().enumerate() {
        if shares[..index].iter().any(|it| it.name == *name) {
            faults.add(format!("model {name:?} twice: say its share by --models {name}=WEIGHT"));
        }
        if !(1e-6..=1e6).contains(weight) {
            faults.add(format!("--models {name}={weight}, expected 0.000001 to 1000000"));
        }
    }
    faults.within("--model, so many times:", shares.len(), limits::MODELS_MAX);
    if shares.len() > 1 {
        let single = [
            (!options.model_version.is_empty(), "--model-version"),
            (options.recorded.is_some(), "--recorded"),
        ];
        for (_, option) in single.into_iter().filter(|it| it.0) {
            faults.add(format!("{option} is of one model, but there are {}", shares.len()));
        }
    }
    shares
}

fn times(options: &DeliveryOptions, faults: &mut Faults) {
    if options.duration.is_some_and(|it| it.is_zero()) {
        faults.add("--duration 0, expected some time");
    }
    if options.ceiling > limits::CEILING_MAX {
        let (given, most) = (options.ceiling, limits::CEILING_MAX);
        faults.add(format!("--ceiling {given:?}, expected at most {most:?}; 0s: not measured"));
    }
    if options.timeout.is_zero() || options.timeout > limits::TIMEOUT_MAX {
        let (given, most) = (options.timeout, limits::TIMEOUT_MAX);
        faults.add(format!("--timeout {given:?}, expected more than 0 and at most {most:?}"));
    }
}

fn source(options: &RequestOptions) -> Source {
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

fn connections(
    protocol: Protocol,
    options: &DeliveryOptions,
    load: &Load,
    faults: &mut Faults,
) -> usize {
    let threads = options.threads;
    let usual = match (protocol, load) {
        (Protocol::Grpc, _) => 1,
        (_, Load::Closed { concurrency }) => *concurrency,
        (_, Load::Open { .. }) => OPEN_HTTP_CONNECTIONS,
    };
    let connections = options.connections.unwrap_or(usual.max(threads));
    faults.within("--connections", connections, limits::CONNECTIONS_MAX);
    if connections > 0 && connections < threads {
        faults.add(format!("--connections {connections} leaves some of {threads} threads without"));
    }
    connections
}
