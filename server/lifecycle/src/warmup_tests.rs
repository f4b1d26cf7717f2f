use std::path::Path;

use backend_fake::Fake;
use server_base::{ModelName, Version};
use server_serving::Cores;

use crate::config::ModelConfig;
use crate::fault::LoadError;
use crate::house::{engines, options};
use crate::load::{LoadJob, load};
use crate::replay::Before;

const AXES: &str = "input x FP32 rows,n\noutput y FP32 rows,n = copy x\n";

const MLMODEL: &str = "flavors: {onnx: {data: model.fake}}\n\
    saved_input_example_info: {artifact_path: e.json, type: ndarray}\n";

fn put(root: &Path, files: &[(&str, &str)]) {
    files.iter().for_each(|(name, text)| std::fs::write(root.join(name), text).expect("written"));
}

/// Loads a script with these files beside it.
fn loaded(script: &str, files: &[(&str, &str)], toml: &str) -> (Fake, Result<(), LoadError>) {
    let root = tempfile::tempdir().expect("scratch");
    put(root.path(), &[("model.fake", script)]);
    put(root.path(), files);
    let fake = Fake::new();
    let engines = engines(&fake);
    let defaults = options(root.path(), &engines).defaults;
    let job = LoadJob {
        model: ModelName::new("m").expect("a name"),
        version: Version(1),
        folder: root.path().to_path_buf(),
        config: ModelConfig::parse(toml, &defaults).expect("no faults"),
        serves: None,
    };
    let loaded = load((&engines, &Cores::new(1)), &job, &Before::default()).map(drop);
    (fake, loaded)
}

/// What the last runs of a load were given, which are those of the serving instance.
#[track_caller]
fn check(files: &[(&str, &str)], toml: &str, expect: &[&[f64]]) {
    let (fake, loaded) = loaded(AXES, files, toml);
    loaded.expect("loads");
    let given = fake.given();
    let last: Vec<&[f64]> = given[given.len() - expect.len()..].iter().map(Vec::as_slice).collect();
    assert_eq!(last, expect, "{toml}");
}

fn golden(name: &str) -> String {
    let tensor = |name| {
        format!("{{\"name\":\"{name}\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[7,8]}}")
    };
    let (x, y) = (tensor(name), tensor("y"));
    format!("{{\"request\":{{\"inputs\":[{x}]}},\"response\":{{\"outputs\":[{y}]}}}}\n")
}

#[test]
fn the_runs_are_of_what_can_come() {
    let check = |toml: &str, expect: &[usize]| {
        let (fake, loaded) = loaded(AXES, &[], toml);
        loaded.expect("loads");
        let runs = fake.runs();
        assert!(runs.ends_with(expect), "{toml}: {runs:?}");
    };
    check("", &[1, 32]);
    check("[dynamic_batching]\nallowed_batch_sizes = [2, 32]", &[2, 32]);
    check(
        "[dynamic_batching]\nmax_batch_elements = 64\n[padding]\naxes = { n = [4, 16] }",
        &[1, 4],
    );
    check(
        "[warmup]\naxes = { n = 3 }\n[dynamic_batching]\nmax_batch_elements = 64\n\
           [padding]\naxes = { n = [4, 16] }",
        &[1, 16],
    );
}

#[test]
fn instances_are_given_the_models_own_example() {
    let sizes = "[warmup]\nbatch_sizes = [1, 3]\n";
    let two = [("MLmodel", MLMODEL), ("e.json", "[[1, 2], [3, 4]]")];
    // Cut to one row, and begun anew for three.
    check(&two, sizes, &[&[1.0, 2.0], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0]]);
    // What is said of axes is said, and padded ones are as long as they get.
    let long = format!("{sizes}axes = {{ n = 3 }}\n");
    check(&two, &long, &[&[1.0, 2.0, 1.0], &[1.0, 2.0, 1.0, 3.0, 4.0, 3.0, 1.0, 2.0, 1.0]]);
    let padded = "[warmup]\nbatch_sizes = [1]\n[padding]\naxes = { n = [4] }\n";
    check(&two, padded, &[&[1.0, 2.0, 1.0, 2.0]]);
    // As many rows as there is room for, at the example's own length.
    let few = format!("{sizes}[dynamic_batching]\nmax_batch_elements = 4\n");
    check(&two, &few, &[&[1.0, 2.0], &[1.0, 2.0, 3.0, 4.0]]);
    // One that is not joined is asked as it was recorded.
    check(&two, "max_batch_size = 0\n", &[&[1.0, 2.0, 3.0, 4.0]]);
}

#[test]
fn else_they_are_given_what_was_recorded_and_else_zeros() {
    let sizes = "[warmup]\nbatch_sizes = [2]\n";
    let (recorded, own) = (golden("x"), ("e.json", "[[1, 2]]"));
    let recorded = ("golden.jsonl", &*recorded);
    check(&[recorded], sizes, &[&[7.0, 8.0, 7.0, 8.0]]);
    check(&[recorded, ("MLmodel", MLMODEL), own], sizes, &[&[1.0, 2.0, 1.0, 2.0]]);
    check(&[], sizes, &[&[0.0, 0.0]]);
    // Its operator does not want the example looked at.
    let without = format!("{sizes}[proof]\nexample = false\n");
    check(&[("MLmodel", MLMODEL), own], &without, &[&[0.0, 0.0]]);
    // It is one, and no run of two rows can be made of it.
    let empty = [("MLmodel", MLMODEL), ("e.json", "[[]]")];
    let wide = format!("{sizes}axes = {{ n = 3 }}\n");
    check(&empty, &wide, &[&[0.0; 6]]);
}

#[test]
fn an_example_that_is_none_is_refused_with_its_reason() {
    let reason = |example: &str, toml: &str| {
        let files = [("MLmodel", MLMODEL), ("e.json", example)];
        let (_, loaded) = loaded(AXES, &files, toml);
        loaded.expect_err("is refused").reason
    };
    assert_eq!(
        reason("[1, 2]", ""),
        "the example in e.json is no input of the model: FP32 [2] does not fit the input x FP32 \
         [rows,n]; proof.example = false serves it all the same"
    );
    assert!(reason("[[\"a\"]]", "").contains("input 'x': \"a\" is no FP32"));
}

#[test]
fn what_counts_against_a_version_is_what_it_was_given() {
    let recorded = golden("x");
    let files = [("golden.jsonl", &*recorded)];
    // Zeros are nothing that it has to take.
    let script = format!("{AXES}on 0 fail\n");
    let toml = "[warmup]\naxes = { n = 2 }\n";
    loaded(&script, &files, toml).1.expect("no warm-up run fails");
    let refused = loaded(&script, &[], toml).1.expect_err("all of them fail");
    assert!(refused.reason.contains("every warm-up run failed"), "{}", refused.reason);
}
