//! What the conductor works with.

use std::io;
use std::sync::Arc;

use server_base::Version;
use server_lifecycle::{Entry, Lifecycle};
use server_replicas::Telling;
use server_rollout::{Evidence, Subject};
use server_serving::Serving;

use crate::files::Files;
use crate::listener::Listener;
use crate::metrics;
use crate::prints::Contents;
use crate::truth::Truth;

/// What a server may have besides.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Who else is told of decisions.
    pub listener: Option<Listener>,
    /// Which bytes a version is, where that is known without reading them.
    pub contents: Contents,
    /// Who knows how right versions are.
    pub truth: Option<Arc<Truth>>,
}

/// What a ride works with.
pub(crate) struct World<'a> {
    pub(crate) serving: &'a Serving,
    pub(crate) lifecycle: &'a Lifecycle,
    pub(crate) files: &'a Files,
    pub(crate) beside: &'a Beside,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        (serving, lifecycle): (&'a Serving, &'a Lifecycle),
        files: &'a Files,
        beside: &'a Beside,
    ) -> World<'a> {
        World { serving, lifecycle, files, beside }
    }

    /// A decision, for all who read of it. `digest` is the candidate's.
    pub(crate) fn tell(&self, (evidence, telling): (&Evidence, Telling), digest: Option<&str>) {
        self.pass_on(evidence, telling);
        let written = match telling {
            Telling::First => self.files.audit(evidence, digest),
            Telling::Again => self.files.audit_once(evidence, digest),
        };
        lost(evidence, written);
    }

    fn pass_on(&self, evidence: &Evidence, telling: Telling) {
        let (model, words) = (evidence.subject.model(), &evidence.words);
        tracing::info!(
            %model, stable = %evidence.subject.stable(), canary = %evidence.subject.canary(),
            verdict = ?evidence.verdict, words, "rollout"
        );
        metrics::decided(model, evidence.verdict);
        if let Some(listener) = &self.beside.listener {
            listener.tell(evidence, telling);
        }
    }

    /// Which bytes a candidate is, as far as is known.
    pub(crate) fn digest(&self, subject: &Subject) -> Option<String> {
        digest_of(self.lifecycle, subject.model().as_str(), subject.canary())
    }
}

fn lost(evidence: &Evidence, written: io::Result<()>) {
    if let Err(error) = written {
        tracing::error!(model = %evidence.subject.model(), %error, "a decision cannot be written down");
    }
}

/// Which bytes a version is, as far as the lifecycle has read them.
pub(crate) fn digest_of(lifecycle: &Lifecycle, model: &str, version: Version) -> Option<String> {
    let index = lifecycle.index();
    let is_it = |it: &&Entry| it.model.as_str() == model && it.version == Some(version);
    index.iter().find(is_it)?.digest.clone()
}
