//! Holds the committed code against the `.proto` files.
//!
//! `SALVER_BLESS=1 cargo test -p proto` rewrites it after a change.

use std::{fs, path::Path};

use prost::Message as _;

/// Each file, and what its code and descriptor set are called.
const FILES: [(&str, &str, &str); 2] =
    [("inference.proto", "inference", "inference"), ("labels.proto", "salver.v1", "labels")];

/// The code and the descriptor set that a file should give.
fn generate(into: &Path, file: &str, package: &str) -> (String, Vec<u8>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let set = protox::compile([root.join(file)], [root]).expect("the proto compiles");
    let descriptor = set.encode_to_vec();
    tonic_prost_build::configure()
        .build_transport(false) // who connects or listens brings that itself
        .bytes(".") // payloads are slices of the received frame, not copies
        .out_dir(into)
        .compile_fds(set)
        .expect("code is generated");
    let code = fs::read_to_string(into.join(format!("{package}.rs"))).expect("generated file");
    (code, descriptor)
}

#[test]
fn committed_code_is_what_the_proto_gives() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    for (file, package, name) in FILES {
        let (code, descriptor) = generate(scratch.path(), file, package);
        let (code_at, descriptor_at) =
            (home.join(format!("{name}.rs")), home.join(format!("{name}.bin")));
        #[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests")]
        if std::env::var_os("SALVER_BLESS").is_some() {
            fs::write(&code_at, &code).expect("write code");
            fs::write(&descriptor_at, &descriptor).expect("write descriptor");
        }
        let stale = "proto/src/generated is stale: SALVER_BLESS=1 cargo test -p proto";
        let committed = fs::read_to_string(&code_at).unwrap_or_default();
        assert!(committed == code, "{name}.rs: {stale}");
        let committed = fs::read(&descriptor_at).unwrap_or_default();
        assert!(committed == descriptor, "{name}.bin: {stale}");
    }
}
