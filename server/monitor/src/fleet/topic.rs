//! A stream in memory, for the tests: what replicas' sinks would send to Kafka, kept in partitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use server_base::{ModelName, Version};
use server_feedback::{
    COLUMNS, LabelMessages, LabelRow, Messages, Position, Produce, Rows, Sink as _,
};

use super::follower::Log;
use super::stream::{Message, Offsets, Stream};
use crate::embeddings::TENSOR;

/// What a producer sends.
pub(super) type Sent = server_feedback::Message;

/// See the module.
#[derive(Clone)]
pub(super) struct Topic(Arc<Mutex<State>>);

pub(super) struct State {
    name: &'static str,
    /// Nobody has made it.
    pub(super) is_missing: bool,
    partitions: Vec<Vec<Sent>>,
    /// Offsets that are no messages.
    marks: BTreeSet<(usize, usize)>,
    /// Before that everything was taken away.
    pub(super) first: Vec<i64>,
    /// Does it know where a time begins?
    pub(super) knows_time: bool,
    /// After so many messages it is away.
    pub(super) away_after: Option<usize>,
    /// Messages that were handed on.
    pub(super) read: usize,
}

impl Topic {
    pub(super) fn new(partitions: usize) -> Topic {
        Topic::named("rows", partitions)
    }

