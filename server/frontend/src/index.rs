//! The repository index: what the lifecycle has, with where it comes from and how it is used.

use std::collections::BTreeMap;
use std::sync::Arc;

use server_base::{ModelName, Origin, Version};
use server_lifecycle::{Entry, State};

use crate::dispatch::Shared;

/// One version; or a model without any.
pub(crate) struct Line {
    pub(crate) model: ModelName,
    pub(crate) version: Option<Version>,
    pub(crate) state: State,
    pub(crate) reason: String,
    /// Of a model that comes from a registry.
    pub(crate) source: Option<String>,
    /// What all files of the version are, where that is known.
    pub(crate) digest: Option<String>,
    /// Its share of the requests that name no version.
    pub(crate) share: Option<f64>,
    /// It was replaced, and stays loaded for a roll-back.
    pub(crate) is_warm: bool,
}

/// All of them, or those that can answer.
pub(crate) fn lines(shared: &Shared, only_ready: bool) -> Vec<Line> {
    let (index, table) = (shared.lifecycle.index(), shared.serving.table());
    let shown = index.iter().filter(|it| !only_ready || it.state == State::Available);
    let line = |it: &Entry| {
        let origin = shared.origins.get(it.model.as_str());
        let shares = table.model(it.model.as_str()).map(|it| it.shares()).unwrap_or_default();
        line(it, origin, &shares)
    };
    shown.map(line).collect()
}

fn line(entry: &Entry, origin: Option<Arc<Origin>>, shares: &BTreeMap<Version, f64>) -> Line {
    let content =
        origin.as_ref().zip(entry.version).and_then(|(origin, it)| origin.versions.get(&it));
    let source = origin.as_ref().map(|it| content.map_or(&it.source, |it| &it.source).clone());
    let is_available = entry.state == State::Available;
    let share = entry.version.and_then(|it| shares.get(&it).copied()).filter(|_| is_available);
    Line {
        model: entry.model.clone(),
        version: entry.version,
        state: entry.state.clone(),
        reason: reason(entry, origin.as_deref()),
        digest: content.map(|it| it.digest.clone()),
        source,
        share,
        is_warm: entry.is_warm,
    }
}

/// A model that its registry has not given has no better reason; one that answers goes on, and whoever
/// looks learns that it is not followed any more.
fn reason(entry: &Entry, origin: Option<&Origin>) -> String {
    let trouble = origin.and_then(|it| it.trouble.as_deref());
    match (trouble, entry.version, &entry.state) {
        (Some(trouble), None, _) => trouble.to_owned(),
        (Some(trouble), Some(_), State::Available) if entry.reason.is_empty() => trouble.to_owned(),
        (Some(trouble), Some(_), State::Available) => format!("{}; {trouble}", entry.reason),
        (None, None, _) if origin.is_some_and(|it| it.versions.is_empty()) => {
            "waiting for its registry".to_owned()
        }
        (Some(_) | None, _, _) => entry.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        version: Option<u64>,
        state: State,
        reason: &str,
        trouble: Option<&str>,
        expect: &str,
    ) {
        let (model, version) = (ModelName::new("m").expect("a name"), version.map(Version));
        let reason = reason.to_owned();
        let (is_tried_again, is_warm) = (false, false);
        let entry = Entry { model, version, state, reason, is_tried_again, is_warm, digest: None };
        let origin = Origin { trouble: trouble.map(str::to_owned), ..Origin::default() };
        assert_eq!(super::reason(&entry, Some(&origin)), expect);
    }

    #[test]
    fn what_a_registry_does_is_said_where_it_matters() {
        let ended = || State::End { reason: None };
        check(None, ended(), "no versions", None, "waiting for its registry");
        check(None, ended(), "no versions", Some("refused"), "refused");
        check(Some(1), State::Available, "", Some("refused"), "refused");
        check(Some(1), State::Available, "faulty", Some("refused"), "faulty; refused");
        check(Some(1), State::Available, "", None, "");
        check(Some(2), ended(), "cannot be read", Some("refused"), "cannot be read");
    }
}
