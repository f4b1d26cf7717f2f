//! What files look like.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// A file of more lines holds a second noun.
const LINES_MAX: usize = 400;

/// The only files with unsafe code: calls into C libraries.
const UNSAFE: &[&str] = &[
    "backends/candle/src/cuda/library.rs",
    "backends/cuda/src/ffi.rs",
    // What its copies are tried with: memory of the test's own.
    "backends/cuda/tests/driver.rs",
    "backends/litert/src/delegate/ffi.rs",
    "backends/litert/src/ffi.rs",
    "backends/litert/src/library.rs",
    "backends/nvml/src/ffi.rs",
    "backends/onnxruntime/src/binding.rs",
    "backends/onnxruntime/src/interface.rs",
    "backends/onnxruntime/src/value.rs",
    "backends/openvino/src/ffi.rs",
    "backends/pjrt/src/ffi.rs",
    "backends/pjrt/src/ffi/describe.rs",
    // A counting allocator, which is such by its trait.
    "server/app/tests/allocations.rs",
];

/// Every file of ours with one of these extensions.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["proto", "backends", "server", "loadtest", "models", "helm", "plot"]
            .map(|it| root.join(it))
            .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                let made = ["generated", "target", "__pycache__", "bench"].contains(&name.as_str());
                // `loadtest/bench` is source, `models/bench` is built.
                let source = path.ends_with("loadtest/bench");
                if !name.starts_with('.') && (!made || source) {
                    folders.push(path);
                }
            } else if extensions.iter().any(|it| name.ends_with(it)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "files were found");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn no_file_is_long() {
    for path in files(&[".rs", ".py"]) {
        let lines = fs::read_to_string(&path).expect("text").lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, at most {LINES_MAX}", shown(&path));
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    for path in files(&[".rs"]) {
        let text = fs::read_to_string(&path).expect("text");
        let beside = path.file_name().is_some_and(|it| it.to_string_lossy().ends_with("_tests.rs"));
        let in_tests = shown(&path).contains("/tests/");
        assert!(text.starts_with("//!") || beside || in_tests, "{} has no header", shown(&path));
    }
}

#[test]
fn unsafe_code_stands_in_one_place() {
    let word = ["un", "safe"].concat();
    for path in files(&[".rs"]) {
        let text = fs::read_to_string(&path).expect("text");
        let code = text.lines().filter(|it| !it.trim_start().starts_with("//"));
        let used = code
            .filter(|it| it.contains(&format!("{word} {{")) || it.contains(&format!("{word} fn")));
        let shown = shown(&path);
        assert!(used.count() == 0 || UNSAFE.contains(&shown.as_str()), "{shown} has {word} code");
    }
}

#[test]
fn the_readme_names_only_targets_that_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("Makefile");
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for target in ["serve", "test"] {
        assert!(readme.contains(&format!("make {target}")), "the README shows `make {target}`");
    }
    for line in readme.split("`make ").skip(1) {
        let target: String =
            line.chars().take_while(|it| it.is_ascii_lowercase() || *it == '-').collect();
        assert!(
            makefile.contains(&format!("\n{target}:")),
            "`make {target}` is not in the Makefile"
        );
    }
}

#[test]
fn documents_link_to_files_that_exist() {
    for path in files(&[".md"]).into_iter().chain([root().join("README.md")]) {
        let text = fs::read_to_string(&path).expect("text");
        let folder = path.parent().expect("a folder");
        for link in text.split("](").skip(1).filter_map(|it| it.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(folder.join(file).exists(), "{} links to {file}", shown(&path));
        }
    }
}
