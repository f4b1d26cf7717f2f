//! Requests again, out of the rows that were made of them.

use std::collections::BTreeMap;
use std::fmt;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use backend_api::{DType, Shape, Tensor, strings};
use half::{bf16, f16};

use crate::marks;
use crate::schema::{DTYPE, HASHED, LEFT_OUT, ROWS, SHAPE, TENSOR, VALUE_BYTES_MAX};

/// A request as it was logged.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its name in the log.
    pub event: String,
    /// Its caller's name for it, or the event's.
    pub request_id: String,
    /// When it came in, in microseconds since 1970.
    pub at_micros: i64,
    /// How many rows it has here.
    pub rows: usize,
    /// `OK`, or what went wrong.
    pub status: String,
    /// `direct`, `shared`, `shadow`.
    pub route: String,
    /// From its first byte to its answer.
    pub latency_us: u32,
    /// Of the run that it was part of.
    pub infer_us: u32,
    /// How likely it was to be logged.
    pub sample_rate: f32,
    /// Its inputs, by name, or why they cannot be had.
    pub inputs: Result<Vec<(String, Tensor)>, Gap>,
    /// Its outputs; those that are not in the log as they were are left out.
    pub outputs: Vec<(String, Tensor)>,
}

impl Past {
    /// Its inputs, if it is one to be asked again; else why it is not.
    pub fn again(&self) -> Result<&[(String, Tensor)], String> {
        match self.route.as_str() {
            "shadow" => return Err("a copy of another request".to_owned()),
            "replay" => return Err("asked by a replay".to_owned()),
            _ => {}
        }
        if self.status != "OK" {
            return Err(format!("it was answered with {}", self.status));
        }
        self.inputs.as_deref().map_err(ToString::to_string)
    }
}

/// Why a request cannot be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// An input is not logged.
    LeftOut,
    /// Of an input there are hashes only.
    Hashed,
    /// Of an input a part only, or its text was changed to be text.
    Cut,
    /// It failed before its inputs were understood.
    Missing,
    /// Its rows do not say what they are of: an older server wrote them.
    Unknown,
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Gap::LeftOut => "an input is not logged",
            Gap::Hashed => "an input is hashed",
            Gap::Cut => "an input is cut, or was no text",
            Gap::Missing => "it has no inputs",
            Gap::Unknown => "its rows were written by an older server",
        })
    }
}

/// A tensor's columns.
struct Source {
    name: String,
    dtype: DType,
    /// Lengths of its axes; `None` is rows, 0 a free one.
    dims: Vec<Option<usize>>,
    hashed: bool,
    columns: Vec<usize>,
}

/// Requests in the order of their rows. All rows of a request stand behind each other.
pub fn requests(batch: &RecordBatch) -> Vec<Past> {
    let Some(fixed) = Fixed::of(batch) else { return Vec::new() };
    let (inputs, outputs) = (sources(batch, "in."), sources(batch, "out."));
    let about = batch.schema_ref().metadata();
    let left_out = about.contains_key(LEFT_OUT);
    let most = about.get(VALUE_BYTES_MAX).and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut past = Vec::new();
    let mut begin = 0;
    while begin < batch.num_rows() {
        let event = fixed.text("event_id", begin);
        let same = |it: &usize| fixed.text("event_id", *it) == event;
        let end = (begin..batch.num_rows()).find(|it| !same(it)).unwrap_or(batch.num_rows());
        let tensor = |it: &Source| Ok((it.name.clone(), it.tensor(batch, (begin, end), most)?));
        let taken = match &inputs {
            None => Err(Gap::Unknown),
            Some(_) if left_out => Err(Gap::LeftOut),
            Some(inputs) => inputs.iter().map(tensor).collect(),
        };
        let given = outputs.iter().flatten().filter_map(|it| tensor(it).ok()).collect();
        past.push(Past {
            event: event.to_owned(),
            request_id: fixed.text("request_id", begin).to_owned(),
            at_micros: fixed.at(begin),
            rows: end - begin,
            status: fixed.text("status", begin).to_owned(),
            route: fixed.text("route", begin).to_owned(),
            latency_us: fixed.micros("latency_us", begin),
            infer_us: fixed.micros("infer_us", begin),
            sample_rate: fixed.sample_rate(begin),
            inputs: taken,
            outputs: given,
        });
        begin = end;
    }
    past
}

