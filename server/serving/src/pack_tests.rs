use super::*;

use bytes::Bytes;
use proptest::prelude::*;

/// A tensor of `rows` rows of `width` elements, its bytes from `seed`.
fn tensor(dtype: DType, (rows, width): (usize, usize), seed: u64) -> Tensor {
    let mut state = seed;
    let mut byte = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let count = rows * width;
    let Some(size) = dtype.size() else {
        let strings: Vec<Vec<u8>> =
            (0..count).map(|_| (0..byte() % 5).map(|_| byte()).collect()).collect();
        return Tensor::from_strings(&[rows, width], &strings).expect("short");
    };
    let bits = if dtype == DType::Bool { 1 } else { 0xff };
    let data: Vec<u8> = (0..count * size).map(|_| byte() & bits).collect();
    let shape = Shape::new(&[rows, width]).expect("small");
    Tensor::new(dtype, shape, Bytes::from(data)).expect("exact")
}

fn whole(tensors: &[Tensor]) -> impl Iterator<Item = Part<'_>> + Clone {
    tensors.iter().map(|tensor| Part { tensor, shape: tensor.shape() })
}

proptest! {
    #[test]
    fn unpack_gives_back_what_was_packed(
        counts in prop::collection::vec(1_usize..5, 1..9),
        width in 0_usize..4,
        surplus in 0_usize..3,
        dtype in prop::sample::select(DType::ALL.to_vec()),
        seed in any::<u64>(),
    ) {
        let parts: Vec<Tensor> = counts
            .iter()
            .zip(seed..)
            .map(|(&rows, seed)| tensor(dtype, (rows, width), seed))
            .collect();
        let packed = pack(whole(&parts), surplus, &[]).expect("packs");
        prop_assert_eq!(packed.shape().rows(), Some(counts.iter().sum::<usize>() + surplus));
        let back = unpack("y", packed, (&counts, surplus)).expect("unpacks");
        prop_assert_eq!(back, parts);
    }
}

#[test]
fn a_lone_request_is_not_copied() {
    let tensor = tensor(DType::Fp32, (3, 4), 1);
    let packed = pack(whole(std::slice::from_ref(&tensor)), 0, &[]).expect("packs");
    assert_eq!(packed.data().as_ptr(), tensor.data().as_ptr());
}

#[test]
fn rows_that_do_not_add_up_are_an_error() {
    let output = tensor(DType::Fp32, (2, 1), 1);
    let error = unpack("y", output, (&[1, 2], 0)).expect_err("three rows went in");
    assert!(
        error.to_string().contains("3 rows went in, output 'y' came out as FP32 [2,1]"),
        "{error}"
    );
}

/// Rows of these numbers, three a row, for a batch in which a row has four.
#[track_caller]
fn check_padded(parts: &[&[i64]], surplus: usize, fill: Option<i64>, expect: &[i64]) {
    let numbers = |it: &&[i64]| Tensor::from_elements(&[it.len() / 3, 3], it).expect("three");
    let strings = |it: &&[i64]| {
        let texts: Vec<String> = it.iter().map(ToString::to_string).collect();
        Tensor::from_strings(&[it.len() / 3, 3], &texts).expect("short")
    };
    let pack_all = |tensors: Vec<Tensor>, fill: &[u8]| {
        let shape = |it: &Tensor| Shape::new(&[it.shape().dims()[0], 4]).expect("small");
        let shapes: Vec<Shape> = tensors.iter().map(shape).collect();
        let parts = tensors.iter().zip(&shapes);
        pack(parts.map(|(tensor, shape)| Part { tensor, shape }), surplus, fill).expect("packs")
    };
    let bytes = fill.map(|it| it.to_le_bytes().to_vec()).unwrap_or_default();
    let packed = pack_all(parts.iter().map(numbers).collect(), &bytes);
    assert_eq!(packed.shape().dims(), [expect.len() / 4, 4]);
    assert_eq!(packed.view::<i64>(), Some(expect), "{parts:?}");

    let packed = pack_all(parts.iter().map(strings).collect(), &[]);
    let fill = fill.unwrap_or(0);
    let text = |it: &i64| if *it == fill { String::new() } else { it.to_string() };
    let expect: Vec<String> = expect.iter().map(text).collect();
    let got: Vec<&str> = packed.strings().map(|it| str::from_utf8(it).expect("text")).collect();
    assert_eq!(got, expect, "{parts:?}");
}

#[test]
fn what_a_row_lacks_is_filled() {
    check_padded(&[&[1, 2, 3]], 0, None, &[1, 2, 3, 0]);
    let two: &[&[i64]] = &[&[1, 2, 3], &[4, 5, 6, 7, 8, 9]];
    check_padded(two, 0, None, &[1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0]);
    check_padded(two, 0, Some(-1), &[1, 2, 3, -1, 4, 5, 6, -1, 7, 8, 9, -1]);
    check_padded(&[&[1, 2, 3]], 2, Some(-1), &[1, 2, 3, -1, 1, 2, 3, -1, 1, 2, 3, -1]);
}
