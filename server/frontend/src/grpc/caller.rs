//! Who asks over gRPC, as far as routing looks at it: by the call's metadata, and by the message's parameters.

use std::collections::HashMap;

use http::HeaderMap;
use proto::inference::InferParameter;
use proto::inference::infer_parameter::ParameterChoice;
use server_serving::{Caller, Parameter};

use crate::headers::Headers;

/// See the module. By the time that it asks, its message is here.
pub(super) struct Asking<'a> {
    headers: Headers<'a>,
    /// `None`: the message has none.
    parameters: Option<&'a HashMap<String, InferParameter>>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        headers: &'a HeaderMap,
        parameters: Option<&'a HashMap<String, InferParameter>>,
    ) -> Asking<'a> {
        Asking { headers: Headers::Map(headers), parameters }
    }
}

impl Caller for Asking<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.header(name)
    }

    fn headers(&self, names: [&str; 3]) -> [Option<&[u8]>; 3] {
        self.headers.headers(names)
    }

    fn parameter(&self, name: &str) -> Parameter<'_> {
        let parameter = self.parameters.and_then(|it| it.get(name));
        match parameter.and_then(|it| it.parameter_choice.as_ref()) {
            Some(ParameterChoice::StringParam(text)) => Parameter::Text(text.into()),
            Some(ParameterChoice::Int64Param(number)) => Parameter::Text(number.to_string().into()),
            Some(ParameterChoice::Uint64Param(number)) => {
                Parameter::Text(number.to_string().into())
            }
            Some(ParameterChoice::BoolParam(_) | ParameterChoice::DoubleParam(_)) | None => {
                Parameter::None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_texts_and_whole_numbers() {
        for (choice, expect) in [
            (ParameterChoice::StringParam("anna".to_owned()), Some("anna")),
            (ParameterChoice::Int64Param(-7), Some("-7")),
            (ParameterChoice::Uint64Param(42), Some("42")),
            (ParameterChoice::BoolParam(true), None),
            (ParameterChoice::DoubleParam(1.0), None),
        ] {
            let parameter = InferParameter { parameter_choice: Some(choice) };
            let parameters = HashMap::from([("session".to_owned(), parameter)]);
            let headers = HeaderMap::new();
            let asking = Asking::new(&headers, Some(&parameters));
            let expect = expect.map_or(Parameter::None, |it| Parameter::Text(it.into()));
            assert_eq!(asking.parameter("session"), expect);
            assert_eq!(asking.parameter("other"), Parameter::None);
        }
    }
}