/// Columns that every log has.
struct Fixed<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Fixed<'a> {
    /// Nothing if it is no batch of the log.
    fn of(batch: &'a RecordBatch) -> Option<Fixed<'a>> {
        let is = |name: &str, kind: &DataType| {
            batch.column_by_name(name).is_some_and(|it| it.data_type() == kind)
        };
        let texts = ["event_id", "request_id", "status", "route"];
        let times = batch.column_by_name("event_time")?;
        let timed = times.as_primitive_opt::<TimestampMicrosecondType>().is_some();
        let fits = texts.iter().all(|it| is(it, &DataType::Utf8)) && timed;
        (fits && is("latency_us", &DataType::UInt32)).then_some(Fixed { batch })
    }

    fn text(&self, name: &str, row: usize) -> &'a str {
        let column = self.batch.column_by_name(name).and_then(|it| it.as_string_opt::<i32>());
        column.map_or("", |it| it.value(row))
    }

    fn at(&self, row: usize) -> i64 {
        let times = self.batch.column_by_name("event_time");
        let times = times.and_then(|it| it.as_primitive_opt::<TimestampMicrosecondType>());
        times.map_or(0, |it| it.value(row))
    }

    /// 1 where nothing is said.
    fn sample_rate(&self, row: usize) -> f32 {
        let column = self.batch.column_by_name("sample_rate");
        column.and_then(|it| it.as_primitive_opt::<Float32Type>()).map_or(1.0, |it| it.value(row))
    }

    fn micros(&self, name: &str, row: usize) -> u32 {
        let column = self.batch.column_by_name(name);
        column.and_then(|it| it.as_primitive_opt::<UInt32Type>()).map_or(0, |it| it.value(row))
    }
}

/// When each row's request came in, in microseconds since 1970.
pub(crate) fn times(batch: &RecordBatch) -> Vec<i64> {
    let fixed = Fixed::of(batch);
    (0..batch.num_rows()).map(|row| fixed.as_ref().map_or(0, |it| it.at(row))).collect()
}

/// The tensors of one side; nothing if a column does not say what it is of.
fn sources(batch: &RecordBatch, prefix: &str) -> Option<Vec<Source>> {
    let mut sources: Vec<Source> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let schema = batch.schema_ref();
    for (column, field) in schema.fields().iter().enumerate() {
        if !field.name().starts_with(prefix) {
            continue;
        }
        let name = field.metadata().get(TENSOR)?.clone();
        let place = match places.get(&name) {
            Some(place) => *place,
            None => {
                places.insert(name.clone(), sources.len());
                sources.push(Source::new(name, field)?);
                sources.len() - 1
            }
        };
        sources.get_mut(place)?.columns.push(column);
    }
    Some(sources)
}

impl Source {
    fn new(name: String, field: &Field) -> Option<Source> {
        let about = field.metadata();
        let dtype = DType::parse(about.get(DTYPE)?)?;
        let shape = about.get(SHAPE)?;
        let words = shape.split(',').filter(|_| !shape.is_empty());
        let dim = |it: &str| (it != ROWS).then(|| it.parse().unwrap_or(0));
        let dims = words.map(dim).collect();
        Some(Source { name, dtype, dims, hashed: about.contains_key(HASHED), columns: Vec::new() })
    }

    fn tensor(
        &self,
        batch: &RecordBatch,
        rows: (usize, usize),
        bytes_max: usize,
    ) -> Result<Tensor, Gap> {
        if self.hashed {
            return Err(Gap::Hashed);
        }
        let columns: Vec<&ArrayRef> = self.columns.iter().map(|it| batch.column(*it)).collect();
        let is_missing = |it: &&ArrayRef| (rows.0..rows.1).any(|row| it.is_null(row));
        if columns.iter().any(is_missing) {
            return Err(Gap::Missing);
        }
        if let [whole] = columns[..]
            && matches!(whole.data_type(), DataType::Struct(_))
        {
            return self.of_structs(whole, rows);
        }
        self.of_columns(batch, rows, bytes_max)
    }

