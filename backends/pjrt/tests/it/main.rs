//! The engine against the real plugin for processors. Where that is not, each test says so and
//! checks nothing: `make test` fetches it.

mod devices;
mod foreign;
mod layouts;
mod recorded;
mod suite;

use std::path::{Path, PathBuf};

use backend_pjrt::{Pjrt, find};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The engine, if this machine has it. A plugin has one client per process.
fn pjrt() -> Option<&'static Pjrt> {
    static PJRT: std::sync::OnceLock<Option<Pjrt>> = std::sync::OnceLock::new();
    let open = || {
        let binary = std::env::current_exe().expect("this test's own path");
        match find(&binary) {
            Ok(plugin) => Some(Pjrt::at(&plugin, None)),
            Err(searched) => {
                eprintln!("skipped: no plugin in {searched:?}: `make pjrt` fetches it");
                None
            }
        }
    };
    PJRT.get_or_init(open).as_ref()
}
