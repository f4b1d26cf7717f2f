//! A driver's library of a few lines of C, for tests of this crate and of those that use it.

use std::path::PathBuf;
use std::process::Command;

use tempfile::{NamedTempFile, TempDir};

/// The library, compiled with these flags, and the folder that it lies in.
pub(crate) fn built(flags: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("scratch");
    let (source, library) = (folder.path().join("cuda.c"), folder.path().join("libcuda.so"));
    std::fs::write(&source, include_str!("../fake_cuda.c")).expect("written");
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).args(flags).status();
    assert!(made.expect("a C compiler").success());
    (folder, library)
}

/// Memory of another process on a GPU, as the fake has it: a file, whose path is the handle.
pub(crate) fn foreign(content: &[u8]) -> (NamedTempFile, [u8; 64]) {
    let file = NamedTempFile::new_in("/tmp").expect("a file");
    std::fs::write(file.path(), content).expect("written");
    let path = file.path().as_os_str().as_encoded_bytes();
    let mut handle = [0; 64];
    handle[..path.len()].copy_from_slice(path);
    (file, handle)
}
