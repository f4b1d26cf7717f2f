//! The columns of a version's log: the same for every record of it.
//!
//! A row is one instance of a request: one place of the batch axis. A tensor whose rows are few
//! numbers or texts is one column for each of them; any other is one value with its type and shape.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use backend_api::{DType, Dim, TensorSpec};
use server_base::{LogConfig, Subject};

/// The form of the log. Columns may be added under the same number; it changes when one changes.
pub const FORM: &str = "inference_log/v1";

/// Keys of the schema's metadata: inputs that are not logged, and how long a value may be.
pub(crate) const LEFT_OUT: &str = "salver.inputs_left_out";
pub(crate) const VALUE_BYTES_MAX: &str = "salver.value_bytes_max";

/// How a tensor is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Its place in the signature.
    pub(crate) place: usize,
    pub(crate) dtype: DType,
    /// Has it a batch axis?
    pub(crate) has_rows: bool,
    pub(crate) layout: Layout,
    /// Is a keyed hash of each value logged instead?
    pub(crate) hashed: bool,
}

/// Into which columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// So many.
    Columns(usize),
    /// One, of a struct.
    Whole,
}

/// All columns of a version.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub(crate) schema: SchemaRef,
    pub(crate) inputs: Vec<Logged>,
    pub(crate) outputs: Vec<Logged>,
    /// Is there, behind all others, the column that names what was cut?
    pub(crate) has_marks: bool,
}

/// What names values that stand in a column of texts otherwise than they came.
pub(crate) const TRUNCATED: &str = "truncated";

/// For each of them its column, and what it was.
pub(crate) fn mark() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Fields::from(vec![text("column"), text("sha256")])
}

/// That column.
pub(crate) fn truncated() -> Field {
    let item = Field::new("item", DataType::Struct(mark()), false);
    Field::new(TRUNCATED, DataType::List(Arc::new(item)), true)
}

/// The columns that a version's rows have. An error names what the configuration asks for and cannot
/// have.
pub fn schema(subject: &Subject) -> Result<SchemaRef, String> {
    Columns::new(subject).map(|it| it.schema)
}

/// What every record has, in this order.
pub(crate) fn fixed() -> Vec<Field> {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let maybe = |name| Field::new(name, DataType::Utf8, true);
    let time = |name| {
        let utc = Some(Arc::from("+00:00"));
        Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, utc), false)
    };
    let number = |name| Field::new(name, DataType::UInt32, false);
    vec![
        text("event_id"),
        text("request_id"),
        number("row_index"),
        maybe("trace_id"),
        maybe("span_id"),
        time("event_time"),
        time("log_time"),
        maybe("artifact_digest"),
        text("route"),
        text("protocol"),
        text("status"),
        maybe("error"),
        number("latency_us"),
        number("queue_us"),
        number("infer_us"),
        number("batch_rows"),
        Field::new("sample_rate", DataType::Float32, false),
        text("sample_reason"),
        maybe("pair_event_id"),
        maybe("rollout_id"),
        Field::new("traffic_weight", DataType::Float32, true),
    ]
}

/// Fields of a tensor that is logged whole.
pub(crate) fn whole() -> Fields {
    let dim = Arc::new(Field::new("item", DataType::Int64, false));
    Fields::from(vec![
        Field::new("dtype", DataType::Utf8, false),
        Field::new("shape", DataType::List(dim), false),
        Field::new("data", DataType::Binary, false),
        Field::new("truncated", DataType::Boolean, false),
        Field::new("sha256", DataType::Utf8, true),
    ])
}

impl Logged {
    /// Is it columns of texts, which are cut?
    pub(crate) fn is_text(&self) -> bool {
        let columns = matches!(self.layout, Layout::Columns(_));
        self.dtype == DType::Bytes && columns && !self.hashed
    }

    /// Its columns.
    pub(crate) fn width(&self) -> usize {
        if let Layout::Columns(width) = self.layout { width } else { 1 }
    }
}

