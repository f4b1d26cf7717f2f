//! What a plugin is told when its client is made: `cpu_device_count=4`, `memory_fraction=0.5`.
//!
//! Which options there are, and of which type each is, only the plugin knows: it refuses what it does
//! not. So the type is read off the value. The plugin for processors does not look before it takes one,
//! and ends the process: its only option is looked at here.

use std::ffi::c_char;
use std::str::FromStr;

use crate::functions::{NamedValue, RawValue};

/// The option of the plugin for processors, and what it may be.
const CPU_DEVICES: (&str, std::ops::RangeInclusive<i64>) = ("cpu_device_count", 1..=64);

/// One option, as `name=value`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientOption {
    name: String,
    value: Value,
}

/// What an option may hold.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Flag(bool),
    Whole(i64),
    Float(f32),
    Text(String),
}

impl FromStr for ClientOption {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientOption, String> {
        let known =
            text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
        let (name, value) =
            known.ok_or_else(|| format!("{text:?} is not of the form name=value"))?;
        let (name, value) = (name.to_owned(), Value::of(value));
        let (limited, range) = CPU_DEVICES;
        let fits = matches!(value, Value::Whole(it) if range.contains(&it));
        if name == limited && !fits {
            let (low, high) = range.into_inner();
            return Err(format!("{text:?}: expected is a whole number from {low} to {high}"));
        }
        Ok(ClientOption { name, value })
    }
}

impl Value {
    fn of(text: &str) -> Value {
        if let Ok(flag) = text.parse() {
            return Value::Flag(flag);
        }
        if let Ok(whole) = text.parse() {
            return Value::Whole(whole);
        }
        match text.parse::<f32>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            Ok(_) | Err(_) => Value::Text(text.to_owned()),
        }
    }
}

impl ClientOption {
    /// As the plugin takes it: it points into `self`.
    pub(crate) fn raw(&self) -> NamedValue {
        let (kind, value, len) = match &self.value {
            Value::Text(it) => (0, RawValue { text: it.as_ptr().cast::<c_char>() }, it.len()),
            Value::Whole(it) => (1, RawValue { whole: *it }, 1),
            Value::Float(it) => (3, RawValue { float: *it }, 1),
            Value::Flag(it) => (4, RawValue { flag: *it }, 1),
        };
        NamedValue::new(&self.name, kind, value, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<Value, &str>) {
        let got = text.parse::<ClientOption>();
        assert_eq!(
            got.as_ref().map(|it| &it.value).map_err(String::as_str),
            expect.as_ref().map_err(|it| *it)
        );
    }

    #[test]
    fn the_type_is_read_off_the_value() {
        check("a=4", Ok(Value::Whole(4)));
        check("a=-4", Ok(Value::Whole(-4)));
        check("a=true", Ok(Value::Flag(true)));
        check("a=0.5", Ok(Value::Float(0.5)));
        for text in ["platform", "[0]", "inf", "b=c"] {
            check(&format!("a={text}"), Ok(Value::Text(text.to_owned())));
        }
        check("a", Err("\"a\" is not of the form name=value"));
        check("=1", Err("\"=1\" is not of the form name=value"));
        let words =
            |it| format!("\"cpu_device_count={it}\": expected is a whole number from 1 to 64");
        for it in ["many", "0", "65", "1.5"] {
            check(&format!("cpu_device_count={it}"), Err(&words(it)));
        }
        check("cpu_device_count=64", Ok(Value::Whole(64)));
        check("a=", Err("\"a=\" is not of the form name=value"));
    }
}
