//! The engine against its real library. Where that is not, each test says so and checks nothing:
//! `make test` fetches it.

mod delegate;
mod recorded;
mod suite;

use std::path::{Path, PathBuf};

use backend_litert::{LIBRARY, LiteRt};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The engine, if this machine has it.
fn litert() -> Option<LiteRt> {
    let binary = std::env::current_exe().expect("this test's own path");
    match LIBRARY.find(&binary) {
        Ok(library) => Some(LiteRt::at(&library)),
        Err(searched) => {
            eprintln!("skipped: no libLiteRt.so in {searched:?}: `make litert` fetches it");
            None
        }
    }
}
