//! Plugins that cannot be used, by one of a few lines of C, as `cc` makes it: each fails in words.

use std::path::Path;
use std::process::Command;

use backend_api::{Backend as _, BackendError, Options};
use backend_pjrt::Pjrt;

use super::fixtures;

/// What is said of a plugin of that name that was made with these flags.
#[track_caller]
fn check(name: &str, flags: &[&str], expect: &[&str]) {
    let folder = tempfile::tempdir().expect("scratch");
    let plugin = folder.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fake_plugin.c");
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", "-o"]).arg(&plugin).arg(source).args(flags).status();
    assert!(made.expect("a C compiler").success());
    let pjrt = Pjrt::at(&plugin, None);
    // What could not be opened stays so: the second model hears the same.
    for _ in 0..2 {
        let loaded = pjrt.load(&fixtures().join("double.stablehlo"), &Options::default());
        let error = loaded.err().expect("refused");
        assert!(matches!(error, BackendError::Unavailable { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(&plugin.display().to_string()), "{error}");
        assert!(expect.iter().all(|it| error.contains(it)), "{error}");
    }
    assert!(pjrt.devices().is_empty(), "none that could be asked for");
}

#[test]
fn another_interface_is_refused_in_words() {
    let name = "plugin.so";
    check(name, &["-DMAJOR=1"], &["speaks version 1.116 of PJRT's interface", "needed is 0.54"]);
    check(name, &["-DMINOR=12"], &["speaks version 0.12", "take a plugin of another release"]);
    check(name, &["-DPLACES=40"], &["speaks version 0.116", "take a plugin of another release"]);
    check(name, &["-DNO_TABLE"], &["has no table of functions"]);
    check(name, &["-DNO_CLIENT"], &["the plugin lacks the function at place 10"]);
}

#[test]
fn a_tpu_that_is_not_there_is_said_as_libtpu_says_it() {
    let words = "TPU initialization failed: No jellyfish device found.";
    check("libtpu.so", &[], &[words, "it is for machines with TPUs", "xla_cpu_pjrt.so"]);
    check("libtpu.so", &["-DBAD_START"], &[words]);
    check("xla_cuda_plugin.so", &[], &[words, "it is for machines with NVIDIA GPUs"]);
}
