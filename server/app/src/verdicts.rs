//! Carries what rollouts decide to the registries that the versions came from.

use server_conductor::Listener;
use server_rollout::{Cause, Evidence, State, Verdict};
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
        Verdict::Promoted => ("promoted", Some(canary)),
        // Somebody wants another version: the alias is theirs, unless the candidate had it.
        Verdict::RolledBack if evidence.cause == Cause::Withdrawn => {
            let had_it = matches!(evidence.from, State::Promoted { .. });
            ("rolled_back", Some(stable).filter(|_| had_it))
        }
        Verdict::RolledBack => ("rolled_back", Some(stable)),
        Verdict::Advanced | Verdict::Inconclusive | Verdict::Held => return None,
    };
    let (model, words) = (evidence.subject.model().clone(), evidence.words.clone());
    Some(Decided { model, version: canary, verdict, words, at: evidence.at.0, serves })
}
