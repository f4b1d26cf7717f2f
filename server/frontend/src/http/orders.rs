//! What an operator wants at once: `promote`, `rollback` and `forget` of a model.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Request, Response};
use serde::Deserialize;
use server_base::{Kind, Version};
use server_conductor::Order;

use super::repository::read;
use super::rollout::shown;
use super::route::Route;
use super::{failure, refusal};
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;
use crate::index::{Line, lines};

/// Longer names and reasons are for other places than an audit log.
const BY_CHARS_MAX: usize = 200;
const REASON_CHARS_MAX: usize = 1_000;

/// Enough of a digest to tell it from others: `sha256:` and twelve digits, as the command line shows it.
const DIGEST_CHARS_MIN: usize = 19;

/// `{"version": 3, "by": "anna", "reason": ".."}`, or a digest instead of the version.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PromoteBody {
    version: Option<u64>,
    digest: Option<String>,
    by: String,
    reason: String,
}

/// The same, without a version.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WhoBody {
    pub(super) by: String,
    pub(super) reason: String,
}

/// `POST /v2/models/{model}/promote`.
pub(crate) async fn promote(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let PromoteBody { version, digest, by, reason } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let known: Vec<Line> =
        lines(&shared, false).into_iter().filter(|it| it.model.as_str() == route.model).collect();
    let named = named(&known, (version, digest.as_deref()))
        .and_then(|(to, digest)| Ok((to, order(by, reason, digest)?)));
    match named {
        Ok((to, order)) => shown(shared.conductor.promote(&route.model, to, order).await),
        Err(why) => refusal(Kind::Invalid, why),
    }
}

/// `POST /v2/models/{model}/rollback`.
pub(crate) async fn roll_back(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let WhoBody { by, reason } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let ready: Vec<Line> =
        lines(&shared, true).into_iter().filter(|it| it.model.as_str() == route.model).collect();
    // Only the source knows which of several versions it was that answered.
    let named = shared.origins.get(&route.model).and_then(|it| it.before);
    let before = named.or_else(|| replaced(&ready));
    match order(by, reason, None) {
        Ok(order) => shown(shared.conductor.roll_back(&route.model, before, order).await),
        Err(why) => refusal(Kind::Invalid, why),
    }
}

/// `POST /v2/models/{model}/forget`: shows what is forgotten.
pub(crate) async fn forget(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let WhoBody { by, reason } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    match order(by, reason, None) {
        Ok(order) => shown(shared.conductor.forget(&route.model, order).await),
        Err(why) => refusal(Kind::Invalid, why),
    }
}

/// The version that another one has replaced as the one that answers. Where several others are ready it may have stood
/// beside them, for its label or its number, and have never answered those who name none.
fn replaced(ready: &[Line]) -> Option<Version> {
    let warm = ready.iter().find(|it| it.is_warm)?.version;
    let others: BTreeSet<_> = ready.iter().map(|it| it.version).filter(|it| *it != warm).collect();
    warm.filter(|_| others.len() == 1)
}

/// The version that is meant, and what it is where that is known.
fn named(
    known: &[Line],
    (version, digest): (Option<u64>, Option<&str>),
) -> Result<(Version, Option<String>), String> {
    let given = match (version, digest) {
        (Some(0), _) => return Err("version: 0, expected a number from 1".to_owned()),
        (Some(number), None) => {
            let line = known.iter().find(|it| it.version == Some(Version(number)));
            return Ok((Version(number), line.and_then(|it| it.digest.clone())));
        }
        (None, Some(digest)) => digest,
        (None, None) | (Some(_), Some(_)) => {
            return Err("expected a version or a digest, and not both".to_owned());
        }
    };
    if given.len() < DIGEST_CHARS_MIN || !given.starts_with("sha256:") {
        return Err(format!("digest: {given:?}, expected sha256: and at least 12 digits"));
    }
    let fits = |it: &&Line| it.digest.as_deref().is_some_and(|it| it.starts_with(given));
    let found: Vec<&Line> = known.iter().filter(fits).collect();
    match found.as_slice() {
        [Line { version: Some(version), digest, .. }] => Ok((*version, digest.clone())),
        [] => Err(format!("digest: no version of the model is {given:?}")),
        _ => Err(format!("digest: more than one version is {given:?}; name one by its number")),
    }
}

