use super::*;

use backend_api::{Axis, GraphTensor};

/// Inputs `name:TYPE:axes`, padded along `S` as the rest of the file says.
#[track_caller]
fn check(inputs: &str, toml: &str, expect: Result<(), &str>) {
    let tensor = |word: &str| {
        let [name, dtype, axes] = word.split(':').collect::<Vec<_>>()[..] else { panic!("{word}") };
        let axis = |it: &str| it.parse().map_or_else(|_| Axis::Named(it.into()), Axis::Fixed);
        GraphTensor {
            name: name.to_owned(),
            dtype: DType::parse(dtype).expect("a type"),
            axes: axes.split(',').map(axis).collect(),
        }
    };
    let inputs = inputs.split_whitespace().map(tensor).collect();
    let signature = Signature::of_graph(inputs, vec![tensor("y:FP32:N,2")]);
    let table: toml::Table =
        format!("[padding]\naxes = {{ S = [4] }}\n{toml}").parse().expect("TOML");
    let mut root = Section::root(&table);
    let config = root.section("padding", PaddingConfig::read).expect("a section");
    root.finish(()).expect("no faults");
    let resolved = config.resolve(&signature).map(|_| ());
    assert_eq!(resolved, expect.map_err(str::to_owned), "{toml}");
}

#[test]
fn axes_and_inputs_are_those_of_the_model() {
    check("x:INT64:N,S mask:INT64:N,S", "values = { mask = 0 }", Ok(()));
    let none = "padding.axes: no input has a free axis 'S' (beside its rows): none has a name";
    check("x:INT64:N,4", "", Err(none));
    let other = "padding.axes: no input has a free axis 'S' (beside its rows): H, W";
    check("x:INT64:N,H,W", "", Err(other));
    check("x:INT64:S,4 y:INT64:S,2", "", Ok(()));
    let values = "values = { x = 1, z = 2 }";
    let faults = "padding.values: no input is called 'z': x, w; padding.values: input 'x' has no \
                  axis that is padded";
    check("x:INT64:N,4 w:FP32:N,S", values, Err(faults));
}

#[test]
fn values_are_of_the_input_s_type() {
    let cases = [
        ("INT8", "-128", None),
        ("INT8", "128", Some("out of the range of INT8")),
        ("INT16", "32768", Some("out of the range of INT16")),
        ("INT32", "2147483648", Some("out of the range of INT32")),
        ("INT64", "-9223372036854775808", None),
        ("INT64", "1.5", Some("INT64 holds whole numbers")),
        ("UINT8", "256", Some("out of the range of UINT8")),
        ("UINT16", "65536", Some("out of the range of UINT16")),
        ("UINT32", "-1", Some("out of the range of UINT32")),
        ("UINT64", "-1", Some("out of the range of UINT64")),
        ("BOOL", "2", Some("out of the range of BOOL")),
        ("FP16", "65504", None),
        ("FP16", "70000", Some("out of the range of FP16")),
        ("FP16", "-inf", None),
        ("BF16", "70000", None),
        ("FP32", "1e39", Some("out of the range of FP32")),
        ("FP64", "1e39", None),
        ("BYTES", "0", Some("BYTES are padded with empty strings")),
    ];
    for (dtype, value, fault) in cases {
        let shown = value.parse::<f64>().map_or_else(|_| value.to_owned(), |it| it.to_string());
        let shown = if value.contains('.') || value.contains('e') { shown } else { value.into() };
        let fault = fault.map(|it| format!("padding.values: x = {shown}: {it}"));
        let expect = fault.as_deref().map_or(Ok(()), Err);
        check(&format!("x:{dtype}:N,S"), &format!("values = {{ x = {value} }}"), expect);
    }
}
