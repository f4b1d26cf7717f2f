//! The addresses of one registry, looked at in turn. However many they are, it hears from us once a second
//! at most; and once a minute while it does not answer.
//!
//! One task drives one of these, for each registry (`Uri::registry`): one that is slow holds up itself.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::error::{ErrorKind, RegistryError};
use crate::schedule::Schedule;
use crate::uri::Uri;
use crate::watch::{Seen, Watch};

/// Between two looks at a registry.
const SPACING: Duration = Duration::from_secs(1);

/// Who is looked at next.
#[derive(Debug)]
pub struct Rounds {
    turns: Vec<Turn>,
    /// Nobody is, before this.
    free: Instant,
    /// How long the registry is left alone while it does not answer.
    silence: Schedule,
}

#[derive(Debug)]
struct Turn {
    watch: Watch,
    due: Instant,
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds { turns: Vec::new(), free: Instant::now(), silence: Schedule::new(SPACING) }
    }
}

impl Rounds {
    /// Watches one more. `draw` in `0..=1` is random: it spreads those that are added together.
    pub fn add(&mut self, watch: Watch, draw: f64) {
        let due = Instant::now() + watch.first(draw);
        self.turns.push(Turn { watch, due });
    }

    /// Watches an address no more.
    pub fn remove(&mut self, uri: &Uri) {
        self.turns.retain(|it| it.watch.uri() != uri);
    }

    /// Somebody says that an address has changed: it is the next.
    pub fn hurry(&mut self, uri: &Uri) {
        self.of(uri, |it| it.due = Instant::now());
    }

    /// What was found has been pulled, and was this (`Record::identity`).
    pub fn pulled(&mut self, uri: &Uri, identity: &str) {
        self.of(uri, |it| it.watch.pulled(identity));
    }

    /// What was found could not be pulled: it is not tried again at once. `draw` as for `add`.
    pub fn failed(&mut self, uri: &Uri, draw: f64) {
        self.of(uri, |it| it.due = Instant::now() + it.watch.failed(draw));
    }

    /// Waits until one is due, and looks at it; `None` if there is none. Who drops this loses a look at
    /// most, which is made again. `draw` as for `add`.
    pub async fn next(&mut self, draw: f64) -> Option<(Uri, Result<Seen, RegistryError>)> {
        let turn = self.turns.iter_mut().min_by_key(|it| it.due)?;
        sleep_until(turn.due.max(self.free)).await;
        self.free = Instant::now() + SPACING;
        let (seen, pause) = turn.watch.look(draw).await;
        turn.due = Instant::now() + pause;
        let silent =
            |it: &RegistryError| matches!(it.kind(), ErrorKind::Unavailable | ErrorKind::Slow);
        if seen.as_ref().is_err_and(silent) {
            self.free = Instant::now() + self.silence.failed(draw);
        } else {
            self.silence.succeeded();
        }
        Some((turn.watch.uri().clone(), seen))
    }

    fn of(&mut self, uri: &Uri, change: impl FnOnce(&mut Turn)) {
        if let Some(turn) = self.turns.iter_mut().find(|it| it.watch.uri() == uri) {
            change(turn);
        }
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
