//! `MLmodel`: what MLflow writes beside a model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::declared::Declared;
use crate::refusal::{Refusal, Rule};
use crate::yaml;

/// Name of the file.
pub const FILE: &str = "MLmodel";

/// Largest file that is read: signatures of thousands of columns are below it.
const BYTES_MAX: u64 = 4 << 20;

/// Entries of `metadata` that are shown, and characters of each: they are in every answer.
const METADATA_MAX: usize = 32;
const TEXT_MAX: usize = 256;

/// Fields that are shown, and as what.
const FACTS: [(&str, &str); 6] = [
    ("run_id", "mlflow.run_id"),
    ("model_id", "mlflow.model_id"),
    ("model_uuid", "mlflow.model_uuid"),
    ("mlflow_version", "mlflow.version"),
    ("utc_time_created", "mlflow.created"),
    ("artifact_path", "mlflow.artifact_path"),
];

/// What a file said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    flavors: BTreeMap<String, Value>,
    /// What the model takes and gives, if that is said.
    pub signature: Option<Declared>,
    /// Files with an example, the one to look at first first.
    pub examples: Vec<String>,
    /// Where the model comes from.
    pub facts: BTreeMap<String, String>,
}

impl Card {
    /// Reads the file in a version's folder; `None` if it is not there.
    pub fn read(folder: &Path) -> Result<Option<Card>, Refusal> {
        let mut text = String::new();
        let read = File::open(folder.join(FILE))
            .and_then(|it| it.take(BYTES_MAX + 1).read_to_string(&mut text));
        match read {
            Ok(_) if text.len() as u64 > BYTES_MAX => {
                Err(refused(&format!("it has more than {BYTES_MAX} bytes")))
            }
            Ok(_) => Card::parse(&text).map(Some).map_err(|it| refused(&it)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Refusal::of_disk(Rule::Signature, FILE, &error)),
        }
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Card, String> {
        let tree = yaml::parse(text)?;
        let root = tree.as_object().ok_or("expected names and values")?;
        let flavors = root.get("flavors").and_then(Value::as_object);
        let flavors = flavors.ok_or("expected `flavors`, a table of what can load the model")?;
        let signature = root.get("signature").filter(|it| !it.is_null());
        let mut facts = BTreeMap::new();
        for (field, name) in FACTS {
            if let Some(text) = root.get(field).and_then(Value::as_str) {
                facts.insert(name.to_owned(), short(text));
            }
        }
        let metadata = root.get("metadata").and_then(Value::as_object);
        for (key, value) in metadata.into_iter().flatten().take(METADATA_MAX) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            facts.insert(format!("mlflow.metadata.{}", short(key)), short(&text));
        }
        Ok(Card {
            flavors: flavors.iter().map(|(name, it)| (name.clone(), it.clone())).collect(),
            signature: signature.map(Declared::read).transpose()?,
            examples: examples(root.get("saved_input_example_info")),
            facts,
        })
    }

    /// Refuses a folder without any of the files that engines read.
    pub fn check_servable(&self, folder: &Path, artifacts: &[&str]) -> Result<(), Refusal> {
        if artifacts.iter().any(|it| folder.join(it).is_file()) {
            return Ok(());
        }
        let names: Vec<&str> = self.flavors.keys().map(String::as_str).collect();
        let (names, wanted) = (names.join(", "), artifacts.join(" or "));
        let data = self.flavors.get("onnx").and_then(|it| it.get("data")).and_then(Value::as_str);
        let reason = match data {
            Some(data) => format!(
                "MLmodel has the flavor onnx with the file '{}', and {wanted} is not there: \
                 expected it at the root of the version's folder",
                short(data)
            ),
            None => format!(
                "MLmodel has no flavor that is served here, only {names}: code in Python is not \
                 run. Needed is {wanted}: export the model to ONNX and log it with \
                 mlflow.onnx.log_model"
            ),
        };
        Err(Refusal::new(Rule::Flavor, reason))
    }
}

/// What stands there by name, of which only plain names in the version's folder count.
fn examples(info: Option<&Value>) -> Vec<String> {
    let Some(info) = info.and_then(Value::as_object) else { return Vec::new() };
    let kind = info.get("type").and_then(Value::as_str).unwrap_or_default();
    // Sparse matrices, texts and trees are inputs of Python, not of a graph.
    if !["ndarray", "dataframe"].contains(&kind) {
        return Vec::new();
    }
    let names = ["serving_input_path", "artifact_path"];
    let names = names.iter().filter_map(|it| info.get(*it).and_then(Value::as_str));
    names.filter(|it| is_plain(it)).map(str::to_owned).collect()
}

/// A name in this folder and no other.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != ".."
}

fn short(text: &str) -> String {
    let mut kept: String = text.chars().filter(|it| !it.is_control()).take(TEXT_MAX).collect();
    if kept.len() < text.len() && text.chars().count() > TEXT_MAX {
        kept.push('…');
    }
    kept
}

fn refused(what: &str) -> Refusal {
    let reason = format!(
        "MLmodel cannot be read: {what}; proof.signature = false serves the version all the same"
    );
    Refusal::new(Rule::Signature, reason)
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