impl Columns {
    /// An error names what the configuration asks for and cannot have.
    pub(crate) fn new(subject: &Subject) -> Result<Columns, String> {
        let Subject { signature, config, .. } = subject;
        check(subject)?;
        let mut fields = fixed();
        let mut all = |prefix: &str, specs: &[TensorSpec], allowed: &Option<Vec<String>>| {
            let is_allowed =
                |it: &str| allowed.as_ref().is_none_or(|list| list.iter().any(|name| name == it));
            let specs = specs.iter().enumerate().filter(|(_, it)| is_allowed(&it.name));
            let logged = specs.map(|(place, spec)| {
                let logged = logged(place, spec, config);
                fields.extend(named(prefix, spec, (&logged, config))?);
                Ok(logged)
            });
            logged.collect::<Result<Vec<Logged>, String>>()
        };
        let inputs = all("in", &signature.inputs, &config.inputs)?;
        let outputs = all("out", &signature.outputs, &config.outputs)?;
        let has_marks = inputs.iter().chain(&outputs).any(Logged::is_text);
        if has_marks {
            fields.push(truncated());
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = fields.iter().find(|it| !names.insert(it.name().clone())) {
            return Err(format!(
                "two columns would be called {:?}: see log.features",
                twice.name()
            ));
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, about(subject)));
        Ok(Columns { schema, inputs, outputs, has_marks })
    }

    /// Written on that machine, which is the same for all rows too.
    pub(crate) fn on(mut self, host: &str) -> Columns {
        let mut about = self.schema.metadata().clone();
        about.insert("salver.host".to_owned(), host.to_owned());
        self.schema = Arc::new(self.schema.as_ref().clone().with_metadata(about));
        self
    }
}

/// Names that the configuration uses and the model does not know are typing errors.
fn check(subject: &Subject) -> Result<(), String> {
    let Subject { signature, config, .. } = subject;
    let names = |specs: &[TensorSpec]| -> BTreeSet<String> {
        specs.iter().map(|it| it.name.to_string()).collect()
    };
    let (inputs, outputs) = (names(&signature.inputs), names(&signature.outputs));
    let either: BTreeSet<String> = inputs.union(&outputs).cloned().collect();
    let hashed: Vec<&String> = config.hashed.iter().collect();
    for (key, used, known) in [
        ("log.inputs", config.inputs.iter().flatten().collect(), &inputs),
        ("log.outputs", config.outputs.iter().flatten().collect(), &outputs),
        ("log.hash", hashed, &either),
        ("log.features", config.features.keys().collect::<Vec<&String>>(), &either),
    ] {
        if let Some(stranger) = used.into_iter().find(|it| !known.contains(*it)) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(format!("{key}: {stranger:?} is none of {}", known.join(", ")));
        }
    }
    Ok(())
}

fn logged(place: usize, spec: &TensorSpec, config: &LogConfig) -> Logged {
    let width = spec.dims.iter().try_fold(1_usize, |width, dim| match dim {
        Dim::Rows => Some(width),
        Dim::Fixed(length) => width.checked_mul(*length),
        Dim::Free(_) => None,
    });
    let layout = match width {
        Some(width) if (1..=config.columns_max).contains(&width) => Layout::Columns(width),
        Some(_) | None => Layout::Whole,
    };
    let hashed = config.hashed.iter().any(|it| **it == *spec.name);
    Logged { place, dtype: spec.dtype, has_rows: spec.has_rows(), layout, hashed }
}

