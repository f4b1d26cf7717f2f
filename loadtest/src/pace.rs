//! When requests leave and how long that goes on: the options of a loop, checked once.
//!
//! Called by `plan`. Reads the trace, if there is one.

use std::sync::Arc;
use std::time::Duration;

use crate::arrivals::{Arrival, Schedule};
use crate::limits::{self, PHASES_MAX};
use crate::options::{DeliveryOptions, PaceOptions, Span, Steps};
use crate::plan::{Faults, Load};
use crate::profile::{Profile, Segment};
use crate::trace::Trace;
use crate::window::Limit;

pub(crate) struct Pace {
    pub(crate) load: Load,
    pub(crate) limit: Limit,
    /// Where the parts of the counted time end that get a row each; none: no parts.
    pub(crate) phases: Vec<Duration>,
}

/// What a single run takes unless it is told.
const DURATION: Duration = Duration::from_secs(10);
const WARMUP: Duration = Duration::from_secs(2);

/// Parts of a ramp or a recording of arrivals, which have no parts of their own.
const PARTS: u32 = 10;

/// A schedule, what it is in words, how long it lasts if it says so, and its parts.
struct Course {
    schedule: Schedule,
    words: String,
    limit: Limit,
    phases: Vec<Duration>,
}

impl Pace {
    pub(crate) fn new(
        pace: &PaceOptions,
        delivery: &DeliveryOptions,
        models: &[String],
        faults: &mut Faults,
    ) -> Pace {
        let warmup = delivery.warmup.unwrap_or(WARMUP);
        let duration = delivery.duration.unwrap_or(DURATION);
        let limit = match pace.requests {
            Some(requests) => Limit::Requests(requests),
            None => Limit::Time { warmup, duration },
        };
        let course = if let Some(rate_per_s) = pace.rate {
            let course = steady(rate_per_s, pace.arrival, limit, faults);
            Course { phases: intervals(pace, duration, faults), ..course }
        } else if let Some(span) = pace.ramp {
            let segment =
                |seconds| vec![Segment { seconds, from_per_s: span.from, to_per_s: span.to }];
            let profile = Profile::new(segment(duration.as_secs_f64())).after(warmup);
            let words = format!("{} to {} /s {}", span.from, span.to, pace.arrival);
            within("--ramp", span, faults);
            Course::drawn(profile, pace.arrival, words, (limit, parts(duration, PARTS)))
        } else if let Some(steps) = pace.step {
            within("--step", steps.span, faults);
            let words = format!("{steps} {}", pace.arrival);
            let ends = parts(duration, steps.count);
            Course::drawn(stairs(steps, duration, warmup), pace.arrival, words, (limit, ends))
        } else if let Some(path) = &pace.trace {
            match Trace::read(path, models) {
                Ok(trace) => traced(trace, pace.arrival, faults),
                Err(fault) => {
                    faults.add(format!("--trace: {fault}"));
                    steady(1.0, pace.arrival, limit, faults)
                }
            }
        } else {
            let load = closed(pace, delivery, faults);
            return Pace { load, limit, phases: intervals(pace, duration, faults) };
        };
        faults.within("--outstanding-max", delivery.outstanding_max, 1 << 20);
        let Course { schedule, words, limit, phases } = course;
        let (outstanding_max, spin) = (delivery.outstanding_max, delivery.spin);
        let rate_per_s = pace.rate;
        let load = Load::Open { schedule, words, rate_per_s, outstanding_max, spin };
        Pace { load, limit, phases }
    }
}

impl Course {
    fn drawn(
        profile: Profile,
        arrival: Arrival,
        words: String,
        (limit, phases): (Limit, Vec<Duration>),
    ) -> Course {
        let schedule = Schedule::Drawn { profile: Arc::new(profile), arrival };
        Course { schedule, words, limit, phases }
    }
}

