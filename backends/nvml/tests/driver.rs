//! Against a library of a few lines of C, as `cc` makes it: no GPU is needed.

use std::path::PathBuf;
use std::process::Command;

use backend_nvml::{Gpu, Memory, Nvml, NvmlError};

/// The library, and the folder that it lies in.
fn built(flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join("libnvidia-ml.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_nvml.c");
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).args(flags).status();
    assert!(made.expect("a C compiler").success());
    (folder, library)
}

#[test]
fn every_gpu_is_seen_and_one_that_is_lost_says_so() {
    let (_folder, library) = built(&[]);
    let nvml = Nvml::open(Some(&library)).expect("opens");
    assert_eq!(nvml.driver().as_deref(), Ok("580.65.06"));
    let gib = |it: u64| it << 30;
    let known = Gpu {
        name: Some("NVIDIA Scripted".to_owned()),
        compute_capability: Some((9, 0)),
        ..Gpu::default()
    };
    let well = Gpu {
        uuid: Some("GPU-11111111".to_owned()),
        memory: Some(Memory { total: gib(80), used: gib(16), free: gib(64) }),
        utilization: Some(37),
        power_milliwatts: Some(212_500),
        power_limit_milliwatts: Some(700_000),
        celsius: Some(61),
        ecc_errors: None, // what it does not have is no fault
        fault: None,
        ..known.clone()
    };
    let words = "GPU is lost".to_owned();
    let fault = NvmlError::Call { call: "nvmlDeviceGetMemoryInfo", code: 15, words };
    assert!(fault.fix().contains("dmesg | grep Xid"), "{}", fault.fix());
    let uuid = Some("GPU-22222222".to_owned());
    let lost = Gpu { index: 1, uuid, fault: Some(fault), ..known };
    assert_eq!(nvml.gpus(), Ok(vec![well, lost]));
}

#[track_caller]
fn check(opened: Result<Nvml, NvmlError>, (says, fix, is_absent): (&str, &str, bool)) {
    let error = opened.err().expect("an error");
    assert!(error.to_string().contains(says), "{error}");
    assert!(error.fix().contains(fix), "{}", error.fix());
    assert_eq!(error.is_absent(), is_absent);
}

#[test]
fn what_is_missing_is_said_with_its_fix() {
    let (folder, library) = built(&["-DINIT_STATUS=9"]);
    let unloaded = ("nvmlInit: Driver Not Loaded (NVML error 9)", "modprobe nvidia", false);
    check(Nvml::open(Some(&library)), unloaded);
    let (_other, library) = built(&["-DINIT_STATUS=77"]);
    check(Nvml::open(Some(&library)), ("unknown error (NVML error 77)", "nvidia-smi", false));
    let absent = folder.path().join("libabsent.so");
    check(Nvml::open(Some(&absent)), ("libabsent.so", "NVIDIA's driver", true));
    // A library that is none of NVIDIA's.
    let source = folder.path().join("other.c");
    std::fs::write(&source, "int other(void) { return 0; }\n").expect("write");
    let other = folder.path().join("libother.so");
    let made = Command::new("cc").args(["-shared", "-o"]).arg(&other).arg(&source).status();
    assert!(made.expect("a C compiler").success());
    check(Nvml::open(Some(&other)), ("nvmlInit_v2", "--nvml-library", true));
}
