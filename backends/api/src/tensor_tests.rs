use super::*;

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).expect("small")
}

#[track_caller]
fn check_error(dtype: DType, dims: &[usize], data: &'static [u8], expect: &str) {
    let got = Tensor::new(dtype, shape(dims), Bytes::from_static(data));
    assert_eq!(got.expect_err("is refused").to_string(), expect);
}

#[test]
fn lengths_must_match_exactly() {
    check_error(DType::Fp32, &[2], &[0; 7], "a FP32 tensor of shape [2] has 8 bytes, got 7");
    check_error(DType::Uint8, &[2, 2], &[0; 5], "a UINT8 tensor of shape [2,2] has 4 bytes, got 5");
    assert!(Tensor::new(DType::Fp64, shape(&[0, 9]), Bytes::new()).is_ok());
}

#[test]
fn truth_is_zero_or_one() {
    check_error(DType::Bool, &[3], &[0, 1, 2], "BOOL element 2 is 2, expected 0 or 1");
}

#[test]
fn zeroed_is_valid_for_every_type() {
    for dtype in DType::ALL {
        let zeros = Tensor::zeroed(dtype, shape(&[2, 3]));
        Tensor::new(dtype, zeros.shape().clone(), zeros.data().clone()).expect("valid");
    }
}

#[test]
fn misaligned_memory_is_moved_only_when_it_must_be() {
    let mut backing = Buffer::zeroed(9);
    backing.as_mut_slice()[1..5].copy_from_slice(&1.5_f32.to_le_bytes());
    let odd = backing.freeze().slice(1..5);
    let tensor = Tensor::new(DType::Fp32, shape(&[1]), odd).expect("four bytes");
    assert_eq!((tensor.is_aligned(), tensor.view::<f32>()), (false, None));
    let moved = tensor.aligned();
    assert_eq!(moved.view::<f32>(), Some(&[1.5][..]));
    assert_eq!(moved.aligned().data().as_ptr(), moved.data().as_ptr(), "already aligned: shared");
}

#[test]
fn rows_are_split_without_copying() {
    let tensor = Tensor::from_elements(&[3, 2], &[1_i32, 2, 3, 4, 5, 6]).expect("six");
    let parts = tensor.split_rows(&[1, 2]).expect("three rows");
    assert_eq!(parts[0].view::<i32>(), Some(&[1, 2][..]));
    assert_eq!(parts[1].view::<i32>(), Some(&[3, 4, 5, 6][..]));
    assert_eq!(parts[0].data().as_ptr(), tensor.data().as_ptr());
    assert_eq!(tensor.split_rows(&[1, 1]), None, "a row would be lost");
    assert_eq!(tensor.split_rows(&[usize::MAX, 4]), None);
}

#[test]
fn strings_are_split_by_rows_too() {
    let tensor = Tensor::from_strings(&[2, 2], &["a", "", "long one", "z"]).expect("four");
    let parts = tensor.split_rows(&[1, 1]).expect("two rows");
    assert_eq!(parts[1].strings().collect::<Vec<_>>(), [&b"long one"[..], b"z"]);
}
