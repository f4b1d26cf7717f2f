use super::*;

use backend_api::{Axis, DType, GraphTensor, Tensor};

fn signature() -> Signature {
    let tensor = |name: &str, dtype, length| GraphTensor {
        name: name.to_owned(),
        dtype,
        axes: vec![Axis::Named("N".to_owned()), Axis::Fixed(length)],
    };
    let inputs = vec![tensor("a", DType::Fp32, 2), tensor("b", DType::Int64, 1)];
    Signature::of_graph(inputs, vec![tensor("y", DType::Fp32, 1), tensor("z", DType::Fp32, 1)])
}

/// `inputs` are `(name, type, shape)`; the values are zeros.
#[track_caller]
fn check(given: &[(&'static str, DType, &[usize])], expect: Result<usize, &str>) {
    let tensor = |&(name, dtype, dims): &(&'static str, DType, &[usize])| NamedTensor {
        name: name.into(),
        tensor: Tensor::zeroed(dtype, Shape::new(dims).expect("small")),
    };
    let mut given: Vec<NamedTensor<'_>> = given.iter().map(tensor).collect();
    let got = inputs("m", &signature(), 4, &mut given);
    let names: Vec<&str> = given.iter().map(|it| &*it.name).collect();
    assert!(got.is_err() || names == ["a", "b"], "in the signature's order: {names:?}");
    assert_eq!(got.map_err(|it| it.to_string()), expect.map_err(str::to_owned));
}

const A: (&str, DType, &[usize]) = ("a", DType::Fp32, &[3, 2]);
const B: (&str, DType, &[usize]) = ("b", DType::Int64, &[3, 1]);

#[test]
fn what_fits_passes_in_any_order() {
    check(&[A, B], Ok(3));
    check(&[B, A], Ok(3));
}

#[test]
fn every_fault_has_its_sentence() {
    check(
        &[A],
        Err("expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['a'], but missing \
             required input(s) ['b']. Please provide all required input(s)."),
    );
    check(
        &[],
        Err("expected 2 inputs but got 0 inputs for model 'm'. Got input(s) [], but missing \
                    required input(s) ['a','b']. Please provide all required input(s)."),
    );
    check(
        &[A, B, A],
        Err("expected 2 inputs but got 3 inputs for model 'm'. Got input(s) \
                           ['a','b','a']"),
    );
    check(
        &[A, ("c", DType::Int64, &[3, 1])],
        Err("unexpected inference input 'c' for model 'm'. It takes ['a','b']"),
    );
    check(&[A, A], Err("input 'a' already exists in request"));
    check(&[B, B], Err("input 'b' already exists in request"));
    check(
        &[A, ("b", DType::Int32, &[3, 1])],
        Err("inference input 'b' data-type is 'INT32', but model 'm' expects 'INT64'"),
    );
    check(
        &[A, ("b", DType::Int64, &[3, 2])],
        Err("unexpected shape for input 'b' for model 'm'. Expected [-1,1], got [3,2]"),
    );
    check(
        &[A, ("b", DType::Int64, &[3])],
        Err("unexpected shape for input 'b' for model 'm'. Expected [-1,1], got [3]"),
    );
    check(
        &[A, ("b", DType::Int64, &[2, 1])],
        Err("the inputs of model 'm' differ in their first axis: [[3,2], [2,1]]"),
    );
    check(
        &[("a", DType::Fp32, &[5, 2]), ("b", DType::Int64, &[5, 1])],
        Err("inference request batch-size must be <= 4 for 'm', got 5 rows"),
    );
    check(
        &[("a", DType::Fp32, &[0, 2]), ("b", DType::Int64, &[0, 1])],
        Err("the inputs of model 'm' have no rows, at least 1 is needed"),
    );
}

#[test]
fn outputs_are_found_by_name() {
    let find = |wanted: &[&str]| {
        let wanted: Vec<Cow<'_, str>> = wanted.iter().map(|&it| it.into()).collect();
        outputs("m", &signature(), &wanted).map(|it| it.to_vec()).map_err(|it| it.to_string())
    };
    assert_eq!(find(&[]), Ok(vec![]), "none is named");
    assert_eq!(find(&["z", "y"]), Ok(vec![1, 0]));
    assert_eq!(find(&["z", "z"]), Err("output 'z' already exists in request".to_owned()));
    assert_eq!(
        find(&["q"]),
        Err("unexpected inference output 'q' for model 'm'. It gives ['y','z']".to_owned())
    );
}

/// Inputs `a [N,S,?]` and `b [S,N,?]` of these lengths, served unbatched.
#[track_caller]
fn check_axes(a: [usize; 3], b: [usize; 3], expect: Result<usize, &str>) {
    let axes = |it: [&str; 2]| it.map(|it| Axis::Named(it.to_owned())).into_iter();
    let spec = |name: &str, named| GraphTensor {
        name: name.to_owned(),
        dtype: DType::Fp32,
        axes: axes(named).chain([Axis::Unknown]).collect(),
    };
    let signature = Signature::of_graph(vec![spec("a", ["N", "S"]), spec("b", ["S", "N"])], vec![]);
    let tensor = |name: &'static str, dims: [usize; 3]| NamedTensor {
        name: name.into(),
        tensor: Tensor::zeroed(DType::Fp32, Shape::new(&dims).expect("small")),
    };
    let got = inputs("m", &signature, 4, &mut [tensor("a", a), tensor("b", b)]);
    assert_eq!(got.map_err(|it| it.to_string()), expect.map_err(str::to_owned));
}

#[test]
fn axes_of_one_name_have_one_length() {
    check_axes([2, 3, 4], [3, 2, 5], Ok(1));
    check_axes(
        [2, 3, 4],
        [4, 2, 4],
        Err(
            "the inputs 'a' and 'b' of model 'm' differ in the axis 'S', which they share: 3 and 4",
        ),
    );
    check_axes(
        [2, 3, 4],
        [3, 1, 4],
        Err(
            "the inputs 'a' and 'b' of model 'm' differ in the axis 'N', which they share: 2 and 1",
        ),
    );
}

#[test]
fn first_axes_that_the_model_did_not_name_may_differ() {
    let spec = |name: &str| GraphTensor {
        name: name.to_owned(),
        dtype: DType::Fp32,
        axes: vec![Axis::Unknown],
    };
    let signature = Signature::of_graph(vec![spec("a"), spec("b")], vec![spec("y")]).unbatched();
    let tensor = |name: &'static str, rows| NamedTensor {
        name: name.into(),
        tensor: Tensor::zeroed(DType::Fp32, Shape::new(&[rows]).expect("small")),
    };
    inputs("m", &signature, 4, &mut [tensor("a", 2), tensor("b", 3)])
        .expect("nothing says they agree");
}
