use super::*;
use crate::house::{House, PLAN};
use crate::state::Hold;

/// A rollout that has come to stand somewhere.
fn places() -> [(&'static str, House); 6] {
    let mut held = House::split(PLAN);
    held.say(Command::Hold);
    let mut promoted = House::split(PLAN);
    promoted.say(Command::Promote);
    let mut back = House::new(PLAN);
    back.say(Command::Abort);
    [
        ("loading", House::new(PLAN)),
        ("shadow", House::begun(PLAN)),
        ("canary", House::split(PLAN)),
        ("held", held),
        ("promoted", promoted),
        ("back", back),
    ]
}

/// What a command does everywhere.
#[track_caller]
fn check(command: Command, expected: [&str; 6]) {
    for ((place, mut house), expected) in places().into_iter().zip(expected) {
        let shown = house.say(command);
        let refused = format!("{command} is not possible: the rollout of wine is ");
        let shown = shown.replace(&refused, "refused ").replace('"', "");
        assert!(shown.starts_with(expected), "{command} in {place}: {shown}");
    }
}

#[test]
fn every_command_in_every_state() {
    check(
        Command::Promote,
        [
            "refused at loading; expected a candidate that is loaded and",
            "shadow 0 %, weight 100 %, promote, warm 1 to 602000, record Promoted",
            "weight 100 %, promote, warm 1 to 603000, record Promoted",
            "weight 100 %, promote, warm 1 to 603000, record Promoted",
            "refused at promoted; expected a rollout that is not over",
            "refused at rolled back",
        ],
    );
    check(
        Command::Hold,
        [
            "record Held",
            "record Held",
            "record Held",
            "refused at held in canary at 10 %; expected a rollout that is on",
            "refused at promoted",
            "refused at rolled back",
        ],
    );
    check(
        Command::Resume,
        [
            "refused at loading; expected a rollout that is held",
            "refused at shadow",
            "refused at canary at 10 %",
            "record Advanced",
            "refused at promoted",
            "refused at rolled back",
        ],
    );
    check(
        Command::Abort,
        [
            "weight 0 %, roll back, record RolledBack",
            "shadow 0 %, weight 0 %, roll back, record RolledBack",
            "weight 0 %, roll back, record RolledBack",
            "weight 0 %, roll back, record RolledBack",
            "weight 0 %, roll back, record RolledBack",
            "refused at rolled back; expected a rollout whose old version is",
        ],
    );
}

#[test]
fn the_record_says_who_decided() {
    let mut house = House::split(PLAN);
    house.say(Command::Promote);
    let last = house.records.last().expect("a record");
    assert_eq!(last.cause, Cause::Operator(Command::Promote));
    assert!(last.words.contains("the operator said promote; errors: "), "{}", last.words);
}

#[test]
fn what_is_held_goes_on_where_it_was() {
    let mut house = House::split(PLAN);
    house.say(Command::Hold);
    house.count([9_000, 0], [1_000, 0]);
    assert_eq!(house.step(3_600), "", "it rests");
    let phase = Phase::Canary { step: 0 };
    assert_eq!(house.rollout.state(), State::Held { phase, why: Hold::Operator });
    assert_eq!(house.say(Command::Resume), "record Advanced");
    assert_eq!(house.step(1), "weight 50 %, record Advanced");
}

#[test]
fn time_begins_anew_with_a_resumption() {
    let mut house = House::split(PLAN);
    assert_eq!(house.step(3_600), "record Inconclusive");
    house.say(Command::Resume);
    assert_eq!(house.step(3_599), "");
    assert_eq!(house.step(1), "record Inconclusive");
}

#[test]
fn a_fault_rolls_back_what_is_held() {
    let mut house = House::split(PLAN);
    house.say(Command::Hold);
    house.crash();
    assert_eq!(house.step(1), "weight 0 %, roll back, record RolledBack");
}

#[test]
fn the_old_version_can_be_had_back_while_it_is_ready() {
    let mut house = House::split(PLAN);
    house.say(Command::Promote);
    house.step(600);
    let shown = house.say(Command::Abort);
    assert!(
        shown.starts_with("abort is not possible: the rollout of wine is at \"promoted\""),
        "{shown}"
    );
}

#[test]
fn what_is_not_wanted_any_more_goes_back() {
    let expected = [
        "weight 0 %, roll back, record RolledBack",
        "shadow 0 %, weight 0 %, roll back, record RolledBack",
        "weight 0 %, roll back, record RolledBack",
        "weight 0 %, roll back, record RolledBack",
        "weight 0 %, roll back, record RolledBack",
        "",
    ];
    for ((place, mut house), expected) in places().into_iter().zip(expected) {
        assert_eq!(house.withdraw(), expected, "in {place}");
    }
    let mut house = House::split(PLAN);
    house.say(Command::Promote);
    house.step(600);
    assert_eq!(house.withdraw(), "", "the old version is not kept any more");
}
