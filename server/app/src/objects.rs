//! Replicas that meet in an object store: calls that block, over a client that does not.
//!
//! A thread of its own asks the store, so that whoever calls may stand on any runtime. Each call is bounded in
//! time. After one that got no answer the store is left alone for a while: those that would wait for it next fail
//! at once, and what drives rollouts is kept waiting for a part of the time only.

use std::fmt;
use std::future::Future;
use std::io;
use std::str::FromStr as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use server_conductor::{ENTRY_BYTES_MAX, Store};
use server_registry::{ErrorKind, Limits, Objects, Registries, RegistryError, Uri};
use tokio::runtime::{Builder, Runtime};

use crate::stock;

/// A store that has not answered by then counts as away. Entries are small, and stores take a tenth of it at worst.
const CALL_MAX: Duration = Duration::from_secs(5);

/// The client keeps to `CALL_MAX` by itself; what keeps it from that, such as the machine's resolver, is given up.
const ANSWER_MAX: Duration = CALL_MAX.saturating_add(Duration::from_secs(1));

/// How long a store is left alone that gave no answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Calls that wait for the thread. The driver of rollouts makes one after the other.
const CALLS_MAX: usize = 1;

/// Forms of addresses.
pub(crate) const FORMS: &str = "s3://BUCKET/PREFIX, gs://.., az://..";

const SCHEMES: [&str; 3] = ["s3://", "gs://", "az://"];

/// `None`: it is no address of an object store.
pub(crate) fn check(uri: &str) -> Option<Result<(), String>> {
    let ours = SCHEMES.iter().any(|it| uri.starts_with(it));
    ours.then(|| client(uri).map(drop).map_err(|error| error.to_string()))
}

/// Starts the thread that asks it. Nothing is asked yet.
pub(crate) fn open(uri: &str) -> anyhow::Result<Arc<dyn Store + Send + Sync>> {
    let objects = client(uri)?;
    let name = objects.name().to_owned();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (calls, waiting) = sync_channel(CALLS_MAX);
    let objects = Arc::new(objects);
    thread::Builder::new()
        .name("rollout-share".to_owned())
        .spawn(move || work(&waiting, &runtime, &objects))
        .context("the thread that asks the object store")?;
    Ok(Arc::new(Remote { name, calls, away: Mutex::default() }))
}

fn client(uri: &str) -> Result<Objects, RegistryError> {
    let limits = Limits {
        connect_max: CALL_MAX,
        head_max: CALL_MAX,
        look_max: CALL_MAX,
        idle_max: CALL_MAX,
        ..Limits::default()
    };
    let registries: Registries = stock::registries(limits);
    registries.objects(&Uri::from_str(uri)?)
}

/// Something to ask, which sends its answer itself.
type Call = Box<dyn FnOnce(&Runtime, Arc<Objects>) + Send>;

/// Ends when nobody calls any more.
fn work(calls: &Receiver<Call>, runtime: &Runtime, objects: &Arc<Objects>) {
    for call in calls {
        call(runtime, Arc::clone(objects));
    }
}

/// Until when a store is left alone, and why.
type Away = Option<(Instant, String)>;

/// See the module.
struct Remote {
    name: String,
    calls: SyncSender<Call>,
    away: Mutex<Away>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

impl Remote {
    /// What nobody would read is not written.
    fn fits(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() <= ENTRY_BYTES_MAX {
            return Ok(());
        }
        let (at, size) = (&self.name, bytes.len());
        let words = format!("{at}: {name} has {size} bytes, at most {ENTRY_BYTES_MAX}");
        Err(io::Error::new(io::ErrorKind::InvalidData, words))
    }

    fn call<T, F>(&self, ask: impl FnOnce(Arc<Objects>) -> F + Send + 'static) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut away = self.back()?;
        self.ask(&mut away, ask)
    }

