//! The Parquet files of a prediction log, wherever they lie, for commands that read them.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use server_feedback::source::{Archive, FolderSource};

use crate::log_source;

/// See the module.
pub(crate) struct LogReader {
    pub(crate) archive: Box<dyn Archive>,
    /// Asking costs requests over a network.
    pub(crate) is_remote: bool,
    _scratch: Option<Scratch>,
}

impl LogReader {
    /// A server's `--log-dir`, a folder of such files, `file:DIR`, or an object store's prefix.
    pub(crate) fn open(word: &str) -> anyhow::Result<LogReader> {
        if let Some(folder) = word.strip_prefix("file:") {
            let folder = Path::new(folder.strip_prefix("//").unwrap_or(folder));
            ensure!(folder.is_dir(), "{word}: no such folder");
            return Ok(LogReader::of(folder.to_path_buf()));
        }
        if !word.contains("://") {
            return local(Path::new(word));
        }
        let scratch = Scratch::new()?;
        match log_source::source(word, &scratch.0) {
            Some(archive) => Ok(LogReader {
                archive: archive.with_context(|| word.to_owned())?,
                is_remote: true,
                _scratch: Some(scratch),
            }),
            None => bail!("{word:?}: expected {}", log_source::FORMS),
        }
    }

    fn of(folder: PathBuf) -> LogReader {
        let archive = Box::new(FolderSource::new(vec![folder]));
        LogReader { archive, is_remote: false, _scratch: None }
    }
}

fn local(folder: &Path) -> anyhow::Result<LogReader> {
    let own = folder.join("parquet");
    if own.is_dir() {
        return Ok(LogReader::of(own));
    }
    let mut whole = LogReader::of(folder.to_path_buf());
    let has_models = |it: &mut LogReader| {
        it.archive.folders("").is_ok_and(|it| it.iter().any(|it| it.starts_with("model=")))
    };
    let shown = folder.display();
    ensure!(has_models(&mut whole), "{shown}: no Parquet files are logged there");
    Ok(whole)
}

/// A folder of this process alone, where files lie while they are read.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("salver-{}-{}", process::id(), since.as_nanos());
        let folder = env::temp_dir().join(name);
        // Nobody else has made it, and nobody else may look into it.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| folder.display().to_string())?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is read has no name any more.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(word: &str) -> Result<Vec<String>, String> {
        let mut reader = LogReader::open(word).map_err(|it| format!("{it:#}"))?;
        Ok(reader.archive.folders("").expect("a list"))
    }

    #[test]
    fn folders_are_found_as_servers_leave_them_and_as_people_copy_them() {
        let root = tempfile::tempdir().expect("scratch");
        let path = root.path().display().to_string();
        assert_eq!(models(&path), Err(format!("{path}: no Parquet files are logged there")));
        fs::create_dir_all(root.path().join("parquet/model=m/version=1")).expect("made");
        for word in [path.clone(), format!("{path}/parquet"), format!("file:{path}/parquet")] {
            assert_eq!(models(&word), Ok(vec!["model=m".to_owned()]), "{word}");
        }
        assert!(models(&format!("file:{path}/x")).is_err());
        assert!(models("ftp://host/x").is_err_and(|it| it.contains("\"ftp://host/x\": expected")));
    }
}
