use super::*;
use proptest::prelude::*;

/// Artifacts as words `version[r]:state[!]`: S, L, A, U, E or F (failed), `!` if desired, K and G for
/// one that answers and is, or was, kept for a roll-back; the place in the list is the id.
fn parse(text: &str) -> Vec<Seen> {
    let word = |(id, word): (u64, &str)| {
        let (version, state) = word.split_once(':').expect("version:state");
        let failed = || Some("bad".to_owned());
        Seen {
            id,
            version: Version(version.trim_end_matches('r').parse().expect("a number")),
            state: match state.trim_end_matches('!') {
                "S" => State::Start,
                "L" => State::Loading,
                "A" | "K" | "G" => State::Available,
                "U" => State::Unloading,
                "E" => State::End { reason: None },
                "F" => State::End { reason: failed() },
                other => panic!("{other}"),
            },
            desired: state.ends_with('!'),
            kept: state == "K",
            spent: state == "G",
        }
    };
    (0..).zip(text.split_whitespace()).map(word).collect()
}

#[track_caller]
fn check(artifacts: &str, availability: Option<Action>, resources: Option<Action>) {
    let seen = parse(artifacts);
    assert_eq!(next_action(Transition::Availability, &seen), availability, "{artifacts}");
    assert_eq!(next_action(Transition::Resources, &seen), resources, "{artifacts}, resources");
}

use Action::{Load, Retire};

#[test]
fn all_is_well() {
    check("", None, None);
    check("1:A!", None, None);
    check("1:E 2:A!", None, None);
}

#[test]
fn the_newest_wanted_is_loaded_first() {
    check("1:S! 2:S!", Some(Load(1)), Some(Load(1)));
    check("1:S! 2:L!", Some(Load(0)), Some(Load(0)));
}

#[test]
fn a_swap() {
    check("1:A 2:S!", Some(Load(1)), Some(Retire(0)));
    check("1:A 2:L!", None, Some(Retire(0)));
    check("1:A 2:A!", Some(Retire(0)), Some(Retire(0)));
    check("1:U 2:S!", Some(Load(1)), None);
    check("1:E 2:S!", Some(Load(1)), Some(Load(1)));
}

#[track_caller]
fn check_kept(artifacts: &str, availability: Option<Action>) {
    assert_eq!(
        next_action(Transition::Availability, &parse(artifacts)),
        availability,
        "{artifacts}"
    );
}

#[test]
fn what_is_kept_for_a_roll_back_stays() {
    check_kept("1:K 2:A!", None);
    check_kept("1:K 2:A 3:S!", Some(Load(2)));
    check_kept("1:K 2:A 3:A!", Some(Retire(1)));
    check_kept("1:A 2:K 3:A!", Some(Retire(0)));
    // It goes whether the next has come or not, but not if nothing else answers.
    check_kept("1:G 2:A 3:S!", Some(Retire(0)));
    check_kept("1:G 2:L!", None);
    check_kept("1:G 2:G 3:L!", Some(Retire(0)));
}

#[test]
fn a_broken_version_leaves_the_old_one_serving() {
    check("1:A 2:F!", None, Some(Retire(0)));
}

#[test]
fn a_deleted_model_is_retired() {
    check("1:A 2:A", Some(Retire(0)), Some(Retire(0)));
    check("1:S", Some(Retire(0)), Some(Retire(0)));
    check("1:L", None, None);
}

#[test]
fn a_changed_revision_waits_for_its_successor() {
    check("1:A! 2:A 2r:L!", None, Some(Retire(1)));
    check("1:A! 2:A 2r:F!", None, Some(Retire(1)));
    check("1:A! 2:A 2r:A!", Some(Retire(1)), Some(Retire(1)));
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![State::Start, State::Available, State::End { reason: None }])
}

proptest! {
    /// From any picture, doing as told ends, and a model that answered never stops answering
    /// while something is wanted (availability), nor are two in memory at once (resources).
    #[test]
    fn doing_as_told_converges(
        artifacts in prop::collection::vec((0_u64..4, any_state(), any::<bool>()), 0..6),
        resources in any::<bool>(),
        failing in any::<u8>(),
        keeping in any::<bool>(),
    ) {
        let keeping = keeping && !resources; // see `Model::is_kept`
        let transition = if resources { Transition::Resources } else { Transition::Availability };
        let mut seen: Vec<Seen> = (0..).zip(artifacts)
            .map(|(id, (version, state, desired))| Seen {
                id,
                version: Version(version),
                kept: keeping && !desired && state == State::Available,
                spent: false,
                state,
                desired,
            })
            .collect();
        let serves = |seen: &[Seen]| seen.iter().any(|it| it.state == State::Available);
        let (served, wanted) = (serves(&seen), seen.iter().any(|it| it.desired));
        let mut steps = 0;
        while let Some(action) = next_action(transition, &seen) {
            prop_assert_eq!(next_action(transition, &seen), Some(action), "idempotent");
            let (Load(id) | Retire(id)) = action;
            let it = seen.iter_mut().find(|it| it.id == id).expect("known");
            it.state = match (action, &it.state) {
                (Load(_), State::Start) if failing & (1 << id) != 0 => State::End { reason: Some("bad".to_owned()) },
                (Load(_), State::Start) => State::Available,
                (Retire(_), State::Start | State::Available) => State::End { reason: None },
                (action, state) => panic!("{action:?} in {state}"),
            };
            if transition == Transition::Availability && served && wanted {
                prop_assert!(serves(&seen), "unserved after {:?}", action);
            }
            steps += 1;
            prop_assert!(steps <= 12, "does not end");
        }
    }
}
