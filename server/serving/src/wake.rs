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
    /// What `find` finds once the model is there: if it is one that is loaded on demand it is waited
    /// for, and again if it is unloaded between the wait and the look. The time counts from `arrived`; if
    /// none is given it is the model's.
    pub async fn when_awake<T>(
        &self,
        (model, choice): (&str, &VersionChoice),
        time: (Instant, Option<Duration>),
        mut find: impl FnMut() -> Result<T, InferError>,
    ) -> Result<T, InferError> {
        loop {
            match find() {
                Err(InferError::Asleep { .. }) => self.awake(model, choice, time).await?,
                found => return found,
            }
        }
    }

    /// Returns when the model that was found asleep has been loaded, which may be at once.
    pub(crate) async fn awake(
        &self,
        model: &str,
        choice: &VersionChoice,
        (arrived, timeout): (Instant, Option<Duration>),
    ) -> Result<(), InferError> {
        let in_time = |timeout: Duration| match arrived.elapsed() {
            waited if waited >= timeout => Err(InferError::Expired { waited }),
            _ => Ok(()),
        };
        let limit = |it: &OnDemand| timeout.unwrap_or(it.timeout).min(limits::REQUEST_TIMEOUT_MAX);
        let Some(mut asleep) = self.asleep(model, choice) else {
            return in_time(timeout.unwrap_or(limits::REQUEST_TIMEOUT_MAX));
        };
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
                // Whoever finds it unloaded again comes back: not for ever.
                return in_time(limit(&asleep));
            };
            asleep = now;
            look(&asleep, model, &mut waiting)?;
            if tokio::time::timeout_at((arrived + limit(&asleep)).into(), news).await.is_err() {
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