/// Names and types of a tensor's columns.
fn named(
    prefix: &str,
    spec: &TensorSpec,
    (logged, config): (&Logged, &LogConfig),
) -> Result<Vec<Field>, String> {
    let name = &spec.name;
    let given = config.features.get(&**name);
    let Layout::Columns(width) = logged.layout else {
        if given.is_some() {
            let text = format!("log.features: {name:?} is no tensor of few columns: {spec}");
            return Err(text);
        }
        let kind = if logged.hashed { DataType::Utf8 } else { DataType::Struct(whole()) };
        let field = Field::new(format!("{prefix}.{name}"), kind, true);
        return Ok(vec![field.with_metadata(origin(spec, logged.hashed))]);
    };
    if let Some(given) = given
        && given.len() != width
    {
        let got = given.len();
        return Err(format!("log.features: {name:?} has {width} columns, {got} names are given"));
    }
    let kind = if logged.hashed { DataType::Utf8 } else { scalar(logged.dtype) };
    let title = |at: usize| match given.and_then(|it| it.get(at)) {
        Some(feature) => format!("{prefix}.{feature}"),
        None if width == 1 => format!("{prefix}.{name}"),
        None => format!("{prefix}.{name}.{at}"),
    };
    let about = origin(spec, logged.hashed);
    let field = |at| Field::new(title(at), kind.clone(), true).with_metadata(about.clone());
    Ok((0..width).map(field).collect())
}

/// Keys of a column's metadata: the tensor that it is of, its type, its axes, and whether its values are
/// hashes. Columns of one tensor stand in the order of its elements.
pub(crate) const TENSOR: &str = "tensor";
pub(crate) const DTYPE: &str = "datatype";
pub(crate) const SHAPE: &str = "shape";
pub(crate) const HASHED: &str = "hashed";

/// The axis of rows in `SHAPE`; a length that is free is empty.
pub(crate) const ROWS: &str = "rows";

fn origin(spec: &TensorSpec, is_hashed: bool) -> HashMap<String, String> {
    let dim = |it: &Dim| match it {
        Dim::Rows => ROWS.to_owned(),
        Dim::Fixed(length) => length.to_string(),
        Dim::Free(_) => String::new(),
    };
    let shape = spec.dims.iter().map(dim).collect::<Vec<_>>().join(",");
    let mut about = vec![(TENSOR, spec.name.to_string()), (SHAPE, shape)];
    about.push((DTYPE, spec.dtype.name().to_owned()));
    about.extend(is_hashed.then(|| (HASHED, "true".to_owned())));
    about.into_iter().map(|(key, it)| (key.to_owned(), it)).collect()
}

/// An element's type in a column. Half precision is widened, which loses nothing.
pub(crate) fn scalar(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Boolean,
        DType::Uint8 => DataType::UInt8,
        DType::Uint16 => DataType::UInt16,
        DType::Uint32 => DataType::UInt32,
        DType::Uint64 => DataType::UInt64,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::Fp16 | DType::Bf16 | DType::Fp32 => DataType::Float32,
        DType::Fp64 => DataType::Float64,
        DType::Bytes => DataType::Utf8,
    }
}

/// What is the same for all rows; ends up as key-value metadata of each Parquet file.
fn about(subject: &Subject) -> HashMap<String, String> {
    let list =
        |specs: &[TensorSpec]| specs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let Subject { model, version, signature, config, backend, source, .. } = subject;
    let mut about = BTreeMap::from([
        ("salver.form", FORM.to_owned()),
        ("salver.model", model.to_string()),
        ("salver.version", version.to_string()),
        ("salver.inputs", list(&signature.inputs)),
        ("salver.outputs", list(&signature.outputs)),
    ]);
    about.extend(backend.iter().map(|it| ("salver.backend", it.clone())));
    about.extend(source.iter().map(|it| ("salver.registry_uri", it.clone())));
    if config.redacts() {
        about.insert("salver.hashed", config.hashed.join(", "));
    }
    if let Some(kept) = &config.inputs {
        let names = signature.inputs.iter().map(|it| it.name.to_string());
        let left_out: Vec<String> = names.filter(|it| !kept.contains(it)).collect();
        if !left_out.is_empty() {
            about.insert(LEFT_OUT, left_out.join(", "));
        }
    }
    about.insert(VALUE_BYTES_MAX, config.value_bytes_max.to_string());
    about.into_iter().map(|(key, it)| (key.to_owned(), it)).collect()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