    fn of_columns(
        &self,
        batch: &RecordBatch,
        rows: (usize, usize),
        bytes_max: usize,
    ) -> Result<Tensor, Gap> {
        let mut data = Vec::new();
        let schema = batch.schema_ref();
        for row in rows.0..rows.1 {
            for at in &self.columns {
                let name = schema.field(*at).name();
                // Of an older server's row nobody can tell but by its looks.
                // Numbers are not cut.
                let is_text = self.dtype == DType::Bytes;
                let is_whole =
                    if is_text { marks::is_whole(batch, (name, row)) } else { Some(true) };
                let room = match is_whole {
                    Some(true) => None,
                    Some(false) => return Err(Gap::Cut),
                    None => Some(bytes_max),
                };
                self.element(batch.column(*at), row, room, &mut data).ok_or(Gap::Cut)?;
            }
        }
        let count = rows.1 - rows.0;
        let dims: Vec<usize> = self.dims.iter().map(|it| it.unwrap_or(count)).collect();
        self.made(&dims, data)
    }

    fn made(&self, dims: &[usize], data: Vec<u8>) -> Result<Tensor, Gap> {
        let shape = Shape::new(dims).map_err(|_| Gap::Unknown)?;
        Tensor::new(self.dtype, shape, data.into()).map_err(|_| Gap::Unknown)
    }

    /// Appends an element as it lies on the wire.
    fn element(
        &self,
        column: &ArrayRef,
        row: usize,
        bytes_max: Option<usize>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        macro_rules! number {
            ($type:ty) => {
                out.extend_from_slice(&column.as_primitive_opt::<$type>()?.value(row).to_le_bytes())
            };
        }
        match self.dtype {
            DType::Bool => out.push(u8::from(column.as_boolean_opt()?.value(row))),
            DType::Uint8 => number!(UInt8Type),
            DType::Uint16 => number!(UInt16Type),
            DType::Uint32 => number!(UInt32Type),
            DType::Uint64 => number!(UInt64Type),
            DType::Int8 => number!(Int8Type),
            DType::Int16 => number!(Int16Type),
            DType::Int32 => number!(Int32Type),
            DType::Int64 => number!(Int64Type),
            DType::Fp32 => number!(Float32Type),
            DType::Fp64 => number!(Float64Type),
            DType::Fp16 => {
                let value = column.as_primitive_opt::<Float32Type>()?.value(row);
                out.extend_from_slice(&f16::from_f32(value).to_le_bytes());
            }
            DType::Bf16 => {
                let value = column.as_primitive_opt::<Float32Type>()?.value(row);
                out.extend_from_slice(&bf16::from_f32(value).to_le_bytes());
            }
            DType::Bytes => {
                let text = column.as_string_opt::<i32>()?.value(row);
                // Cut between characters, or not text at all: nobody can tell from the column alone.
                let looks_cut = |most| text.len() + 3 >= most || text.contains('\u{fffd}');
                if bytes_max.is_some_and(looks_cut) {
                    return None;
                }
                strings::push(out, text.as_bytes()).ok()?;
            }
        }
        Some(())
    }

    fn of_structs(&self, whole: &ArrayRef, rows: (usize, usize)) -> Result<Tensor, Gap> {
        let parts = whole.as_struct();
        let part = |name: &str| parts.column_by_name(name).ok_or(Gap::Unknown);
        let (truncated, data) = (part("truncated")?, part("data")?);
        let truncated = truncated.as_boolean_opt().ok_or(Gap::Unknown)?;
        if (rows.0..rows.1).any(|row| truncated.value(row)) {
            return Err(Gap::Cut);
        }
        let data = data.as_binary_opt::<i32>().ok_or(Gap::Unknown)?;
        let bytes: Vec<u8> = (rows.0..rows.1).flat_map(|row| data.value(row).to_vec()).collect();
        let shape = part("shape")?.as_list_opt::<i32>().ok_or(Gap::Unknown)?.value(rows.0);
        let shape = shape.as_primitive_opt::<Int64Type>().ok_or(Gap::Unknown)?;
        let lengths = shape.values().iter().map(|it| usize::try_from(*it).unwrap_or(0));
        // The lengths of a row leave out the axis of rows, which is the first.
        let has_rows = self.dims.first() == Some(&None);
        let dims: Vec<usize> =
            has_rows.then_some(rows.1 - rows.0).into_iter().chain(lengths).collect();
        self.made(&dims, bytes)
    }
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
