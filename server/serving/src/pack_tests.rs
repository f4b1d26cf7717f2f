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

proptest! {
    #[test]
    fn unpack_gives_back_what_was_packed(
        counts in prop::collection::vec(1_usize..5, 1..9),
        width in 0_usize..4,
        dtype in prop::sample::select(DType::ALL.to_vec()),
        seed in any::<u64>(),
    ) {
        let parts: Vec<Tensor> = counts
            .iter()
            .zip(seed..)
            .map(|(&rows, seed)| tensor(dtype, (rows, width), seed))
            .collect();
        let packed = pack(parts.iter()).expect("packs");
        prop_assert_eq!(packed.shape().rows(), Some(counts.iter().sum()));
        let back = unpack("y", packed, &counts).expect("unpacks");
        prop_assert_eq!(back, parts);
    }
}

#[test]
fn a_lone_request_is_not_copied() {
    let tensor = tensor(DType::Fp32, (3, 4), 1);
    let packed = pack(std::iter::once(&tensor)).expect("packs");
    assert_eq!(packed.data().as_ptr(), tensor.data().as_ptr());
}

#[test]
fn rows_that_do_not_add_up_are_an_error() {
    let output = tensor(DType::Fp32, (2, 1), 1);
    let error = unpack("y", output, &[1, 2]).expect_err("three rows went in");
    assert!(
        error.to_string().contains("3 rows went in, output 'y' came out as FP32 [2,1]"),
        "{error}"
    );
}
