//! What rollouts leave on the disk: one file for each model that has or had one, and a log of decisions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use server_base::{Journal, files};
use server_replicas::Saved;
use server_rollout::Evidence;

/// A folder, or nothing: then a restart forgets.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folder: Option<PathBuf>,
    audit: Option<Arc<Journal>>,
}

impl Files {
    pub(crate) fn open(folder: Option<&Path>, audit: Option<Arc<Journal>>) -> io::Result<Files> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
        }
        Ok(Files { folder: folder.map(Path::to_path_buf), audit })
    }

    /// Everything that was written down. What cannot be read is named, and left alone.
    pub(crate) fn read(&self) -> io::Result<Vec<Saved>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let mut saved = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            let read = fs::read(&path)
                .and_then(|it| serde_json::from_slice(&it).map_err(io::Error::other));
            match read {
                Ok(it) => saved.push(it),
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "a rollout cannot be read; it is not driven");
                }
            }
        }
        Ok(saved)
    }

    /// Whoever reads finds the state before or this one, never half of it.
    pub(crate) fn write(&self, saved: &Saved) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let name = saved.rollout.subject().model().as_str();
        let (path, aside) =
            (folder.join(format!("{name}.json")), folder.join(format!(".{name}.json")));
        let text = serde_json::to_vec_pretty(saved).map_err(io::Error::other)?;
        files::replace(&path, &aside, &text)
    }

    /// One line for each decision, with what all lines have: see `Driver::note`. `digest` is the candidate's.
    pub(crate) fn audit(&self, evidence: &Evidence, digest: Option<&str>) -> io::Result<()> {
        self.note(&line(evidence, digest)?)
    }

    /// The same for one that may stand there already: who wrote it may have been killed before it could remember.
    pub(crate) fn audit_once(&self, evidence: &Evidence, digest: Option<&str>) -> io::Result<()> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let last = audit.last(Journal::LAST_BYTES).unwrap_or_else(|error| {
            tracing::warn!(%error, "the audit cannot be read: a decision may come to stand there twice");
            Vec::new()
        });
        let line = line(evidence, digest)?;
        let is_it = |it: &[u8]| serde_json::from_slice::<Value>(it).is_ok_and(|it| it == line);
        if last.split(|it| *it == b'\n').any(is_it) { Ok(()) } else { self.note(&line) }
    }

    /// One line for whatever else was wanted.
    pub(crate) fn note(&self, line: &Value) -> io::Result<()> {
        self.audit.as_ref().map_or(Ok(()), |it| it.append(line.to_string().as_bytes()))
    }
}

fn line(evidence: &Evidence, digest: Option<&str>) -> io::Result<Value> {
    let subject = &evidence.subject;
    let mut line = serde_json::to_value(evidence).map_err(io::Error::other)?;
    line["event"] = json!("rollout");
    line["model"] = json!(subject.model().as_str());
    line["version"] = json!(subject.canary().0);
    line["digest"] = json!(digest);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    use server_base::{ModelName, Version};
    use server_replicas::Wish;
    use server_rollout::{Command, Moment, RawPlan, Rollout, Subject};

    fn saved() -> Saved {
        let model = ModelName::new("Größe x").expect("a name");
        let subject = Subject::new(model, Version(1), Version(2)).expect("two versions");
        let plan = RawPlan::default().validate().expect("the defaults");
        let wish = Wish { version: 2, content: Some("v1:00".to_owned()) };
        Saved::new(Rollout::new(subject, plan, Moment(5)), true, Some(wish))
    }

    #[test]
    fn a_rollout_survives_a_restart() {
        let folder = tempfile::tempdir().expect("scratch");
        let new = folder.path().join("new");
        let audit = Arc::new(Journal::new(&new, "audit", 1 << 20));
        let files = Files::open(Some(&new), Some(audit)).expect("made");
        assert_eq!(files.read().expect("read"), []);
        let mut saved = saved();
        files.write(&saved).expect("written");
        let actions = saved.rollout.command(Moment(9), Command::Abort).expect("possible");
        for it in actions {
            if let server_rollout::Action::Record(evidence) = it {
                files.audit(&evidence, Some("sha256:ab")).expect("written");
                files.audit(&evidence, None).expect("written");
            }
        }
        files.write(&saved).expect("written over");
        assert_eq!(files.read().expect("read"), [saved]);
        let audit = fs::read_to_string(folder.path().join("new/audit.jsonl")).expect("there");
        let lines = audit.lines().map(|it| serde_json::from_str(it).expect("JSON"));
        let lines: Vec<serde_json::Value> = lines.collect();
        let told = |it: &serde_json::Value| {
            ["event", "model", "version", "digest", "verdict"].map(|key| it[key].clone())
        };
        let all = |digest| {
            let (event, model, verdict) =
                (json!("rollout"), json!("Größe x"), json!("rolled_back"));
            [event, model, json!(2), digest, verdict]
        };
        let expect = [all(json!("sha256:ab")), all(serde_json::Value::Null)];
        assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn a_file_of_an_earlier_release_is_read() {
        let folder = tempfile::tempdir().expect("scratch");
        let mut text = serde_json::to_value(saved()).expect("JSON");
        text["wish"] = serde_json::json!({ "version": 2, "print": u64::MAX });
        fs::write(folder.path().join("x.json"), text.to_string()).expect("written");
        let files = Files::open(Some(folder.path()), None).expect("opened");
        let read = files.read().expect("read");
        let wishes: Vec<_> = read.into_iter().map(|it| it.wish).collect();
        assert_eq!(wishes, [Some(Wish { version: 2, content: None })]);
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let folder = tempfile::tempdir().expect("scratch");
        fs::write(folder.path().join("wine.json"), "{").expect("written");
        let files = Files::open(Some(folder.path()), None).expect("opened");
        assert_eq!(files.read().expect("read"), []);
        assert!(folder.path().join("wine.json").exists());
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let files = Files::open(None, None).expect("nothing to open");
        files.write(&saved()).expect("nothing to write");
        assert_eq!(files.read().expect("nothing to read"), []);
    }
}
