//! Parquet files. Numbers of any width become 64-bit floats, lists of them vectors; what is
//! nested otherwise, or a time, is only named.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use server_drift::Values;

use crate::table::{DatasetError, ROWS_MAX, Table};

/// Reads all columns.
pub(crate) fn read(file: File) -> Result<Table, DatasetError> {
    let faulty = |it: parquet::errors::ParquetError| DatasetError::Parquet(it.into());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(faulty)?;
    let fields = builder.schema().fields().clone();
    let mut columns: Vec<(String, Values)> =
        fields.iter().map(|it| (it.name().clone(), empty(it.data_type()))).collect();
    let mut rows = 0;
    for batch in builder.build().map_err(faulty)? {
        let batch = batch.map_err(|it| DatasetError::Parquet(it.into()))?;
        rows += batch.num_rows();
        if rows > ROWS_MAX {
            return Err(DatasetError::TooLong);
        }
        for (array, (_, values)) in batch.columns().iter().zip(&mut columns) {
            append(values, array).map_err(|it| DatasetError::Parquet(it.into()))?;
        }
    }
    for (_, values) in &mut columns {
        if let Values::Large(integers) = values {
            *values = Values::of_integers(std::mem::take(integers));
        }
    }
    Ok(Table { rows, columns })
}

/// What a column of the type is read into.
fn empty(data_type: &DataType) -> Values {
    if let DataType::Dictionary(_, inner) = data_type {
        return empty(inner);
    }
    if matches!(data_type, DataType::Int64 | DataType::UInt64) {
        return Values::Large(Vec::new());
    }
    if data_type.is_numeric() {
        return Values::Numbers { values: Vec::new(), whole: data_type.is_integer() };
    }
    if *data_type == DataType::Boolean {
        return Values::Flags(Vec::new());
    }
    if matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return Values::Words(Vec::new());
    }
    if let DataType::List(it) | DataType::LargeList(it) | DataType::FixedSizeList(it, _) = data_type
        && it.data_type().is_floating()
    {
        return Values::Vectors(Vec::new());
    }
    Values::Other(data_type.to_string())
}

/// One row's numbers; NaN is one that is missing.
fn vector(of: &dyn Array) -> Box<[f32]> {
    of.as_primitive::<Float32Type>().iter().map(|it| it.unwrap_or(f32::NAN)).collect()
}

fn append(to: &mut Values, array: &dyn Array) -> Result<(), ArrowError> {
    if let Values::Large(values) = to {
        let integers = cast(array, &DataType::Int64)?;
        // What is missing is NaN, and what is beyond 2^63 is nearest as a float.
        if integers.logical_null_count() == 0 {
            values.extend(integers.as_primitive::<Int64Type>().values());
            return Ok(());
        }
        *to = Values::Large(std::mem::take(values)).rounded();
    }
    match to {
        Values::Numbers { values, whole } => {
            *whole &= array.logical_null_count() == 0;
            let numbers = cast(array, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            values.extend(numbers.iter().map(|it| it.unwrap_or(f64::NAN)));
        }
        Values::Flags(values) => {
            let flags = cast(array, &DataType::Boolean)?;
            values.extend(flags.as_boolean().iter());
        }
        Values::Words(values) => {
            let words = cast(array, &DataType::LargeUtf8)?;
            values.extend(words.as_string::<i64>().iter().map(|it| it.map(Box::from)));
        }
        Values::Vectors(values) => {
            let item = Arc::new(Field::new_list_field(DataType::Float32, true));
            let lists = cast(array, &DataType::LargeList(item))?;
            values.extend(lists.as_list::<i64>().iter().map(|it| it.map(|it| vector(&it))));
        }
        Values::Large(_) | Values::Other(_) => {}
    }
    Ok(())
}
