use super::*;

use std::time::Duration;

use backend_api::{Axis, DType, Device, GraphTensor};

use crate::padding::Padding;
use crate::policy::Batching;
use crate::sizes::Sizes;

/// Inputs of these axes (a number, `N` for rows, or another name) and shapes; `sizes` are those of
/// the axis `S`. What comes is `own/units`.
#[track_caller]
fn check(
    given: &[(&str, &[usize])],
    (sizes, elements_max, batch): (&[usize], usize, &[usize]),
    expect: Result<&str, &str>,
) {
    let axis = |it: &str| it.parse().map_or_else(|_| Axis::Named(it.to_owned()), Axis::Fixed);
    let graph = |axes: &str, n: usize| GraphTensor {
        name: format!("x{n}"),
        dtype: DType::Fp32,
        axes: axes.split(',').map(axis).collect(),
    };
    let inputs = given.iter().enumerate().map(|(n, (axes, _))| graph(axes, n)).collect();
    let signature = Signature::of_graph(inputs, vec![graph("N", 0)]);
    let sizes = Sizes::new(sizes).map(|it| ("S".into(), it));
    let sizes_of_batch = Sizes::new(batch);
    let plan = Plan {
        platform: "fake",
        instances: 1,
        inline: true,
        devices: vec![Device::Cpu],
        width: 1,
        weight: 1,
        batching: Batching { elements_max, sizes: sizes_of_batch, ..Batching::default() },
        padding: Padding::new(&signature, sizes, Vec::new()),
        timeout: Duration::from_secs(1),
        facts: Default::default(),
    };
    let shapes = given.iter().map(|(_, dims)| Shape::new(dims).expect("small"));
    let inputs: Vec<Tensor> = shapes.map(|it| Tensor::zeroed(DType::Fp32, it)).collect();
    let rows = if signature.is_batched() { given[0].1[0] } else { 1 };
    let extent = Extent::new("m", (&signature, &plan), (&inputs, rows));
    let got = extent.map(|it| format!("{}/{}", it.own, it.units)).map_err(|it| it.to_string());
    assert_eq!(got, expect.map(str::to_owned).map_err(str::to_owned), "{given:?}");
}

const ANY: (&[usize], usize, &[usize]) = (&[], usize::MAX, &[]);

#[test]
fn rows_where_nothing_else_varies() {
    check(&[("N,4", &[3, 4])], ANY, Ok("3/3"));
    check(&[("1,4", &[1, 4])], ANY, Ok("1/1"));
}

#[test]
fn tokens_and_pixels_where_they_do() {
    check(&[("N,S", &[3, 10])], ANY, Ok("30/30"));
    check(&[("N,S", &[3, 10]), ("N,S", &[3, 10])], ANY, Ok("30/30"));
    check(&[("N,3,H,W", &[2, 3, 8, 9]), ("N,S", &[2, 5])], ANY, Ok("144/144"));
    check(&[("S,4", &[7, 4])], ANY, Ok("7/7"));
    check(&[("N,S", &[2, 0])], ANY, Ok("2/2"));
}

#[test]
fn padding_counts() {
    let padded = (&[8, 32][..], usize::MAX, &[][..]);
    check(&[("N,S", &[2, 5])], padded, Ok("10/16"));
    check(&[("N,S,T", &[2, 8, 3])], padded, Ok("48/48"));
    check(&[("N,S,S", &[2, 9, 9])], padded, Ok("162/2048"));
    let text = |own| format!("the axis 'S' of model 'm' must be from 1 to 32 long, got {own}");
    check(&[("N,S", &[2, 33])], padded, Err(&text(33)));
    check(&[("N,S", &[2, 0])], padded, Err(&text(0)));
}

#[test]
fn no_request_is_larger_than_a_batch() {
    check(&[("N,S", &[2, 5])], (&[8], 16, &[]), Ok("10/16"));
    let text = |elements, rows| {
        format!(
            "inference request must have at most 15 elements for 'm', got {elements}: {rows} rows of 8"
        )
    };
    check(&[("N,S", &[2, 5])], (&[8], 15, &[]), Err(&text(16, 2)));
    check(&[("N,S", &[2, 5])], (&[8], 15, &[4]), Err(&text(32, 4)));
}

#[test]
fn no_batch_is_larger_than_a_request_may_be() {
    check(&[("N,4", &[1, 4])], (&[], usize::MAX, &[1, 65536]), Ok("1/1"));
    let row = 1 << 14; // 64 KiB of floats
    let axes = format!("N,{row}");
    check(&[(&axes, &[1, row])], (&[], usize::MAX, &[1, 32767]), Ok("1/1"));
    let text = "the inputs of model 'm' have 65536 bytes a row: a batch of 65536 rows would have \
                4294967296, at most 2147483647 are possible";
    check(&[(&axes, &[1, row])], (&[], usize::MAX, &[1, 65536]), Err(text));
}
