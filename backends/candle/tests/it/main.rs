//! The engine against the suite, against recorded answers, and against files that are not sound.

mod faults;
mod recorded;
mod suite;

use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
