//! Tells registries what rollouts have decided of their versions.
//!
//! A registry that does not help is asked again for some minutes; then the verdict stands in the audit log
//! alone. One verdict after the other, since they are rare; a registry and the place where verdicts are kept as files are told
//! side by side, so that neither waits for the other.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use server_base::{ModelName, Version};
use server_registry::{Registries, RegistryError, Told, Uri, Verdict};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::metrics;
use crate::target::Target;

/// Verdicts that wait for those before them.
const WAITING_MAX: usize = 64;

/// With the pauses about two minutes.
const TRIES_MAX: u32 = 8;

/// Between tries, doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longer words are cut: MLflow takes 5,000 characters in a tag, older releases 500.
const WORDS_MAX: usize = 450;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Of which model.
    pub model: ModelName,
    /// Of which version of it.
    pub version: Version,
    /// In a word: `promoted`, `rolled_back`, `held`, `inconclusive`, `resumed`.
    pub verdict: &'static str,
    /// Why.
    pub words: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The version that has all requests now, if that is for the registry to know.
    pub serves: Option<Version>,
    /// Everything it rests on, as JSON; behind it the same in ever fewer words.
    pub evidence: Vec<String>,
}

/// Takes what was decided. Never waits.
#[derive(Clone, Debug)]
pub struct Verdicts(mpsc::Sender<Decided>);

impl Verdicts {
    pub(crate) fn new() -> (Verdicts, mpsc::Receiver<Decided>) {
        let (send, receive) = mpsc::channel(WAITING_MAX);
        (Verdicts(send), receive)
    }

    /// Has the registry told. What finds no room is in the audit log alone.
    pub fn offer(&self, decided: Decided) {
        if let Err(refused) = self.0.try_send(decided) {
            metrics::told("lost");
            let decided = refused.into_inner();
            tracing::warn!(model = %decided.model, version = %decided.version, "a registry is not told of a verdict: too many wait");
        }
    }
}

/// Goes on until nobody can offer any more.
pub(crate) async fn tell_all(
    registries: &Registries,
    homes: &BTreeMap<ModelName, Home>,
    mut decided: mpsc::Receiver<Decided>,
) {
    while let Some(it) = decided.recv().await {
        let Some(home) = homes.get(&it.model) else { continue };
        tell(registries, home, &it).await;
    }
}

/// Where a model is from.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    source: Uri,
    /// Names the version that serves.
    alias: Option<String>,
    /// Where verdicts are kept as files, besides.
    verdicts: Option<Uri>,
}

impl Home {
    pub(crate) fn of(target: &Target) -> Home {
        let (alias, verdicts) = (target.promoted_alias.clone(), target.verdicts.clone());
        Home { source: target.source.clone(), alias, verdicts }
    }
}

async fn tell(registries: &Registries, home: &Home, decided: &Decided) {
    let verdict = verdict(home, decided);
    let tell = || registries.tell(&home.source, &verdict);
    let Some(verdicts) = &home.verdicts else { return insist(decided, tell).await };
    let path =
        format!("{}/{}/{}-{}.json", decided.model, decided.version, decided.at, decided.verdict);
    let whole = Bytes::from(decided.evidence.first().cloned().unwrap_or_default());
    let note = async || registries.note(verdicts, &path, whole.clone()).await.map(|()| Told::Whole);
    tell_both(decided, tell, note).await;
}

/// Neither waits for the other.
async fn tell_both(
    decided: &Decided,
    tell: impl AsyncFn() -> Result<Told, RegistryError>,
    note: impl AsyncFn() -> Result<Told, RegistryError>,
) {
    join(insist(decided, tell), insist(decided, note)).await;
}

/// Asks again for some minutes, if need be.
async fn insist(decided: &Decided, ask: impl AsyncFn() -> Result<Told, RegistryError>) {
    let (model, version) = (&decided.model, decided.version);
    let mut pause = PAUSE;
    for tries in 1..=TRIES_MAX {
        match ask().await {
            Ok(Told::Whole) => return metrics::told("told"),
            Ok(Told::WithoutEvidence(error)) => {
                tracing::warn!(%model, %version, %error, "a registry does not take the evidence of a verdict");
                return metrics::told("told");
            }
            Ok(Told::Nothing) => return, // a store or a web server has no place for it
            Err(error) if tries == TRIES_MAX || !may_pass(&error) => {
                metrics::told("failed");
                tracing::error!(%model, %version, %error, "a registry cannot be told of a verdict");
                return;
            }
            Err(error) if tries == 1 => {
                tracing::warn!(%model, %version, %error, "a registry cannot be told of a verdict yet");
            }
            Err(_) => {}
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// What the registry itself refuses it refuses again; a disk may be full for a while.
fn may_pass(error: &RegistryError) -> bool {
    use server_registry::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Slow | ErrorKind::Answer | ErrorKind::Local
    )
}

fn verdict(home: &Home, decided: &Decided) -> Verdict {
    let words: String = decided.words.chars().take(WORDS_MAX).collect();
    let tags = [
        ("salver.verdict", decided.verdict.to_owned()),
        ("salver.verdict.reason", words),
        ("salver.verdict.at", decided.at.to_string()),
    ];
    Verdict {
        version: decided.version.0,
        tags: tags.map(|(key, value)| (key.to_owned(), value)).into(),
        alias: home.alias.clone().zip(decided.serves.map(|it| it.0)),
        evidence: decided.evidence.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;
    use std::future::pending;

    use futures_util::FutureExt as _;

    fn decided() -> Decided {
        Decided {
            model: ModelName::new("wine").expect("a name"),
            version: Version(3),
            verdict: "rolled_back",
            words: "é".repeat(WORDS_MAX + 1),
            at: 1_795_300_000_000,
            serves: Some(Version(2)),
            evidence: vec!["{}".to_owned()],
        }
    }

    #[test]
    fn a_registry_that_does_not_answer_holds_up_no_files() {
        let is_noted = Cell::new(false);
        let note = async || {
            is_noted.set(true);
            Ok(Told::Whole)
        };
        let never = async || pending().await;
        assert!(tell_both(&decided(), never, note).now_or_never().is_none());
        assert!(is_noted.get());
    }

    #[test]
    fn a_verdict_says_what_why_and_when() {
        let decided = decided();
        let source: Uri = "mlflow://127.0.0.1:5000/wine@challenger".parse().expect("an address");
        let home = Home { source, alias: Some("champion".to_owned()), verdicts: None };
        let told = verdict(&home, &decided);
        assert_eq!(told.evidence, ["{}"]);
        assert_eq!((told.version, told.alias), (3, Some(("champion".to_owned(), 2))));
        let value = |key: &str| told.tags.iter().find(|it| it.0 == key).map(|it| it.1.clone());
        assert_eq!(value("salver.verdict").as_deref(), Some("rolled_back"));
        assert_eq!(value("salver.verdict.at").as_deref(), Some("1795300000000"));
        let words = value("salver.verdict.reason").unwrap_or_default();
        assert_eq!(words.chars().count(), WORDS_MAX);
        assert_eq!(verdict(&Home { alias: None, ..home }, &decided).alias, None);
    }
}
