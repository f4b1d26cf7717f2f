//! Against the driver's library of a few lines of C that `backends/cuda` is tested with.

use super::*;

use std::path::PathBuf;
use std::process::Command;

use crate::{Limits, Place, RegionKind, Regions};

/// The library, and the folder that it lies in.
fn driver(flag: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join("libcuda.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../backends/cuda/tests/fake_cuda.c");
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", flag, "-o"]).arg(&library).arg(source).status();
    assert!(made.expect("a C compiler").success());
    (folder, library)
}

fn regions(library: &Path) -> Regions {
    let limits = Limits { regions_max: 4, bytes_max: 100 };
    Regions::new(limits).with_gpus(Some(Gpus::open(Some(library))))
}

/// A client's memory on a GPU, as the fake has it: a file, whose path is the handle.
fn memory(content: &[u8]) -> (tempfile::NamedTempFile, [u8; HANDLE_BYTES]) {
    let file = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
    std::fs::write(file.path(), content).expect("written");
    let path = file.path().as_os_str().as_encoded_bytes();
    let mut handle = [0; HANDLE_BYTES];
    handle[..path.len()].copy_from_slice(path);
    (file, handle)
}

#[test]
fn memory_of_a_gpu_is_read_and_written() {
    let (_folder, library) = driver("-O0");
    let (regions, (file, handle)) = (regions(&library), memory(b"0123456789"));
    assert_eq!(regions.gpus_lack(), None);
    regions.register_cuda("r", (1, &handle), 8).expect("registered");
    let span = regions.span("r", 2, 4).expect("within");
    assert_eq!(span.read().expect("read"), "2345");
    span.write("y", b"ab").expect("written");
    assert_eq!(std::fs::read(file.path()).expect("read"), b"01ab456789");
    regions.span("r", 5, 4).expect_err("beyond what was registered, though it is there");
    let found = regions.status(RegionKind::Cuda, Some("r")).expect("there");
    assert_eq!((found[0].place(), found[0].bytes()), (&Place::Cuda { device: 1 }, 8));
    // Names are common to all kinds; what is done to one kind is not done to another.
    assert!(regions.status(RegionKind::System, None).expect("all").is_empty());
    regions.unregister(RegionKind::System, None);
    regions.span("r", 0, 8).expect("still there");
    regions.unregister(RegionKind::Cuda, Some("r"));
    regions.span("r", 0, 8).expect_err("gone");
}

#[test]
fn what_is_wrong_is_said() {
    let (_folder, library) = driver("-O0");
    let (regions, (_file, handle)) = (regions(&library), memory(&[0; 64]));
    let check = |given: (i64, &[u8]), bytes, says: &str| {
        let error = regions.register_cuda("r", given, bytes).expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), server_base::Kind::Invalid);
    };
    check((0, &handle[1..]), 1, "raw_handle has 63 bytes, expected 64");
    check((0, &[0; 64]), 1, "cuIpcOpenMemHandle: CUDA_ERROR_INVALID_HANDLE");
    check((-1, &handle), 1, "there is no GPU -1");
    check((2, &handle), 1, "there is no GPU 2");
    check((0, &handle), 65, "the memory's 64");
    check((0, &handle), 0, "at least one byte");
    regions.register_cuda("r", (0, &handle), 1).expect("a part of it, which keeps all");
    let error = regions.register_cuda("s", (0, &handle), 36).expect_err("128 of 100 bytes");
    assert!(error.to_string().contains("(100 bytes)"), "{error}");
}

#[test]
fn without_a_driver_the_reason_is_said() {
    let (_folder, library) = driver("-DCOUNT=0");
    let regions = regions(&library);
    let error = regions.register_cuda("r", (0, &[0; 64]), 1).expect_err("no GPU");
    assert_eq!(error.kind(), server_base::Kind::Unimplemented);
    let text = error.to_string();
    assert!(text.contains("no GPU") && text.contains("nvidia-smi"), "{text}");
    assert!(regions.gpus_lack().is_some());
}
