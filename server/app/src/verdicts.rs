//! Carries what rollouts decide to the registries that the versions came from.

use server_conductor::{Listener, Telling};
use server_rollout::{Cause, Evidence, State, Verdict};
use server_supply::{Decided, Verdicts};

use crate::evidence;

/// Who is told of decisions, and passes on those that a registry wants to know.
pub(crate) fn listener(verdicts: Verdicts) -> Listener {
    Listener::new(move |evidence, telling| {
        if let Some(decided) = decided(evidence, telling) {
            verdicts.offer(decided);
        }
    })
}

/// Steps on the way are nobody else's business.
fn decided(evidence: &Evidence, telling: Telling) -> Option<Decided> {
    let (stable, canary) = (evidence.subject.stable(), evidence.subject.canary());
    let (verdict, serves) = match evidence.verdict {
        Verdict::Promoted => ("promoted", Some(canary)),
        // Somebody wants another version: the alias is theirs, unless the candidate had it.
        Verdict::RolledBack if evidence.cause == Cause::Withdrawn => {
            let had_it = matches!(evidence.from, State::Promoted { .. });
            ("rolled_back", Some(stable).filter(|_| had_it))
        }
        Verdict::RolledBack => ("rolled_back", Some(stable)),
        Verdict::Held => ("held", None),
        Verdict::Inconclusive => ("inconclusive", None),
        // What is written there of the hold is true no longer.
        Verdict::Advanced if matches!(evidence.from, State::Held { .. }) => ("resumed", None),
        Verdict::Advanced => return None,
    };
    let only_from = match telling {
        Telling::First => None,
        Telling::Again => serves.map(|it| if it == canary { stable } else { canary }),
    };
    let (model, words) = (evidence.subject.model().clone(), evidence.words.clone());
    let (at, evidence) = (evidence.at.0, evidence::texts(evidence));
    Some(Decided { model, version: canary, verdict, words, at, serves, only_from, evidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    use server_base::{ModelName, Version};
    use server_rollout::{
        Action, Command, Moment, Observation, RawPlan, Readiness, Rollout, Subject,
    };

    /// What is passed on of a rollout from 1 to 2 that ends so.
    fn passed_on(telling: Telling, end: impl Fn(&mut Rollout) -> Vec<Action>) -> Vec<Decided> {
        let model = ModelName::new("m").expect("a name");
        let subject = Subject::new(model, Version(1), Version(2)).expect("two versions");
        let plan = RawPlan { shadow_rows: Some(0), latency: Some(false), ..RawPlan::default() };
        let mut rollout = Rollout::new(subject, plan.validate().expect("a plan"), Moment(0));
        let seen = |readiness| Observation { readiness, ..Observation::default() };
        rollout.step(Moment(1), &seen(Readiness::Loaded));
        rollout.step(Moment(1), &seen(Readiness::Validated));
        let mut records = Vec::new();
        for it in end(&mut rollout) {
            if let Action::Record(evidence) = it {
                records.extend(decided(&evidence, telling));
            }
        }
        records
    }

    /// The verdict, and the version that serves.
    fn told(end: impl Fn(&mut Rollout) -> Vec<Action>) -> Vec<(&'static str, Option<u64>)> {
        let told = passed_on(Telling::First, end).into_iter();
        told.map(|it| (it.verdict, it.serves.map(|it| it.0))).collect()
    }

    #[test]
    fn an_alias_that_somebody_else_has_moved_is_left_alone() {
        let now = Moment(2);
        let say = |rollout: &mut Rollout, it| rollout.command(now, it).expect("possible");
        assert_eq!(told(|it| say(it, Command::Promote)), [("promoted", Some(2))]);
        assert_eq!(told(|it| say(it, Command::Abort)), [("rolled_back", Some(1))]);
        assert_eq!(
            told(|it| say(it, Command::Hold)),
            [("held", None)],
            "nothing has changed hands"
        );
        let rested = |it: &mut Rollout| {
            drop(say(it, Command::Hold));
            say(it, Command::Resume)
        };
        assert_eq!(told(rested), [("resumed", None)]);
        let late = |it: &mut Rollout| it.step(Moment(1 << 40), &Observation::default());
        assert_eq!(told(late), [("inconclusive", None)]);
        assert_eq!(told(|it| it.withdraw(now)), [("rolled_back", None)]);
        let after = |it: &mut Rollout| {
            drop(say(it, Command::Promote));
            it.withdraw(now)
        };
        assert_eq!(told(after), [("rolled_back", Some(1))], "the candidate had it");
    }

    #[test]
    fn an_alias_is_moved_again_from_where_it_was_alone() {
        for (command, from) in [(Command::Promote, 1), (Command::Abort, 2)] {
            let end = |it: &mut Rollout| it.command(Moment(2), command).expect("possible");
            let only_from = |telling| {
                let told = passed_on(telling, end);
                told.into_iter().map(|it| it.only_from).collect::<Vec<_>>()
            };
            assert_eq!(only_from(Telling::First), [None], "{command:?}");
            assert_eq!(only_from(Telling::Again), [Some(Version(from))], "{command:?}");
        }
        let hold = |it: &mut Rollout| it.command(Moment(2), Command::Hold).expect("possible");
        assert_eq!(passed_on(Telling::Again, hold)[0].only_from, None, "nothing is moved");
    }
}
