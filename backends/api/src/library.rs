//! Where an engine's shared library lies, if it is not linked.

use std::path::{Path, PathBuf};

/// How many folders above the binary a checkout's `.lib` may lie: `target/release/deps` is three.
const ANCESTORS: usize = 4;

/// A library that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Name of the file, up to its version: `libLiteRt.so`.
    pub stem: &'static str,
    /// Name of the folder that may hold it: `lib/litert`, `.lib/litert`.
    pub home: &'static str,
}

impl Library {
    /// The library for the binary at `binary`: beside it, in `lib` or `lib/<home>` beside or above
    /// it, or in the checkout that it was built in (`.lib/<home>`, where `make` puts it). On failure
    /// the folders that were searched. Never looks in the working directory: that may be anybody's.
    pub fn find(&self, binary: &Path) -> Result<PathBuf, Vec<PathBuf>> {
        let mut folders = Vec::new();
        if let Some(here) = binary.parent() {
            folders.push(here.to_path_buf());
            for near in here.ancestors().take(2) {
                folders.extend([near.join("lib"), near.join("lib").join(self.home)]);
            }
            let checkouts = here.ancestors().take(ANCESTORS);
            folders.extend(checkouts.map(|it| it.join(".lib").join(self.home)));
        }
        folders.iter().find_map(|it| self.in_folder(it)).ok_or(folders)
    }

    /// The library in one folder: the plain name before versioned ones, the newest of those first.
    pub fn in_folder(&self, folder: &Path) -> Option<PathBuf> {
        let entries = folder.read_dir().ok()?.filter_map(Result::ok);
        let mut names: Vec<(Vec<u64>, PathBuf)> = entries
            .filter_map(|it| {
                let name = it.file_name().into_string().ok()?;
                let version = name.strip_prefix(self.stem)?;
                let numbers = match version.strip_prefix('.') {
                    Some(version) => version.split('.').map(str::parse).collect(),
                    None if version.is_empty() => Ok(Vec::new()),
                    None => return None,
                };
                Some((numbers.ok()?, it.path()))
            })
            .collect();
        names.sort_by(|(a, _), (b, _)| (b.is_empty(), b).cmp(&(a.is_empty(), a)));
        names.into_iter().next().map(|(_, path)| path)
    }

    /// The version in the file's name; empty if there is none.
    pub fn version(&self, path: &Path) -> String {
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let version = name.strip_prefix(self.stem).unwrap_or_default();
        version.trim_start_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: Library = Library { stem: "libengine.so", home: "engine" };

    /// Which of the files in one folder is taken.
    #[track_caller]
    fn check(files: &[&str], expect: Option<(&str, &str)>) {
        let home = tempfile::tempdir().expect("scratch");
        for name in files {
            std::fs::write(home.path().join(name), "").expect("write");
        }
        let found = LIBRARY.find(&home.path().join("salver")).ok();
        let version = found.as_deref().map(|it| LIBRARY.version(it));
        let name = found.map(|it| it.file_name().expect("a name").to_owned());
        let got = name.zip(version);
        assert_eq!(got, expect.map(|(name, version)| (name.into(), version.to_owned())));
    }

    #[test]
    fn the_newest_beside_the_binary_wins() {
        let versions = ["libengine.so.1.9.0", "libengine.so.1.31.1", "libengine_x.so.2"];
        check(&versions, Some(("libengine.so.1.31.1", "1.31.1")));
        check(&["libengine.so.9", "libengine.so"], Some(("libengine.so", "")));
        check(&["libengine.sob", "libengine.so.old", "engine.so"], None);
    }

    #[test]
    fn nothing_found_says_where() {
        let home = tempfile::tempdir().expect("scratch");
        let searched = LIBRARY.find(&home.path().join("a/b/salver")).expect_err("nothing there");
        for folder in ["a/b", "a/b/lib", "a/lib/engine", "a/.lib/engine"] {
            assert!(searched.contains(&home.path().join(folder)), "{folder}: {searched:?}");
        }
    }
}
