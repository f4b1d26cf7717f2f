//! What is to be done about a version that a model's file wants to have rolled out. Pure.

use server_base::Version;
use server_replicas::{Saved, Wish};
use server_rollout::{Moment, Rollout, State};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing is new.
    Nothing,
    /// It is what serves, or was answered before more was known of it: the wish is written down.
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
pub(crate) fn due(wish: &Wish, serves: Option<Version>, last: Option<&Saved>, now: Moment) -> Due {
    let wanted = Version(wish.version);
    let begin = |from| if from == wanted { Due::Note } else { Due::Begin { from } };
    let Some(last) = last else {
        return match serves {
            Some(it) if it != wanted => begin(it),
            Some(_) | None => Due::Nothing,
        };
    };
    if let Some(answered) = &last.wish
        && answered.is_like(wish)
    {
        // By what is known now another content will be seen to be one.
        return if answered == wish { Due::Nothing } else { Due::Note };
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

/// Is what came of the file's own rollout all that keeps a version from serving that the file wants at once? The
/// candidate itself is no such version: what was rejected stays so. An operator's rollout is the operator's to forget.
pub(crate) fn is_in_the_way(last: &Saved, wanted: Version) -> bool {
    let is_over = match last.rollout.state() {
        State::Promoted { .. } | State::RolledBack => true,
        State::Running { .. } | State::Held { .. } => false,
    };
    let is_other = wanted != last.rollout.subject().canary() && wanted != serving(&last.rollout);
    last.is_declared && is_over && is_other
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

    fn wish(version: u64, content: &str) -> Wish {
        Wish { version, content: Some(content.to_owned()) }
    }

    fn abc() -> [Wish; 3] {
        [wish(1, "v1:a"), wish(2, "v1:b"), wish(3, "v1:c")]
    }

    /// The old version is kept for an hour.
    const SOON: Moment = Moment(1_000);
    const LATE: Moment = Moment(10_000_000);

    #[test]
    fn what_answers_is_begun_from() {
        let gone = last(true, "promoted");
        let got = |wish: &Wish| due(wish, Some(Version(1)), Some(&gone), LATE);
        let [a, _, c] = abc();
        assert_eq!(got(&c), Due::Begin { from: Version(1) });
        assert_eq!(got(&a), Due::Note);
    }

    /// From 1 to 2, answering the wish for 2.
    fn last(is_declared: bool, end: &str) -> Saved {
        let subject = Subject::new(ModelName::new("m").expect("a name"), Version(1), Version(2));
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
        Saved::new(rollout, is_declared, Some(wish(2, "v1:b")))
    }

    #[test]
    fn the_first_wish_is_rolled_out_from_what_serves() {
        let [_, b, _] = abc();
        assert_eq!(due(&b, Some(Version(1)), None, SOON), Due::Begin { from: Version(1) });
        assert_eq!(due(&b, Some(Version(2)), None, SOON), Due::Nothing);
        assert_eq!(due(&b, None, None, SOON), Due::Nothing, "nothing to roll out from");
    }

    #[test]
    fn what_was_rejected_is_not_tried_again_by_another_release() {
        let mut back = last(true, "back");
        let due_of = |last: &Saved, wish: &Wish| due(wish, Some(Version(1)), Some(last), LATE);
        let [_, b, _] = abc();
        assert_eq!(due_of(&back, &b), Due::Nothing);
        let unknown = Wish { version: 2, content: None };
        assert_eq!(due_of(&back, &unknown), Due::Note);
        assert_eq!(due_of(&back, &wish(2, "v2:b")), Due::Note, "another format says nothing");
        back.wish = Some(unknown);
        assert_eq!(due_of(&back, &b), Due::Note);
        assert_eq!(due_of(&back, &wish(3, "v1:b")), Due::Begin { from: Version(1) });
    }

    #[test]
    fn what_came_of_a_rollout_holds_up_no_other_version() {
        // is it the file's rollout, how it ended, what is wanted without one: is it in the way
        for (is_declared, end, wanted, expect) in [
            (true, "promoted", 3, true),
            (true, "promoted", 1, true),
            (true, "promoted", 2, false),
            (true, "back", 3, true),
            (true, "back", 2, false),
            (true, "back", 1, false),
            (true, "", 3, false),
            (false, "promoted", 3, false),
            (false, "back", 3, false),
        ] {
            let got = is_in_the_way(&last(is_declared, end), Version(wanted));
            assert_eq!(got, expect, "{is_declared} {end:?} {wanted}");
        }
    }

    #[test]
    fn each_wish_is_answered_once() {
        let ([a, b, c], anew) = (&abc(), &wish(2, "v1:new"));
        let (from_a, from_b) = (Due::Begin { from: Version(1) }, Due::Begin { from: Version(2) });
        // is it the file's rollout, how it ended, what is wanted, when: what is due
        for (is_declared, end, wish, now, expect) in [
            (true, "", b, SOON, Due::Nothing),
            (true, "", anew, SOON, Due::Withdraw),
            (true, "", a, SOON, Due::Withdraw),
            (true, "", c, SOON, Due::Withdraw),
            (false, "", c, SOON, Due::Nothing),
            (true, "back", b, LATE, Due::Nothing),
            (true, "back", anew, LATE, from_a),
            (true, "back", a, LATE, Due::Note),
            (true, "back", c, LATE, from_a),
            (true, "promoted", b, LATE, Due::Nothing),
            (true, "promoted", anew, SOON, Due::Note),
            (true, "promoted", a, SOON, Due::Withdraw),
            (false, "promoted", a, SOON, from_b),
            (true, "promoted", a, LATE, from_b),
            (true, "promoted", c, SOON, from_b),
        ] {
            let got = due(wish, None, Some(&last(is_declared, end)), now);
            assert_eq!(got, expect, "{is_declared} {end:?} {wish:?} {now:?}");
        }
    }
}
