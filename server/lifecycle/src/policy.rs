//! What to do next for one model: a pure function from what is to one action.
//!
//! Idempotent: the same picture gives the same action; `None` means that all is as wanted, or that
//! something must end first. The manager asks again after every change.

use server_base::Version;

use crate::state::State;

/// How a model moves from one version to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transition {
    /// The new version is loaded before the old one is retired: never unserved, twice the memory.
    #[default]
    Availability,
    /// The old version is retired before the new one is loaded: never twice the memory.
    Resources,
}

/// One artifact of the model, as the policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which it is, for the manager.
    pub id: u64,
    /// Its number. Two artifacts of one number are revisions: the folder's content changed.
    pub version: Version,
    /// Where it is in its life.
    pub state: State,
    /// Is it wanted?
    pub desired: bool,
    /// Does it stay loaded for a roll-back though it was replaced?
    pub kept: bool,
    /// Did it, and is that over?
    pub spent: bool,
}

/// What to do with an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Load this one.
    Load(u64),
    /// Retire this one.
    Retire(u64),
}

/// The next action, if there is any.
pub(crate) fn next_action(transition: Transition, artifacts: &[Seen]) -> Option<Action> {
    let stale = |it: &&Seen| it.state == State::Available && !it.desired && !it.kept;
    let mut stale: Vec<&Seen> = artifacts.iter().filter(stale).collect();
    stale.sort_by_key(|it| it.version);
    let retire = match transition {
        Transition::Availability => stale.iter().find(|it| is_replaced(it, artifacts)),
        Transition::Resources => stale.first(),
    };
    // What was never loaded ends without having been.
    let unborn = artifacts.iter().find(|it| it.state == State::Start && !it.desired);
    if let Some(it) = retire.copied().or(unborn) {
        return Some(Action::Retire(it.id));
    }
    let occupied =
        |it: &Seen| !it.desired && matches!(it.state, State::Available | State::Unloading);
    if transition == Transition::Resources && artifacts.iter().any(occupied) {
        return None;
    }
    let fresh = artifacts.iter().filter(|it| it.state == State::Start && it.desired);
    fresh.max_by_key(|it| it.version).map(|it| Action::Load(it.id))
}

/// May this stale artifact go without leaving anybody unserved?
fn is_replaced(stale: &Seen, artifacts: &[Seen]) -> bool {
    let desired = || artifacts.iter().filter(|it| it.desired);
    let available = |it: &Seen| it.state == State::Available;
    // What took its place is still there, though something else may be wanted by now.
    if stale.spent && artifacts.iter().any(|it| it.id != stale.id && available(it)) {
        return true;
    }
    let mut successors = desired().filter(|it| it.version == stale.version).peekable();
    if successors.peek().is_some() {
        // Another revision of the same number: it takes over only once it answers.
        return successors.any(available);
    }
    desired().next().is_none() || desired().any(available)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
