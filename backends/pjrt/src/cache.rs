//! What was compiled, kept on the disk for the next start.
//!
//! A file's name is made of all that its content depends on: the program, how it was compiled, the
//! plugin's file and version, and the processor's instructions, for which a plugin may have made it.
//! What cannot be read, or is refused by the plugin, is compiled anew and replaced. Whoever may
//! write into the folder may run code in this process: it is to be the server's alone.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ffi::{Client, Loaded};
use crate::functions::COMPILE_OPTIONS;

/// Files in the folder; one more, and the one that was written first goes.
const FILES_MAX: usize = 256;

const EXTENSION: &str = "xla";

/// A folder, or none.
pub(crate) struct Cache {
    folder: Option<PathBuf>,
    /// Of all that does not depend on the program.
    print: String,
}

impl Cache {
    pub(crate) fn of(
        folder: Option<&Path>,
        plugin: &Path,
        client: &Client,
    ) -> Result<Cache, String> {
        if let Some(folder) = folder {
            let made = fs::create_dir_all(folder);
            made.map_err(|it| format!("cache {}: {it}", folder.display()))?;
        }
        let file = fs::metadata(plugin).ok();
        let written = file.as_ref().and_then(|it| it.modified().ok());
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let is_flags = |it: &&str| it.starts_with("flags") || it.starts_with("Features");
        let flags = info.lines().find(is_flags).unwrap_or_default();
        let size = file.map(|it| it.len());
        let print = format!("{:?} {size:?} {written:?} {flags}", client.versions()?);
        Ok(Cache { folder: folder.map(Path::to_path_buf), print })
    }

    /// The program, from the folder if it is there.
    pub(crate) fn compile(&self, client: &Arc<Client>, code: &[u8]) -> Result<Loaded, String> {
        let Some(folder) = &self.folder else { return client.compile(code) };
        let path = folder.join(name(&self.print, code)).with_extension(EXTENSION);
        match fs::read(&path).map_err(|it| it.to_string()) {
            Ok(bytes) => match client.deserialize(&bytes) {
                Ok(loaded) => return Ok(loaded),
                Err(reason) => tracing::warn!(file = %path.display(), reason, "compiled anew"),
            },
            Err(reason) => tracing::debug!(file = %path.display(), reason, "not in the cache"),
        }
        let loaded = client.compile(code)?;
        // A plugin need not be able to: then every start compiles.
        match loaded.serialize() {
            Ok(bytes) => {
                if let Err(error) = write(&path, &bytes).and_then(|()| prune(folder)) {
                    tracing::warn!(file = %path.display(), %error, "not kept for the next start");
                }
            }
            Err(reason) => tracing::info!(reason, "the plugin cannot give what it compiled"),
        }
        Ok(loaded)
    }
}

/// 128 bits of all that the result depends on.
fn name(print: &str, code: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, print, COMPILE_OPTIONS, code).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(0), half(1))
}

/// As a whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let part = path.with_extension(format!("{}-{}", std::process::id(), now.as_nanos()));
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

fn prune(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    let beyond = files.len().saturating_sub(FILES_MAX);
    files.iter().take(beyond).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_everything() {
        let names = [name("a", b"x"), name("a", b"y"), name("b", b"x"), name("a", b"x")];
        assert!(names[0] == names[3] && names[0] != names[1] && names[0] != names[2]);
        assert_eq!(names[0].len(), 32);
    }

    #[test]
    fn the_folder_stays_bounded() {
        let folder = tempfile::tempdir().expect("scratch");
        for n in 0..FILES_MAX + 3 {
            let path = folder.path().join(format!("{n:03}.{EXTENSION}"));
            write(&path, b"").expect("written");
        }
        fs::write(folder.path().join("other"), b"").expect("written");
        prune(folder.path()).expect("pruned");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), FILES_MAX + 1);
        assert!(folder.path().join("other").exists(), "what is not ours stays");
    }
}
