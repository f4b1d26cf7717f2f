use super::*;

use backend_api::{Axis, GraphTensor};

/// `x FP32 rows,4; y INT64 rows`: names are lengths that vary, `?` as well.
fn specs(text: &str) -> Vec<GraphTensor> {
    let axis = |it: &str| match it.parse() {
        Ok(length) => Axis::Fixed(length),
        Err(_) => Axis::Named(it.to_owned()),
    };
    let spec = |it: &str| {
        let words: Vec<&str> = it.split_whitespace().collect();
        let axes = words.get(2).map(|it| it.split(',').map(axis).collect()).unwrap_or_default();
        let dtype = DType::parse(words[1]).expect("a type");
        GraphTensor { name: words[0].to_owned(), dtype, axes }
    };
    text.split("; ").map(spec).collect()
}

fn tensors(text: &str) -> String {
    let one = |it: &str| {
        let words: Vec<&str> = it.split_whitespace().collect();
        let name =
            if words[0] == "-" { String::new() } else { format!("\"name\":\"{}\",", words[0]) };
        let (dtype, shape) = (words[1], words[2]);
        format!(
            "{{{name}\"type\":\"tensor\",\"tensor-spec\":{{\"dtype\":\"{dtype}\",\"shape\":{shape}}}}}"
        )
    };
    format!("[{}]", text.split("; ").map(one).collect::<Vec<_>>().join(","))
}

fn columns(text: &str) -> String {
    let one = |it: &str| {
        let (name, kind) = it.split_once(' ').expect("name and type");
        let name = if name == "-" { String::new() } else { format!("\"name\":\"{name}\",") };
        format!("{{{name}\"type\":\"{kind}\",\"required\":true}}")
    };
    format!("[{}]", text.split("; ").map(one).collect::<Vec<_>>().join(","))
}

#[track_caller]
fn check(inputs: &str, outputs: &str, graph: (&str, &str), expect: Result<(), &str>) {
    let side =
        |it: &str| if it.is_empty() { Side::Anything } else { Side::parse(it).expect("a side") };
    let declared = Declared { inputs: side(inputs), outputs: side(outputs) };
    let graph = Signature::of_graph(specs(graph.0), specs(graph.1));
    let got = compare(&declared, &graph).map_err(|it| it.reason);
    match (expect, got) {
        (Ok(()), got) => assert_eq!(got, Ok(())),
        (Err(part), Err(got)) => assert!(got.contains(part), "{got}"),
        (Err(part), Ok(())) => panic!("fits, instead of: {part}"),
    }
}

const CLASSIFIER: (&str, &str) = ("x FP32 N,4", "label INT64 N; probabilities FP32 N,3");

#[test]
fn named_tensors_are_held_to_the_letter() {
    let outputs = tensors("label int64 [-1]; probabilities float32 [-1,3]");
    check(&tensors("x float32 [-1,4]"), &outputs, CLASSIFIER, Ok(()));
    check(&tensors("x float32 [2,4]"), &outputs, CLASSIFIER, Ok(()));
    check("", &tensors("label int64 [-1]"), CLASSIFIER, Ok(()));
    check(
        &tensors("x float32 [-1,5]"),
        "",
        CLASSIFIER,
        Err("input 'x' is FP32 [-1,5] in MLmodel, and the graph has x FP32 [rows,4]"),
    );
    check(
        &tensors("x float64 [-1,4]"),
        "",
        CLASSIFIER,
        Err("input 'x' is FP64 [-1,4] in MLmodel, and the graph has x FP32 [rows,4]"),
    );
    check(&tensors("x float32 [-1,2,2]"), "", CLASSIFIER, Err("input 'x' is FP32 [-1,2,2] in"));
    check(
        &tensors("a float32 [-1,4]"),
        "",
        CLASSIFIER,
        Err(
            "MLmodel has the input 'a', and the graph has x; the graph takes x FP32 [rows,4], which \
             MLmodel lacks",
        ),
    );
    check(
        "",
        &tensors("score float32 [-1]"),
        CLASSIFIER,
        Err("MLmodel has the output 'score', and the graph has label, probabilities"),
    );
    check(&tensors("x datetime64[ns] [-1,4]"), "", CLASSIFIER, Err("is datetime64[ns] [-1,4] in"));
}

