//! Carries what rollouts decide to the registries that the versions came from.

use server_conductor::Listener;
use server_rollout::{Evidence, Verdict};
use server_supply::{Decided, Verdicts};

/// Who is told of decisions, and passes on those that a registry wants to know.
pub(crate) fn listener(verdicts: Verdicts) -> Listener {
    Listener::new(move |evidence| {
        if let Some(decided) = decided(evidence) {
            verdicts.offer(decided);
        }
    })
}

/// Steps on the way are nobody else's business.
fn decided(evidence: &Evidence) -> Option<Decided> {
    let (stable, canary) = (evidence.subject.stable(), evidence.subject.canary());
    let (verdict, serves) = match evidence.verdict {
        Verdict::Promoted => ("promoted", canary),
        Verdict::RolledBack => ("rolled_back", stable),
        Verdict::Advanced | Verdict::Inconclusive | Verdict::Held => return None,
    };
    let (model, words) = (evidence.subject.model().clone(), evidence.words.clone());
    Some(Decided { model, version: canary, verdict, words, at: evidence.at.0, serves })
}
