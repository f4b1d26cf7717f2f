use super::*;

/// Axes as text: `4` fixed, `?` unknown, anything else a name.
fn tensor(axes: &str) -> GraphTensor {
    let axis = |it: &str| match (it.parse(), it) {
        (Ok(length), _) => Axis::Fixed(length),
        (Err(_), "?") => Axis::Unknown,
        (Err(_), name) => Axis::Named(name.to_owned()),
    };
    let axes = axes.split(',').filter(|it| !it.is_empty()).map(axis).collect();
    GraphTensor { name: "x".to_owned(), dtype: DType::Fp32, axes }
}

#[track_caller]
fn check(inputs: &[&str], outputs: &[&str], batched: bool) {
    let all = |side: &[&str]| side.iter().map(|it| tensor(it)).collect();
    let signature = Signature::of_graph(all(inputs), all(outputs));
    assert_eq!(signature.is_batched(), batched, "{inputs:?} -> {outputs:?}");
    assert!(!signature.unbatched().is_batched());
}

#[test]
fn a_varying_first_axis_everywhere_is_rows() {
    check(&["N,4"], &["N,2"], true);
    check(&["batch,3,224,224"], &["batch,1000"], true);
    check(&["?,30"], &["?", "?,2"], true);
    check(&["N,30"], &["?", "?,2"], true);
    check(&["batch,sequence", "batch,sequence"], &["batch,sequence,384"], true);
}

#[test]
fn anything_else_is_served_alone() {
    check(&["1,4"], &["1,2"], false);
    check(&["N,4"], &["1,2"], false);
    check(&["N,4"], &[""], false);
    check(&[""], &["N"], false);
    check(&["N,4", "M,4"], &["N,2"], false);
    check(&["N,4"], &["N,N"], false);
    check(&["seq,batch,4"], &["seq,batch,2"], false);
    check(&["num_frames,80"], &["num_frames,5"], false);
    check(&[], &["N,2"], false);
}

#[test]
fn shapes_are_held_against_the_axes() {
    let signature = Signature::of_graph(vec![tensor("N,4,free")], vec![tensor("N,2")]);
    let shape = |dims: &[usize]| Shape::new(dims).expect("small");
    let (input, output) = (&signature.inputs[0], &signature.outputs[0]);
    assert!(input.accepts(&shape(&[9, 4, 7])));
    assert!(!input.accepts(&shape(&[9, 5, 7])));
    assert!(!input.accepts(&shape(&[9, 4])));
    assert_eq!(input.shape_at(3), None, "a free axis is not settled by the rows");
    assert_eq!(output.shape_at(3), Some(shape(&[3, 2])));
    assert_eq!(input.to_wire(), [-1, 4, -1]);
    assert_eq!(input.to_string(), "x FP32 [rows,4,free]");
}

/// Inputs and outputs, axes as text, under names by their places.
fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
    let named = |(n, it): (usize, &&str)| GraphTensor { name: format!("t{n}"), ..tensor(it) };
    let all = |side: &[&str]| side.iter().enumerate().map(named).collect();
    Signature::of_graph(all(inputs), all(outputs))
}

#[track_caller]
fn check_stands_in(it: &[&str], other: &[&str], expect: bool) {
    let (it, other) = (signature(it, &["N,2"]), signature(other, &["N,2"]));
    assert_eq!(it.stands_in_for(&other), expect, "{it} for {other}");
}

#[test]
fn free_axes_may_have_other_names() {
    check_stands_in(&["N,seq", "N,seq"], &["N,length", "N,length"], true);
    check_stands_in(&["N,?"], &["N,length"], true);
    check_stands_in(&["N,seq"], &["N,?"], true);
    check_stands_in(&["N,seq", "N,seq"], &["N,a", "N,b"], false); // would refuse lengths that differ
    check_stands_in(&["N,seq", "N,seq"], &["N,?", "N,?"], false);
    check_stands_in(&["N,a", "N,b"], &["N,seq", "N,seq"], true);
    check_stands_in(&["N,seq"], &["N,4"], false);
    check_stands_in(&["N,4"], &["N,seq"], false);
    check_stands_in(&["N,4"], &["N,4,seq"], false);
    check_stands_in(&["N,4"], &["N,4", "N,4"], false);
    let (one, other) = (signature(&["N,4"], &["N,a"]), signature(&["N,4"], &["N,b"]));
    assert!(one.stands_in_for(&other), "and outputs too");
    // Served unbatched the rows are free as well, and need not agree.
    let unbatched = signature(&["N,4", "N,4"], &["N,2"]).unbatched();
    assert!(unbatched.stands_in_for(&unbatched));
}

#[test]
fn signatures_are_written_for_people() {
    let mut it = signature(&["N,4", "N,seq"], &["N,?"]);
    assert_eq!(it.to_string(), "t0 FP32 [rows,4], t1 FP32 [rows,seq] -> t0 FP32 [rows,?]");
    let before = it.clone();
    it.outputs[0].quantization = Some(Quantization { scale: 0.5, zero_point: 3 });
    assert!(!it.stands_in_for(&before));
    assert!(it.to_string().ends_with("t0 FP32 [rows,?] = 0.5 * (number - 3)"), "{it}");
}
