//! Holds the committed code against the `.proto` files.
//!
//! `SALVER_BLESS=1 cargo test -p proto` rewrites it after a change.

use std::{fs, path::Path};

use prost::Message as _;

/// The code and the descriptor set that `inference.proto` should give.
fn generate(into: &Path) -> (String, Vec<u8>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let set = protox::compile([root.join("inference.proto")], [root]).expect("the proto compiles");
    let descriptor = set.encode_to_vec();
    tonic_prost_build::configure()
        .build_transport(false) // who connects or listens brings that itself
        .bytes(".") // payloads are slices of the received frame, not copies
        .out_dir(into)
        .compile_fds(set)
        .expect("code is generated");
    let code = fs::read_to_string(into.join("inference.rs")).expect("generated file");
    (code, descriptor)
}

#[test]
fn committed_code_is_what_the_proto_gives() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let (code, descriptor) = generate(scratch.path());
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    #[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests")]
    if std::env::var_os("SALVER_BLESS").is_some() {
        fs::write(home.join("inference.rs"), &code).expect("write code");
        fs::write(home.join("inference.bin"), &descriptor).expect("write descriptor");
    }
    let committed = fs::read_to_string(home.join("inference.rs")).expect("committed code");
    assert!(committed == code, "proto/src/generated is stale: SALVER_BLESS=1 cargo test -p proto");
    let committed = fs::read(home.join("inference.bin")).expect("committed descriptor");
    assert!(committed == descriptor, "proto/src/generated/inference.bin is stale, as above");
}
