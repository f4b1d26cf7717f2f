//! Sinks of the prediction log that lie elsewhere: receivers of CloudEvents, and object stores, which are
//! `log_stores`.
//!
//! Each has a thread of the log to itself, which may wait: what it asks for is done there.

use std::io;
use std::path::Path;
use std::time::Duration;

use server_feedback::{CloudEvents, Event, Events, Post, Sink};
use server_registry::{ErrorKind, Limits, Receiver, Registries, RegistryError};
use tokio::runtime::{Builder, Runtime};

use crate::{log_stores, stock};

/// A receiver that has not begun to answer by then has not taken the event.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Nor has a store that has not taken a file by then.
const PUT_MAX: Duration = Duration::from_secs(120);

/// The variable with a token for who takes events.
const TOKEN: &str = "SALVER_LOG_EVENTS_TOKEN";

/// Forms of addresses, beside those of object stores.
pub(crate) const FORMS: &str = "cloudevents+http(s)://HOST/PATH, kserve+http(s)://HOST/PATH";

/// A sink that an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    kind: Kind,
    address: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Parquet, under that name.
    Store(&'static str),
    Events(Events),
}

impl Remote {
    /// `None`: it is no address of ours.
    pub(crate) fn parse(word: &str) -> Option<Result<Remote, String>> {
        let kinds = [
            ("s3", Kind::Store("s3")),
            ("gs", Kind::Store("gs")),
            ("az", Kind::Store("az")),
            ("cloudevents+http", Kind::Events(Events::Rows)),
            ("cloudevents+https", Kind::Events(Events::Rows)),
            ("kserve+http", Kind::Events(Events::Kserve)),
            ("kserve+https", Kind::Events(Events::Kserve)),
        ];
        let (scheme, _) = word.split_once("://")?;
        let (_, kind) = kinds.into_iter().find(|(name, _)| *name == scheme)?;
        let address = match kind {
            Kind::Store(_) => word.to_owned(),
            Kind::Events(_) => word.split_once('+').map_or(word, |it| it.1).to_owned(),
        };
        let remote = Remote { kind, address };
        // Found faulty now and not with the first row.
        let checked = remote.check(&registries());
        Some(checked.map(|()| remote).map_err(|error| error.to_string()))
    }

    fn check(&self, registries: &Registries) -> Result<(), RegistryError> {
        match self.kind {
            Kind::Store(_) => log_stores::check(registries, &self.address),
            Kind::Events(_) => registries.receiver(&self.address, TOKEN).map(drop),
        }
    }

    /// What the sink is called.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Store(name) => name,
            Kind::Events(Events::Rows) => "cloudevents",
            Kind::Events(Events::Kserve) => "kserve",
        }
    }

    /// The name and address of an object store, if it is one.
    #[cfg(all(feature = "truth", feature = "parquet"))]
    pub(crate) fn store(&self) -> Option<(&'static str, &str)> {
        match self.kind {
            Kind::Store(name) => Some((name, &self.address)),
            Kind::Events(_) => None,
        }
    }

    /// Makes it. `folder` is the log's.
    pub(crate) fn sink(&self, folder: &Path) -> io::Result<Box<dyn Sink>> {
        let registries = registries();
        // One thread waits for it: the sink's own.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(match self.kind {
            Kind::Store(name) => {
                log_stores::sink(name, (&registries, runtime), &self.address, folder)?
            }
            Kind::Events(events) => {
                let receiver =
                    registries.receiver(&self.address, TOKEN).map_err(io::Error::other)?;
                Box::new(CloudEvents::new(Posted { receiver, runtime }, events))
            }
        })
    }

    /// Makes what posts labels to the same receiver, if it takes events of ours.
    #[cfg(all(feature = "truth", feature = "parquet"))]
    pub(crate) fn label_events(&self) -> Option<io::Result<impl Post + use<>>> {
        let post = || {
            let receiver = registries().receiver(&self.address, TOKEN).map_err(io::Error::other)?;
            // One thread waits for it: that of these labels.
            let runtime = Builder::new_current_thread().enable_all().build()?;
            Ok(Posted { receiver, runtime })
        };
        match self.kind {
            Kind::Events(Events::Rows) => Some(post()),
            Kind::Events(Events::Kserve) | Kind::Store(_) => None,
        }
    }
}

/// A client of object stores and receivers, with times that suit files.
pub(crate) fn registries() -> Registries {
    let limits = Limits { head_max: ANSWER_MAX, look_max: PUT_MAX, ..Limits::default() };
    stock::registries(limits)
}

/// Events, posted.
struct Posted {
    receiver: Receiver,
    runtime: Runtime,
}

impl Post for Posted {
    fn post(&mut self, event: &Event) -> io::Result<()> {
        let posted = self.receiver.post(&event.headers, event.body.clone());
        self.runtime.block_on(posted).map_err(|error| {
            let is_too_large = error.kind() == ErrorKind::TooLarge;
            let kind =
                if is_too_large { io::ErrorKind::FileTooLarge } else { io::ErrorKind::Other };
            io::Error::new(kind, error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "registries", feature = "parquet"))]
    fn object_stores_are_sinks() {
        let name = |word| Remote::parse(word).map(|it| it.map(|it| it.name()));
        assert_eq!(name("s3://logs/salver"), Some(Ok("s3")));
        assert!(name("s3://logs/salver?version=2").is_some_and(|it| it.is_err()));
    }

    #[test]
    fn addresses_name_sinks() {
        for (word, expect) in [
            ("cloudevents+http://127.0.0.1:9/x?y=z", Some(Ok("cloudevents"))),
            ("kserve+https://broker", Some(Ok("kserve"))),
            ("parquet", None),
            ("http://broker/", None),
            (
                "kserve+http://a:b@c/",
                Some(Err("credentials belong into the environment, not into an address")),
            ),
        ] {
            let found = Remote::parse(word).map(|it| it.map(|it| it.name()));
            assert_eq!(found, expect.map(|it| it.map_err(str::to_owned)), "{word}");
        }
    }
}
