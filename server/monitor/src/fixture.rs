//! Rows of the log, a reference and a listener for the tests. All drawn, all seeded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{
    ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow_schema::Schema;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use server_base::{Finding, Findings};
use server_drift::profile::{FORMAT, distinct_rows};
use server_drift::random::Random;
use server_drift::{Feature, Kind, MonitorPlan, Profile, RawMonitorPlan, Role, Source, Values};

use crate::columns::Basis;

/// What rows look like: `x` normal, `kind` one of three words, and the model's answer `y`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Of `x`, in standard deviations.
    pub(crate) shift: f64,
    /// Share of the rows whose `x` is NaN.
    pub(crate) nan: f64,
    /// Share of the rows whose `kind` nobody has seen before.
    pub(crate) strange: f64,
    /// Every third row failed, every fifth is here because it was slow.
    pub(crate) trouble: bool,
}

/// Draws rows, one a second.
pub(crate) struct Rows {
    random: Random,
    next: u64,
}

impl Rows {
    pub(crate) fn new(seed: u64) -> Rows {
        Rows { random: Random::new(seed), next: 0 }
    }

    /// How many seconds have gone by.
    pub(crate) fn skip(&mut self, seconds: u64) {
        self.next += seconds;
    }

    pub(crate) fn draw(&mut self, rows: usize, weather: Weather) -> RecordBatch {
        let (mut x, mut kind, mut y) = (Vec::new(), Vec::new(), Vec::new());
        let (mut names, mut times) = (Vec::new(), Vec::new());
        let (mut status, mut reason, mut route) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows {
            let value = self.random.normal() + weather.shift;
            let is_nan = chance(&mut self.random, weather.nan);
            x.push(if is_nan { f32::NAN } else { narrow(value) });
            let word = ["red", "green", "blue"][usize::try_from(self.random.below(3)).unwrap_or(0)];
            let strange = chance(&mut self.random, weather.strange);
            kind.push(if strange { format!("new {}", self.next) } else { word.to_owned() });
            y.push(i64::from(value > 0.5));
            names.push(format!("event {}", self.next));
            times.push(i64::try_from(self.next * 1_000_000).unwrap_or(i64::MAX));
            status.push(if weather.trouble && row % 3 == 0 { "INTERNAL" } else { "OK" });
            reason.push(if weather.trouble && row % 5 == 0 { "slow" } else { "uniform" });
            route.push(if weather.trouble && row % 7 == 0 { "replay" } else { "direct" });
            self.next += 1;
        }
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("event_id", Arc::new(StringArray::from(names))),
            ("row_index", Arc::new(UInt32Array::from(vec![0; rows]))),
            (
                "event_time",
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
            ),
            ("status", Arc::new(StringArray::from(status))),
            ("sample_reason", Arc::new(StringArray::from(reason))),
            ("route", Arc::new(StringArray::from(route))),
            ("in.x", Arc::new(Float32Array::from(x))),
            ("in.kind", Arc::new(StringArray::from(kind))),
            ("out.y", Arc::new(Int64Array::from(y))),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }
}

fn chance(random: &mut Random, share: f64) -> bool {
    share > 0.0 && (random.below(1_000_000) as f64) < share * 1e6
}

#[expect(clippy::cast_possible_truncation, reason = "as a client sends it")]
fn narrow(value: f64) -> f32 {
    value as f32
}

pub(crate) fn plan(json: &str) -> MonitorPlan {
    serde_json::from_str::<RawMonitorPlan>(json).expect("JSON").validate().expect("a plan")
}

/// Of rows without any weather.
pub(crate) fn profile(seed: u64, rows: usize) -> Profile {
    let mut random = Random::new(seed);
    let (mut x, mut kind, mut y) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let value = random.normal();
        x.push(value);
        let word = ["red", "green", "blue"][usize::try_from(random.below(3)).unwrap_or(0)];
        kind.push(Some(word.into()));
        y.push(f64::from(u8::from(value > 0.5)));
    }
    let columns = [
        ("x", Role::Input, Values::Numbers { values: x, whole: false }, Kind::Numerical),
        ("kind", Role::Input, Values::Words(kind), Kind::Categorical),
        ("y", Role::Output, Values::Numbers { values: y, whole: true }, Kind::Categorical),
    ];
    let feature = |(name, role, values, kind): &(&str, Role, Values, Kind)| {
        Feature::of(name, *role, values, Some(*kind)).expect("values").expect("a profile")
    };
    let values: Vec<&Values> = columns.iter().map(|it| &it.2).collect();
    Profile {
        format: FORMAT,
        model: "m".to_owned(),
        source: Source::Data,
        rows: rows as u64,
        distinct_rows: distinct_rows(&values),
        features: columns.iter().map(feature).collect(),
    }
}

pub(crate) fn schema() -> Arc<Schema> {
    Rows::new(1).draw(1, Weather::default()).schema()
}

pub(crate) fn basis(seed: u64, rows: usize) -> Basis {
    Basis::of(&profile(seed, rows), &schema(), (None, 1)).expect("columns that match")
}

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<Finding>>);

impl Heard {
    /// Takes what has come: kind, alarm and rows of each.
    pub(crate) fn take(&self) -> Vec<Finding> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Findings for Heard {
    fn found(&self, findings: &[Finding]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(findings);
        true
    }
}

/// More than that is seen in one of some thousand runs if the rate is as asked for.
pub(crate) fn most(expected: f64) -> usize {
    let most = expected + 3.3 * expected.sqrt();
    (0..1_000).find(|it| *it as f64 > most).unwrap_or(0)
}

/// What series show, by their name and the labels that are no model and no version.
#[derive(Debug, Default)]
pub(crate) struct Series(Mutex<BTreeMap<String, (bool, Arc<AtomicU64>)>>);

impl Series {
    pub(crate) fn read(&self) -> BTreeMap<String, f64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = |(is_gauge, it): &(bool, Arc<AtomicU64>)| {
            let bits = it.load(Ordering::Relaxed);
            if *is_gauge { f64::from_bits(bits) } else { bits as f64 }
        };
        all.iter().map(|it| (it.0.clone(), value(it.1))).collect()
    }

    fn of(&self, key: &Key, is_gauge: bool) -> Arc<AtomicU64> {
        let labels = key.labels().filter(|it| !["model", "version"].contains(&it.key()));
        let parts: Vec<&str> =
            [key.name()].into_iter().chain(labels.map(|it| it.value())).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&all.entry(parts.join(" ")).or_insert_with(|| (is_gauge, Arc::default())).1)
    }
}

impl Recorder for Series {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key, false))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key, true))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
