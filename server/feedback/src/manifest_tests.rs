use std::collections::BTreeMap;

use backend_api::{Dim, Signature};

use super::*;
use crate::fixture::{spec, subject};
use crate::schema::schema;

/// What comes out is what the log has, but for what is the same for all rows and says nothing of columns.
#[test]
fn what_is_said_of_columns_is_understood() {
    let mut subject = subject("m");
    let rows = [Dim::Rows, Dim::Fixed(3)];
    subject.signature = Signature {
        inputs: vec![
            spec("named", DType::Fp32, &rows),
            spec("plain", DType::Int8, &rows),
            spec("one", DType::Bytes, &[Dim::Rows, Dim::Fixed(1)]),
            spec("free", DType::Fp16, &[Dim::Rows, Dim::Free("n".into())]),
        ],
        outputs: vec![
            spec("named", DType::Bool, &[Dim::Rows]),
            spec("many", DType::Fp64, &[Dim::Rows, Dim::Fixed(100_000)]),
            spec("hidden", DType::Uint64, &rows),
        ],
    };
    let given = ["a b", "c\"\n", "plain.1"].map(str::to_owned).to_vec();
    subject.config.features = BTreeMap::from([("plain".to_owned(), given)]);
    subject.config.hashed = vec!["hidden".to_owned()];
    let logged = schema(&subject).expect("columns");
    let text = manifest(&logged);
    let got = columns_of(&text).expect("understood");
    assert_eq!(got.fields(), logged.fields(), "{text}");
    let kept = subject.config.value_bytes_max.to_string();
    assert_eq!(got.metadata(), &HashMap::from([(VALUE_BYTES_MAX.to_owned(), kept)]));
    let named = "[\"in\",\"named\",\"FP32\",\"rows,3\",false,3]";
    assert!(text.contains(named), "{text}");
    // An older server's rows do not say what was cut.
    let older = columns_of(&text.replace(",\"marks\":true", "")).expect("understood");
    assert_eq!(older.fields().len() + 1, logged.fields().len());
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let entry = |side: &str, kind: &str, columns: &str| {
        format!("{{\"tensors\":[[\"{side}\",\"x\",\"{kind}\",\"rows\",false,{columns}]]}}")
    };
    for (text, expect) in [
        (entry("in", "FP8", "1"), "\"FP8\" is no type"),
        (entry("by", "FP32", "1"), "\"by\" is neither in nor out"),
        (entry("in", "FP32", "9000000000"), "9000000000 columns are more than a row has"),
        (entry("in", "FP32", "-1"), "data did not match any variant of untagged enum Named"),
        ("{}".to_owned(), "missing field `tensors`"),
    ] {
        let error = columns_of(&text).expect_err(&text);
        assert!(error.starts_with(expect), "{error}");
    }
}