    pub(super) fn named(name: &'static str, partitions: usize) -> Topic {
        Topic(Arc::new(Mutex::new(State {
            name,
            is_missing: false,
            partitions: vec![Vec::new(); partitions],
            marks: BTreeSet::new(),
            first: vec![0; partitions],
            knows_time: true,
            away_after: None,
            read: 0,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics")
    }

    pub(super) fn log(&self) -> Log {
        Log::Stream(self.stream())
    }

    pub(super) fn stream(&self) -> Box<dyn Stream> {
        let name = self.state().name;
        let (at, ended) = (Offsets::new(), Offsets::new());
        Box::new(Reader { name, topic: self.clone(), at, ended, turn: 0 })
    }

    /// One more partition.
    pub(super) fn grow(&self) {
        let mut state = self.state();
        state.partitions.push(Vec::new());
        state.first.push(0);
    }

    /// Rows of a version, in partitions in turn.
    pub(super) fn put_of(&self, model: &str, rows: &RecordBatch) {
        self.send_all(sent(model, rows));
    }

    /// In partitions in turn.
    pub(super) fn send_all(&self, messages: Vec<Sent>) {
        for (n, message) in messages.into_iter().enumerate() {
            let partition = n % self.state().partitions.len();
            self.send(partition, message);
        }
    }

    pub(super) fn send(&self, partition: usize, message: Sent) {
        self.state().partitions[partition].push(message);
    }

    pub(super) fn first(&self) -> Sent {
        self.state().partitions[0][0].clone()
    }

    /// The end of a transaction, which takes an offset and is no message.
    pub(super) fn mark(&self, partition: usize) {
        let mut state = self.state();
        let place = state.partitions[partition].len();
        state.marks.insert((partition, place));
        let nothing = Sent { key: String::new(), value: vec![], headers: vec![], time_ms: 0 };
        state.partitions[partition].push(nothing);
    }
}

/// What the sink makes of rows.
pub(super) fn sent(model: &str, rows: &RecordBatch) -> Vec<Sent> {
    sent_as(model, rows, told(rows))
}

/// The same of rows of which it is told.
pub(super) fn sent_as(model: &str, rows: &RecordBatch, batch: RecordBatch) -> Vec<Sent> {
    let model = ModelName::new(model).expect("a name");
    let times = rows.column_by_name("event_time").expect("a time");
    let times = times.as_primitive::<TimestampMicrosecondType>().values().to_vec();
    let kept = Kept::default();
    let mut sink = Messages::new(Kept(Arc::clone(&kept.0)));
    sink.write(&Rows { model, version: Version(1), hour: 0, batch }).expect("rows");
    sink.flush(Position::default(), "replica").expect("taken");
    let sent = std::mem::take(&mut *kept.0.lock().expect("nobody panics"));
    sent.into_iter().zip(times).map(|(it, time)| Sent { time_ms: time / 1_000, ..it }).collect()
}

/// What a sink makes of labels.
pub(super) fn labels_sent(model: &str, rows: &[LabelRow]) -> Vec<Sent> {
    let kept = Kept::default();
    let mut sink = LabelMessages::new(Kept(Arc::clone(&kept.0)));
    sink.put(&ModelName::new(model).expect("a name"), rows).expect("kept");
    std::mem::take(&mut *kept.0.lock().expect("nobody panics"))
}

/// With what the log says of columns, and the requests' ids.
fn told(rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let field = |it: &Arc<Field>| {
        let Some((_, tensor)) = it.name().split_once('.') else { return Arc::clone(it) };
        let known = [(DataType::Float32, "FP32"), (DataType::Int64, "INT64")];
        let kind = known.iter().find(|known| known.0 == *it.data_type()).map_or("BYTES", |it| it.1);
        let about = [(TENSOR, tensor), ("datatype", kind), ("shape", "rows")];
        let about: HashMap<String, String> =
            about.into_iter().map(|(key, it)| (key.to_owned(), it.to_owned())).collect();
        Arc::new(Field::new(it.name(), it.data_type().clone(), true).with_metadata(about))
    };
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().map(field).collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    fields.push(Arc::new(Field::new("request_id", DataType::Utf8, false)));
    columns.push(Arc::clone(rows.column_by_name("event_id").expect("ids")));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("the same columns")
}

#[derive(Default)]
struct Kept(Arc<Mutex<Vec<Sent>>>);

impl Produce for Kept {
    fn produce(&mut self, messages: &[Sent]) -> io::Result<()> {
        self.0.lock().expect("nobody panics").extend_from_slice(messages);
        Ok(())
    }
}

struct Reader {
    name: &'static str,
    topic: Topic,
    at: Offsets,
    ended: Offsets,
    turn: usize,
}

fn length(of: &[Sent]) -> i64 {
    i64::try_from(of.len()).expect("few")
}

impl Stream for Reader {
    fn name(&self) -> &str {
        self.name
    }

    fn partitions(&mut self) -> io::Result<BTreeMap<i32, Range<i64>>> {
        let state = self.topic.state();
        if state.is_missing {
            return Err(io::ErrorKind::NotFound.into());
        }
        let ranges = state.first.iter().zip(&state.partitions);
        Ok((0..).zip(ranges.map(|(first, it)| *first..length(it))).collect())
    }

    fn since(&mut self, time: i64) -> io::Result<Offsets> {
        let state = self.topic.state();
        let first = |it: &Vec<Sent>| it.iter().position(|it| it.time_ms * 1_000 + 999 >= time);
        let found = state.partitions.iter().map(|it| first(it).filter(|_| state.knows_time));
        let found = (0..).zip(found);
        Ok(found.filter_map(|(n, it)| Some((n, i64::try_from(it?).ok()?))).collect())
    }

    fn seek(&mut self, to: &Offsets) -> io::Result<()> {
        self.at = to.clone();
        self.ended.clear();
        Ok(())
    }

    /// Some of one partition, then of another, each with those in front of it that it may skip.
    fn next(&mut self, take: &mut dyn FnMut(&Message<'_>)) -> io::Result<bool> {
        let mut state = self.topic.state();
        if state.away_after == Some(state.read) {
            return Err(io::Error::other("away"));
        }
        self.turn += 1;
        let partitions = self.at.len();
        for n in (0..partitions).map(|it| (self.turn / 7 + it) % partitions) {
            let partition = i32::try_from(n).expect("few");
            let at = self.at.get_mut(&partition).expect("as many");
            assert!(*at >= state.first[n], "an offset that is not there");
            let mut place = usize::try_from(*at).expect("an offset");
            while state.marks.contains(&(n, place)) {
                place += 1;
                *at += 1;
                if place == state.partitions[n].len() {
                    self.ended.insert(partition, *at);
                    return Ok(false);
                }
            }
            let Some(sent) = state.partitions[n].get(place) else { continue };
            let header =
                |name: &str| sent.headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
            take(&Message {
                partition,
                offset: *at,
                // As in Kafka, where -1 is none.
                time: (sent.time_ms >= 0).then_some(sent.time_ms * 1_000),
                kind: header("ce_type"),
                source: header("ce_source"),
                columns: header(COLUMNS),
                value: &sent.value,
            });
            *at += 1;
            state.read += 1;
            return Ok(true);
        }
        Err(io::Error::other("nothing comes"))
    }

    fn ended(&self) -> &Offsets {
        &self.ended
    }
}
