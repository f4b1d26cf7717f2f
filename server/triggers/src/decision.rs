//! What rules decide: to fire, or why not.

use server_base::{ModelName, Version};

use crate::event::Event;
use crate::moment::Moment;

/// Why a rule that had reason to fire did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// It fired for this already, and it has not been quiet since.
    Hysteresis,
    /// It fired too short a while ago.
    Cooldown,
    /// It fired as often as it may in a day.
    Rate,
    /// What it asked for is under way.
    InFlight,
    /// An operator wants silence.
    Muted,
    /// It fired for exactly this.
    Duplicate,
    /// The window held broken data.
    BrokenData,
    /// The target is not to be told of this.
    Forbidden,
    /// Too many deliveries wait.
    Full,
}

impl Skip {
    /// As it is written in audit and on `/metrics`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Skip::Hysteresis => "hysteresis",
            Skip::Cooldown => "cooldown",
            Skip::Rate => "rate",
            Skip::InFlight => "in_flight",
            Skip::Muted => "muted",
            Skip::Duplicate => "duplicate",
            Skip::BrokenData => "broken_data",
            Skip::Forbidden => "forbidden",
            Skip::Full => "full",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Tell the rule's target; or only say so.
    Fire {
        /// What it is told.
        event: Box<Event>,
        /// Only say so.
        is_dry_run: bool,
    },
    /// There was a reason, and one against it.
    Skip {
        /// What would have been told.
        event: Box<Event>,
        /// The reason against.
        why: Skip,
    },
}

/// A version that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whose.
    pub model: ModelName,
    /// Its number.
    pub version: Version,
    /// When it was made, where that is known.
    pub made: Option<Moment>,
}
