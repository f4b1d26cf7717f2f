//! In place of `kafka` in a build without it.

use std::io;

use server_feedback::Sink;

/// The form of its address.
pub(crate) const FORM: &str = "no kafka://: this build is without it";

/// A topic: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {}

impl Topic {
    /// `None`: it is no address of Kafka's. One that is is refused.
    pub(crate) fn parse(word: &str) -> Option<Result<Topic, String>> {
        word.starts_with("kafka://").then(|| {
            Err("kafka://: this build is without Kafka, which `--features kafka` adds".to_owned())
        })
    }

    /// Makes the sink.
    pub(crate) fn sink(&self) -> io::Result<Box<dyn Sink>> {
        match *self {}
    }

    /// The topic of labels.
    #[cfg(feature = "fleet")]
    pub(crate) fn beside(&self) -> io::Result<Topic> {
        match *self {}
    }

    /// Makes what sends labels.
    #[cfg(all(feature = "truth", feature = "parquet"))]
    pub(crate) fn labels(&self) -> io::Result<Nobody> {
        match *self {}
    }

    /// Makes what reads it.
    #[cfg(feature = "fleet")]
    pub(crate) fn stream(&self) -> io::Result<Box<dyn server_monitor::fleet::Stream>> {
        match *self {}
    }
}

/// What sends messages: there is none.
#[cfg(all(feature = "truth", feature = "parquet"))]
pub(crate) enum Nobody {}

#[cfg(all(feature = "truth", feature = "parquet"))]
impl server_feedback::Produce for Nobody {
    fn produce(&mut self, _: &[server_feedback::Message]) -> io::Result<()> {
        match *self {}
    }
}
