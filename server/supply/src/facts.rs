//! What a registry says of a version: tags that people gave it, and where it was made.

use std::borrow::Cow;
use std::collections::BTreeMap;

use server_registry::Record;

/// By name: `registry.tag.*` and `registry.*`.
pub(crate) type Facts = BTreeMap<String, String>;

/// Tags that are shown, and as many words of where it was made; and characters of each. Whoever writes to the
/// registry writes them, and they are in every answer to who asks for the model's metadata.
const SHOWN_MAX: usize = 32;
const TEXT_MAX: usize = 256;

/// What is shown of it.
pub(crate) fn facts(record: &Record) -> Facts {
    let tags = record.tags.iter().map(|it| ("registry.tag", it));
    let made = record.provenance.iter().map(|it| ("registry", it));
    let fact = |(group, (key, value)): (&str, (&String, &String))| {
        (format!("{group}.{}", short(key)), short(&without_secrets(value)))
    };
    tags.take(SHOWN_MAX).chain(made.take(SHOWN_MAX)).map(fact).collect()
}

/// Addresses in a text, as people may see them: neither who logs in there, nor what signs them. Anything else as it is.
fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return text.into();
    }
    text.split(' ').map(address).collect::<Vec<_>>().join(" ").into()
}

fn address(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    let server = server.rsplit('@').next().unwrap_or_default();
    let slash = if rest.contains('/') { "/" } else { "" };
    format!("{scheme}://{server}{slash}{path}").into()
}

fn short(text: &str) -> String {
    let mut shown = text.chars().filter(|it| !it.is_control());
    let mut kept: String = shown.by_ref().take(TEXT_MAX).collect();
    if shown.next().is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_provenance_are_cut_to_what_is_shown() {
        let tag = |n: usize| (format!("t{n:02}"), "x".repeat(300));
        let record = Record {
            tags: (0..40).map(tag).collect(),
            provenance: [("mlflow.run_id".to_owned(), "a\nb\u{1b}".to_owned())].into(),
            ..Record::default()
        };
        let facts = facts(&record);
        assert_eq!(facts.len(), SHOWN_MAX + 1);
        assert_eq!(facts["registry.mlflow.run_id"], "ab");
        assert_eq!(facts["registry.tag.t31"], format!("{}…", "x".repeat(256)));
        assert!(!facts.contains_key("registry.tag.t32"));
    }

    #[test]
    fn addresses_keep_their_secrets() {
        let check = |text, expect| assert_eq!(without_secrets(text), expect);
        check("s3://key:word@bucket/models/1?sig=x", "s3://bucket/models/1");
        check("https://h", "https://h");
        check("https://h/a@b#c", "https://h/a@b");
        check("why? anna@h knows", "why? anna@h knows");
        check("see http://a/b then https://u:tok@h/x?y", "see http://a/b then https://h/x");
    }
}
