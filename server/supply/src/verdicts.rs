//! Tells registries what rollouts have decided of their versions.
//!
//! A registry that does not help is asked again for some minutes; then the verdict stands in the audit log
//! alone. Each registry, and each place where verdicts are kept as files, hears one verdict after the other, in the order in
//! which they were reached, and none waits for another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use server_base::{ModelName, Version};
use server_registry::{Alias, Registries, RegistryError, Told, Uri, Verdict};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::metrics;
use crate::target::Target;

/// Verdicts that wait for those before them: there are as many queues as registries and places of files in the
/// settings.
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
    /// Where this may have been told before: the version that had all requests otherwise. An alias that does not name
    /// it any more was moved, then or by somebody else since.
    pub only_from: Option<Version>,
    /// Everything it rests on, as JSON; behind it the same in ever fewer words.
    pub evidence: Vec<String>,
}

/// What is to be done with a verdict, and where.
#[derive(Clone, Debug)]
enum Way {
    /// The registry of the model is told. The alias names the version that serves.
    Tell { source: Uri, alias: Option<String> },
    /// It is kept as a file there.
    Keep(Uri),
}

impl Way {
    fn of(target: &Target) -> impl Iterator<Item = Way> {
        let tell = target.source.takes_verdicts().then(|| {
            let (source, alias) = (target.source.clone(), target.promoted_alias.clone());
            Way::Tell { source, alias }
        });
        let keep = target.verdicts.clone().map(Way::Keep);
        tell.into_iter().chain(keep)
    }

    /// Who takes one after the other. Folders and buckets have no registry in common: each place is its own.
    fn queue(&self) -> String {
        match self {
            Way::Tell { source, .. } => source.registry(),
            Way::Keep(uri) => uri.as_str().to_owned(),
        }
    }

    fn uri(&self) -> &Uri {
        match self {
            Way::Tell { source, .. } => source,
            Way::Keep(uri) => uri,
        }
    }
}

/// One verdict that goes one way.
#[derive(Debug)]
struct Errand {
    way: Way,
    decided: Arc<Decided>,
}

/// Where verdicts on one model go, and who takes them there.
type Ways = Vec<(Way, mpsc::Sender<Errand>)>;

/// Takes what was decided. Never waits.
#[derive(Clone, Debug)]
pub struct Verdicts(Arc<BTreeMap<ModelName, Ways>>);

/// What has been taken, by registry and by place.
#[derive(Debug)]
pub(crate) struct Taken(Vec<mpsc::Receiver<Errand>>);

impl Verdicts {
    pub(crate) fn new(targets: &[Target]) -> (Verdicts, Taken) {
        let (mut queues, mut taken) = (BTreeMap::new(), Vec::new());
        let mut queue = |way: Way| {
            let queue = queues.entry(way.queue()).or_insert_with(|| {
                let (send, receive) = mpsc::channel(WAITING_MAX);
                taken.push(receive);
                send
            });
            (way, queue.clone())
        };
        let ways = |it: &Target| (it.model.clone(), Way::of(it).map(&mut queue).collect::<Ways>());
        let ways = targets.iter().map(ways).collect();
        (Verdicts(Arc::new(ways)), Taken(taken))
    }

    /// Has the registry told. What finds no room is in the audit log alone.
    pub fn offer(&self, decided: Decided) {
        let Some(ways) = self.0.get(&decided.model) else { return };
        let decided = Arc::new(decided);
        for (way, queue) in ways {
            let errand = Errand { way: way.clone(), decided: Arc::clone(&decided) };
            if let Err(refused) = queue.try_send(errand) {
                metrics::told("lost");
                let Errand { way, decided } = refused.into_inner();
                tracing::warn!(model = %decided.model, version = %decided.version, uri = %way.uri(), "a registry is not told of a verdict: too many wait");
            }
        }
    }
}

/// Goes on until nobody can offer any more.
pub(crate) async fn tell_all(registries: &Registries, taken: Taken) {
    in_turn(taken, &async |it: &Errand| it.run(registries).await).await;
}

/// Does what there is to do, for each registry and each place one after the other.
async fn in_turn(taken: Taken, run: &impl AsyncFn(&Errand)) {
    join_all(taken.0.into_iter().map(|it| one_by_one(it, run))).await;
}

async fn one_by_one(mut queue: mpsc::Receiver<Errand>, run: &impl AsyncFn(&Errand)) {
    while let Some(errand) = queue.recv().await {
        run(&errand).await;
    }
}

impl Errand {
    async fn run(&self, registries: &Registries) {
        let decided = &*self.decided;
        match &self.way {
            Way::Tell { source, alias } => {
                let verdict = verdict(alias.as_ref(), decided);
                insist(decided, async || registries.tell(source, &verdict).await).await;
            }
            Way::Keep(uri) => {
                let Decided { model, version, at, verdict, .. } = decided;
                let path = format!("{model}/{version}/{at}-{verdict}.json");
                let whole = Bytes::from(decided.evidence.first().cloned().unwrap_or_default());
                let keep = async || registries.note(uri, &path, whole.clone()).await;
                insist(decided, async || keep().await.map(|()| Told::Whole)).await;
            }
        }
    }
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
            Ok(Told::Nothing) => return, // as if it had not been asked
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

fn verdict(alias: Option<&String>, decided: &Decided) -> Verdict {
    let only_from = decided.only_from.map(|it| it.0);
    let alias = alias.cloned().zip(decided.serves);
    let words: String = decided.words.chars().take(WORDS_MAX).collect();
    let tags = [
        ("salver.verdict", decided.verdict.to_owned()),
        ("salver.verdict.reason", words),
        ("salver.verdict.at", decided.at.to_string()),
    ];
    Verdict {
        version: decided.version.0,
        tags: tags.map(|(key, value)| (key.to_owned(), value)).into(),
        alias: alias.map(|(name, to)| Alias { name, to: to.0, only_from }),
        evidence: decided.evidence.clone(),
    }
}

#[cfg(test)]
#[path = "verdicts_tests.rs"]
mod tests;
