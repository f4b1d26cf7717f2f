//! In place of `log_sinks` in a build without registries: what these need is not there.

use std::io;
use std::path::Path;

use server_feedback::Sink;

/// Forms of addresses: none.
pub(crate) const FORMS: &str = "no address: this build is without registries";

/// A sink that an address names: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {}

impl Remote {
    /// `None`: it is no address.
    pub(crate) fn parse(_word: &str) -> Option<Result<Remote, String>> {
        None
    }

    /// What the sink is called.
    pub(crate) fn name(&self) -> &'static str {
        match *self {}
    }

    /// Makes it.
    pub(crate) fn sink(&self, _folder: &Path) -> io::Result<Box<dyn Sink>> {
        match *self {}
    }
}
