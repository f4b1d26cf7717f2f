//! The port for scrapers, probes and operators, on a thread and runtime of its own: it answers while
//! the data runtime is flooded.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use server_frontend::{Bound, ConnectionLimits, Handler};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::recorder::Recorded;

/// How often series of versions that are gone are looked for. They are dropped at the second look,
/// so that every usual scrape interval falls in between.
const SWEEP: Duration = Duration::from_secs(60);

/// Connections of the port: a handful of scrapers and probes.
const CONNECTIONS_MAX: usize = 64;

/// How long one of them may keep a connection without asking: probes ask anew, and idle connections
/// must not take all places from the probe that decides whether this process lives.
const IDLE: Duration = Duration::from_secs(15);

/// How long scrapers and probes may take to let go of the port: they have had their answer.
pub(crate) const DRAIN: Duration = Duration::from_millis(200);

/// See the module.
pub(crate) struct ControlPort {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl ControlPort {
    /// Answers on it; `name` is the thread's.
    pub(crate) fn start<H: Handler>(
        name: &str,
        (bound, handler): (Bound, H),
        metrics: Recorded,
    ) -> io::Result<ControlPort> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let listening = {
            let _inside = runtime.enter();
            bound.serve(Arc::new(handler), limits())?
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = keep_up(&metrics) => {}
                }
                listening.drain(Instant::now() + DRAIN).await;
            });
        })?;
        Ok(ControlPort { thread, stop })
    }

    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// What its peers may take.
pub(crate) fn limits() -> ConnectionLimits {
    ConnectionLimits { connections_max: CONNECTIONS_MAX, idle: IDLE, ..ConnectionLimits::default() }
}

async fn keep_up(metrics: &Recorded) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        metrics.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kubernetes' default is a probe every ten seconds and three failures to a restart.
    #[test]
    fn no_peer_keeps_a_place_until_a_probe_gives_up() {
        let ConnectionLimits { first_byte, header, idle, .. } = limits();
        for limit in [first_byte, header, idle] {
            assert!(limit <= Duration::from_secs(15), "{limit:?}");
        }
    }
}
