//! Where the shared library is, and what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::logging::{LogLevel, LoggerFunction};

/// How the file is called, up to its version.
const STEM: &str = "libonnxruntime.so";

/// How many folders above the binary a checkout's `.lib` may lie: `target/release/deps` is three.
const ANCESTORS: usize = 4;

/// The library for the binary at `binary`: beside it, in `lib` beside or above it, or in the
/// checkout that it was built in (`.lib/onnxruntime`, where `make` puts it). On failure the
/// folders that were searched. Never looks in the working directory: that may be anybody's.
pub fn find(binary: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    let mut folders = Vec::new();
    if let Some(home) = binary.parent() {
        folders.extend([home.to_path_buf(), home.join("lib")]);
        if let Some(above) = home.parent() {
            folders.push(above.join("lib"));
        }
        folders.extend(home.ancestors().take(ANCESTORS).map(|it| it.join(".lib/onnxruntime")));
    }
    folders.iter().find_map(|it| in_folder(it)).ok_or(folders)
}

/// The library in one folder; the plain name before versioned ones, the newest of those first.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?.filter_map(Result::ok);
    let mut names: Vec<(Vec<u64>, PathBuf)> = entries
        .filter_map(|it| {
            let name = it.file_name().into_string().ok()?;
            let version = name.strip_prefix(STEM)?;
            let numbers = version.split('.').skip(1).map(str::parse).collect::<Result<_, _>>();
            Some((numbers.ok()?, it.path()))
        })
        .collect();
    names.sort_by(|(a, _), (b, _)| (b.is_empty(), b).cmp(&(a.is_empty(), a)));
    names.into_iter().next().map(|(_, path)| path)
}

/// The version, from the file's name; the library itself only tells its build.
pub(crate) fn version(path: &Path) -> String {
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    match name.strip_prefix(STEM).map(|it| it.trim_start_matches('.')) {
        Some(version) if !version.is_empty() => version.to_owned(),
        Some(_) | None => "unknown".to_owned(),
    }
}

/// Passes the library's own messages on to our log.
pub(crate) fn logger() -> LoggerFunction {
    Arc::new(|level, category: &str, _id: &str, _location: &str, message: &str| match level {
        LogLevel::Fatal | LogLevel::Error => {
            tracing::error!(target: "onnxruntime", category, "{message}")
        }
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, "{message}"),
        LogLevel::Info | LogLevel::Verbose => {
            tracing::debug!(target: "onnxruntime", category, "{message}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_beside_the_binary_wins() {
        let home = tempfile::tempdir().expect("scratch");
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime_x.so"] {
            std::fs::write(home.path().join(name), "").expect("write");
        }
        let found = find(&home.path().join("salver")).expect("found");
        assert!(found.ends_with("libonnxruntime.so.1.31.1"), "{found:?}");
        assert_eq!(version(&found), "1.31.1");
    }

    #[test]
    fn nothing_found_says_where() {
        let home = tempfile::tempdir().expect("scratch");
        let searched = find(&home.path().join("a/b/salver")).expect_err("nothing there");
        assert!(searched.contains(&home.path().join("a/b/lib")), "{searched:?}");
        assert!(searched.contains(&home.path().join("a/lib")), "{searched:?}");
    }
}
