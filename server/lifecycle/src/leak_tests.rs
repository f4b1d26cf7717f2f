use super::*;

use backend_api::{Backend as _, Device, Options};
use backend_fake::Fake;
use server_base::settings::Section;

/// Loads this script and pads it as the `[padding]` says.
fn verdict(script: &str, toml: &str) -> Verdict {
    let folder = tempfile::tempdir().expect("scratch");
    let artifact = folder.path().join("model.fake");
    std::fs::write(&artifact, script).expect("write");
    let model = Fake::new().load(&artifact, &Options::default()).expect("loads");
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    let table: toml::Table = toml.parse().expect("TOML");
    let config = PaddingConfig::read(&mut Section::root(&table));
    let padding = config.resolve(model.signature()).expect("fits");
    let lengths = AxisLengths::default();
    leak(&mut *instance, model.signature(), (&config, &padding), &lengths)
}

#[track_caller]
fn check_mixed(script: &str, toml: &str, expect: &str) {
    assert_eq!(verdict(script, toml), Verdict::Mixed(expect.to_owned()), "{script}");
}

#[test]
fn elements_that_stand_alone() {
    let script = "input x FP32 rows,n\noutput y FP32 rows,n = double x";
    assert_eq!(verdict(script, "axes = { n = [4, 9] }"), Verdict::Independent);
    assert_eq!(verdict(script, "axes = { n = [1, 2] }"), Verdict::Independent);
    // Zeros add nothing to a sum.
    let share = "input x FP32 1,n\noutput y FP32 1,n = share x";
    assert_eq!(verdict(share, "axes = { n = [4] }"), Verdict::Independent);
}

#[test]
fn elements_that_look_at_the_padding() {
    let share = "input x FP32 1,n\noutput y FP32 1,n = share x";
    let toml = "axes = { n = [4] }\nvalues = { x = 1 }";
    let Verdict::Mixed(what) = verdict(share, toml) else { panic!("not found") };
    assert!(what.starts_with("output 'y' of a padded request differs by "), "{what}");
    assert!(what.ends_with(" % of the largest element"), "{what}");
}

#[test]
fn outputs_that_grow_with_the_padding() {
    let unnamed = "input x FP32 rows,n\noutput y FP32 rows,m = copy x";
    let text = "output 'y' has shape [1,2] for a request alone and [1,4] when it was padded";
    check_mixed(unnamed, "axes = { n = [4] }", text);
}

#[test]
fn padding_that_the_model_refuses() {
    let fails = "input x INT64 rows,n\noutput y FP32 rows,n = pick x 1 2";
    let toml = "axes = { n = [4] }\nvalues = { x = 7 }";
    check_mixed(fails, toml, "the model refused the input: index out of range");
}

#[test]
fn a_model_that_refuses_made_up_input() {
    let script = "input x INT64 rows,n\noutput y FP32 rows,n = pick x";
    assert!(matches!(verdict(script, "axes = { n = [4] }"), Verdict::Unknown(_)));
}

#[test]
fn lengths_lie_half_way_to_a_size() {
    let check = |sizes: &[usize], expect: [usize; TRIALS]| {
        let sizes = Sizes::new(sizes).expect("ascending");
        assert_eq!([0, 1].map(|it| length(&sizes, it)), expect, "{sizes:?}");
    };
    check(&[32, 64], [16, 48]);
    check(&[1, 4], [2, 2]);
    check(&[1, 2], [2, 2]);
    check(&[8], [4, 4]);
}
