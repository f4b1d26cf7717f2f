//! Who asks over HTTP, as far as routing looks at it: by headers, and if need be by the body's parameters.
//!
//! The body is read for them only where a model's callers stay with a version by a parameter. Then it is read
//! twice, and the second time all of it: this reader skips what it does not look for.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use server_serving::{Caller, Parameter};

use super::said::Said;
use super::{binary, object};

/// See the module.
pub(super) struct Asking<'a> {
    said: Said<'a>,
    /// `None`: it is still coming in.
    body: Option<&'a Bytes>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(said: Said<'a>, body: Option<&'a Bytes>) -> Asking<'a> {
        Asking { said, body }
    }
}

impl Caller for Asking<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.said.headers.header(name)
    }

    fn headers(&self, names: [&str; 3]) -> [Option<&[u8]>; 3] {
        self.said.headers.headers(names)
    }

    fn parameter(&self, name: &str) -> Parameter<'_> {
        let Some(body) = self.body else { return Parameter::Unread };
        // What is wrong with the body is told by who reads all of it.
        let Ok(length) = binary::json_length(self.said.json_length, body.len()) else {
            return Parameter::None;
        };
        body.get(..length).map_or(Parameter::None, |json| parameter(json, name))
    }
}

/// The request, without what is not looked for.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

fn parameter<'a>(json: &'a [u8], name: &str) -> Parameter<'a> {
    let Ok(Body { parameters: Some(parameters) }) = object::read(json) else {
        return Parameter::None;
    };
    let found = Named(name).deserialize(&mut serde_json::Deserializer::from_str(parameters.get()));
    let Ok(Some(value)) = found else { return Parameter::None };
    let text = value.get();
    if let Ok(Text(text)) = serde_json::from_str(text) {
        return Parameter::Text(text);
    }
    // As the same number comes over gRPC.
    let whole = text.parse::<i64>().map(|it| it.to_string());
    let whole = whole.or_else(|_| text.parse::<u64>().map(|it| it.to_string()));
    whole.map_or(Parameter::None, |it| Parameter::Text(it.into()))
}

/// A text, borrowed from the JSON where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Finds a member of an object: the last of that name.
struct Named<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("parameters: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(key)) = map.next_key()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parameters: &str, expect: Option<&str>) {
        let body = format!(r#"{{"inputs":[{{"parameters":{{"session":"no"}}}}],{parameters}}}"#);
        let got = parameter(body.as_bytes(), "session");
        let expect = expect.map_or(Parameter::None, |it| Parameter::Text(it.into()));
        assert_eq!(got, expect, "{body}");
    }

    #[test]
    fn keys_are_texts_and_whole_numbers() {
        check(r#""parameters":{"session":"anna"}"#, Some("anna"));
        check(r#""parameters":{"a":[{"session":"no"}],"session":"\u0061nna","b":1}"#, Some("anna"));
        check(r#""parameters":{"session":"a","session":"b"}"#, Some("b"));
        check(r#""parameters":{"session":""}"#, Some(""));
        check(r#""parameters":{"session":42}"#, Some("42"));
        check(r#""parameters":{"session":-7}"#, Some("-7"));
        check(r#""parameters":{"session":18446744073709551615}"#, Some("18446744073709551615"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        check(r#""id":"session""#, None);
        check(r#""parameters":null"#, None);
        check(r#""parameters":[1]"#, None);
        check(r#""parameters":{}"#, None);
        for value in ["null", "true", "1.5", "1e3", "[]", "{}"] {
            check(&format!(r#""parameters":{{"session":{value}}}"#), None);
        }
        check(r#""parameters":{"session":"anna""#, None);
    }

    #[test]
    fn the_body_is_read_where_it_is_there() {
        let body = Bytes::from_static(br#"{"parameters":{"session":"anna"}}<tensor>"#);
        let length = (body.len() - 8).to_string();
        let said = Said { json_length: Some(length.as_bytes()), ..Said::default() };
        let asking = |body| Asking::new(said, body);
        assert_eq!(asking(Some(&body)).parameter("session"), Parameter::Text("anna".into()));
        assert_eq!(asking(None).parameter("session"), Parameter::Unread);
        let raw = Said { json_length: Some(b"0"), ..Said::default() };
        assert_eq!(Asking::new(raw, Some(&body)).parameter("session"), Parameter::None);
        let wrong = Said { json_length: Some(b"999"), ..Said::default() };
        assert_eq!(Asking::new(wrong, Some(&body)).parameter("session"), Parameter::None);
    }
}
