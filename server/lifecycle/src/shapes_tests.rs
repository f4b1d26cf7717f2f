use super::*;

use backend_api::{Backend as _, Device, Options};
use backend_fake::Fake;

/// Of a model that copies `x` of these axes to `y`, which it declares with those: `y` as served.
#[track_caller]
fn check(x: &str, y: &str, expect: &str) {
    let folder = tempfile::tempdir().expect("scratch");
    let artifact = folder.path().join("model.fake");
    let script = format!("input x FP32 {x}\noutput y FP32 {y} = copy x");
    std::fs::write(&artifact, script).expect("write");
    let model = Fake::new().load(&artifact, &Options::default()).expect("loads");
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    let signature = model.signature().clone();
    let found = borne_out(&mut *instance, signature, &AxisLengths::default());
    assert_eq!(found.outputs[0].to_string(), format!("y FP32 {expect}"), "{x} to {y}");
    let rows = |it: &[Dim]| it.contains(&Dim::Rows);
    let joined = (rows(&found.inputs[0].dims), rows(&found.outputs[0].dims));
    assert!(joined.0 == joined.1, "rows everywhere or nowhere: {found:?}");
}

#[test]
fn what_is_declared_rightly_stays() {
    for axes in ["rows,2", "1,4", "1,n", "rows,n"] {
        check(axes, axes, &format!("[{axes}]"));
    }
}

#[test]
fn lengths_of_an_example_are_free() {
    check("n,2", "1,2", "[?,2]");
    check("rows,n", "rows,1", "[rows,?]");
    check("rows,n", "rows,7", "[rows,?]");
    check("1,4", "1,3", "[1,?]");
}

#[test]
fn another_rank_frees_every_axis() {
    check("rows,2", "rows", "[?,?]");
}
