//! What came of pulls, in the audit log: a line when that changes, and none for what only goes on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::{Journal, ModelName, Version};
use server_registry::{Digest, ErrorKind, RegistryError, Uri};

use crate::metrics::label;

/// Characters of a reason: registries write some of them.
const REASON_MAX: usize = 1_000;

/// See the module. One thread's.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    journal: Option<Arc<Journal>>,
    /// What was written of each address of each model last: as many as there are addresses.
    last: RefCell<BTreeMap<(ModelName, String), Told>>,
}

/// Why a version was not brought.
pub(crate) struct Trouble<'a> {
    pub(crate) kind: ErrorKind,
    /// As people may see it.
    pub(crate) reason: &'a str,
    /// What was expected, and what came.
    pub(crate) digests: Option<(Digest, Digest)>,
}

impl<'a> Trouble<'a> {
    /// `reason` is the error in words.
    pub(crate) fn of(error: &RegistryError, reason: &'a str) -> Trouble<'a> {
        Trouble { kind: error.kind(), reason, digests: error.digests() }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Pulled(Version, Digest),
    /// What its registry does not give: in which words it says so is another matter each time.
    Failed(ErrorKind),
    Refused(ErrorKind, String),
}

impl Trail {
    pub(crate) fn new(journal: Option<Arc<Journal>>) -> Trail {
        Trail { journal, last: RefCell::default() }
    }

    /// An address has come to name a version, which is there; `fetched` now, or found in the cache.
    pub(crate) fn pulled(
        &self,
        (model, uri): (&ModelName, &Uri),
        (version, tree, fetched): (Version, Digest, bool),
    ) {
        if self.is_new((model, uri), Told::Pulled(version, tree)) {
            let mut line = line((model, uri), "pulled");
            line["version"] = json!(version.0);
            line["digest"] = json!(tree.to_string());
            line["fetched"] = json!(fetched);
            self.write(model, &line);
        }
    }

    /// What an address names was not brought.
    pub(crate) fn failed(&self, (model, uri): (&ModelName, &Uri), trouble: &Trouble<'_>) {
        let reason: String = trouble.reason.chars().take(REASON_MAX).collect();
        let result = result(trouble.kind);
        let told = match result {
            "refused" => Told::Refused(trouble.kind, reason.clone()),
            _ => Told::Failed(trouble.kind),
        };
        if self.is_new((model, uri), told) {
            let mut line = line((model, uri), result);
            line["kind"] = json!(label(trouble.kind));
            line["reason"] = json!(reason);
            if let Some((expected, got)) = trouble.digests {
                line["expected"] = json!(expected.to_string());
                line["digest"] = json!(got.to_string());
            }
            self.write(model, &line);
        }
    }

    /// An address names again what it named before, and that is there: what is wrong from now on is no going on.
    pub(crate) fn goes_on(&self, (model, uri): (&ModelName, &Uri)) {
        let place = (model.clone(), uri.as_str().to_owned());
        let mut last = self.last.borrow_mut();
        if let Some(Told::Failed(_) | Told::Refused(..)) = last.get(&place) {
            last.remove(&place);
        }
    }

    fn is_new(&self, (model, uri): (&ModelName, &Uri), told: Told) -> bool {
        if self.journal.is_none() {
            return false;
        }
        let place = (model.clone(), uri.as_str().to_owned());
        let is_new = self.last.borrow().get(&place) != Some(&told);
        if is_new {
            self.last.borrow_mut().insert(place, told);
        }
        is_new
    }

    fn write(&self, model: &ModelName, line: &Value) {
        let Some(journal) = &self.journal else { return };
        if let Err(error) = journal.append(line.to_string().as_bytes()) {
            tracing::error!(%model, %error, "a line of the audit log is lost");
        }
    }
}

/// Was it there, and not taken? Or could it not be had?
fn result(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Answer
        | ErrorKind::TooLarge
        | ErrorKind::Corrupt
        | ErrorKind::Policy
        | ErrorKind::Invalid => "refused",
        ErrorKind::Unavailable
        | ErrorKind::Slow
        | ErrorKind::Refused
        | ErrorKind::NotFound
        | ErrorKind::Local => "failed",
    }
}

/// What all lines have. An address is shown without what not everybody should read.
fn line((model, uri): (&ModelName, &Uri), result: &str) -> Value {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "at": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
        "event": "pull",
        "model": model.as_str(),
        "source": uri.to_string(),
        "by": "registry",
        "result": result,
    })
}

#[cfg(test)]
#[path = "trail_tests.rs"]
mod tests;
