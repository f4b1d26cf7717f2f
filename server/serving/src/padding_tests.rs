use super::*;

use backend_api::{Axis as GraphAxis, DType, GraphTensor};

/// `x [N,S,2]` and `mask [N,S]` in; `tokens [N,S]`, `pairs [N,S,S]` and `class [N,3]` out.
fn signature() -> Signature {
    let tensor = |name: &str, axes: &[&str]| GraphTensor {
        name: name.to_owned(),
        dtype: DType::Int64,
        axes: axes
            .iter()
            .map(|it| it.parse().map_or_else(|_| GraphAxis::Named((*it).into()), GraphAxis::Fixed))
            .collect(),
    };
    let inputs = vec![tensor("x", &["N", "S", "2"]), tensor("mask", &["N", "S"])];
    let outputs =
        [("tokens", &["N", "S"][..]), ("pairs", &["N", "S", "S"]), ("class", &["N", "3"])];
    Signature::of_graph(inputs, outputs.map(|(name, axes)| tensor(name, axes)).into())
}

fn padding() -> Padding {
    let sizes = Sizes::new(&[2, 4]).expect("ascending");
    Padding::new(&signature(), [("S".into(), sizes)], vec![vec![], 7_i64.to_le_bytes().to_vec()])
}

fn counted(dims: &[usize]) -> Tensor {
    let numbers: Vec<i64> = (1..).take(dims.iter().product()).collect();
    Tensor::from_elements(dims, &numbers).expect("small")
}

fn padded() -> Padded {
    let inputs = [counted(&[1, 3, 2]), counted(&[1, 3])];
    *padding().padded("m", &inputs).expect("fits").expect("something is padded")
}

#[test]
fn inputs_are_extended_by_their_own_element() {
    let inputs = [counted(&[1, 3, 2]), counted(&[1, 3])];
    let made = padding().pad(&inputs, &padded()).expect("pads");
    assert_eq!(made[0].shape().dims(), [1, 4, 2]);
    assert_eq!(made[0].view::<i64>(), Some(&[1, 2, 3, 4, 5, 6, 0, 0][..]));
    assert_eq!(made[1].view::<i64>(), Some(&[1, 2, 3, 7][..]));
}

#[track_caller]
fn check_crop(place: usize, output: &[usize], expect: Result<&[i64], &str>) {
    let signature = signature();
    let spec = &signature.outputs[place];
    let cropped = padding().crop((place, spec), counted(output), &padded());
    let got = cropped.map(|it| it.view::<i64>().expect("aligned").to_vec());
    assert_eq!(got.map_err(|it| it.to_string()), expect.map(<[_]>::to_vec).map_err(str::to_owned));
}

#[test]
fn outputs_are_cropped_where_they_have_the_axis() {
    check_crop(0, &[1, 4], Ok(&[1, 2, 3]));
    check_crop(1, &[1, 4, 4], Ok(&[1, 2, 3, 5, 6, 7, 9, 10, 11]));
    check_crop(2, &[1, 3], Ok(&[1, 2, 3]));
}

#[test]
fn an_axis_that_does_not_keep_its_length_is_an_error() {
    let text = |shape| {
        format!(
            "the model failed: output 'tokens' came out as {shape}, though its axis 'S' was padded \
             from 3 to 4: the model cannot be padded along it"
        )
    };
    check_crop(0, &[1, 5], Err(&text("[1,5]")));
    check_crop(0, &[1], Err(&text("[1]")));
}
