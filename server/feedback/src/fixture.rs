//! Records and rows for the tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_schema::ArrowError;
use backend_api::{DType, Dim, Signature, Tensor, TensorSpec};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use server_base::{
    EventId, LogConfig, ModelName, Protocol, Reason, Record, Route, Subject, Timing, Version,
};
use smallvec::smallvec;

use crate::list::List;
use crate::parcel::Parcel;
use crate::rows::Form;
use crate::schema::Columns;
use crate::sink::Rows;

pub(crate) fn spec(name: &str, dtype: DType, dims: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.into(), dtype, dims: dims.to_vec(), quantization: None }
}

/// Two numbers in, one out.
pub(crate) fn subject(model: &str) -> Subject {
    let inputs = vec![spec("x", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)])];
    let outputs = vec![spec("y", DType::Int64, &[Dim::Rows])];
    Subject {
        model: ModelName::new(model).expect("a name"),
        version: Version(3),
        digest: Some("ab".repeat(32)),
        signature: Signature { inputs, outputs },
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    }
}

pub(crate) fn form(subject: Subject) -> Form {
    Form { columns: Columns::new(&subject).expect("columns"), subject, key: None }
}

impl Form {
    /// One batch of all rows of these records, which are put into lists and come out of them as on the
    /// way to the disk.
    pub(crate) fn rows(
        &self,
        records: &[Record],
        now: SystemTime,
    ) -> Result<RecordBatch, ArrowError> {
        let version = crate::version::Version::new(self.clone());
        let lists = lists(&version, records);
        self.batch(&lists.iter().flat_map(List::entries).collect::<Vec<_>>(), now)
    }
}

/// Lists of these records, as the queue fills them.
pub(crate) fn lists(version: &Arc<crate::version::Version>, records: &[Record]) -> Vec<List> {
    lists_in(vec![List::with_room()], version, records)
}

/// The same, the first of them in those that are there.
pub(crate) fn lists_in(
    mut empty: Vec<List>,
    version: &Arc<crate::version::Version>,
    records: &[Record],
) -> Vec<List> {
    let mut lists: Vec<List> = empty.pop().into_iter().collect();
    for record in records {
        let mut parcel = Parcel::new(record, version).expect("can be a row");
        if parcel.is_long() {
            parcel.hold();
        }
        if !lists.last().is_some_and(|it| it.has_room(&parcel)) {
            lists.push(empty.pop().unwrap_or_else(List::with_room));
        }
        lists.last_mut().expect("one").put(&mut parcel, None);
    }
    lists
}

/// An answered request of so many rows: row `n` takes `n` and `n + 0.5`, and gives `n`.
pub(crate) fn record(time: SystemTime, rows: usize) -> Record {
    let x: Vec<f32> = (0..rows).flat_map(|it| [it as f32, it as f32 + 0.5]).collect();
    let y: Vec<i64> = (0..rows as i64).collect();
    Record {
        event: EventId::new(time),
        request_id: smallvec![],
        trace: None,
        time,
        protocol: Protocol::Http,
        route: Route::Direct,
        inputs: [Tensor::from_elements(&[rows, 2], &x).expect("fits")].into(),
        held: 0,
        outputs: [Tensor::from_elements(&[rows], &y).expect("fits")].into(),
        rows,
        failure: None,
        timing: Timing::default(),
        latency: Duration::from_micros(250),
        probability: 1.0,
        reason: Reason::Uniform,
        pair: None,
        drawn: None,
    }
}

/// The first instant of an hour since 1970.
pub(crate) fn hour(hour: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::from(hour) * 3_600)
}

/// So many requests of one row.
pub(crate) fn rows(model: &str, hour: u32, records: usize) -> Rows {
    let time = self::hour(hour);
    let records: Vec<Record> = (0..records).map(|_| record(time, 1)).collect();
    let subject = subject(model);
    let (model, version) = (subject.model.clone(), subject.version);
    let batch = form(subject).rows(&records, time).expect("rows");
    Rows { model, version, hour, batch }
}

/// One row each, with a name of that many bytes.
pub(crate) fn named(names: &[usize]) -> Rows {
    let named = |bytes: &usize| {
        let mut record = record(hour(480_000), 1);
        record.request_id = smallvec![b'x'; *bytes];
        record
    };
    let records: Vec<Record> = names.iter().map(named).collect();
    let batch = form(subject("m")).rows(&records, hour(480_000)).expect("rows");
    Rows { batch, ..rows("m", 480_000, 1) }
}

/// Event and row of each row.
pub(crate) fn keys(batch: &RecordBatch) -> Vec<(String, u32)> {
    let text = |name: &str| batch.column_by_name(name).expect("a column");
    let rows = text("row_index").as_primitive::<UInt32Type>();
    let events = text("event_id").as_string::<i32>().iter().flatten();
    events.map(str::to_owned).zip(rows.values().iter().copied()).collect()
}

/// What is counted while it is the recorder, by name and whatever the labels.
#[derive(Default)]
pub(crate) struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.handle(name).load(Ordering::Relaxed)
    }

    fn handle(&self, name: &str) -> Arc<AtomicU64> {
        let mut all = self.0.lock().expect("nobody panics");
        Arc::clone(all.entry(name.to_owned()).or_default())
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key.name()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
