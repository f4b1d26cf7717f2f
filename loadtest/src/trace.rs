//! Arrivals from a file: when each request was due, or the rates of some periods.
//!
//! Read by `pace`. CSV with the columns named in the first line, or a JSON object a line; either
//! `offset_s` and perhaps `model`, or `seconds` and `rate_per_s`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::arrivals::Due;
use crate::limits::{RATES_PER_S, TRACE_BYTES_MAX, TRACE_LINES_MAX};
use crate::profile::Segment;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trace {
    /// In order, at least one.
    Arrivals(Vec<Due>),
    /// At least one with a rate above 0.
    Segments(Vec<Segment>),
}

impl Trace {
    /// `models` are the names that a line may have.
    pub(crate) fn read(path: &Path, models: &[String]) -> Result<Trace, String> {
        let shown = path.display();
        let length = fs::metadata(path).map_err(|it| format!("cannot read {shown}: {it}"))?.len();
        if length > TRACE_BYTES_MAX {
            return Err(format!("{shown} has {length} bytes, at most {TRACE_BYTES_MAX}"));
        }
        let text = fs::read_to_string(path).map_err(|it| format!("cannot read {shown}: {it}"))?;
        Trace::parse(&text, models).map_err(|it| format!("in the trace {shown}: {it}"))
    }

    pub(crate) fn parse(text: &str, models: &[String]) -> Result<Trace, String> {
        let mut lines = (1..).zip(text.lines()).filter(|(_, it)| !it.trim().is_empty()).peekable();
        let Some(&(_, first)) = lines.peek() else { return Err("it is empty".to_owned()) };
        let json = first.trim_start().starts_with('{');
        let names: Vec<&str> = if json { Vec::new() } else { cells(first).collect() };
        let mut trace = None;
        for (number, line) in lines.skip(usize::from(!json)) {
            let at = |fault: String| format!("line {number}: {fault}");
            if number > TRACE_LINES_MAX {
                return Err(format!("more than {TRACE_LINES_MAX} lines"));
            }
            let fields = if json { object(line) } else { row(&names, line) };
            let fields = fields.map_err(at)?;
            add(&mut trace, &fields, models).map_err(at)?;
        }
        let trace = trace.ok_or_else(|| "it has no line below its head".to_owned())?;
        match &trace {
            Trace::Segments(segments) if segments.iter().all(|it| it.from_per_s == 0.0) => {
                Err("all its rates are 0".to_owned())
            }
            Trace::Segments(_) | Trace::Arrivals(_) => Ok(trace),
        }
    }
}

type Fields = Map<String, Value>;

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(str::trim)
}

fn row(names: &[&str], line: &str) -> Result<Fields, String> {
    let (found, expected) = (cells(line).count(), names.len());
    if found != expected {
        return Err(format!("{found} columns, the first line has {expected}"));
    }
    let value = |(name, cell): (&&str, &str)| {
        // A model may be called 7.
        let number = cell.parse::<f64>().ok().filter(|_| *name != "model");
        ((*name).to_owned(), number.map_or(Value::from(cell), Value::from))
    };
    Ok(names.iter().zip(cells(line)).map(value).collect())
}

fn object(line: &str) -> Result<Fields, String> {
    serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))
}

/// Adds a line to the trace, which its first line decides the kind of.
fn add(trace: &mut Option<Trace>, fields: &Fields, models: &[String]) -> Result<(), String> {
    let known = ["offset_s", "model", "seconds", "rate_per_s"];
    if let Some(name) = fields.keys().find(|it| !known.contains(&it.as_str())) {
        return Err(format!("{name:?} is none of {}", known.join(", ")));
    }
    let arrivals = fields.contains_key("offset_s");
    let empty = || if arrivals { Trace::Arrivals(Vec::new()) } else { Trace::Segments(Vec::new()) };
    match trace.get_or_insert_with(empty) {
        Trace::Arrivals(dues) => {
            let due = due(fields, models)?;
            if dues.last().is_some_and(|it| it.offset > due.offset) {
                return Err("offset_s is less than in the line before".to_owned());
            }
            dues.push(due);
        }
        Trace::Segments(segments) => segments.push(segment(fields)?),
    }
    Ok(())
}

fn number(fields: &Fields, name: &str) -> Result<f64, String> {
    let number = fields.get(name).and_then(Value::as_f64);
    number.ok_or_else(|| format!("no number for {name:?}"))
}

fn due(fields: &Fields, models: &[String]) -> Result<Due, String> {
    let offset_s = number(fields, "offset_s")?;
    let offset = Duration::try_from_secs_f64(offset_s);
    let offset = offset.map_err(|_| format!("offset_s {offset_s}, expected 0 or more"))?;
    let named = match fields.get("model") {
        None => return Ok(Due { offset, model: None }),
        Some(Value::String(name)) => name,
        Some(other) => return Err(format!("model {other}, expected a string")),
    };
    let model = models.iter().position(|it| it == named);
    let model = model.ok_or_else(|| format!("model {named:?} is not among --model {models:?}"))?;
    Ok(Due { offset, model: Some(model) })
}

fn segment(fields: &Fields) -> Result<Segment, String> {
    let (seconds, per_s) = (number(fields, "seconds")?, number(fields, "rate_per_s")?);
    if seconds <= 0.0 || Duration::try_from_secs_f64(seconds).is_err() {
        return Err(format!("seconds {seconds}, expected more than 0"));
    }
    if per_s != 0.0 && !RATES_PER_S.contains(&per_s) {
        return Err(format!("rate_per_s {per_s}, expected 0, or 0.001 to 10000000"));
    }
    Ok(Segment::flat(seconds, per_s))
}
