//! Requests fit the metadata, and what the metadata leaves open must be said.

use super::{shown, signature};
use crate::options::Lengths;
use crate::payload::Payload;
use crate::tensor::{Datatype, Scalar};

fn payload() -> Payload {
    Payload {
        rows: 1,
        axes: Vec::new(),
        shapes: Vec::new(),
        integers_below: 2,
        seed: 1,
        distinct: 2,
    }
}

fn exactly(length: usize) -> Lengths {
    Lengths { from: length, to: length }
}

#[test]
fn every_datatype_has_values_in_its_range() {
    for datatype in Datatype::ALL {
        let name = datatype.name();
        let signature = signature(&[&format!("x:{name}:-1x100")], &[]);
        let cases = Payload { rows: 3, ..payload() }.generate(&signature).unwrap();
        let tensor = &cases[0].inputs[0];
        assert_eq!(tensor.shape, [3, 100], "{name}");
        let scalars: Vec<Scalar<'_>> = tensor.scalars().collect();
        assert_eq!(scalars.len(), 300, "{name}");
        for scalar in &scalars {
            let good = match *scalar {
                Scalar::Bool(_) => true,
                Scalar::Unsigned(value) => value < 2,
                Scalar::Signed(value) => (0..2).contains(&value),
                // Rounding to half precision may reach 1.
                Scalar::Half(value) => (0.0..=1.0).contains(&value),
                Scalar::Single(value) => (0.0..=1.0).contains(&value),
                Scalar::Double(value) => (0.0..1.0).contains(&value),
                Scalar::Text(bytes) => {
                    (4..=12).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_lowercase)
                }
            };
            assert!(good, "{name}: {scalar:?}");
        }
        assert!(scalars.iter().any(|it| *it != scalars[0]), "{name}: all the same");
    }
}

#[test]
fn a_seed_gives_the_same_requests_and_they_are_distinct() {
    let signature = signature(&["x:FP32:-1x4"], &[]);
    let generate = |seed| Payload { seed, ..payload() }.generate(&signature).unwrap();
    assert_eq!(generate(1)[0].inputs, generate(1)[0].inputs);
    assert_ne!(generate(1)[0].inputs, generate(2)[0].inputs);
    assert_ne!(generate(1)[0].inputs, generate(1)[1].inputs);
}

#[test]
fn axes_and_shapes_fill_what_is_open() {
    let signature = signature(&["ids:INT64:-1x-1", "image:FP32:-1x3x-1x-1"], &[]);
    let axes =
        |list: &[(&str, usize)]| list.iter().map(|&(n, l)| (n.to_owned(), exactly(l))).collect();
    let filled =
        Payload { rows: 2, axes: axes(&[("ids", 16), ("image", 8), ("image.3", 9)]), ..payload() };
    let cases = filled.generate(&signature).unwrap();
    assert_eq!(cases[0].inputs[0].shape, [2, 16]);
    assert_eq!(cases[0].inputs[1].shape, [2, 3, 8, 9]);
    assert_eq!(cases[0].rows, 2);

    let shaped = Payload {
        rows: 2,
        axes: axes(&[("ids", 16)]),
        shapes: vec![("image".to_owned(), vec![2, 3, 5, 5])],
        ..payload()
    };
    assert_eq!(shaped.generate(&signature).unwrap()[0].inputs[1].shape, [2, 3, 5, 5]);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let open = signature(&["ids:INT64:-1x-1"], &[]);
    let fixed = signature(&["x:FP32:1x4"], &[]);
    let shape =
        |shape: &[usize]| Payload { shapes: vec![("ids".to_owned(), shape.to_vec())], ..payload() };
    let axis = |name: &str| Payload { axes: vec![(name.to_owned(), exactly(4))], ..payload() };
    let table = [
        (payload(), &open, "say how long axis 1 is, by --axis ids=LENGTH"),
        (axis("idz"), &open, "--axis idz: no input of that name"),
        (axis("x"), &fixed, "--axis x: no input of that name has such a free axis"),
        (axis("ids.0"), &open, "--axis ids.0: no input"),
        (shape(&[1, 2, 3]), &open, "does not fit the model's shape [-1, -1]"),
        (shape(&[2, 4]), &open, "must begin with the 1 of --rows"),
        (shape(&[1, 4]), &fixed, "--shape ids: the inputs are [\"x\"]"),
        (Payload { rows: 2, ..payload() }, &fixed, "2 rows, but no input of model \"m\""),
        (shape(&[1, 1 << 40]), &open, "distinct requests take"),
        (shape(&[1, usize::MAX]), &open, "distinct requests take"),
    ];
    for (payload, signature, expected) in table {
        let refused = payload.refuse_strangers(std::slice::from_ref(signature));
        let message = shown(refused.and_then(|()| payload.generate(signature)));
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
}

#[test]
fn lengths_are_drawn_once_a_request_and_fill_their_range() {
    let signature = signature(&["ids:INT64:-1x-1", "mask:INT64:-1x-1"], &[]);
    let range = |name: &str| (name.to_owned(), Lengths { from: 3, to: 6 });
    let axes = vec![range("ids"), range("mask")];
    let cases = Payload { axes, distinct: 64, ..payload() }.generate(&signature).unwrap();
    let lengths: Vec<[usize; 2]> =
        cases.iter().map(|it| [it.inputs[0].shape[1], it.inputs[1].shape[1]]).collect();
    assert!(lengths.iter().all(|[ids, mask]| ids == mask), "{lengths:?}");
    for length in 3..=6 {
        assert!(lengths.contains(&[length; 2]), "none of {length}: {lengths:?}");
    }
    assert!(lengths.iter().all(|it| (3..=6).contains(&it[0])), "{lengths:?}");
}
