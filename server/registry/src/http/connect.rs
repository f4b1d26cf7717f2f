//! From a host to a connection: name, check, TCP, TLS.
//!
//! The address that was checked is the one that is connected to: a name that says something else the
//! second time gains nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::address::{AddressPolicy, Trust, is_metadata};
use crate::error::RegistryError;
use crate::limits::{ADDRESSES_MAX, Limits};
use crate::thread;

/// Opens connections. The system's certificates are read by the first that needs them.
#[derive(Default)]
pub(super) struct Connector {
    tls: OnceCell<TlsConnector>,
}

impl Connector {
    /// A connection to the host of `url`, within the time for it.
    pub(super) async fn connect(
        &self,
        url: &Url,
        trust: Trust,
        (policy, limits): (AddressPolicy, &Limits),
    ) -> Result<Connection, RegistryError> {
        let host = url.host_str().unwrap_or_default();
        let open = self.open(url, (trust, policy), limits.connect_max);
        match timeout(limits.connect_max, open).await {
            Ok(connection) => connection,
            Err(_) => {
                let waited = limits.connect_max;
                Err(RegistryError::Unavailable(format!("{host}: no connection within {waited:?}")))
            }
        }
    }

    async fn open(
        &self,
        url: &Url,
        (trust, policy): (Trust, AddressPolicy),
        most: Duration,
    ) -> Result<Connection, RegistryError> {
        let host = url.host_str().unwrap_or_default();
        let mut last = format!("{host} has no address");
        let addresses = addresses(url, trust, policy).await?;
        // An address that swallows what is sent to it leaves time for the others.
        let most = most / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        for address in addresses {
            let Ok(connected) = timeout(most, TcpStream::connect(address)).await else {
                last = format!("{host} ({address}): no connection within {most:?}");
                continue;
            };
            match connected {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true); // only a matter of speed
                    return match url.scheme() {
                        "https" => self.secure(host, stream).await,
                        _ => Ok(Connection::Plain(stream)),
                    };
                }
                Err(error) => last = format!("{host} ({address}): {error}"),
            }
        }
        Err(RegistryError::Unavailable(last))
    }

    async fn secure(&self, host: &str, stream: TcpStream) -> Result<Connection, RegistryError> {
        let wrong =
            |why: &dyn std::fmt::Display| RegistryError::Unavailable(format!("{host}: TLS: {why}"));
        // Reads hundreds of files.
        let read = || thread::run("registry/roots", connector);
        let connector = self.tls.get_or_try_init(read).await?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|error| wrong(&error))?;
        let stream = connector.connect(name, stream).await.map_err(|error| wrong(&error))?;
        Ok(Connection::Tls(Box::new(stream)))
    }
}

/// The addresses that may be tried, of those that the name has.
async fn addresses(
    url: &Url,
    trust: Trust,
    policy: AddressPolicy,
) -> Result<Vec<SocketAddr>, RegistryError> {
    let port = url.port_or_known_default().unwrap_or(80);
    let found: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => {
            let unknown = |it| RegistryError::Unavailable(format!("{name}: {it}"));
            lookup_host((name, port)).await.map_err(unknown)?.take(64).collect()
        }
        None => return Err(RegistryError::Invalid(format!("{} has no host", shown(url)))),
    };
    let allowed = found.iter().filter(|it| policy.allows(it.ip(), trust));
    let allowed: Vec<SocketAddr> = allowed.take(ADDRESSES_MAX).copied().collect();
    match (allowed.is_empty(), found.first()) {
        (true, Some(address)) => {
            let (at, address) = (shown(url), address.ip());
            Err(RegistryError::Policy(match trust {
                Trust::Configured | Trust::Remote if is_metadata(address) => format!(
                    "{at} was named by a registry and lies at {address}, which is link-local or a cloud's \
                     metadata service: nothing is fetched there"
                ),
                Trust::Configured | Trust::Remote => format!(
                    "{at} was named by a registry and lies at {address}, which is no public address"
                ),
                Trust::Told { private: false } => format!(
                    "{at} lies at {address}, which is no public address: see allow_private_addresses"
                ),
                Trust::Told { private: true } => format!(
                    "{at} lies at {address}, which is link-local or a cloud's metadata service: \
                     nothing is told there"
                ),
            }))
        }
        _ => Ok(allowed),
    }
}

/// An address for people: without query, which may be a signature, and without credentials.
pub(crate) fn shown(url: &Url) -> String {
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn connector() -> Result<TlsConnector, RegistryError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (known, _) = roots.add_parsable_certificates(found.certs);
    if known == 0 {
        let words = "TLS: this machine has no certificates to trust (set SSL_CERT_FILE)";
        return Err(RegistryError::Unavailable(words.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RegistryError::Invalid(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection, bare or with TLS.
pub(super) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Connection::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(context),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
