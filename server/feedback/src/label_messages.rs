//! Labels out of messages again, as `label_events` sends them.

use serde::Deserialize;
use serde_json::Value;
use server_base::calendar;

use crate::labels::{LabelRow, LabelValue};

/// As it is in the message. What else it has is left out.
#[derive(Deserialize)]
struct Sent {
    label_id: String,
    inference_id: String,
    row_index: u32,
    label: Value,
    label_time: Option<String>,
    recorded_time: String,
}

/// The label of a message's value. An error says what is not as it should be.
pub fn label_of(value: &[u8]) -> Result<LabelRow, String> {
    let Sent { label_id, inference_id, row_index, label, label_time, recorded_time } =
        serde_json::from_slice(value).map_err(|it| it.to_string())?;
    let value = match label {
        Value::Bool(it) => LabelValue::Bool(it),
        Value::Number(it) => {
            LabelValue::Number(it.as_f64().ok_or_else(|| format!("{it} is no number"))?)
        }
        Value::String(it) => LabelValue::Text(it),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(format!("label {label}: expected a truth value, a number or a text"));
        }
    };
    let time = |text: String| {
        let wrong = || format!("{text:?} is no time like 2026-11-22T01:02:03.000004Z");
        calendar::us_of(&text).ok_or_else(wrong)
    };
    let (label_time, recorded_time) = (label_time.map(time).transpose()?, time(recorded_time)?);
    Ok(LabelRow { label_id, inference_id, row_index, value, label_time, recorded_time })
}

#[cfg(test)]
mod tests {
    use std::io;

    use server_base::ModelName;

    use super::*;
    use crate::label_events::LabelMessages;
    use crate::messages::{Message, Produce};

    struct Kept(Vec<Message>);

    impl Produce for &mut Kept {
        fn produce(&mut self, messages: &[Message]) -> io::Result<()> {
            self.0.extend_from_slice(messages);
            Ok(())
        }
    }

    #[test]
    fn what_was_sent_is_read() {
        let row = |n: i64, value| LabelRow {
            label_id: format!("replica-{n}"),
            inference_id: "é\"\n".to_owned(),
            row_index: u32::MAX,
            value,
            label_time: (n > 0).then_some(1_700_000_000_000_000 + n),
            recorded_time: 1_795_300_000_000_007,
        };
        let rows = [
            row(0, LabelValue::Bool(true)),
            row(1, LabelValue::Number(0.1)),
            row(2, LabelValue::Number(-1e15)),
            row(3, LabelValue::Text("red\n".to_owned())),
        ];
        let mut kept = Kept(Vec::new());
        let model = ModelName::new("a b").expect("a name");
        LabelMessages::new(&mut kept).put(&model, &rows).expect("kept");
        let read: Result<Vec<LabelRow>, String> =
            kept.0.iter().map(|it| label_of(&it.value)).collect();
        assert_eq!(read, Ok(rows.to_vec()));
    }

    #[test]
    fn what_is_no_label_is_refused_in_words() {
        let plain = r#"{"label_id":"a","inference_id":"b","row_index":0,"label":1,"label_time":null,"recorded_time":"2026-11-22T01:02:03.000004Z"}"#;
        assert!(label_of(plain.as_bytes()).is_ok());
        for (from, to, why) in [
            ("}", "", "EOF"),
            ("\"label\":1", "\"label\":[1]", "label [1]: expected"),
            ("\"label\":1", "\"label\":null", "label null: expected"),
            (":0,", ":-1,", "-1"),
            ("\"label_id\":\"a\",", "", "label_id"),
            ("T01", "T25", "T25:02:03.000004Z\" is no time"),
            ("null", "\"today\"", "\"today\" is no time"),
        ] {
            let error = label_of(plain.replace(from, to).as_bytes()).expect_err(to);
            assert!(error.contains(why), "{error}");
        }
    }
}
