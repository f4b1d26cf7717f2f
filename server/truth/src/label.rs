//! A label as somebody brought it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest id, which is the longest that the log keeps of a request's.
pub const ID_BYTES_MAX: usize = server_base::REQUEST_ID_BYTES_MAX;

/// Longest name of a class.
const TEXT_BYTES_MAX: usize = 256;

/// Labels of one request: more are several requests.
pub const LABELS_MAX: usize = 10_000;

/// Beyond that a number's square has no use: 10¹⁵ is ten million years in seconds.
const NUMBER_MAX: f64 = 1e15;

/// Microseconds of the year 9999.
const TIME_US_MAX: i64 = 253_402_300_799_000_000;

/// What turned out to be true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// Yes or no.
    Bool(bool),
    /// A value, or a class by its number.
    Number(f64),
    /// A class by its name.
    Text(Box<str>),
}

/// The truth of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The request's id.
    pub id: Box<str>,
    /// Its row, from 0.
    pub row: u32,
    /// What is true.
    pub value: Given,
    /// When that became known, as whoever brings it says: microseconds since 1970.
    pub time_us: Option<i64>,
}

impl Label {
    /// Checks what came in. The error names the value and what was expected.
    pub fn new(id: &str, row: u32, value: Given, time_us: Option<i64>) -> Result<Label, String> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            let bytes = id.len();
            return Err(format!(
                "id of {bytes} bytes: expected the id of a request, 1 to {ID_BYTES_MAX} bytes"
            ));
        }
        let value = value.checked()?;
        if let Some(time) = time_us.filter(|it| !(0..=TIME_US_MAX).contains(it)) {
            return Err(format!("timestamp {time}: expected microseconds since 1970"));
        }
        Ok(Label { id: id.into(), row, value, time_us })
    }
}

impl Given {
    /// From JSON.
    pub fn of_json(value: &Value) -> Result<Given, String> {
        match value {
            Value::Bool(it) => Ok(Given::Bool(*it)),
            Value::Number(it) => Ok(Given::Number(it.as_f64().unwrap_or(f64::INFINITY))),
            Value::String(it) => Ok(Given::Text(it.as_str().into())),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let shown: String = value.to_string().chars().take(64).collect();
                Err(format!("value {shown}: expected a number, a text or true and false"))
            }
        }
    }

    fn checked(self) -> Result<Given, String> {
        match &self {
            Given::Number(it) if !(-NUMBER_MAX..=NUMBER_MAX).contains(it) => {
                Err(format!("value {it}: expected a number from -{NUMBER_MAX:e} to {NUMBER_MAX:e}"))
            }
            Given::Text(it) if it.is_empty() || it.len() > TEXT_BYTES_MAX => {
                let bytes = it.len();
                Err(format!(
                    "value of {bytes} bytes: expected a class's name, 1 to {TEXT_BYTES_MAX} bytes"
                ))
            }
            Given::Bool(_) | Given::Number(_) | Given::Text(_) => Ok(self),
        }
    }

    /// As a number: texts from tables are read.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match self {
            Given::Bool(it) => f64::from(u8::from(*it)),
            Given::Number(it) => *it,
            Given::Text(it) => it.trim().parse().ok()?,
        };
        (-NUMBER_MAX..=NUMBER_MAX).contains(&number).then_some(number)
    }

    /// As a class's name: whole numbers without a point.
    pub(crate) fn class(&self) -> String {
        match self {
            Given::Bool(it) => it.to_string(),
            Given::Number(it) => it.to_string(),
            Given::Text(it) => it.to_string(),
        }
    }

    /// For messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Given::Text(it) => format!("{it:?}"),
            Given::Bool(_) | Given::Number(_) => self.class(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_named() {
        let read = |text: &str| {
            let value = serde_json::from_str(text).expect(text);
            Given::of_json(&value).and_then(|it| Label::new("a", 0, it, None)).map(|it| it.value)
        };
        assert_eq!(read("1"), Ok(Given::Number(1.0)));
        assert_eq!(read("true"), Ok(Given::Bool(true)));
        assert_eq!(read("\"cat\""), Ok(Given::Text("cat".into())));
        for bad in ["null", "[1]", "{}", "1e300", "\"\""] {
            read(bad).expect_err(bad);
        }
        let error = read("[1]").expect_err("no list");
        assert_eq!(error, "value [1]: expected a number, a text or true and false");
        assert_eq!(Given::Number(2.0).class(), "2");
        assert_eq!(Given::Text(" 2.5".into()).number(), Some(2.5));
        Label::new("", 0, Given::Bool(true), None).expect_err("no id");
        Label::new("a", 0, Given::Bool(true), Some(-1)).expect_err("before 1970");
    }
}
