//! A request's wait for a model that is loaded on demand.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::{VersionChoice, limits};

use crate::demand::{OnDemand, Prospect, Waiting};
use crate::error::InferError;
use crate::infer::Serving;
use crate::metrics::WaitEnd;

impl Serving {
    /// Returns when the model that is asked for has been loaded, if it is one that is loaded on
    /// demand; at once for every other, there or not. The time counts from `arrived`; if none is
    /// given it is the model's.
    pub async fn awake(
        &self,
        model: &str,
        choice: &VersionChoice,
        (arrived, timeout): (Instant, Option<Duration>),
    ) -> Result<(), InferError> {
        let Some(mut asleep) = self.asleep(model, choice) else { return Ok(()) };
        if let Some(refusal) = asleep.prospect.refusal(model) {
            return Err(refusal);
        }
        let mut waiting = asleep.demand.enter(asleep.waiting_max)?;
        loop {
            let demand = Arc::clone(&asleep.demand);
            // Listens first and looks then, so that no news falls in between.
            let mut news = pin!(demand.news().notified());
            news.as_mut().enable();
            let Some(now) = self.asleep(model, choice) else {
                waiting.ended(WaitEnd::Loaded);
                return Ok(());
            };
            asleep = now;
            look(&asleep, model, &mut waiting)?;
            let timeout = timeout.unwrap_or(asleep.timeout).min(limits::REQUEST_TIMEOUT_MAX);
            if tokio::time::timeout_at((arrived + timeout).into(), news).await.is_err() {
                waiting.ended(WaitEnd::Expired);
                return Err(InferError::Expired { waited: arrived.elapsed() });
            }
        }
    }

    fn asleep(&self, model: &str, choice: &VersionChoice) -> Option<Arc<OnDemand>> {
        self.table_now().asleep(model, choice).cloned()
    }
}

/// Asks, if nobody has, or says why it is of no use.
fn look(asleep: &OnDemand, model: &str, waiting: &mut Waiting) -> Result<(), InferError> {
    if let Some(refusal) = asleep.prospect.refusal(model) {
        waiting.ended(WaitEnd::Refused);
        return Err(refusal);
    }
    if asleep.prospect == Prospect::Registered {
        asleep.demand.ask();
    }
    Ok(())
}
