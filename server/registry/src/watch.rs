//! One address, looked at again and again: does it name something else by now?
//!
//! A look is one small request, or two, and opens no files: a runtime that has other work can drive it
//! (`Rounds`). The pull that follows a change is work for a thread of its own (`Puller`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::RegistryError;
use crate::schedule::Schedule;
use crate::source::{self, Resolution, Source};
use crate::sources::Registries;
use crate::uri::Uri;

/// What is watched, and what it was when it was last pulled.
#[derive(Debug)]
pub struct Watch {
    uri: Uri,
    /// Kept from look to look, and with it the token that a registry gave.
    source: Arc<dyn Source>,
    look_max: Duration,
    known: Option<String>,
    schedule: Schedule,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What was pulled last, as far as its registry can tell.
    Same,
    /// Something else, or the first that is seen: pull it.
    Changed,
}

impl Watch {
    /// Watches an address, every `interval`. `known` is what it was when it was last pulled
    /// (`Record::identity`).
    pub fn new(
        registries: &Registries,
        uri: Uri,
        known: Option<String>,
        interval: Duration,
    ) -> Result<Watch, RegistryError> {
        let source = registries.source(&uri)?;
        Ok(Watch { known, ..Watch::of(uri, source, registries.limits().look_max, interval) })
    }

    pub(crate) fn of(
        uri: Uri,
        source: Arc<dyn Source>,
        look_max: Duration,
        interval: Duration,
    ) -> Watch {
        Watch { uri, source, look_max, known: None, schedule: Schedule::new(interval) }
    }

    /// What is watched.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// How long to wait before the first look. `draw` in `0..=1` is random.
    pub fn first(&self, draw: f64) -> Duration {
        self.schedule.first(draw)
    }

    /// Looks once, and says how long to wait before the next look. `draw` as for `first`.
    ///
    /// A registry that tells nothing by which one content differs from the next (a web server without
    /// ETag and date) is the same for ever: else each look would be a download.
    pub async fn look(&mut self, draw: f64) -> (Result<Seen, RegistryError>, Duration) {
        let answer = self.ask().await;
        self.answered(answer, draw)
    }

    /// Asks what the address names now, while this can go on to be told of other things.
    pub(crate) fn ask(&self) -> BoxFuture<'static, Result<Resolution, RegistryError>> {
        let (uri, source, known) = (self.uri.clone(), self.source.clone(), self.known.clone());
        let most = self.look_max;
        Box::pin(async move { source::look(&uri, source.as_ref(), known.as_deref(), most).await })
    }

    /// What the registry says of it, and how long to wait before the next look. `draw` as for `first`.
    pub(crate) fn answered(
        &mut self,
        answer: Result<Resolution, RegistryError>,
        draw: f64,
    ) -> (Result<Seen, RegistryError>, Duration) {
        match answer {
            Ok(resolution) => {
                let seen = seen(self.known.as_deref(), &resolution);
                // A change is no success before it is pulled: what fails every time is tried less and less.
                if seen == Seen::Same {
                    self.schedule.succeeded();
                }
                (Ok(seen), self.schedule.pause(draw))
            }
            Err(error) => (Err(error), self.schedule.failed(draw)),
        }
    }

    /// What was found has been pulled, and was this.
    pub fn pulled(&mut self, identity: &str) {
        self.known = Some(identity.to_owned());
        self.schedule.succeeded();
    }

    /// What was found could not be pulled: how long to wait before the next look. `draw` as for `first`.
    pub fn failed(&mut self, draw: f64) -> Duration {
        self.schedule.failed(draw)
    }
}

fn seen(known: Option<&str>, resolution: &Resolution) -> Seen {
    let Resolution::Manifest(manifest) = resolution else { return Seen::Same };
    match known {
        Some(known) if manifest.identity.is_empty() || manifest.identity == known => Seen::Same,
        _ => Seen::Changed,
    }
}
