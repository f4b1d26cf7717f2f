//! Who may depend on whom, and on what.

use std::collections::BTreeSet;
use std::process::Command;

use super::{list, metadata, root, run, text};

/// Floors of the workspace. A crate may import only strictly lower floors.
const FLOORS: &[&[&str]] = &[
    &["backend-api", "backend-cuda", "plot", "proto"],
    &[
        "backend-candle",
        "backend-fake",
        "backend-litert",
        "backend-nvml",
        "backend-onnxruntime",
        "backend-openvino",
        "backend-pjrt",
        "backend-tract",
        "server-base",
    ],
    &[
        "server-drift",
        "server-feedback",
        "server-proof",
        "server-regions",
        "server-registry",
        "server-rollout",
        "server-serving",
    ],
    &[
        "server-dataset",
        "server-lifecycle",
        "server-replicas",
        "server-supply",
        "server-triggers",
        "server-truth",
    ],
    &["server-conductor", "server-monitor", "server-tune"],
    &["server-frontend"],
    &["server-app"],
];

/// Crates beside the house: they may use floor 0 and nothing else of ours.
const BESIDE: &[&str] = &["loadtest", "server-tidy"];

/// Libraries that stop at the crates that wrap them.
const WRAPPED: &[(&str, &[&str])] = &[
    ("ort", &["backend-onnxruntime"]),
    ("tract-onnx", &["backend-tract"]),
    ("candle-core", &["backend-candle"]),
    ("candle-nn", &["backend-candle"]),
    ("rayon", &["backend-candle"]),
    (
        "libloading",
        &[
            "backend-candle",
            "backend-cuda",
            "backend-litert",
            "backend-nvml",
            "backend-onnxruntime",
            "backend-openvino",
            "backend-pjrt",
        ],
    ),
    ("tonic", &["proto", "server-frontend", "loadtest"]),
    ("hyper", &["server-frontend", "server-registry", "server-app", "loadtest"]),
    (
        "serde_json",
        &[
            "backend-candle",
            "server-feedback",
            "server-replicas",
            "server-supply",
            "server-triggers",
            "server-conductor",
            "server-monitor",
            "server-frontend",
            "server-proof",
            "server-registry",
            "server-truth",
            "server-app",
            "loadtest",
        ],
    ),
    ("saphyr-parser", &["server-proof"]),
    ("object_store", &["server-registry"]),
    ("rustls", &["server-registry"]),
    ("rdkafka", &["server-app"]),
    ("arrow-array", &["server-feedback", "server-monitor"]),
    ("toml_edit", &["server-tune"]),
    ("parquet", &["server-dataset", "server-feedback"]),
    ("csv", &["server-dataset"]),
    ("clap", &["server-app", "loadtest"]),
    ("anyhow", &["server-app", "loadtest"]),
];

