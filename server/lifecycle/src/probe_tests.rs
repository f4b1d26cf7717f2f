use super::*;

use backend_api::{Backend as _, Device, Options};
use backend_fake::Fake;

fn verdict(script: &str) -> Verdict {
    let folder = tempfile::tempdir().expect("scratch");
    let artifact = folder.path().join("model.fake");
    std::fs::write(&artifact, script).expect("write");
    let model = Fake::new().load(&artifact, &Options::default()).expect("loads");
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    probe(&mut *instance, model.signature(), &AxisLengths::default())
}

#[test]
fn rows_that_stand_alone() {
    for dtype in DType::ALL {
        let script = format!("input x {dtype} rows,3\noutput y {dtype} rows,3 = copy x");
        assert_eq!(verdict(&script), Verdict::Independent, "{dtype}");
    }
}

#[test]
fn rows_that_look_at_their_neighbours() {
    let mixed = verdict("input x FP32 rows,3\noutput y FP32 rows,3 = share x");
    let text = "output 'y' differs between a row alone and the same row in a batch";
    assert_eq!(mixed, Verdict::Mixed(text.to_owned()));
}

#[test]
fn rows_that_do_not_come_back() {
    let mixed = verdict("input x FP32 rows\noutput at INT64 rows,found = positive x");
    assert!(matches!(mixed, Verdict::Mixed(_)), "{mixed:?}");
}

#[test]
fn a_model_that_refuses_made_up_input() {
    let script = "input x INT64 rows,1\noutput y FP32 rows,1 = pick x\n";
    assert!(matches!(verdict(script), Verdict::Unknown(_)));
}