fn closed(pace: &PaceOptions, delivery: &DeliveryOptions, faults: &mut Faults) -> Load {
    let (concurrency, threads) = (pace.concurrency.unwrap_or(1), delivery.threads);
    faults.within("--concurrency", concurrency, limits::CONCURRENCY_MAX);
    if concurrency > 0 && concurrency < threads {
        faults.add(format!("--concurrency {concurrency} leaves some of {threads} threads idle"));
    }
    for (option, given) in
        [("--spin", delivery.spin), ("--arrival", pace.arrival != Arrival::default())]
    {
        if given {
            faults.add(format!("{option} is for an open loop: --rate, --ramp, --step or --trace"));
        }
    }
    Load::Closed { concurrency }
}

fn steady(rate_per_s: f64, arrival: Arrival, limit: Limit, faults: &mut Faults) -> Course {
    if !limits::RATES_PER_S.contains(&rate_per_s) {
        faults.add(format!("--rate {rate_per_s}, expected 0.001 to 10000000 per second"));
    }
    let words = format!("{rate_per_s} /s {arrival}");
    Course::drawn(Profile::constant(rate_per_s), arrival, words, (limit, Vec::new()))
}

fn stairs(steps: Steps, duration: Duration, warmup: Duration) -> Profile {
    let Steps { span, count } = steps;
    let seconds = duration.as_secs_f64() / f64::from(count);
    let rise = (span.to - span.from) / f64::from(count.saturating_sub(1).max(1));
    let step = |index: u32| Segment::flat(seconds, span.from + rise * f64::from(index));
    Profile::new((0..count).map(step).collect()).after(warmup)
}

fn traced(trace: Trace, arrival: Arrival, faults: &mut Faults) -> Course {
    let warmup = Duration::ZERO;
    match trace {
        Trace::Arrivals(dues) => {
            if arrival != Arrival::default() {
                faults.add("--arrival is for rates, the trace says when each request is due");
            }
            let words = format!("{} arrivals of a trace", dues.len());
            let last = dues.last().map_or(Duration::ZERO, |it| it.offset);
            // The last arrival still belongs to it.
            let duration = last + Duration::from_nanos(1);
            let (limit, phases) = (Limit::Time { warmup, duration }, parts(duration, PARTS));
            Course { schedule: Schedule::Traced(Arc::new(dues)), words, limit, phases }
        }
        Trace::Segments(segments) => {
            let words = format!("{} rates of a trace {arrival}", segments.len());
            let mut ends: Vec<Duration> = Vec::with_capacity(segments.len());
            let mut end_s = 0.0;
            for segment in &segments {
                end_s += segment.seconds;
                ends.push(Duration::from_secs_f64(end_s));
            }
            let duration = Duration::from_secs_f64(end_s);
            if ends.len() > PHASES_MAX {
                ends = parts(duration, PARTS);
            }
            let limit = Limit::Time { warmup, duration };
            Course::drawn(Profile::new(segments), arrival, words, (limit, ends))
        }
    }
}

/// The ends of `count` equal parts.
fn parts(duration: Duration, count: u32) -> Vec<Duration> {
    (1..=count).map(|it| duration * it / count).collect()
}

/// The ends of the intervals that were asked for; the last one is what is left.
fn intervals(pace: &PaceOptions, duration: Duration, faults: &mut Faults) -> Vec<Duration> {
    let Some(interval) = pace.interval else { return Vec::new() };
    let count = duration.as_secs_f64() / interval.as_secs_f64();
    if count.is_nan() || count > PHASES_MAX as f64 {
        let least_s = duration.as_secs_f64() / PHASES_MAX as f64;
        faults.add(format!("--interval {interval:?}, expected at least {least_s} s"));
        return Vec::new();
    }
    let whole = (1..).map(|it| interval * it).take_while(|&it| it < duration);
    whole.chain([duration]).collect()
}

fn within(option: &str, span: Span, faults: &mut Faults) {
    if let Some(rate) = [span.from, span.to].iter().find(|it| !limits::RATES_PER_S.contains(it)) {
        faults.add(format!("{option} with {rate}, expected 0.001 to 10000000 per second"));
    }
}
