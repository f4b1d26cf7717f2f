//! A server that does nothing but answer: what the transport alone costs, to hold others against.
//!
//! Called by `main` and the tests. A stock tonic server and a bare hyper server on one thread; both
//! give canned outputs of zeros, with as many rows as were asked for.

mod background;
mod canned;
mod grpc;
mod http;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Protocol, Target};
use crate::endpoint::Endpoint;
use crate::options::EchoOptions;
use crate::signature::{Port, Signature};

pub(crate) use background::Background;
pub(crate) use canned::{Model, Models};

/// Where an echo server listens.
#[derive(Debug)]
pub(crate) struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
}

impl Listeners {
    pub(crate) fn bind(grpc: SocketAddr, http: SocketAddr) -> Result<Listeners> {
        let bind = |address: SocketAddr| -> Result<TcpListener> {
            let listener = TcpListener::bind(address);
            let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        Ok(Listeners { grpc: bind(grpc)?, http: bind(http)? })
    }

    /// Where gRPC and HTTP are served.
    pub(crate) fn addresses(&self) -> Result<(SocketAddr, SocketAddr)> {
        Ok((self.grpc.local_addr()?, self.http.local_addr()?))
    }
}

/// Serves until a signal asks to end.
pub(crate) fn run(options: &EchoOptions) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let signatures = match &options.metadata_from {
        Some(_) => {
            let local = tokio::task::LocalSet::new();
            runtime.block_on(local.run_until(fetch(options)))?
        }
        None => vec![defined(options)?],
    };
    let models = signatures.into_iter().map(Model::new).collect::<Result<_>>()?;
    let models = Arc::new(Models::new(models));
    let address = |port: u16| SocketAddr::new(options.host, port);
    let listeners = Listeners::bind(address(options.grpc_port), address(options.http_port))?;
    let (grpc, http) = listeners.addresses()?;
    let names = options.model.join(", ");
    writeln!(std::io::stdout(), "echo of {names}: grpc {grpc}, http {http}")?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        serve(listeners, models, async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await
    })
}

/// Serves both protocols until `stop` is ready. Connections still open are then dropped.
pub(crate) async fn serve(
    listeners: Listeners,
    models: Arc<Models>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let grpc = grpc::serve(listeners.grpc, Arc::clone(&models))?;
    let http = http::serve(listeners.http, models)?;
    tokio::select! {
        () = stop => Ok(()),
        served = grpc => served.context("the gRPC server failed"),
        served = http => served.context("the HTTP server failed"),
    }
}

async fn fetch(options: &EchoOptions) -> Result<Vec<Signature>> {
    let authority = options.metadata_from.clone().unwrap_or_default();
    let endpoint = Endpoint { protocol: Protocol::Grpc, authority };
    let mut signatures = Vec::with_capacity(options.model.len());
    for model in &options.model {
        let (endpoint, version) = (endpoint.clone(), String::new());
        let target = Target { endpoint, model: model.clone(), version };
        let mut signature = target.signature().await?;
        // An axis that the server leaves open can be settled by defining that port here.
        for port in ports(&options.inputs)? {
            settle(&mut signature.inputs, port)?;
        }
        for port in ports(&options.outputs)? {
            settle(&mut signature.outputs, port)?;
        }
        signatures.push(signature);
    }
    Ok(signatures)
}

fn settle(ports: &mut [Port], given: Port) -> Result<()> {
    let Some(port) = ports.iter_mut().find(|it| it.name == given.name) else {
        bail!("the model has no {:?} to define", given.name);
    };
    *port = given;
    Ok(())
}

fn defined(options: &EchoOptions) -> Result<Signature> {
    let (inputs, outputs) = (ports(&options.inputs)?, ports(&options.outputs)?);
    ensure!(!inputs.is_empty(), "a model needs at least one --input");
    let [model] = &options.model[..] else {
        bail!("--input and --output define one model: take several by --metadata-from");
    };
    Ok(Signature { model: model.clone(), versions: vec!["1".to_owned()], inputs, outputs })
}

fn ports(definitions: &[String]) -> Result<Vec<Port>> {
    definitions.iter().map(|it| Port::parse(it)).collect()
}
