//! A body that is one JSON object, within bounds.

use std::fmt;

use serde::Deserialize;
use server_serving::InferError;

/// Objects and arrays inside one another. Serde's own limit does not hold for values that are
/// skipped, such as a caller's own parameters.
const DEPTH_MAX: usize = 100;

/// Reads an object. The error says where it is wrong.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, InferError> {
    let failed = |it: &dyn fmt::Display| {
        InferError::Invalid(format!("failed to parse the request JSON buffer: {it}"))
    };
    // Serde would take an array of the fields' values as well.
    if json.trim_ascii_start().first().is_some_and(|it| *it != b'{') {
        return Err(failed(&"expected an object"));
    }
    if is_deep(json) {
        return Err(failed(&format!("it is nested deeper than {DEPTH_MAX}")));
    }
    serde_json::from_slice(json).map_err(|it| failed(&it))
}

fn is_deep(json: &[u8]) -> bool {
    // Hardly any text has so many brackets at all, and counting them is quick.
    let brackets = json.iter().filter(|it| matches!(it, b'[' | b'{')).count();
    if brackets <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