    /// Makes an entry, and looks whether it is there where no answer came, before the store is left alone: whoever
    /// decides by it would not know for that long.
    fn make<F, G>(
        &self,
        bytes: &[u8],
        create: impl FnOnce(Arc<Objects>) -> F + Send + 'static,
        read: impl FnOnce(Arc<Objects>) -> G + Send + 'static,
    ) -> io::Result<bool>
    where
        F: Future<Output = Result<bool, RegistryError>>,
        G: Future<Output = Result<Option<Bytes>, RegistryError>>,
    {
        let mut away = self.back()?;
        let made = self.ask(&mut away, create);
        if !made.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::TimedOut) {
            return made;
        }
        match self.ask(&mut away, read) {
            Ok(Some(found)) => Ok(found == bytes),
            // It may come to be there yet.
            Ok(None) | Err(_) => made,
        }
    }

    /// May it be asked?
    fn back(&self) -> io::Result<MutexGuard<'_, Away>> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match &*away {
            Some((until, why)) if Instant::now() < *until => {
                Err(io::Error::new(io::ErrorKind::TimedOut, why.clone()))
            }
            Some(_) | None => Ok(away),
        }
    }

    fn ask<T, F>(
        &self,
        away: &mut Away,
        ask: impl FnOnce(Arc<Objects>) -> F + Send + 'static,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RegistryError>>,
    {
        *away = None;
        let (reply, answer) = sync_channel(1);
        let call: Call = Box::new(move |runtime, objects| {
            // Nobody who waits any more is no error.
            drop(reply.send(runtime.block_on(ask(objects))));
        });
        let why = match self.calls.try_send(call) {
            Ok(()) => match answer.recv_timeout(ANSWER_MAX) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if error.kind() == ErrorKind::Slow => error.to_string(),
                Ok(Err(error)) => return Err(io::Error::other(error)),
                Err(RecvTimeoutError::Timeout) => {
                    format!("{}: no answer within {ANSWER_MAX:?}", self.name)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other(format!("{}: its thread has ended", self.name)));
                }
            },
            Err(TrySendError::Full(_)) => format!("{}: the call before has not ended", self.name),
            Err(TrySendError::Disconnected(_)) => {
                return Err(io::Error::other(format!("{}: its thread has ended", self.name)));
            }
        };
        *away = Some((Instant::now() + PAUSE, why.clone()));
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    }
}

impl Store for Remote {
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        self.fits(name, bytes)?;
        let (path, content) = (name.to_owned(), Bytes::copy_from_slice(bytes));
        let again = path.clone();
        self.make(
            bytes,
            |it| async move { it.create(&path, content).await },
            |it| async move { it.read(&again, ENTRY_BYTES_MAX).await },
        )
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.fits(name, bytes)?;
        let (name, bytes) = (name.to_owned(), Bytes::copy_from_slice(bytes));
        self.call(|it| async move { it.replace(&name, bytes).await })
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        let read = self.call(|it| async move { it.read(&name, ENTRY_BYTES_MAX).await })?;
        Ok(read.map(|it| it.to_vec()))
    }

    fn read_all(&self, names: &[String]) -> Vec<io::Result<Option<Vec<u8>>>> {
        let paths = names.to_vec();
        let read = self.call(|it| async move {
            let read = it.read_all(&paths, ENTRY_BYTES_MAX).await;
            // One of many may be slow; a store of which nothing came is away.
            let is_slow = |it: &Result<_, RegistryError>| {
                it.as_ref().is_err_and(|it| it.kind() == ErrorKind::Slow)
            };
            if read.iter().any(|it| !is_slow(it)) {
                return Ok(read);
            }
            read.into_iter().map(|it| it.map(Ok)).collect()
        });
        match read {
            Ok(read) => {
                let entry = |it: Option<Bytes>| it.map(|it| it.to_vec());
                read.into_iter().map(|it| it.map(entry).map_err(io::Error::other)).collect()
            }
            Err(error) => {
                let again = |_| Err(io::Error::new(error.kind(), error.to_string()));
                names.iter().map(again).collect()
            }
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let folder = folder.to_owned();
        self.call(|it| async move { it.list(&folder).await })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let name = name.to_owned();
        self.call(|it| async move { it.remove(&name).await })
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
