//! YAML as far as `MLmodel` needs it: maps, lists and words, as a JSON tree.
//!
//! Aliases are refused: nobody who writes `MLmodel` uses them, and a few lines of them unfold into
//! gigabytes. Numbers stay words, so that `1.20` is not `1.2`.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Lists in lists: more than any `MLmodel` has, less than would threaten the stack.
const DEPTH_MAX: usize = 32;

/// Reads the first document.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let events = std::iter::from_fn(|| parser.next_event());
    let mut events = events.map(|it| it.map(|(event, _)| event).map_err(|it| it.to_string()));
    loop {
        let event = events.next().ok_or("it is empty")??;
        if matches!(event, Event::StreamEnd) {
            return Err("it is empty".to_owned());
        }
        if !matches!(event, Event::Nothing | Event::StreamStart | Event::DocumentStart(_)) {
            return node(event, &mut events, 0);
        }
    }
}

fn node<'a>(
    event: Event<'a>,
    events: &mut impl Iterator<Item = Result<Event<'a>, String>>,
    depth: usize,
) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("it is nested deeper than {DEPTH_MAX}"));
    }
    match event {
        Event::Scalar(word, style, _, _) => Ok(scalar(&word, style)),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            loop {
                let event = events.next().ok_or("it ends too early")??;
                if matches!(event, Event::SequenceEnd) {
                    return Ok(Value::Array(list));
                }
                list.push(node(event, events, depth + 1)?);
            }
        }
        Event::MappingStart(..) => {
            let mut map = Map::new();
            loop {
                let key = events.next().ok_or("it ends too early")??;
                if matches!(key, Event::MappingEnd) {
                    return Ok(Value::Object(map));
                }
                let Event::Scalar(key, ..) = key else {
                    return Err("it has a list or a table for a name".to_owned());
                };
                let key = key.into_owned();
                let event = events.next().ok_or("it ends too early")??;
                map.insert(key, node(event, events, depth + 1)?);
            }
        }
        Event::Alias(_) => Err("it has aliases (*name), which are not read".to_owned()),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::SequenceEnd
        | Event::MappingEnd => Err("it ends too early".to_owned()),
    }
}

fn scalar(word: &str, style: ScalarStyle) -> Value {
    match (style, word) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        (ScalarStyle::Plain, "true") => Value::Bool(true),
        (ScalarStyle::Plain, "false") => Value::Bool(false),
        (_, word) => Value::String(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let parsed = parse(text).map(|it| it.to_string());
        match expect {
            Ok(json) => assert_eq!(parsed.as_deref(), Ok(json), "{text}"),
            Err(part) => assert!(parsed.as_ref().is_err_and(|it| it.contains(part)), "{parsed:?}"),
        }
    }

    #[test]
    fn documents_become_trees() {
        check("a: 1\nb:\n- x\n- 'y z'\n", Ok(r#"{"a":"1","b":["x","y z"]}"#));
        check(
            "a: null\nb:\nc: 'null'\nd: true\n",
            Ok(r#"{"a":null,"b":null,"c":"null","d":true}"#),
        );
        check("a: '[{\"name\":\n    \"x\"}]'\n", Ok(r#"{"a":"[{\"name\": \"x\"}]"}"#));
    }

    #[test]
    fn what_is_no_document_is_said() {
        check("", Err("empty"));
        check("a: [1, 2", Err(""));
        check("a: &x 1\nb: *x\n", Err("aliases"));
        check(&"[".repeat(40), Err("deeper than 32"));
    }
}
