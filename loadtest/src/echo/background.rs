//! An echo server on a thread of this process, for as long as the value lives.
//!
//! Used by `ceiling` and the tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Result;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{Listeners, Model, Models, serve};

pub(crate) struct Background {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Background {
    /// On free ports.
    pub(crate) fn start(models: Vec<Model>) -> Result<Background> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Background::start_at((any, any), models)
    }

    /// At these addresses for gRPC and HTTP.
    pub(crate) fn start_at(at: (SocketAddr, SocketAddr), models: Vec<Model>) -> Result<Background> {
        let listeners = Listeners::bind(at.0, at.1)?;
        let (grpc, http) = listeners.addresses()?;
        let models = Arc::new(Models::new(models));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("echo".to_owned()).spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(listeners, models, async { drop(stopped.await) }))
        })?;
        Ok(Background { grpc, http, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Whatever it ended with, those who asked it have seen.
            let _ = thread.join();
        }
    }
}
