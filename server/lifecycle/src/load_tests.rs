use super::*;

use backend_fake::Fake;

use crate::house::{engines, options};

/// Loads this script with this `model.toml`; gives the outputs as served.
#[track_caller]
fn check(script: &str, toml: &str, expect: Result<&str, &str>) {
    let root = tempfile::tempdir().expect("scratch");
    std::fs::write(root.path().join("model.fake"), script).expect("write");
    let engines = engines(&Fake::new());
    let defaults = options(root.path(), &engines).defaults;
    let job = LoadJob {
        model: ModelName::new("m").expect("a name"),
        version: Version(1),
        folder: root.path().to_path_buf(),
        config: ModelConfig::parse(toml, &defaults).expect("no faults"),
        serves: None,
    };
    let outputs = |it: Loaded| {
        let signature = it.workers.servable().signature().clone();
        signature.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let loaded = load((&engines, &Cores::new(1)), &job, &Before::default())
        .map(outputs)
        .map_err(|it| it.reason);
    assert_eq!(loaded.as_ref().map(String::as_str).map_err(String::as_str), expect, "{script}");
}

#[test]
fn a_model_that_never_runs_is_not_served() {
    let script = |axes, action| {
        format!("input x FP32 rows,{axes}\noutput y FP32 rows,{axes} = copy x\non 0 {action}")
    };
    let failed = "instance 0 failed to start: the model failed: every warm-up run failed, the last \
                  so: the script fails on 0";
    check(&script("2", "fail"), "", Err(failed));
    check(&script("2", "fail"), "max_batch_size = 0", Err(failed));
    // Not the model's fault, or not known to be: zeros it refuses, lengths that were made up.
    check(&script("2", "refuse"), "", Ok("y FP32 [rows,2]"));
    check(&script("n", "fail"), "", Ok("y FP32 [rows,n]"));
    check(&script("n", "fail"), "[warmup]\naxes = { n = 3 }", Err(failed));
    check(&script("2", "fail"), "[warmup]\nbatch_sizes = []", Ok("y FP32 [rows,2]"));
    // Whatever the lengths: the device has failed.
    let lost = "instance 0 failed to start: the device failed: the script fails on 0";
    check(&script("2", "lose"), "", Err(lost));
    check(&script("n", "lose"), "", Err(lost));
}

#[test]
fn wrong_output_shapes_are_not_held_against_runs() {
    let script = "input x FP32 n,2\noutput y FP32 1,2 = copy x";
    check(script, "", Ok("y FP32 [?,2]"));
    check(script, "[warmup]\nbatch_sizes = []", Ok("y FP32 [1,2]"));
}

#[test]
fn padding_that_changes_answers_is_refused() {
    let share = "input x FP32 1,n\noutput y FP32 1,n = share x";
    let toml = "[padding]\naxes = { n = [4] }\nvalues = { x = 1 }\n";
    let refused = "padding changes the model's answers: output 'y' of a padded request differs by \
                   64.6 % of the largest element. It needs a mask that padding.values closes; \
                   padding.check = false serves it all the same";
    check(share, toml, Err(refused));
    check(share, &format!("{toml}check = false"), Ok("y FP32 [1,n]"));
    let stranger = "[padding]\naxes = { m = [4] }";
    let missing = "padding.axes: no input has a free axis 'm' (beside its rows): n";
    check(share, stranger, Err(missing));
}

#[test]
fn where_and_through_what_a_version_runs_is_known() {
    let check = |devices: &[Device], provider, expect: &str| {
        let facts = facts(&BTreeMap::from([("a".to_owned(), "b".to_owned())]), devices, provider);
        let facts: Vec<String> = facts.iter().map(|(name, it)| format!("{name}={it}")).collect();
        assert_eq!(facts.join(" "), expect);
    };
    check(&[Device::Cpu], None, "a=b");
    check(&[Device::Cpu], Some("cpu"), "a=b provider=cpu");
    check(&[Device::Cuda(1)], Some("tensorrt"), "a=b device=cuda:1 provider=tensorrt");
}
