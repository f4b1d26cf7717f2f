//! Arguments that are one of a few words.

use clap::ValueEnum;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs; stable.
    Json,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// How a model moves from one version to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TransitionArg {
    /// Load the new version, then retire the old one.
    #[default]
    Availability,
    /// Retire the old version, then load the new one.
    Resources,
}

/// Who runs next when models want more cores than there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SchedulerArg {
    /// One run a core: shares by weight, then the earliest deadline.
    #[default]
    Fair,
    /// Every instance when it has something to run; the kernel divides the time.
    Off,
}

impl SchedulerArg {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            SchedulerArg::Fair => "fair",
            SchedulerArg::Off => "off",
        }
    }
}

/// When models are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LoadArg {
    /// As soon as they are there.
    #[default]
    Eager,
    /// When the first request asks for them.
    Lazy,
}
