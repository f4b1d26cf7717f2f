//! How much, how many and how long: every bound of this crate, with its reason.

use std::time::Duration;

/// Rules and targets of one server: what an operator can oversee.
pub(crate) const RULES_MAX: usize = 256;
/// Pairs of a rule and a model that are kept account of; models beyond it are left out, and said so.
pub(crate) const ENTRIES_MAX: usize = 4096;
/// Versions and kinds of findings of one pair: six kinds of four versions. The stalest gives way.
pub(crate) const LANES_MAX: usize = 24;
/// Windows of a rule.
pub(crate) const WINDOWS_MAX: usize = 64;
/// Keys that a pair remembers to have fired: more than it may fire in a week.
pub(crate) const KEYS_MAX: usize = 64;
/// Versions whose broken windows are remembered.
pub(crate) const BROKEN_MAX: usize = 1024;

/// Findings and commands that wait for the thread. A window ends seldomer than once a second, so this
/// is minutes of hundreds of models.
pub(crate) const INBOX_MAX: usize = 1024;
/// How long whoever tells findings waits until they are written down: a disk takes some milliseconds. One that
/// takes longer must not hold up what is watched; what was told is then in memory until it has taken it.
pub(crate) const KEEP: Duration = Duration::from_secs(1);
/// How long nobody waits after somebody has waited that long for nothing. A slow disk costs those who tell, one after
/// the other, a second in eleven: each of hundreds of monitors would wait for it otherwise.
pub(crate) const BEHIND: Duration = Duration::from_secs(10);

/// What may wait while the disk is slow until those who tell keep to themselves what they have: each of hundreds of
/// monitors tells all of it in each round.
pub(crate) const TOLD_MAX: usize = 16;
/// Lines about decisions that the disk has not taken yet; beyond that the oldest are lost.
pub(crate) const UNSAID_MAX: usize = 1024;
/// Deliveries that wait: more, and nothing fires until a target takes some.
pub(crate) const OUTBOX_MAX: usize = 256;
/// Deliveries at a time: none waits long for a slow target of another rule.
pub(crate) const AT_ONCE_MAX: usize = 8;

/// How long after a window's end its alarm is judged: the same window's quality must be known by then.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// A window that ended this much later than now was told while the clock was ahead.
pub(crate) const AHEAD: Duration = Duration::from_secs(3600);
/// How often the clock is looked at.
pub(crate) const TURN: Duration = Duration::from_secs(1);
/// How often a target is asked about a run.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// How often a delivery is tried. With the pauses below that is over four hours, longer than most
/// orchestrators are away.
pub(crate) const ATTEMPTS_MAX: u32 = 24;
/// First pause, doubled with each attempt.
pub(crate) const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Longest pause of our own.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest pause that a target may ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Names of columns in an event.
pub(crate) const SUBJECTS_MAX: usize = 32;
/// Bytes of a sentence or name in an event.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;
/// Bytes of the evidence in an event; larger ones stay where they were measured. GitHub and Argo take
/// some tens of kilobytes in all.
pub(crate) const EVIDENCE_BYTES_MAX: usize = 16 << 10;
/// Bytes of an answer that are read.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Bytes of an answer that are told to operators.
pub(crate) const WORDS_BYTES_MAX: usize = 300;
/// Bytes of a file with a secret.
pub(crate) const SECRET_BYTES_MAX: u64 = 64 << 10;
/// The file of dead letters is begun anew above this, and the one before is kept.
pub(crate) const DEAD_BYTES_MAX: u64 = 4 << 20;
/// Dead letters per day of one rule are bounded by how often it may fire.
pub(crate) const FIRES_PER_DAY_MAX: usize = 48;
