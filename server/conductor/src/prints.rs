//! What the versions are that models' files want to have rolled out: a print of the content and the settings, the same in every
//! copy, process and release.
//!
//! `v1:` and the SHA-256, in hex, of the content's digest and the digest of what the file says of its load (see
//! `server_lifecycle::Declared`), with a line feed behind each. Reading all of a version takes as long as the disk: it is
//! done once for each change, by a thread of its own, for one version at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, io};

use server_base::{ModelName, Version};
use server_lifecycle::Declared;

/// The format of prints. Another one is told apart from it, and says nothing.
const FORMAT: &str = "v1";

/// What could not be read is read again so late.
const RETRY: Duration = Duration::from_secs(60);

type Known = dyn Fn(&ModelName, Version, &Path) -> Option<String> + Send + Sync;

/// The digest of a version's folder, where somebody knows it already.
#[derive(Clone)]
pub struct Contents(Arc<Known>);

impl Contents {
    /// Who knows. Must not wait.
    pub fn new(
        known: impl Fn(&ModelName, Version, &Path) -> Option<String> + Send + Sync + 'static,
    ) -> Contents {
        Contents(Arc::new(known))
    }
}

impl Default for Contents {
    fn default() -> Contents {
        Contents::new(|_, _, _| None)
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Contents")
    }
}

/// A version, as it looks now.
type Look = (Version, u64);

type Read = io::Result<String>;

/// See the module.
pub(crate) struct Prints {
    contents: Contents,
    /// Of each model what it wants now, or when that is read again.
    known: BTreeMap<ModelName, (Look, Result<String, Instant>)>,
    reading: Option<(ModelName, Look, Receiver<Read>)>,
}

impl Prints {
    pub(crate) fn new(contents: Contents) -> Prints {
        Prints { contents, known: BTreeMap::new(), reading: None }
    }

    /// What is wanted. `None`: not known yet.
    pub(crate) fn of(&mut self, declared: &Declared) -> Option<String> {
        self.take();
        let Declared { model, version, look, folder, .. } = declared;
        let look = (*version, *look);
        if let Some((seen, known)) = self.known.get(model)
            && *seen == look
        {
            match known {
                Ok(content) => return Some(print(content, &declared.settings)),
                Err(later) if Instant::now() < *later => return None,
                Err(_) => {}
            }
        }
        if let Some(content) = (self.contents.0)(model, *version, folder) {
            let made = print(&content, &declared.settings);
            self.known.insert(model.clone(), (look, Ok(content)));
            return Some(made);
        }
        if self.reading.is_none() {
            self.read(declared, look);
        }
        None
    }

    /// Forgets models that ask for nothing any more.
    pub(crate) fn keep(&mut self, declared: &[Declared]) {
        self.known.retain(|model, _| declared.iter().any(|it| it.model == *model));
    }

    fn read(&mut self, declared: &Declared, look: Look) {
        let (done, reading) = sync_channel(1);
        let folder = declared.folder.clone();
        let name = format!("content/{}", declared.model);
        let started = thread::Builder::new().name(name).spawn(move || {
            server_serving::give_way();
            drop(done.send(server_lifecycle::digest(&folder)));
        });
        match started {
            Ok(_) => self.reading = Some((declared.model.clone(), look, reading)),
            Err(error) => self.failed(&declared.model, look, &error),
        }
    }

    /// What a thread has found meanwhile.
    fn take(&mut self) {
        let Some((model, look, reading)) = self.reading.take() else { return };
        match reading.try_recv() {
            Ok(Ok(content)) => drop(self.known.insert(model, (look, Ok(content)))),
            Ok(Err(error)) => self.failed(&model, look, &error),
            Err(TryRecvError::Disconnected) => {
                self.failed(&model, look, &io::Error::other("its reader panicked"));
            }
            Err(TryRecvError::Empty) => self.reading = Some((model, look, reading)),
        }
    }

    fn failed(&mut self, model: &ModelName, look: Look, error: &io::Error) {
        tracing::warn!(%model, version = %look.0, %error, "a version that is to be rolled out cannot be read");
        self.known.insert(model.clone(), (look, Err(Instant::now() + RETRY)));
    }
}

fn print(content: &str, settings: &str) -> String {
    format!("{FORMAT}:{}", server_lifecycle::sha256(format!("{content}\n{settings}\n").as_bytes()))
}

#[cfg(test)]
#[path = "prints_tests.rs"]
mod tests;
