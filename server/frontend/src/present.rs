//! What a build may be without: the thing itself, or a type that has no value.

#[cfg(feature = "rollouts")]
pub use server_conductor::Conductor;
#[cfg(feature = "drift")]
pub use server_monitor::Monitors;
#[cfg(feature = "triggers")]
pub use server_triggers::Triggers;
#[cfg(feature = "truth")]
pub use server_truth::Truth;
// Rollouts speak of it too, so that it is theirs where it is not there.
#[cfg(all(feature = "rollouts", not(feature = "truth")))]
pub use server_conductor::Truth;

/// There are none.
#[cfg(not(feature = "drift"))]
#[derive(Debug)]
pub enum Monitors {}

/// There are none.
#[cfg(not(feature = "triggers"))]
#[derive(Clone, Debug)]
pub enum Triggers {}

/// There is none.
#[cfg(not(any(feature = "truth", feature = "rollouts")))]
#[derive(Debug)]
pub enum Truth {}

/// Drives nothing.
#[cfg(not(feature = "rollouts"))]
#[derive(Clone, Copy, Debug)]
pub struct Conductor;
