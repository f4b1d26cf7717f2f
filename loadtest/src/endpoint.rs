//! Where a server is and what is spoken to it.
//!
//! Made by `plan` from an address and, where that has no scheme, `--protocol`.

use crate::client::Protocol;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    /// `host:port`.
    pub(crate) authority: String,
}

/// What each scheme stands for. `http://` leaves the form of the tensors to `--protocol`.
const SCHEMES: [(&str, Protocol); 5] = [
    ("grpc", Protocol::Grpc),
    ("http", Protocol::HttpBinary),
    ("http+json", Protocol::HttpJson),
    ("tfs", Protocol::Tfs),
    ("tfs+columnar", Protocol::TfsColumnar),
];

impl Endpoint {
    /// Reads `[SCHEME://]HOST:PORT[/]`. `protocol` is for addresses without a scheme.
    pub(crate) fn parse(address: &str, protocol: Option<Protocol>) -> Result<Endpoint, String> {
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, address),
        };
        let protocol = match scheme {
            None => protocol.unwrap_or(Protocol::Grpc),
            Some(scheme) => {
                of_scheme(scheme, protocol).map_err(|it| format!("{address:?}: {it}"))?
            }
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let good = authority.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        });
        if !good {
            return Err(format!("address {address:?}, expected host:port"));
        }
        Ok(Endpoint { protocol, authority: authority.to_owned() })
    }

    /// Where a server of this machine usually listens.
    pub(crate) fn usual(protocol: Option<Protocol>) -> Endpoint {
        let protocol = protocol.unwrap_or(Protocol::Grpc);
        let port = match protocol {
            Protocol::Grpc => 8001,
            Protocol::HttpBinary | Protocol::HttpJson => 8000,
            Protocol::Tfs | Protocol::TfsColumnar => 8501,
        };
        Endpoint { protocol, authority: format!("127.0.0.1:{port}") }
    }
}

fn of_scheme(scheme: &str, wanted: Option<Protocol>) -> Result<Protocol, String> {
    let found = SCHEMES.iter().find(|(name, _)| *name == scheme);
    let Some(&(_, stands_for)) = found else {
        let known = SCHEMES.map(|(name, _)| format!("{name}://"));
        return Err(format!("unknown scheme, expected one of {}", known.join(" ")));
    };
    match wanted {
        None => Ok(stands_for),
        Some(Protocol::HttpJson) if scheme == "http" => Ok(Protocol::HttpJson),
        Some(wanted) if wanted == stands_for => Ok(stands_for),
        Some(wanted) => Err(format!("the scheme means {stands_for}, --protocol says {wanted}")),
    }
}
