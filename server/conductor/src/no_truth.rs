//! In place of `truth` in a build without it: nobody knows how right versions are.

use server_base::Version;
use server_rollout::Labels;

/// There is none.
#[derive(Debug)]
pub enum Truth {}

impl Truth {
    pub(crate) fn watch(&self, _model: &str, _stable: Version, _canary: Version) {
        match *self {}
    }

    pub(crate) fn losses(&self, _model: &str) -> Labels {
        match *self {}
    }
}
