//! The same monitors over a log that many replicas write: Parquet files under Hive paths, whole ones, of which
//! one takes the place of another when a server goes on after a crash, in a folder or an object store; or
//! messages, in the partitions of a topic.
//!
//! The modules stand in the order in which a row meets them. The repository says which versions are
//! watched; a source lists the log's files and fetches them, or a stream brings messages; the cursor, or
//! positions in the stream, say what was read; rows
//! wait until those that belong before them must be there too; the house of monitors takes them, and what
//! it then knows is written down together with the cursor, all or nothing.
//!
//! Labels lie beside the predictions, and whoever holds them against these reads both for itself: which
//! output it is, and what it says of each row (`answers`); how far one log was read (`judged_log`), or one of two
//! streams (`course`); and rounds over all of them (`judging`), whose outcome is written down (`ledger`). The join is that of
//! `server_truth`.

mod repository;
mod tries;
mod recent;
mod stream;
mod cursor;
mod waiting;
mod columns;
mod spare;
mod version;
mod transaction;
mod cursors;
mod follower;
mod answers;
mod listing;
mod files;
mod judged_log;
mod ledger;
mod clock;
mod judging;
mod judging_files;
mod chunk;
mod trail;
mod course;
mod judging_messages;
mod messages;
mod thread;
pub mod metrics;

#[cfg(test)]
mod scene;
#[cfg(test)]
mod topic;

pub use server_feedback::source::{FolderSource, Listed, Missing, Object, Source, Wanted};

pub use follower::{Bounds, Log, Options};
pub use judging::{Both, Judged};
pub use repository::{Followed, Repository};
pub use stream::{Message, Offsets, Stream};
pub use thread::{Fleet, Performance};
