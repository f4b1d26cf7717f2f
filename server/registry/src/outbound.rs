//! The same guarded client for what this server calls beyond models: one request, one small answer.
//!
//! Redirects are not followed: what is sent bears credentials and asks for work, and was meant for the
//! address that an operator wrote down. That one may be private, if that is allowed, but is never link-local or a
//! cloud's metadata service.

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::error::RegistryError;
use crate::http::{AddressPolicy, Ask, Http, Trust};
use crate::limits::Limits;

/// Calls addresses that an operator has configured.
#[derive(Debug)]
pub struct Outbound {
    http: Http,
    private: bool,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// How.
    pub method: Method,
    /// To where.
    pub url: Url,
    /// With which headers, besides those of the connection.
    pub headers: HeaderMap,
    /// And which body.
    pub body: Vec<u8>,
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// For the caller to judge.
    pub status: StatusCode,
    /// As they came.
    pub headers: HeaderMap,
    /// At most `answer_bytes_max` of the limits.
    pub body: bytes::Bytes,
}

impl Outbound {
    /// One client; each call has a connection of its own. `private`: also to private addresses.
    pub fn new(limits: Limits, private: bool) -> Outbound {
        Outbound { http: Http::new(AddressPolicy::default(), limits), private }
    }

    /// Asks, and reads the whole answer, within the limits' times.
    pub async fn call(&self, call: Call) -> Result<Answered, RegistryError> {
        let mut ask = Ask::new(call.method, call.url, Trust::Told { private: self.private });
        ask.headers = call.headers;
        ask.body = call.body.into();
        ask.redirects = false;
        let (status, headers, body) = self.http.small(ask).await?;
        Ok(Answered { status, headers, body })
    }
}
