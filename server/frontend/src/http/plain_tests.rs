use super::*;

use proptest::prelude::*;

use crate::http::object;

/// Both read the same, or the plain reader leaves it. Tells whether it was read.
fn check(json: &str) -> bool {
    let Some(body) = read(json.as_bytes()) else { return false };
    let of_serde: Result<InferBody<'_>, _> = object::read(json.as_bytes());
    assert_eq!(Ok(body), of_serde, "{json}");
    true
}

/// Text between any two parts.
fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n\t", "\r "])
}

/// A number in one of the ways in which it can be written, and some that are none.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        any::<u64>().prop_map(|it| it.to_string()),
        (-300_i32..300).prop_map(|it| it.to_string()),
        any::<f32>().prop_map(|it| format!("{it:?}")),
        any::<f64>().prop_map(|it| format!("{it:e}")),
        any::<f32>().prop_map(|it| format!("{:?}", f64::from(it))),
        "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        prop::sample::select(vec!["-0", "true", "\"NaN\"", "01", "1.", "[1]", "", "null", "1 2"])
            .prop_map(str::to_owned),
    ]
}

fn input() -> impl Strategy<Value = String> {
    let types: Vec<&str> = DType::ALL.iter().map(|it| it.name()).collect();
    let numbers = prop::collection::vec(number(), 1..4);
    let parameter = prop::sample::select(vec![
        "",
        ",\"parameters\":{\"binary_data_size\":4}",
        ",\"parameters\":{\"shared_memory_region\":\"r\",\"shared_memory_offset\":2,\"shared_memory_byte_size\":4}",
        ",\"parameters\":{\"shared_memory_region\":7,\"shared_memory_byte_size\":-4}",
        ",\"parameters\":{\"mine\":[1]}",
        ",\"name\":\"twice\"",
        ",\"extra\":1",
    ]);
    let open = prop::sample::select(vec![("[", "]"), ("[[", "]]"), ("", ""), ("[[", "]")]);
    (prop::sample::select(types), numbers, space(), parameter, open, ".{0,2}", any::<bool>())
        .prop_map(|(dtype, numbers, space, parameter, (open, close), name, first)| {
            let (count, list) = (numbers.len(), numbers.join(&format!("{space},{space}")));
            let name = name.replace(['\\', '"'], "");
            let data = format!(",{space}\"data\":{open}{space}{list}{close}");
            let (before, behind) = if first { ("", &*data) } else { (&*data, "") };
            format!(
                "{{{space}\"name\":\"{name}\"{before},\"shape\"{space}:[1,{count}],\"datatype\":\"{dtype}\"{behind}{parameter}}}"
            )
        })
}

fn body() -> impl Strategy<Value = String> {
    let inputs = prop::collection::vec(input(), 0..3);
    let rest = prop::sample::select(vec![
        "",
        ",\"id\":\"an id\"",
        ",\"id\":null",
        ",\"id\":\"\\u0041\"",
        ",\"parameters\":{\"timeout\":5,\"binary_data_output\":true}",
        ",\"parameters\":{\"timeout\":-5}",
        ",\"outputs\":[{\"name\":\"y\"},{\"name\":\"z\",\"parameters\":{\"binary_data\":false}}]",
        ",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":1}}]",
        ",\"inputs\":[]",
        "}",
    ]);
    (inputs, rest, space()).prop_map(|(inputs, rest, space)| {
        format!("{space}{{\"inputs\":[{}]{rest}{space}}}{space}", inputs.join(","))
    })
}

proptest! {
    #[test]
    fn it_is_the_same_or_left(json in body()) {
        check(&json);
    }

    #[test]
    fn damaged_as_well(json in body(), at in 0_usize..200, noise in "[\\[\\]{},:\"0-9eE.+-]{0,3}", cut in 0_usize..3) {
        let mut bytes = json.into_bytes();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, noise.into_bytes());
        if let Ok(json) = String::from_utf8(bytes) {
            check(&json);
        }
    }

    #[test]
    fn floats_are_read_here(values in prop::collection::vec(any::<f32>().prop_filter("finite", |it| it.is_finite()), 1..9)) {
        let (count, list) = (values.len(), serde_json::to_string(&values).expect("numbers"));
        let json = format!("{{\"inputs\":[{{\"name\":\"x\",\"shape\":[{count}],\"datatype\":\"FP32\",\"data\":{list}}}]}}");
        prop_assert!(check(&json), "{json}");
    }
}

#[test]
fn what_clients_write_is_read_here() {
    for json in [
        r#"{"inputs":[{"name":"x","shape":[2],"datatype":"UINT8","data":[1,2]}]}"#,
        r#"{"id": "7", "inputs": [{"name": "x", "datatype": "INT64", "shape": [2, 1], "data": [[-1], [9223372036854775807]]}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}],"parameters":{"binary_data_output":true}}"#,
        r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"shared_memory_region":"r","shared_memory_byte_size":16}}],"outputs":[{"name":"y","parameters":{"shared_memory_region":"r","shared_memory_offset":16,"shared_memory_byte_size":16}}]}"#,
    ] {
        assert!(check(json), "{json}");
    }
}

#[test]
fn what_is_unusual_is_left() {
    for json in [
        "",
        "[]",
        r#"{"inputs":[]} x"#,
        r#"{"inputs":[],}"#,
        r#"{"inputs":[],"mine":1}"#,
        r#"{"inputs":[{"name":"x","data":[1],"shape":[1],"datatype":"UINT8"}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1],"datatype":"UINT8","data":[256]}]}"#,
        r#"{"inputs":[{"name":"x","shape":[2],"datatype":"UINT8","data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1e39]}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1000000],"datatype":"FP32","data":[1]}]}"#,
    ] {
        assert_eq!(read(json.as_bytes()), None, "{json}");
    }
}
