//! Against the driver's library of a few lines of C that `backends/cuda` is tested with.

use super::*;

#[path = "../../../backends/cuda/tests/fake/mod.rs"]
mod fake;

use crate::{Limits, Place, RegionKind, Regions};

use fake::{built, foreign};

fn regions(library: &Path) -> Regions {
    let limits = Limits { regions_max: 4, bytes_max: 100 };
    Regions::new(limits).with_gpus(Some(Gpus::open(Some(library))))
}

#[test]
fn memory_of_a_gpu_is_read_and_written() {
    let (_folder, library) = built(&[]);
    let (regions, (file, handle)) = (regions(&library), foreign(b"0123456789"));
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
    let (_folder, library) = built(&[]);
    let (regions, (_file, handle)) = (regions(&library), foreign(&[0; 64]));
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
    let (_folder, library) = built(&["-DCOUNT=0"]);
    let regions = regions(&library);
    let error = regions.register_cuda("r", (0, &[0; 64]), 1).expect_err("no GPU");
    assert_eq!(error.kind(), server_base::Kind::Unimplemented);
    let text = error.to_string();
    assert!(text.contains("no GPU") && text.contains("nvidia-smi"), "{text}");
    assert!(regions.gpus_lack().is_some());
}
