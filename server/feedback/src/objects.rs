//! Rows as JSON objects: of Arrow's types those that columns of the log have.
//!
//! Bytes are hexadecimal. JSON has no word for a number that is none or beyond all: null. What is null
//! is left out of an object.

use std::fmt::{Debug, Display, Write as _};
use std::io;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Fields, TimeUnit};
use server_base::calendar;

use crate::json::quoted;

/// A line for each row, with an object of its columns.
pub(crate) fn objects(batch: &RecordBatch) -> io::Result<Vec<u8>> {
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        object(&mut lines, (batch.schema_ref().fields(), batch.columns()), row)?;
        lines.push('\n');
    }
    Ok(lines.into_bytes())
}

fn object(
    out: &mut String,
    (fields, columns): (&Fields, &[ArrayRef]),
    row: usize,
) -> io::Result<()> {
    let there = fields.iter().zip(columns).filter(|(_, column)| !column.is_null(row));
    let mut before = '{';
    for (field, column) in there {
        out.push(before);
        out.push_str(&quoted(field.name()));
        out.push(':');
        value(out, column, row)?;
        before = ',';
    }
    out.push_str(if before == '{' { "{}" } else { "}" });
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of Arrow's types the log has a few")]
fn value(out: &mut String, column: &dyn Array, row: usize) -> io::Result<()> {
    macro_rules! number {
        ($type:ty) => {
            plain(out, column.as_primitive::<$type>().value(row))
        };
    }
    match column.data_type() {
        DataType::Boolean => plain(out, column.as_boolean().value(row)),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::Float32 => {
            let it = column.as_primitive::<Float32Type>().value(row);
            float(out, it, it.is_finite());
        }
        DataType::Float64 => {
            let it = column.as_primitive::<Float64Type>().value(row);
            float(out, it, it.is_finite());
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let it = column.as_primitive::<TimestampMicrosecondType>().value(row);
            out.push_str(&quoted(&calendar::of_us(it)));
        }
        DataType::Utf8 => out.push_str(&quoted(column.as_string::<i32>().value(row))),
        DataType::Binary => hexadecimal(out, column.as_binary::<i32>().value(row)),
        DataType::List(_) => list(out, &column.as_list::<i32>().value(row))?,
        DataType::Struct(fields) => object(out, (fields, column.as_struct().columns()), row)?,
        other => return Err(io::Error::other(format!("the log has no columns of {other}"))),
    }
    Ok(())
}

fn list(out: &mut String, values: &ArrayRef) -> io::Result<()> {
    out.push('[');
    for place in 0..values.len() {
        if place > 0 {
            out.push(',');
        }
        if values.is_null(place) {
            out.push_str("null");
        } else {
            value(out, values, place)?;
        }
    }
    out.push(']');
    Ok(())
}

// Writing to memory does not fail.

fn plain(out: &mut String, value: impl Display) {
    let _ = write!(out, "{value}");
}

/// As few digits as tell it from its neighbours, and with an exponent where zeros would be many.
fn float(out: &mut String, value: impl Debug, is_number: bool) {
    if is_number {
        let _ = write!(out, "{value:?}");
    } else {
        out.push_str("null");
    }
}

fn hexadecimal(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for it in bytes {
        let _ = write!(out, "{it:02x}");
    }
    out.push('"');
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
