use super::*;

use backend_api::{Axis, DType, GraphTensor};

fn graph(inputs: &[(&str, DType, &[usize])]) -> Signature {
    let tensor = |(name, dtype, rest): &(&str, DType, &[usize])| GraphTensor {
        name: (*name).to_owned(),
        dtype: *dtype,
        axes: std::iter::once(Axis::Named("N".to_owned()))
            .chain(rest.iter().map(|it| Axis::Fixed(*it)))
            .collect(),
    };
    let output = GraphTensor {
        name: "y".to_owned(),
        dtype: DType::Fp32,
        axes: vec![Axis::Named("N".to_owned())],
    };
    Signature::of_graph(inputs.iter().map(tensor).collect(), vec![output])
}

/// Reads an example; gives type and shape of each input.
#[track_caller]
fn check(json: &str, signature: &Signature, expect: Result<&str, &str>) {
    let value = serde_json::from_str(json).expect("JSON");
    let made = inputs(&value, signature);
    let text = |it: Vec<Tensor>| {
        let one = |it: &Tensor| format!("{} {}", it.dtype(), it.shape());
        it.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(made.map(text).as_deref().map_err(String::as_str), expect, "{json}");
}

#[test]
fn every_form_that_mlflow_writes_is_read() {
    let one = graph(&[("x", DType::Fp32, &[2])]);
    let two = Ok("FP32 [2,2]");
    check("[[1,2],[3,4]]", &one, two);
    check("{\"inputs\": [[1,2],[3,4]]}", &one, two);
    check("{\"inputs\": {\"x\": [[1,2],[3,4]]}}", &one, two);
    check("{\"x\": [[1,2],[3,4]]}", &one, two);
    check("{\"columns\": [\"a\",\"b\"], \"data\": [[1,2],[3,4]]}", &one, two);
    check(
        "{\"dataframe_split\": {\"columns\": [\"a\",\"b\"], \"data\": [[1,2],[3,4]]}}",
        &one,
        two,
    );
    let pair = graph(&[("age", DType::Fp32, &[1]), ("name", DType::Bytes, &[])]);
    let table = "{\"columns\": [\"name\",\"age\"], \"data\": [[\"a\",1],[\"b\",null]]}";
    check(table, &pair, Ok("FP32 [2,1]; BYTES [2]"));
    check(
        "{\"columns\": [\"x\"], \"data\": [[1],[3]]}",
        &graph(&[("x", DType::Int64, &[])]),
        Ok("INT64 [2]"),
    );
}

#[test]
fn what_does_not_fit_is_said() {
    let one = graph(&[("x", DType::Fp32, &[2])]);
    check("[[1,2,3]]", &one, Err("FP32 [1,3] does not fit the input x FP32 [rows,2]"));
    check("[1,2]", &one, Err("FP32 [2] does not fit the input x FP32 [rows,2]"));
    check("[[\"a\",\"b\"]]", &one, Err("input 'x': \"a\" is no FP32"));
    check("{\"z\": [[1,2]]}", &one, Err("there is no input 'z'"));
    check("{}", &one, Err("input 'x' is missing"));
    let pair = graph(&[("a", DType::Fp32, &[1]), ("b", DType::Fp32, &[1])]);
    check("[[1,2]]", &pair, Err("it is for one input, and the model has 2"));
    check("{\"columns\": [\"a\"], \"data\": [[1]]}", &pair, Err("there is no column 'b'"));
    let uneven = "{\"a\": [[1]], \"b\": [[1],[2]]}";
    check(uneven, &pair, Err("the inputs have no rows, or not all as many"));
}

#[test]
fn the_example_is_found_beside_the_model() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let signature = graph(&[("x", DType::Fp32, &[4])]);
    for name in ["unnamed", "named", "columns", "double"] {
        let folder = fixtures.join(name);
        let card = Card::read(&folder).expect("readable").expect("there");
        let made = example(&card, &folder, &signature).expect("fits").expect("there");
        assert_eq!(
            made[0].view::<f32>(),
            Some(&[1.0, 2.0, 3.0, 4.0, 0.5, 0.25, 0.0, 1.0][..]),
            "{name}"
        );
        let other = tempfile::tempdir().expect("scratch");
        assert_eq!(example(&card, other.path(), &signature), Ok(None), "it was not copied");
        let narrow = graph(&[("x", DType::Fp32, &[3])]);
        let refusal = example(&card, &folder, &narrow).expect_err("does not fit");
        assert_eq!(refusal.rule, Rule::Example);
        assert!(
            refusal.reason.contains("does not fit the input x FP32 [rows,3]"),
            "{}",
            refusal.reason
        );
    }
}

#[test]
fn an_example_must_give_numbers() {
    let signature = graph(&[("x", DType::Fp32, &[2])]);
    let check = |answer: Result<f32, &str>, expect: Result<(), &str>| {
        let mut ask = |_: &[Tensor]| {
            let tensor = |it| Tensor::from_elements(&[1], &[it]).expect("one");
            answer.map(|it| vec![tensor(it)]).map_err(str::to_owned)
        };
        let got = check_example(&signature, &[], &mut ask).map_err(|it| it.reason);
        match expect {
            Ok(()) => assert_eq!(got, Ok(())),
            Err(part) => assert!(got.as_ref().is_err_and(|it| it.contains(part)), "{got:?}"),
        }
    };
    check(Ok(1.0), Ok(()));
    check(Ok(f32::NAN), Err("the model's own example gives NaN in output 'y'[0]"));
    check(Err("too wide"), Err("the model's own example does not run: too wide"));
}
