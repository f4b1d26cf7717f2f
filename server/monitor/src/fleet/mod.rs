//! The same monitors over a log that many replicas write: Parquet files under Hive paths, which are
//! made and never changed, in a folder or an object store.
//!
//! The modules stand in the order in which a row meets them. The repository says which versions are
//! watched; a source lists the log's files and fetches them; the cursor knows which were read; rows
//! wait until those that belong before them must be there too; the house of monitors takes them, and what
//! it then knows is written down together with the cursor, all or nothing.

mod repository;
mod source;
mod cursor;
mod waiting;
mod columns;
mod version;
mod transaction;
mod follower;
mod thread;
pub mod metrics;

pub use follower::{Bounds, Options};
pub use repository::{Followed, Repository};
pub use source::{FolderSource, Object, Source, Wanted};
pub use thread::Fleet;
