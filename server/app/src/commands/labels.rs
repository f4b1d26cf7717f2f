//! `salver labels send`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, anyhow};
use http::Method;
use serde_json::{Map, Value, json};

use super::predict::encoded;
use crate::cli::{OutputFormat, SendArgs};
use crate::client::{Client, ClientError};

/// Labels of one request: below the server's bounds, whatever their ids are.
const LABELS_MAX: usize = 1_000;

/// What the server counts.
const COUNTS: [&str; 4] = ["recorded", "joined", "corrected", "waiting"];

/// Sends all labels of a file, some at a time.
pub(crate) fn send(args: &SendArgs) -> Result<String, ClientError> {
    let client = Client::new(&args.server)?;
    let path = format!("/v2/models/{}/labels", encoded(&args.model));
    let shown = args.file.display().to_string();
    let labels = read(args).with_context(|| shown.clone()).map_err(ClientError::Failed)?;
    let (mut some, mut counts, mut sent) = (Vec::new(), [0_u64; COUNTS.len()], 0_usize);
    let mut labels = labels.enumerate().peekable();
    while let Some((place, label)) = labels.next() {
        let label = label.with_context(|| format!("{shown}, label {}", place + 1));
        some.push(label.map_err(ClientError::Failed)?);
        if some.len() < LABELS_MAX && labels.peek().is_some() {
            continue;
        }
        let body = json!({ "labels": some }).to_string().into_bytes();
        // The server counts from 0 in each request.
        let after = |words: String| format!("{words} (after {sent} labels that are recorded)");
        let answer = client.ask(Method::POST, &path, body).map_err(|it| match it {
            ClientError::Refused(status, words) => ClientError::Refused(status, after(words)),
            ClientError::Unreachable(_) | ClientError::Failed(_) => it,
        })?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|it| ClientError::Failed(anyhow!("the answer is no JSON: {it}")))?;
        for (count, key) in counts.iter_mut().zip(COUNTS) {
            *count += answer[key].as_u64().unwrap_or_default();
        }
        sent += some.len();
        some.clear();
    }
    if sent == 0 {
        return Err(ClientError::Failed(anyhow!("{shown}: no labels in it")));
    }
    if args.server.output == OutputFormat::Json {
        let counts: Map<String, Value> =
            COUNTS.iter().zip(counts).map(|(key, it)| ((*key).to_owned(), json!(it))).collect();
        return Ok(Value::Object(counts).to_string());
    }
    let words = COUNTS.iter().zip(counts).map(|(key, it)| format!("{it} {key}"));
    Ok(words.collect::<Vec<String>>().join(", "))
}

type Labels = Box<dyn Iterator<Item = anyhow::Result<Value>>>;

fn read(args: &SendArgs) -> anyhow::Result<Labels> {
    let file = BufReader::new(File::open(&args.file)?);
    match args.file.extension().and_then(|it| it.to_str()) {
        Some("csv") => {
            let lines = server_dataset::lines(file)?;
            Ok(Box::new(lines.map(|it| of_columns(&it?))))
        }
        Some("jsonl" | "ndjson") => {
            let full =
                |it: &std::io::Result<String>| it.as_ref().map_or(true, |it| !it.trim().is_empty());
            Ok(Box::new(file.lines().filter(full).map(|it| Ok(serde_json::from_str(&it?)?))))
        }
        _ => Err(anyhow!("the name ends neither with .csv nor with .jsonl")),
    }
}

/// The server says what is wrong with a value; here only what is no number is.
fn of_columns(line: &[(String, String)]) -> anyhow::Result<Value> {
    let mut label = Map::new();
    for (name, text) in line {
        let value = match name.as_str() {
            "id" | "value" => json!(text),
            "row" => json!(text.parse::<u32>().with_context(|| format!("row {text:?}"))?),
            "timestamp" if text.is_empty() => continue,
            "timestamp" => {
                json!(text.parse::<f64>().with_context(|| format!("timestamp {text:?}"))?)
            }
            other => {
                let text = "is none of id, value, row, timestamp";
                return Err(anyhow!("column {other:?} {text}"));
            }
        };
        label.insert(name.clone(), value);
    }
    Ok(Value::Object(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_table_are_labels() {
        let line = |cells: &[(&str, &str)]| {
            let own = |(name, it): &(&str, &str)| ((*name).to_owned(), (*it).to_owned());
            of_columns(&cells.iter().map(own).collect::<Vec<_>>()).map_err(|it| format!("{it:#}"))
        };
        let all = [("id", "007"), ("value", "2"), ("row", "1"), ("timestamp", "1.5")];
        let expect = json!({"id": "007", "value": "2", "row": 1, "timestamp": 1.5});
        assert_eq!(line(&all), Ok(expect));
        let few = [("id", "a"), ("value", "cat"), ("timestamp", "")];
        assert_eq!(line(&few), Ok(json!({"id": "a", "value": "cat"})));
        let row = line(&[("row", "-1")]).expect_err("no such row");
        assert!(row.starts_with("row \"-1\": "), "{row}");
        let column = line(&[("label", "1")]).expect_err("no such column");
        assert_eq!(column, "column \"label\" is none of id, value, row, timestamp");
    }
}
