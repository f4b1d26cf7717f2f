//! Rows out of lines of JSON again, as messages bring them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, SchemaRef};

/// The rows of those values, each a JSON object, in their order, with the columns of `schema`; what else an
/// object has is left out. Those that are no rows of it are left out too: how many, and what is wrong
/// with the first.
///
/// Numbers are exact. JSON has no word for a number that is undefined or infinite: it is missing.
pub fn rows_of(
    schema: &SchemaRef,
    values: &[&[u8]],
) -> Result<(Vec<RecordBatch>, usize, Option<String>), ArrowError> {
    let mut decoder = decoder(schema, values.len())?;
    // All at once. Only if something is wrong it matters what.
    if let Ok(batch) = decode(&mut decoder, values) {
        return Ok((batch.into_iter().collect(), 0, None));
    }
    let (mut batches, mut wrong, mut why) = (Vec::new(), 0, None);
    for value in values {
        // What has met a fault may hold half an object.
        let mut decoder = self::decoder(schema, 1)?;
        match decode(&mut decoder, std::slice::from_ref(value)) {
            Ok(batch) => batches.extend(batch),
            Err(error) => {
                wrong += 1;
                why.get_or_insert(error);
            }
        }
    }
    Ok((batches, wrong, why))
}

fn decoder(schema: &SchemaRef, rows: usize) -> Result<Decoder, ArrowError> {
    // One more than there may be, so that it is seen.
    ReaderBuilder::new(Arc::clone(schema)).with_batch_size(rows + 1).build_decoder()
}

/// A row for each value, or what is wrong.
fn decode(decoder: &mut Decoder, values: &[&[u8]]) -> Result<Option<RecordBatch>, String> {
    for (before, value) in values.iter().enumerate() {
        let taken = decoder.decode(value).map_err(|it| it.to_string())?;
        // Counted at each: two objects in one value would make up for none in another.
        let is_one = decoder.len() == before + 1 && !decoder.has_partial_record();
        if taken < value.len() || !is_one {
            return Err("it is not one JSON object".to_owned());
        }
    }
    let batch = decoder.flush().map_err(|it| it.to_string())?;
    let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
    if rows == values.len() { Ok(batch) } else { Err("it is not one JSON object".to_owned()) }
}

#[cfg(test)]
#[path = "unpacked_tests.rs"]
mod tests;
