//! Does a version answer what was logged as the one in service has answered it? `replay` of `[proof]`.
//!
//! The log is somebody else's: whoever starts the lifecycle hands in a way to read it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::Signature;
use server_base::{ModelName, Version};
use server_proof::{Ask, Logged, Refusal, Replay};
use server_serving::Serving;

use crate::fault::LoadError;
use crate::load::LoadJob;

/// No further request is begun after so much time: a load is not to take much longer for it than by itself.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Nor after so many bytes of inputs and outputs, whatever the disk gives.
const BYTES_MAX: usize = 256 << 20;

/// Of what is read, the requests that cannot be asked are so many times those that are wanted, at the most.
const SKIPPED_TIMES: usize = 10;

/// Requests that were logged on this machine.
pub trait Requests: fmt::Debug + Send + Sync {
    /// Hands out those that a version has answered, the newest files first, of each file at most the last `most`:
    /// or why one cannot be asked again. Nothing is logged of a version: that is no error.
    fn newest(
        &self,
        of: (&ModelName, Version),
        most: usize,
        take: &mut dyn FnMut(Result<Logged, String>) -> ControlFlow<()>,
    ) -> io::Result<()>;
}

/// What was before a version that is being loaded.
#[derive(Clone, Default)]
pub(crate) struct Before {
    /// `None`: nothing is logged that could be read.
    pub(crate) requests: Option<Arc<dyn Requests>>,
    /// Who serves. `None`: nobody that matters.
    pub(crate) serving: Option<Arc<Serving>>,
}

impl Before {
    /// The version that speaks for the model now.
    fn served(&self, model: &ModelName) -> Option<Version> {
        let table = self.serving.as_ref()?.table();
        let main = table.model(model.as_str())?.main()?;
        Some(main.version())
    }
}

/// What a version has shown, or why nothing was asked: in words, and as numbers.
pub(crate) type Shown = (String, Option<Replay>);

/// Asks what was logged; an error if the answers are not good enough. `None`: nothing is to be asked.
pub(crate) fn replay(
    job: &LoadJob,
    before: &Before,
    (signature, ask): (&Signature, &mut Ask<'_>),
    now: &dyn Fn() -> Instant,
) -> Result<Option<Shown>, LoadError> {
    let config = &job.config.proof;
    if config.replay == 0 {
        return Ok(None);
    }
    let nothing = |why: &str| Ok(Some((format!("nothing was asked: {why}"), None)));
    let Some(requests) = &before.requests else {
        return nothing("this server keeps no Parquet files of its log");
    };
    let served = match before.served(&job.model) {
        None => return nothing("no version was in service"),
        // Who goes back to what was there before does not want what came after it.
        Some(served) if served > job.version => {
            return nothing(&format!("version {served}, which was in service, is newer"));
        }
        Some(served) => served,
    };
    let mut replay = Replay::default();
    let (begun, mut bytes, mut skipped) = (now(), 0, 0);
    let mut take = |logged: Result<Logged, String>| {
        match logged {
            Err(why) => {
                replay.skip(&why);
                skipped += 1;
            }
            Ok(logged) => {
                let all = logged.inputs.iter().chain(&logged.outputs);
                bytes += all.map(|it| it.1.data().len()).sum::<usize>();
                replay.ask(&logged, (signature, &mut *ask), config.tolerance);
            }
        }
        let cut = if now().saturating_duration_since(begun) >= TIME_MAX {
            Some(format!("the time of {TIME_MAX:?} is up"))
        } else if bytes >= BYTES_MAX {
            Some(format!("{BYTES_MAX} bytes were read"))
        } else if skipped >= SKIPPED_TIMES * config.replay {
            Some(format!("{skipped} that were read cannot be asked"))
        } else {
            None
        };
        replay.cut = cut.filter(|_| replay.asked < config.replay);
        let is_over = replay.cut.is_some() || replay.asked >= config.replay;
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let read = requests.newest((&job.model, served), config.replay, &mut take);
    read.map_err(|it| LoadError::from(Refusal::unread(&it)))?;
    if replay.asked == 0 {
        let skipped = because(&replay.not_asked);
        return nothing(&format!("version {served} has no logged request that can be{skipped}"));
    }
    replay.check(&config.replay_limits)?;
    let cut = replay.cut.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
    Ok(Some((format!("{replay}; as version {served} has answered{cut}"), Some(replay))))
}

fn because(reasons: &BTreeMap<String, usize>) -> String {
    let words: Vec<String> = reasons.iter().map(|(why, count)| format!("{count}: {why}")).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