/// Who and why, if it is no longer than a line of the audit log may be.
pub(super) fn order(by: String, reason: String, digest: Option<String>) -> Result<Order, String> {
    for (what, text, most) in [("by", &by, BY_CHARS_MAX), ("reason", &reason, REASON_CHARS_MAX)] {
        let chars = text.chars().count();
        if chars > most {
            return Err(format!("{what}: {chars} characters, at most {most}"));
        }
    }
    Ok(Order { by, reason, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    use server_base::ModelName;
    use server_lifecycle::State;

    fn line(version: u64, digest: Option<&str>) -> Line {
        Line {
            model: ModelName::new("m").expect("a name"),
            version: Some(Version(version)),
            state: State::Available,
            reason: String::new(),
            source: None,
            digest: digest.map(str::to_owned),
            share: None,
            is_warm: false,
        }
    }

    #[track_caller]
    fn check(asked: (Option<u64>, Option<&str>), expect: Result<u64, &str>) {
        let known = [
            line(1, Some("sha256:aaaaaaaaaaaa1")),
            line(2, Some("sha256:bbbbbbbbbbbb2")),
            line(3, Some("sha256:aaaaaaaaaaaa3")),
            line(4, None),
        ];
        let got = named(&known, asked).map(|it| it.0.0);
        match (&got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!(*got, expect),
            (Err(got), Err(expect)) => assert!(got.contains(expect), "{got}"),
            (got, expect) => panic!("{got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn a_version_goes_by_its_number_or_its_digest() {
        check((Some(2), None), Ok(2));
        check((Some(9), None), Ok(9)); // its registry may have it
        check((None, Some("sha256:bbbbbbbbbbbb")), Ok(2));
        check((None, Some("sha256:aaaaaaaaaaaa3")), Ok(3));
        check((None, Some("sha256:aaaaaaaaaaaa")), Err("more than one"));
        check((None, Some("sha256:cccccccccccc")), Err("no version"));
        check((None, Some("sha256:b")), Err("at least 12 digits"));
        check((None, Some("bbbbbbbbbbbbbbbbbbbbbbbb")), Err("at least 12 digits"));
        check((Some(0), None), Err("from 1"));
        check((None, None), Err("a version or a digest"));
        check((Some(1), Some("sha256:aaaaaaaaaaaa1")), Err("not both"));
    }

    #[track_caller]
    fn goes_back(ready: &[u64], warm: u64, expect: Option<u64>) {
        let line = |it: &u64| Line { is_warm: *it == warm, ..line(*it, None) };
        let ready: Vec<Line> = ready.iter().map(line).collect();
        assert_eq!(replaced(&ready).map(|it| it.0), expect);
    }

    #[test]
    fn one_that_stood_beside_others_is_not_what_answered_before() {
        goes_back(&[1, 2], 1, Some(1));
        goes_back(&[1, 2], 2, Some(2));
        goes_back(&[1, 2, 2], 1, Some(1)); // two revisions of one version
        goes_back(&[1, 2, 3], 1, None);
        goes_back(&[3, 4, 5], 4, None);
        goes_back(&[1], 1, None); // it answers already
        goes_back(&[1, 2], 0, None);
    }

    #[test]
    fn names_and_reasons_have_an_end() {
        assert!(order("a".repeat(200), "é".repeat(1_000), None).is_ok());
        assert!(order("a".repeat(201), String::new(), None).is_err());
        assert!(order(String::new(), "a".repeat(1_001), None).is_err());
    }
}