#[test]
fn tensors_without_a_name_are_held_to_the_kind() {
    check(&tensors("- float64 [-1,4]"), &tensors("- float64 [-1,3]"), CLASSIFIER, Ok(()));
    check("", &tensors("- int64 [-1]"), CLASSIFIER, Ok(()));
    check("", &tensors("- float64 [-1]"), ("x FP32 N,4", "y FP32 N,1"), Ok(()));
    check("", &tensors("- float64 [-1,1]"), ("x FP32 N,4", "y FP32 N"), Ok(()));
    check("", &tensors("- float64 [-1,1]"), ("x FP32 N,4", "y FP32 N,M"), Ok(()));
    check(
        &tensors("- float32 [-1,1]"),
        "",
        ("x FP32 N", "y FP32 N"),
        Err("input 'x' is FP32 [-1,1]"),
    );
    check(&tensors("- int64 [-1,4]"), "", CLASSIFIER, Err("input 'x' is INT64 [-1,4] in MLmodel"));
    check(
        "",
        &tensors("- float32 [-1,7]"),
        CLASSIFIER,
        Err("MLmodel has the output FP32 [-1,7], and the graph gives label INT64 [rows], \
             probabilities FP32 [rows,3]"),
    );
    check(
        &tensors("- float32 [-1,4]"),
        "",
        ("a FP32 N,4; b FP32 N,4", "y FP32 N"),
        Err("MLmodel has one input, without a name, and the graph takes a, b"),
    );
}

#[test]
fn columns_are_one_input_or_several() {
    let four = columns("a double; b float; c long; d boolean");
    check(&four, "", CLASSIFIER, Ok(()));
    check(
        &columns("a double; b double"),
        "",
        CLASSIFIER,
        Err("MLmodel has 2 columns as input, and the graph has x FP32 [rows,4]"),
    );
    check(
        &columns("a double; b string; c double; d double"),
        "",
        CLASSIFIER,
        Err("input column 'b' is string in MLmodel, and the graph has x FP32 [rows,4]"),
    );
    check(&columns("a datetime"), "", ("x FP32 N", "y FP32 N"), Err("'a' is datetime"));
    let pair = ("age FP32 N,1; name BYTES N", "y FP32 N");
    check(&columns("name string; age double"), "", pair, Ok(()));
    check(&columns("name long; age double"), "", pair, Err("input column 'name' is long"));
    check(
        &columns("age double"),
        "",
        pair,
        Err("the graph takes name BYTES [rows], which MLmodel lacks"),
    );
    check(
        &columns("name string; age double; z long"),
        "",
        pair,
        Err("MLmodel has the column 'z', and the graph takes age, name"),
    );
    check(
        &columns("name string; age double"),
        "",
        ("age FP32 N,2; name BYTES N", "y FP32 N"),
        Err("column 'age' is double"),
    );
}

#[test]
fn columns_may_be_outputs() {
    check("", &columns("- long"), CLASSIFIER, Ok(()));
    check("", &columns("a double; b double; c double"), CLASSIFIER, Ok(()));
    check("", &columns("label long"), CLASSIFIER, Ok(()));
    check("", &columns("label string"), CLASSIFIER, Err("output column 'label' is string"));
    check("", &columns("a double; b double"), CLASSIFIER, Err("MLmodel has 2 columns as output"));
    check("", &columns("- string"), ("x FP32 N,4", "y FP32 N"), Err("is string in MLmodel"));
}

#[test]
fn what_was_not_declared_is_not_compared() {
    check("", "", CLASSIFIER, Ok(()));
    check("[{\"type\":\"any\"}]", "[]", CLASSIFIER, Ok(()));
}
