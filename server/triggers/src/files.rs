//! What triggers leave on the disk: their state, the letters that nobody took, and lines of the audit.
//!
//! A line is of what is in the state: it is written down with it, and said when that is on the disk. What a process
//! that was killed in between has not come to say, the next one does; so each line is there once.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server_base::{Journal, files};

use crate::book::Book;
use crate::event::Event;
use crate::limits::{DEAD_BYTES_MAX, UNSAID_MAX};
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
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Saved {
    pub(crate) book: Book,
    pub(crate) outbox: Vec<Pending>,
    /// Lines of it, some of which may have been said.
    #[serde(default)]
    unsaid: Vec<Line>,
}

/// The same, to be written.
#[derive(Serialize)]
struct Saving<'a> {
    book: &'a Book,
    outbox: &'a [Pending],
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    unsaid: &'a VecDeque<Line>,
}

/// What is to be said, and where.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    to: Place,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Audit,
    DeadLetters,
}

/// A folder, or nothing: then a restart forgets.
#[derive(Debug)]
pub(crate) struct Files {
    folder: Option<PathBuf>,
    dead: Option<Journal>,
    audit: Option<Arc<Journal>>,
    /// In the order of what they are about.
    unsaid: VecDeque<Line>,
}

impl Files {
    /// A folder of its own in the server's folder for what is to stay.
    pub(crate) fn open(state: Option<&Path>, audit: Option<Arc<Journal>>) -> io::Result<Files> {
        let folder = state.map(|it| it.join("triggers"));
        folder.as_deref().map(fs::create_dir_all).transpose()?;
        let dead = folder.as_deref().map(|it| Journal::new(it, "dead_letters", DEAD_BYTES_MAX));
        Ok(Files { folder, dead, audit, unsaid: VecDeque::new() })
    }

    /// What was written down; nothing if nothing was. What cannot be read is an error: to go on
    /// without it would be to forget what was fired. Lines that were not said are said.
    pub(crate) fn read(&self) -> io::Result<Saved> {
        let Some(folder) = &self.folder else { return Ok(Saved::default()) };
        let path = folder.join("state.json");
        let told = |it: io::Error| io::Error::new(it.kind(), format!("{}: {it}", path.display()));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(told(error)),
        };
        let mut saved: Saved = serde_json::from_slice(&text).map_err(|it| told(it.into()))?;
        if !saved.unsaid.is_empty() {
            self.take_up(std::mem::take(&mut saved.unsaid));
            self.forget_lines(&saved.book, &saved.outbox);
        }
        Ok(saved)
    }

    /// Says what the process before has written down and not come to say.
    fn take_up(&self, unsaid: Vec<Line>) {
        let (audit, dead) = (self.last(Place::Audit), self.last(Place::DeadLetters));
        let lines = |text| <[u8]>::split(text, |it| *it == b'\n').collect::<BTreeSet<_>>();
        let (audit, dead) = (lines(&audit), lines(&dead));
        let was_said = |it: &Line| match it.to {
            Place::Audit => audit.contains(it.text.as_bytes()),
            Place::DeadLetters => dead.contains(it.text.as_bytes()),
        };
        unsaid.iter().filter(|it| !was_said(it)).for_each(|it| self.say(it));
    }

    /// What was said there last.
    fn last(&self, to: Place) -> Vec<u8> {
        let last = self.journal(to).map(|it| it.last(Journal::LAST_BYTES)).transpose();
        let last = last.unwrap_or_else(|error| {
            tracing::warn!(%error, "what was said last cannot be read: a line may come to stand there twice");
            None
        });
        last.unwrap_or_default()
    }

    /// Writes the state down, lets that be known, then says what it has come to: each line is synced by itself, which
    /// can take long.
    pub(crate) fn write(
        &mut self,
        book: &Book,
        outbox: &[Pending],
        written: impl FnOnce(),
    ) -> io::Result<()> {
        self.replace(book, outbox)?;
        written();
        if self.unsaid.is_empty() {
            return Ok(());
        }
        std::mem::take(&mut self.unsaid).iter().for_each(|it| self.say(it));
        self.forget_lines(book, outbox);
        Ok(())
    }

    /// All have been said. If the disk refuses that, whoever reads them finds that they were.
    fn forget_lines(&self, book: &Book, outbox: &[Pending]) {
        if let Err(error) = self.replace(book, outbox) {
            tracing::warn!(%error, "lines about triggers that were said are not forgotten yet");
        }
    }

    /// Whoever reads finds the state before or this one, never half of it.
    fn replace(&self, book: &Book, outbox: &[Pending]) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (path, aside) = (folder.join("state.json"), folder.join(".state.json"));
        let saving = Saving { book, outbox, unsaid: &self.unsaid };
        let text = serde_json::to_vec(&saving).map_err(io::Error::other)?;
        files::replace(&path, &aside, &text)
    }

    /// One line for each delivery that was given up: for people, or to be sent again by hand.
    pub(crate) fn dead(&mut self, pending: &Pending, why: &str, now: Moment) {
        let Pending { event, target, attempts, due: _ } = pending;
        let line = json!({
            "at": now, "target": target, "attempts": attempts, "why": why, "event": event,
        });
        self.note(Place::DeadLetters, &line);
    }

    /// One line for each decision and what came of it.
    pub(crate) fn audit(&mut self, event: &Event, result: &str, more: &Value, now: Moment) {
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
        self.note(Place::Audit, &line);
    }

    /// How a run has ended.
    pub(crate) fn audit_run(
        &mut self,
        (rule, model, key): (&str, &str, &str),
        result: &str,
        now: Moment,
    ) {
        let line = json!({
            "at": now, "event": "trigger", "trigger": rule, "model": model, "key": key,
            "result": result,
        });
        self.note(Place::Audit, &line);
    }

    /// What an operator has done to a rule.
    pub(crate) fn audit_rule(
        &mut self,
        rule: &str,
        result: &str,
        until: Option<Moment>,
        now: Moment,
    ) {
        let line = json!({
            "at": now, "event": "trigger", "trigger": rule, "result": result, "until": until,
        });
        self.note(Place::Audit, &line);
    }

    fn journal(&self, to: Place) -> Option<&Journal> {
        match to {
            Place::Audit => self.audit.as_deref(),
            Place::DeadLetters => self.dead.as_ref(),
        }
    }

    fn note(&mut self, to: Place, line: &Value) {
        if self.journal(to).is_none() {
            return;
        }
        self.unsaid.push_back(Line { to, text: line.to_string() });
        if self.unsaid.len() > UNSAID_MAX {
            self.unsaid.pop_front();
            tracing::error!("a line about a trigger is lost: too many wait for the disk");
        }
    }

    /// Lines are for people and tools; the server goes on without them.
    fn say(&self, line: &Line) {
        let Some(journal) = self.journal(line.to) else { return };
        if let Err(error) = journal.append(line.text.as_bytes()) {
            tracing::error!(%error, "a line about a trigger is lost");
        }
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
