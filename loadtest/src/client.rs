//! A thread's connections to the server, whatever they speak.
//!
//! Made and used by `run` and `station`. One value per thread, never shared, so nothing is locked.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Uri;

use crate::case::Case;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::signature::Signature;
use crate::tensor::Tensor;
use crate::{grpc, http1};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// gRPC, tensors as raw bytes.
    Grpc,
    /// HTTP/1.1 with the binary tensor extension.
    HttpBinary,
    /// HTTP/1.1 with tensors as JSON numbers.
    HttpJson,
    /// TensorFlow Serving's REST API, inputs by row.
    Tfs,
    /// TensorFlow Serving's REST API, inputs by column.
    TfsColumnar,
}

impl Protocol {
    pub(crate) fn is_tfs(self) -> bool {
        matches!(self, Protocol::Tfs | Protocol::TfsColumnar)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Protocol::Grpc => "grpc",
            Protocol::HttpBinary => "http-binary",
            Protocol::HttpJson => "http-json",
            Protocol::Tfs => "tfs",
            Protocol::TfsColumnar => "tfs-columnar",
        })
    }
}

/// Whom to ask, and for which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: String,
    /// Empty: the server chooses.
    pub(crate) version: String,
}

/// A request as it goes over the wire, built once and sent many times.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) uri: Uri,
    pub(crate) body: Bytes,
    /// Binary extension only: how much of the body is JSON.
    pub(crate) json_bytes: Option<usize>,
    pub(crate) rows: u64,
}

/// A complete answer with a good status, not decoded yet.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: Bytes,
    pub(crate) json_bytes: Option<usize>,
}

#[derive(Debug)]
pub(crate) enum Client {
    Grpc(grpc::Client),
    Http(http1::Client),
}

impl Target {
    /// Asks the server what the model takes and gives.
    pub(crate) async fn signature(&self) -> Result<Signature> {
        let signature = match self.endpoint.protocol {
            Protocol::Grpc => grpc::signature(self).await,
            Protocol::HttpBinary | Protocol::HttpJson | Protocol::Tfs | Protocol::TfsColumnar => {
                http1::signature(self).await
            }
        };
        let asked =
            || format!("no metadata of model {:?} from {}", self.model, self.endpoint.authority);
        let signature = signature.with_context(asked)?;
        ensure!(!signature.inputs.is_empty(), "{}: it names no inputs", asked());
        Ok(signature)
    }

    pub(crate) fn prepare(&self, case: &Case) -> Result<Prepared> {
        let uri = match self.endpoint.protocol {
            Protocol::Grpc => grpc::uri(&self.endpoint)?,
            Protocol::HttpBinary | Protocol::HttpJson | Protocol::Tfs | Protocol::TfsColumnar => {
                http1::uri(self)?
            }
        };
        let (body, json_bytes) = match self.endpoint.protocol {
            Protocol::Grpc => (grpc::encode(self, case)?, None),
            Protocol::HttpBinary => {
                let (body, json_bytes) = http1::encode_binary(case)?;
                (body, Some(json_bytes))
            }
            Protocol::HttpJson => (http1::encode_json(case)?, None),
            Protocol::Tfs => (http1::tfs::encode_rows(case)?, None),
            Protocol::TfsColumnar => (http1::tfs::encode_columns(case)?, None),
        };
        Ok(Prepared { uri, body, json_bytes, rows: case.rows as u64 })
    }

    pub(crate) fn decode(&self, signature: &Signature, reply: &Reply) -> Result<Vec<Tensor>> {
        match self.endpoint.protocol {
            Protocol::Grpc => grpc::decode(&reply.body),
            Protocol::HttpBinary | Protocol::HttpJson => http1::decode(reply),
            Protocol::Tfs | Protocol::TfsColumnar => http1::tfs::decode(signature, &reply.body),
        }
    }
}

impl Client {
    /// Opens all connections. Must be called within the thread's own runtime.
    pub(crate) async fn connect(endpoint: &Endpoint, connections: usize) -> Result<Client> {
        Ok(match endpoint.protocol {
            Protocol::Grpc => Client::Grpc(grpc::Client::connect(endpoint, connections).await?),
            Protocol::HttpBinary | Protocol::HttpJson | Protocol::Tfs | Protocol::TfsColumnar => {
                Client::Http(http1::Client::connect(endpoint, connections).await?)
            }
        })
    }

    /// Sends `request` and waits for the whole answer. Dropping the future gives up on it. `by` is
    /// what the server is told, if anything; it is not waited for here.
    pub(crate) async fn call(
        &self,
        request: &Prepared,
        by: Option<Instant>,
    ) -> Result<Reply, Failure> {
        match self {
            Client::Grpc(client) => client.call(request, by).await,
            Client::Http(client) => client.call(request, by).await,
        }
    }
}
