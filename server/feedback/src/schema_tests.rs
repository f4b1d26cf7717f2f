use backend_api::Signature;
use server_base::{ModelName, Version};

use super::*;
use crate::fixture::spec;

fn subject(config: LogConfig) -> Subject {
    let inputs = vec![
        spec("x", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)]),
        spec("user", DType::Bytes, &[Dim::Rows, Dim::Fixed(1)]),
        spec("text", DType::Int64, &[Dim::Rows, Dim::Free("T".into())]),
    ];
    let outputs = vec![spec("label", DType::Int64, &[Dim::Rows])];
    let model = ModelName::new("m").expect("a name");
    let signature = Signature { inputs, outputs };
    let (version, backend) = (Version(1), Some("onnxruntime".to_owned()));
    let source = Some("s3://models/m".to_owned());
    Subject { model, version, digest: None, backend, source, signature, config, truth: None }
}

/// The columns of the tensors with their types, or the error.
#[track_caller]
fn check(config: LogConfig, expect: Result<&[&str], &str>) {
    let got = Columns::new(&subject(config)).map(|it| {
        let fields = it.schema.fields().iter().skip(fixed().len());
        let word = |it: &arrow_schema::FieldRef| {
            let is_struct = matches!(it.data_type(), DataType::Struct(_));
            let is_list = matches!(it.data_type(), DataType::List(_));
            let kind = if is_struct { "Struct".to_owned() } else { it.data_type().to_string() };
            let kind = if is_list { "List".to_owned() } else { kind };
            format!("{} {kind}", it.name())
        };
        fields.map(word).collect::<Vec<_>>()
    });
    let expect = expect.map(|it| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    assert_eq!(got, expect.map_err(str::to_owned));
}

#[test]
fn columns_follow_the_signature() {
    let all = [
        "in.x.0 Float32",
        "in.x.1 Float32",
        "in.user Utf8",
        "in.text Struct",
        "out.label Int64",
        "truncated List",
    ];
    check(LogConfig::default(), Ok(&all));
    let names = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let named = LogConfig {
        inputs: Some(names(&["x", "user"])),
        outputs: Some(Vec::new()),
        hashed: names(&["user"]),
        features: [("x".to_owned(), names(&["age", "height"]))].into(),
        ..LogConfig::default()
    };
    check(named, Ok(&["in.age Float32", "in.height Float32", "in.user Utf8"]));
    let narrow = LogConfig { columns_max: 1, ..LogConfig::default() };
    let whole = ["in.x Struct", "in.user Utf8", "in.text Struct", "out.label Int64"];
    check(narrow, Ok(&[whole.as_slice(), &["truncated List"]].concat()));
}

#[test]
fn what_is_the_same_for_all_rows_is_said_once() {
    let columns = Columns::new(&subject(LogConfig::default())).expect("columns").on("host-1");
    let about = columns.schema.metadata();
    let said = |key: &str| about.get(&format!("salver.{key}")).map(String::as_str);
    assert_eq!(said("backend"), Some("onnxruntime"));
    assert_eq!(said("registry_uri"), Some("s3://models/m"));
    assert_eq!((said("host"), said("model")), (Some("host-1"), Some("m")));
    let unknown = Subject { backend: None, source: None, ..subject(LogConfig::default()) };
    let about = schema(&unknown).expect("columns").metadata().clone();
    for key in ["backend", "registry_uri"] {
        assert!(!about.contains_key(&format!("salver.{key}")), "{key}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let names = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let with = |change: fn(&mut LogConfig, Vec<String>), list: &[&str]| {
        let mut config = LogConfig::default();
        change(&mut config, names(list));
        config
    };
    let inputs = with(|it, list| it.inputs = Some(list), &["y"]);
    check(inputs, Err("log.inputs: \"y\" is none of text, user, x"));
    let hashed = with(|it, list| it.hashed = list, &["y"]);
    check(hashed, Err("log.hash: \"y\" is none of label, text, user, x"));
    let few = with(|it, list| it.features = [("x".to_owned(), list)].into(), &["age"]);
    check(few, Err("log.features: \"x\" has 2 columns, 1 names are given"));
    let twice = with(|it, list| it.features = [("x".to_owned(), list)].into(), &["a", "a"]);
    check(twice, Err("two columns would be called \"in.a\": see log.features"));
}
