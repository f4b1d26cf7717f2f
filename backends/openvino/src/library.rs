//! Where the shared libraries are, and which version they are.

use std::path::{Path, PathBuf};

/// How the file with the C interface is called, up to its version. The others lie beside it, where
/// it finds them by itself.
const STEM: &str = "libopenvino_c.so";

/// How many folders above the binary a checkout's `.lib` may lie: `target/release/deps` is three.
const ANCESTORS: usize = 4;

/// The library for the binary at `binary`: beside it, in `lib` or `lib/openvino` beside or above
/// it, or in the checkout that it was built in (`.lib/openvino`, where `make` puts it). On failure
/// the folders that were searched. Never looks in the working directory: that may be anybody's.
pub fn find(binary: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    let mut folders = Vec::new();
    if let Some(home) = binary.parent() {
        folders.push(home.to_path_buf());
        for home in home.ancestors().take(2) {
            folders.extend([home.join("lib"), home.join("lib/openvino")]);
        }
        folders.extend(home.ancestors().take(ANCESTORS).map(|it| it.join(".lib/openvino")));
    }
    folders.iter().find_map(|it| in_folder(it)).ok_or(folders)
}

/// The library in one folder: the plain name before versioned ones, the newest of those first.
pub fn in_folder(folder: &Path) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?.filter_map(Result::ok);
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|it| {
            let name = it.file_name();
            let suffix = name.to_str()?.strip_prefix(STEM)?;
            if suffix.is_empty() {
                return Some((u32::MAX, it.path()));
            }
            Some((suffix.strip_prefix('.')?.parse().ok()?, it.path()))
        })
        .collect();
    versions.sort();
    versions.pop().map(|(_, path)| path)
}

/// The version, from the file's name: `2641` is 2026.4.1.
pub(crate) fn version(path: &Path) -> String {
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let digits: Vec<char> = name.rsplit('.').next().unwrap_or_default().chars().collect();
    match digits.as_slice() {
        [a, b, release, patch] if digits.iter().all(char::is_ascii_digit) => {
            format!("20{a}{b}.{release}.{patch}")
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_beside_the_binary_wins() {
        let home = tempfile::tempdir().expect("scratch");
        for name in ["libopenvino_c.so.2540", "libopenvino_c.so.2641", "libopenvino.so.2700"] {
            std::fs::write(home.path().join(name), "").expect("write");
        }
        let found = find(&home.path().join("salver")).expect("found");
        assert!(found.ends_with("libopenvino_c.so.2641"), "{found:?}");
        assert_eq!(version(&found), "2026.4.1");
        assert_eq!(version(Path::new("libopenvino_c.so")), "unknown");
    }

    #[test]
    fn nothing_found_says_where() {
        let home = tempfile::tempdir().expect("scratch");
        let searched = find(&home.path().join("a/b/salver")).expect_err("nothing there");
        for folder in ["a/b", "a/b/lib", "a/lib/openvino", "a/.lib/openvino"] {
            assert!(searched.contains(&home.path().join(folder)), "{folder}: {searched:?}");
        }
    }
}
