//! What people say of a version of MLflow: its own tags, and of the registered model's those that are meant for us.

use std::collections::BTreeMap;

use super::mlflow_api::{ModelVersion, Tag};

/// Tags that are meant for this server begin so.
const OURS: &str = "salver.";

/// Asks for a rollout, or says that there is to be none; how it is to go stands in tags below it.
const ROLLOUT: &str = "salver.rollout";

/// A version's tags, and for what it does not say itself those of its registered model.
pub(super) fn said(found: &ModelVersion, of_model: Vec<Tag>) -> BTreeMap<String, String> {
    let own = found.tags.iter().map(|it| (it.key.clone(), it.value.clone()));
    let mut tags: BTreeMap<String, String> = own.collect();
    let is_below = |key: &str| key.strip_prefix(ROLLOUT).is_some_and(|it| it.starts_with('.'));
    // Who says how a version is to be rolled out wants it rolled out, whatever holds for the others.
    let says_how = tags.keys().any(|it| is_below(it));
    for Tag { key, value } in of_model {
        if key.starts_with(OURS) && !(says_how && key == ROLLOUT) {
            tags.entry(key).or_insert(value);
        }
    }
    if !found.aliases.is_empty() {
        tags.insert("aliases".to_owned(), found.aliases.join(","));
    }
    tags
}

/// Do they say anything of rollouts, which is read again as often as the version is brought?
pub(crate) fn says_ours(tags: &BTreeMap<String, String>) -> bool {
    tags.keys().any(|it| it.starts_with(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: &str, of_model: &str, expect: &str) {
        let tags = |text: &str| -> Vec<Tag> {
            let all = text.split_whitespace().filter_map(|it| it.split_once('='));
            all.map(|(key, value)| Tag { key: key.to_owned(), value: value.to_owned() }).collect()
        };
        let found = r#"{"version": "3", "aliases": ["champion"]}"#;
        let mut found: ModelVersion = serde_json::from_str(found).expect("a version");
        found.tags = tags(own);
        let told = said(&found, tags(of_model));
        let told: Vec<String> = told.iter().map(|(key, it)| format!("{key}={it}")).collect();
        assert_eq!(told.join(" "), expect);
    }

    #[test]
    fn a_version_says_more_than_its_model() {
        check("", "team=fraud", "aliases=champion");
        check("x=1", "salver.rollout=true x=2", "aliases=champion salver.rollout=true x=1");
        check(
            "salver.rollout=false",
            "salver.rollout=true salver.rollout.alpha=0.1",
            "aliases=champion salver.rollout=false salver.rollout.alpha=0.1",
        );
        check(
            "salver.rollout.alpha=0.2",
            "salver.rollout=false salver.rollout.alpha=0.1 salver.rollout.steps=100",
            "aliases=champion salver.rollout.alpha=0.2 salver.rollout.steps=100",
        );
    }
}
