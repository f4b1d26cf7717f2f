//! Libraries of other versions, as `cc` makes them: refused in words.

use std::path::Path;
use std::process::Command;

use backend_api::BackendError;
use backend_onnxruntime::OnnxRuntime;

/// What is said of a library that was made with these flags.
#[track_caller]
fn check(flags: [&str; 2], expect: &str) {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join("libonnxruntime.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_library.c");
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).args(flags).status();
    assert!(made.expect("a C compiler").success());
    let error = OnnxRuntime::open(&library).err().expect("refused");
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("libonnxruntime.so") && error.contains(expect), "{error}");
}

#[test]
fn another_version_is_refused_in_words() {
    let needed = r#" is version "1.17.3", needed is 1.24 or newer"#;
    check(["-DVERSION=\"1.17.3\"", "-DHAS_TABLE=1"], needed);
    check(["-DVERSION=NULL", "-DHAS_TABLE=1"], r#" is version "unknown", needed is 1.24"#);
    check(["-DVERSION=NULL", "-DHAS_TABLE=0"], " has no table of functions");
}

#[test]
fn what_is_no_onnxruntime_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("scratch");
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "no library").expect("write");
    let error = OnnxRuntime::open(&text).err().expect("refused").to_string();
    assert!(error.contains("libonnxruntime.so: "), "{error}");
}
