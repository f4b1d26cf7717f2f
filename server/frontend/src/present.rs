//! What a build may be without: the thing itself, or a type that has no value.

#[cfg(feature = "drift")]
pub use server_monitor::Monitors;
#[cfg(feature = "triggers")]
pub use server_triggers::Triggers;

/// There are none.
#[cfg(not(feature = "drift"))]
#[derive(Debug)]
pub enum Monitors {}

/// There are none.
#[cfg(not(feature = "triggers"))]
#[derive(Clone, Debug)]
pub enum Triggers {}
