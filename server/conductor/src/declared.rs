//! What is to be done about a version that a model's file wants to have rolled out. Pure.

use server_base::Version;
use server_lifecycle::Declared;
use server_replicas::{Saved, Wish};
use server_rollout::{Moment, Rollout, State};

/// What a file wants. Replicas go by the number alone.
pub(crate) fn wish(declared: &Declared, is_shared: bool) -> Wish {
    let print = Some(declared.print).filter(|_| !is_shared);
    Wish { version: declared.version.0, print }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing is new.
    Nothing,
    /// It is what serves: the wish is fulfilled.
    Note,
    /// The candidate on its way, or the one just promoted, is not what is wanted any more.
    Withdraw,
    /// A rollout from the version that serves.
    Begin {
        /// Which that is.
        from: Version,
    },
}

/// Each wish is answered once: what was rolled back is not tried again until it is another.
pub(crate) fn due(wish: Wish, serves: Option<Version>, last: Option<&Saved>, now: Moment) -> Due {
    let wanted = Version(wish.version);
    let begin = |from| if from == wanted { Due::Note } else { Due::Begin { from } };
    let Some(last) = last else {
        return match serves {
            Some(it) if it != wanted => begin(it),
            Some(_) | None => Due::Nothing,
        };
    };
    if last.wish == Some(wish) {
        return Due::Nothing;
    }
    let subject = last.rollout.subject();
    match last.rollout.state() {
        // An operator's rollout is the operator's to end.
        State::Running { .. } | State::Held { .. } if last.is_declared => Due::Withdraw,
        State::Running { .. } | State::Held { .. } => Due::Nothing,
        State::Promoted { warm_until }
            if now < warm_until && last.is_declared && wanted == subject.stable() =>
        {
            Due::Withdraw
        }
        // Its own version may be gone from the disk: then what answers is what there is to begin from.
        State::Promoted { .. } | State::RolledBack => {
            begin(serves.unwrap_or_else(|| serving(&last.rollout)))
        }
    }
}

/// Which version a rollout that is over has left to serve.
fn serving(rollout: &Rollout) -> Version {
    let subject = rollout.subject();
    match rollout.state() {
        State::Promoted { .. } => subject.canary(),
        State::Running { .. } | State::Held { .. } | State::RolledBack => subject.stable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use server_base::ModelName;
    use server_rollout::{Command, RawPlan, Subject};

    const A: Wish = Wish { version: 1, print: Some(10) };
    const B: Wish = Wish { version: 2, print: Some(20) };
    const C: Wish = Wish { version: 3, print: Some(30) };
    /// The old version is kept for an hour.
    const SOON: Moment = Moment(1_000);
    const LATE: Moment = Moment(10_000_000);

    #[test]
    fn what_answers_is_begun_from() {
        let gone = last(true, "promoted");
        let got = |wish| due(wish, Some(Version(A.version)), Some(&gone), LATE);
        assert_eq!(got(C), Due::Begin { from: Version(A.version) });
        assert_eq!(got(A), Due::Note);
    }

    /// From 1 to 2, answering the wish for 2.
    fn last(is_declared: bool, end: &str) -> Saved {
        let subject = Subject::new(
            ModelName::new("m").expect("a name"),
            Version(A.version),
            Version(B.version),
        );
        let plan = RawPlan { shadow_rows: Some(0), latency: Some(false), ..RawPlan::default() };
        let mut rollout =
            Rollout::new(subject.expect("two"), plan.validate().expect("a plan"), Moment(0));
        if end == "back" {
            rollout.command(SOON, Command::Abort).expect("possible");
        }
        if end == "promoted" {
            let seen = |readiness| server_rollout::Observation { readiness, ..Default::default() };
            rollout.step(SOON, &seen(server_rollout::Readiness::Loaded));
            let validated = seen(server_rollout::Readiness::Validated);
            rollout.step(SOON, &validated);
            rollout.step(SOON, &validated);
            rollout.command(SOON, Command::Promote).expect("possible");
        }
        Saved::new(rollout, is_declared, Some(B))
    }

    #[test]
    fn the_first_wish_is_rolled_out_from_what_serves() {
        assert_eq!(
            due(B, Some(Version(A.version)), None, SOON),
            Due::Begin { from: Version(A.version) }
        );
        assert_eq!(due(B, Some(Version(B.version)), None, SOON), Due::Nothing);
        assert_eq!(due(B, None, None, SOON), Due::Nothing, "nothing to roll out from");
    }

    #[test]
    fn each_wish_is_answered_once() {
        let anew = Wish { print: Some(21), ..B };
        let (from_a, from_b) =
            (Due::Begin { from: Version(A.version) }, Due::Begin { from: Version(B.version) });
        // is it the file's rollout, how it ended, what is wanted, when: what is due
        for (is_declared, end, wish, now, expect) in [
            (true, "", B, SOON, Due::Nothing),
            (true, "", anew, SOON, Due::Withdraw),
            (true, "", A, SOON, Due::Withdraw),
            (true, "", C, SOON, Due::Withdraw),
            (false, "", C, SOON, Due::Nothing),
            (true, "back", B, LATE, Due::Nothing),
            (true, "back", anew, LATE, from_a),
            (true, "back", A, LATE, Due::Note),
            (true, "back", C, LATE, from_a),
            (true, "promoted", B, LATE, Due::Nothing),
            (true, "promoted", anew, SOON, Due::Note),
            (true, "promoted", A, SOON, Due::Withdraw),
            (false, "promoted", A, SOON, from_b),
            (true, "promoted", A, LATE, from_b),
            (true, "promoted", C, SOON, from_b),
        ] {
            let got = due(wish, None, Some(&last(is_declared, end)), now);
            assert_eq!(got, expect, "{is_declared} {end:?} {wish:?} {now:?}");
        }
    }
}
