//! What triggers leave on the disk: their state, the letters that nobody took, and lines of the audit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server_base::{Journal, files};

use crate::book::Book;
use crate::event::Event;
use crate::limits::DEAD_BYTES_MAX;
use crate::moment::Moment;

/// What waits to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) event: Event,
    pub(crate) target: String,
    pub(crate) attempts: u32,
    /// Not before.
    pub(crate) due: Moment,
}

/// Everything that a restart must not forget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) book: Book,
    pub(crate) outbox: Vec<Pending>,
}

/// A folder, or nothing: then a restart forgets.
#[derive(Debug)]
pub(crate) struct Files {
    folder: Option<PathBuf>,
    dead: Option<Journal>,
    audit: Option<Arc<Journal>>,
}

impl Files {
    /// A folder of its own in the server's folder for what is to stay.
    pub(crate) fn open(state: Option<&Path>, audit: Option<Arc<Journal>>) -> io::Result<Files> {
        let folder = state.map(|it| it.join("triggers"));
        folder.as_deref().map(fs::create_dir_all).transpose()?;
        let dead = folder.as_deref().map(|it| Journal::new(it, "dead_letters", DEAD_BYTES_MAX));
        Ok(Files { folder, dead, audit })
    }

    /// What was written down; nothing if nothing was. What cannot be read is an error: to go on
    /// without it would be to forget what was fired.
    pub(crate) fn read(&self) -> io::Result<Saved> {
        let Some(folder) = &self.folder else { return Ok(Saved::default()) };
        let path = folder.join("state.json");
        let told = |it: io::Error| io::Error::new(it.kind(), format!("{}: {it}", path.display()));
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|it| told(it.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::default()),
            Err(error) => Err(told(error)),
        }
    }

    /// Whoever reads finds the state before or this one, never half of it.
    pub(crate) fn write(&self, saved: &Saved) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (path, aside) = (folder.join("state.json"), folder.join(".state.json"));
        let text = serde_json::to_vec(saved).map_err(io::Error::other)?;
        files::replace(&path, &aside, &text)
    }

    /// One line for each delivery that was given up: for people, or to be sent again by hand.
    pub(crate) fn dead(&self, pending: &Pending, why: &str, now: Moment) {
        let Some(dead) = &self.dead else { return };
        let Pending { event, target, attempts, due: _ } = pending;
        let line = json!({
            "at": now, "target": target, "attempts": attempts, "why": why, "event": event,
        });
        append(dead, &line);
    }

    /// One line for each decision and what came of it.
    pub(crate) fn audit(&self, event: &Event, result: &str, more: &Value, now: Moment) {
        let Some(audit) = &self.audit else { return };
        let mut line = json!({
            "at": now,
            "event": "trigger",
            "trigger": event.rule,
            "model": event.model,
            "version": event.version,
            "cause": event.cause,
            "key": event.key,
            "result": result,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            line[name] = value.clone();
        }
        append(audit, &line);
    }

    /// How a run has ended.
    pub(crate) fn audit_run(
        &self,
        (rule, model, key): (&str, &str, &str),
        result: &str,
        now: Moment,
    ) {
        let Some(audit) = &self.audit else { return };
        let line = json!({
            "at": now, "event": "trigger", "trigger": rule, "model": model, "key": key,
            "result": result,
        });
        append(audit, &line);
    }

    /// What an operator has done to a rule.
    pub(crate) fn audit_rule(&self, rule: &str, result: &str, until: Option<Moment>, now: Moment) {
        let Some(audit) = &self.audit else { return };
        let line = json!({
            "at": now, "event": "trigger", "trigger": rule, "result": result, "until": until,
        });
        append(audit, &line);
    }
}

/// The lines are for people and tools; the server goes on without them.
fn append(journal: &Journal, line: &Value) {
    if let Err(error) = journal.append(line.to_string().as_bytes()) {
        tracing::error!(%error, "a line about a trigger is lost");
    }
}