/// Licences that may be linked with ours; an expression needs one of these on one side of an OR.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What the build for small machines is made without, and some of what it is not.
const EDGE_LACKS: &[&str] = &[
    "arrow",
    "candle-core",
    "csv",
    "object_store",
    "ort",
    "parquet",
    "rdkafka",
    "server-conductor",
    "server-dataset",
    "server-monitor",
    "server-replicas",
    "server-rollout",
    "server-triggers",
    "server-truth",
    "server-tune",
    "tonic-reflection",
    "zstd-sys",
];
const EDGE_HAS: &[&str] = &["backend-litert", "backend-tract", "server-feedback"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// (importer, imported) of the workspace's own crates; tests may import what they like.
fn edges() -> Vec<(String, String)> {
    let metadata = metadata();
    let members: BTreeSet<String> = list(metadata, "workspace_members")
        .map(|it| it.as_str().unwrap_or_default().to_owned())
        .collect();
    let mut edges = Vec::new();
    for package in list(metadata, "packages").filter(|it| members.contains(text(it, "id"))) {
        for dependency in list(package, "dependencies").filter(|it| text(it, "kind") != "dev") {
            edges.push((text(package, "name").to_owned(), text(dependency, "name").to_owned()));
        }
    }
    assert!(edges.len() > 50, "cargo metadata was read");
    edges
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

#[test]
fn imports_go_down() {
    let beside_allowed = |to: &str| FLOORS[0].contains(&to) || floor(to).is_none();
    for (from, to) in edges() {
        if BESIDE.contains(&from.as_str()) {
            assert!(beside_allowed(&to), "{from} stands beside the house and imports {to}");
            continue;
        }
        let here = floor(&from).unwrap_or_else(|| panic!("{from} has no floor in server/tidy"));
        if let Some(there) = floor(&to) {
            assert!(there < here, "{from} (floor {here}) imports {to} (floor {there})");
        }
    }
}

#[test]
fn libraries_stop_at_their_wrappers() {
    for (from, to) in edges() {
        if let Some((_, wrappers)) = WRAPPED.iter().find(|(library, _)| *library == to) {
            assert!(wrappers.contains(&from.as_str()), "{from} uses {to}; only {wrappers:?} may");
        }
    }
}

#[test]
fn crates_are_named_after_their_folders() {
    let metadata = metadata();
    let root = root();
    for package in list(metadata, "packages") {
        let path = std::path::Path::new(text(package, "manifest_path"));
        let Ok(inside) = path.strip_prefix(&root) else { continue };
        let folders: Vec<String> = inside
            .parent()
            .into_iter()
            .flat_map(|it| it.iter())
            .map(|it| it.to_string_lossy().into_owned())
            .collect();
        let expect = match folders.as_slice() {
            [single] => single.clone(),
            [parent, folder] => format!("{}-{folder}", parent.trim_end_matches('s')),
            other => panic!("a crate in {other:?}"),
        };
        assert_eq!(text(package, "name"), expect, "in {}", inside.display());
    }
}

#[test]
fn everything_comes_from_crates_io_under_a_known_licence() {
    let metadata = metadata();
    for package in list(metadata, "packages") {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        let source = package["source"].as_str();
        assert!(source.is_none_or(|it| it == CRATES_IO), "{name} comes from {source:?}");
        let old_style = licence.replace('/', " OR ");
        let one_side = |side: &str| {
            side.split(" AND ").all(|it| LICENCES.contains(&it.trim().trim_matches(['(', ')'])))
        };
        assert!(old_style.split(" OR ").any(one_side), "{name} is under {licence:?}");
    }
}

/// The crates of the server with these flags, build scripts' included.
fn crates_of_server(flags: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--edges", "no-dev", "--prefix", "none"]);
    cargo.args(["--package", "server-app"]).args(flags);
    let tree = String::from_utf8(run(&mut cargo)).expect("text");
    tree.lines().filter_map(|it| Some(it.split(' ').next()?.to_owned())).collect()
}

/// What needs a CUDA toolkit to be built, and would be linked with CUDA's libraries.
#[test]
fn only_who_asks_for_it_builds_cuda() {
    let usual = crates_of_server(&[]);
    assert!(usual.contains("candle-core"), "{usual:?}");
    // The names are right: with the feature they are there.
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    for name in ["candle-kernels", "cudaforge", "cudarc"] {
        assert!(lock.contains(&format!("name = \"{name}\"\n")), "{name} is not in Cargo.lock");
        assert!(!usual.contains(name), "{name} is in the usual build: cargo tree --invert {name}");
    }
}

#[test]
fn the_edge_build_stays_small() {
    let crates = crates_of_server(&["--no-default-features", "--features", "edge"]);
    for name in EDGE_HAS {
        assert!(crates.contains(*name), "{name} is not in the edge build: {crates:?}");
    }
    for name in EDGE_LACKS {
        assert!(!crates.contains(*name), "{name} is in the edge build: cargo tree --invert {name}");
    }
}
