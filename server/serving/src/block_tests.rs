use super::*;

use backend_api::DType;

/// A tensor of that shape whose elements are its places, counted; strings of these numbers.
fn counted(dims: &[usize], dtype: DType) -> Tensor {
    let count: usize = dims.iter().product();
    if dtype == DType::Bytes {
        let strings: Vec<String> = (0..count).map(|it| it.to_string()).collect();
        return Tensor::from_strings(dims, &strings).expect("short");
    }
    let numbers: Vec<i64> = (0..count).map(|it| it as i64).collect();
    Tensor::from_elements(dims, &numbers).expect("small")
}

fn numbers(tensor: &Tensor) -> Vec<i64> {
    if tensor.dtype() == DType::Bytes {
        let text = tensor.strings().map(|it| str::from_utf8(it).expect("digits"));
        return text.map(|it| it.parse().expect("a number")).collect();
    }
    tensor.view::<i64>().expect("aligned").to_vec()
}

#[track_caller]
fn check(whole: &[usize], part: &[usize], expect: &[i64], shared: bool) {
    for dtype in [DType::Int64, DType::Bytes] {
        let tensor = counted(whole, dtype);
        let at = tensor.data().as_ptr();
        let cropped = crop(tensor, Shape::new(part).expect("small")).expect("crops");
        assert_eq!((cropped.shape().dims(), &*numbers(&cropped)), (part, expect), "{whole:?}");
        let is_shared = cropped.data().as_ptr() == at;
        assert!(dtype == DType::Bytes || is_shared == shared, "{whole:?} to {part:?}");
    }
}

#[test]
fn what_lies_in_one_piece_is_not_copied() {
    check(&[2, 2], &[2, 2], &[0, 1, 2, 3], true);
    check(&[1, 4], &[1, 3], &[0, 1, 2], true);
    check(&[1, 3, 2], &[1, 2, 2], &[0, 1, 2, 3], true);
    check(&[3, 2], &[1, 2], &[0, 1], true);
}

#[test]
fn anything_else_is() {
    check(&[2, 3], &[2, 2], &[0, 1, 3, 4], false);
    check(&[1, 2, 3], &[1, 1, 2], &[0, 1], false);
    check(&[2, 2, 2], &[2, 1, 2], &[0, 1, 4, 5], false);
    check(&[2, 2, 3], &[2, 2, 1], &[0, 3, 6, 9], false);
    check(&[2, 3], &[2, 0], &[], false);
}

#[test]
fn a_smaller_array_leaves_the_rest_alone() {
    let mut to = [-1; 12];
    copy_common((&[1, 2, 3, 4], &[2, 2]), (&mut to, &[3, 4]), 1);
    assert_eq!(to, [1, 2, -1, -1, 3, 4, -1, -1, -1, -1, -1, -1]);
    let mut scalar = [0, 0];
    copy_common((&[5, 6], &[]), (&mut scalar, &[]), 2);
    assert_eq!(scalar, [5, 6]);
}
