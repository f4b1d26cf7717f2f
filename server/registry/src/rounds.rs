//! The addresses of one registry, looked at in turn. However many they are, it hears from us once a second
//! at most; and once a minute while it does not answer.
//!
//! One task drives one of these, for each registry (`Uri::registry`): one that is slow holds up itself.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use crate::error::{ErrorKind, RegistryError};
use crate::schedule::Schedule;
use crate::source::Resolution;
use crate::uri::Uri;
use crate::watch::{Seen, Watch};

/// Between two looks at a registry.
const SPACING: Duration = Duration::from_secs(1);

/// Who is looked at next.
#[derive(Debug)]
pub struct Rounds {
    turns: Vec<Turn>,
    /// One that has begun is finished, whatever else comes in.
    under_way: Option<Look>,
    /// Nobody is, before this.
    free: Instant,
    /// How long the registry is left alone while it does not answer.
    silence: Schedule,
}

#[derive(Debug)]
struct Turn {
    watch: Watch,
    due: Instant,
    /// It may have changed after the look that is under way had begun: once more, then.
    again: bool,
}

struct Look {
    uri: Uri,
    answer: BoxFuture<'static, Result<Resolution, RegistryError>>,
}

impl fmt::Debug for Look {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Look").field(&self.uri).finish()
    }
}

impl Default for Rounds {
    fn default() -> Rounds {
        let (free, silence) = (Instant::now(), Schedule::new(SPACING));
        Rounds { turns: Vec::new(), under_way: None, free, silence }
    }
}

impl Rounds {
    /// Watches one more. `draw` in `0..=1` is random: it spreads those that are added together.
    pub fn add(&mut self, watch: Watch, draw: f64) {
        let due = Instant::now() + watch.first(draw);
        self.turns.push(Turn { watch, due, again: false });
    }

    /// Watches an address no more.
    pub fn remove(&mut self, uri: &Uri) {
        self.turns.retain(|it| it.watch.uri() != uri);
        self.under_way.take_if(|it| it.uri == *uri);
    }

    /// Somebody says that an address has changed: it is the next. One that is being looked at is looked at once more
    /// after that, however often it is said.
    pub fn hurry(&mut self, uri: &Uri) {
        let is_under_way = self.is_under_way(uri);
        self.of(uri, |it| {
            it.due = Instant::now();
            it.again = is_under_way;
        });
    }

    /// What was found has been pulled, and was this (`Record::identity`). A look that is under way has asked by what
    /// was known before: once more, after that.
    pub fn pulled(&mut self, uri: &Uri, identity: &str) {
        let is_under_way = self.is_under_way(uri);
        self.of(uri, |it| {
            it.watch.pulled(identity);
            it.again |= is_under_way;
        });
    }

    /// What was found could not be pulled: it is not tried again at once. `draw` as for `add`.
    pub fn failed(&mut self, uri: &Uri, draw: f64) {
        self.of(uri, |it| it.due = Instant::now() + it.watch.failed(draw));
    }

    /// Waits until one is due, and looks at it; `None` if there is none. Who drops this loses nothing: a look that
    /// has begun goes on with the next call. `draw` as for `add`.
    pub async fn next(&mut self, draw: f64) -> Option<(Uri, Result<Seen, RegistryError>)> {
        let look = match &mut self.under_way {
            Some(look) => look,
            none => {
                let turn = self.turns.iter().min_by_key(|it| it.due)?;
                sleep_until(turn.due.max(self.free)).await;
                self.free = Instant::now() + SPACING;
                let (uri, answer) = (turn.watch.uri().clone(), turn.watch.ask());
                none.insert(Look { uri, answer })
            }
        };
        let answer = (&mut look.answer).await;
        let uri = self.under_way.take()?.uri;
        let turn = self.turns.iter_mut().find(|it| *it.watch.uri() == uri)?;
        let (seen, pause) = turn.watch.answered(answer, draw);
        let now = Instant::now();
        // A pull that has failed in the meantime is not tried again earlier for that.
        turn.due = if turn.again { now } else { turn.due.max(now + pause) };
        turn.again = false;
        let silent =
            |it: &RegistryError| matches!(it.kind(), ErrorKind::Unavailable | ErrorKind::Slow);
        if seen.as_ref().is_err_and(silent) {
            self.free = Instant::now() + self.silence.failed(draw);
        } else {
            self.silence.succeeded();
        }
        Some((uri, seen))
    }

    fn is_under_way(&self, uri: &Uri) -> bool {
        self.under_way.as_ref().is_some_and(|it| it.uri == *uri)
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
