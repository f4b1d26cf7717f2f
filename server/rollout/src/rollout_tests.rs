use super::*;
use crate::commands::Command;
use crate::finding::{Guard, Question};
use crate::house::{House, PLAN};

#[test]
fn a_good_candidate_goes_all_the_way() {
    let mut house = House::new(PLAN);
    assert_eq!(house.step(1), "");
    house.seen.readiness = Readiness::Loaded;
    assert_eq!(house.step(1), "validate, record Advanced");
    assert_eq!(house.step(1), "");
    house.seen.readiness = Readiness::Validated;
    assert_eq!(house.step(1), "shadow 10 %, record Advanced");
    house.seen.counts.pairs.pairs = 99;
    assert_eq!(house.step(1), "");
    house.seen.counts.pairs.pairs = 100;
    assert_eq!(house.step(1), "shadow 0 %, weight 10 %, record Advanced");
    house.count([9_000, 0], [999, 0]);
    assert_eq!(house.step(60), "", "too few");
    house.count([9_000, 0], [1_000, 0]);
    assert_eq!(house.step(1), "weight 50 %, record Advanced");
    house.count([20_000, 0], [20_000, 0]);
    assert_eq!(house.step(59), "", "too soon");
    assert_eq!(house.step(1), "weight 100 %, promote, warm 1 to 727000, record Promoted");
    assert_eq!(house.rollout.weight(), Weight::ALL);
    house.count([0, 0], [1_000_000, 1_000_000]);
    assert_eq!(house.step(1), "", "there is nothing to compare any more");
    let stages: Vec<u32> = house.records.iter().map(|it| stage(it.to)).collect();
    assert_eq!(stages, [0, 1, 2, 3, 0]);
    assert!(
        house.records.iter().all(|it| it.cause == Cause::Reached || it.cause == Cause::GoodEnough)
    );
}

fn stage(state: State) -> u32 {
    match state {
        State::Running { phase } | State::Held { phase, .. } => phase.stage(),
        State::Promoted { .. } | State::RolledBack => 0,
    }
}

#[test]
fn parts_that_were_not_asked_for_are_left_out() {
    let plan = PLAN.replace(r#""shadow_rows": 100"#, r#""shadow_rows": 0"#);
    let mut house = House::new(&plan);
    house.seen.readiness = Readiness::Validated;
    assert_eq!(house.step(1), "validate, record Advanced");
    assert_eq!(house.step(1), "weight 10 %, record Advanced");
    // No split at all: shadow, then everything.
    let plan = PLAN.replace("10,50,100", "100");
    let mut house = House::begun(&plan);
    house.seen.counts.pairs.pairs = 20_000;
    house.count([200_000, 0], [20_000, 0]);
    let promoted = "shadow 0 %, weight 100 %, promote, warm 1 to 603000, record Promoted";
    assert_eq!(house.step(1), promoted);
}

#[test]
fn one_fault_is_enough_anywhere() {
    let faults = [
        Fault::LoadFailed("no such file".to_owned()),
        Fault::SignatureChanged("input x is gone".to_owned()),
        Fault::GoldenFailed("0.3 and not 0.7".to_owned()),
        Fault::Crashed("index out of bounds".to_owned()),
    ];
    type Place = fn(&str) -> House;
    let places: [(Place, &str); 3] = [
        (House::new, "weight 0 %, roll back, record RolledBack"),
        (House::begun, "shadow 0 %, weight 0 %, roll back, record RolledBack"),
        (House::split, "weight 0 %, roll back, record RolledBack"),
    ];
    for (place, expected) in places {
        for fault in &faults {
            let mut house = place(PLAN);
            house.seen.fault = Some(fault.clone());
            assert_eq!(house.step(0), expected, "{fault}");
            let last = house.records.last().expect("a record");
            assert_eq!(last.cause, Cause::Fault(fault.clone()));
            assert!(last.words.contains(&fault.to_string()), "{}", last.words);
            assert_eq!(house.step(1), "", "it is over");
        }
    }
}

#[test]
fn answers_that_are_no_numbers_are_a_fault() {
    let back = "weight 0 %, roll back, record RolledBack";
    let mut house = House::split(PLAN);
    house.seen.counts.stable.non_finite = 5;
    assert_eq!(house.step(1), "", "the stable version's are not the candidate's");
    house.seen.counts.canary.non_finite = 1;
    assert_eq!(house.step(1), back);
    // Also those that come late, under the number of a stage that is over.
    let mut house = House::split(PLAN);
    house.seen.stage = 1;
    house.seen.counts.pairs.non_finite = 1;
    assert_eq!(house.step(1), back);
    let allowed = PLAN.replace(r#""latency""#, r#""non_finite": true, "latency""#);
    let mut house = House::split(&allowed);
    house.seen.counts.canary.non_finite = 1;
    assert_eq!(house.step(1), "");
}

#[test]
fn a_candidate_that_is_shown_to_be_worse_goes_back() {
    let mut house = House::split(PLAN);
    house.count([900, 9], [100, 20]);
    assert_eq!(house.step(1), "weight 0 %, roll back, record RolledBack");
    assert_eq!(house.rollout.weight(), Weight::NONE);
    let last = house.records.last().expect("a record");
    assert_eq!(last.cause, Cause::Guard(Guard::Errors));
    assert_eq!((last.counts.canary.requests, last.counts.canary.errors), (100, 20));
    let expected = "canary at 10 %, now rolled back: it is shown to be worse (errors); \
                    errors: candidate 20 of 100 (20.00 %), stable 9 of 900 (1.00 %), \
                    more than 1 times as often: e-value ";
    assert!(last.words.starts_with(expected), "{}", last.words);
    assert!(last.findings.iter().any(|it| it.guard == Guard::Errors && it.holds()));
}

#[test]
fn steps_that_prove_too_little_prove_enough_together() {
    let second = |errors: u64| {
        let mut house = House::split(PLAN);
        house.count([9_000, 90], [1_000, errors]);
        assert_eq!(house.step(60), "weight 50 %, record Advanced");
        house.count([1_000, 12], [1_000, 30]);
        house.step(1)
    };
    assert_eq!(second(10), "");
    assert_eq!(second(22), "weight 0 %, roll back, record RolledBack");
}

#[test]
fn shadow_rows_roll_back_before_anybody_sees_an_answer() {
    let mut house = House::begun(PLAN);
    house.count([900, 9], [100, 30]);
    assert_eq!(house.step(1), "shadow 0 %, weight 0 %, roll back, record RolledBack");
}

#[test]
fn no_data_is_waiting_and_then_a_hold() {
    let mut house = House::split(PLAN);
    assert_eq!(house.step(3_596), "");
    assert_eq!(house.step(1), "record Inconclusive");
    assert_eq!(house.rollout.weight().to_string(), "10 %", "it rests where it is");
    let last = house.records.last().expect("a record");
    assert_eq!(last.cause, Cause::MaxDuration);
    assert!(last.words.contains("now held in canary at 10 %"), "{}", last.words);
    assert!(last.words.contains("candidate none yet, stable none yet"), "{}", last.words);
    // Counts that come now are watched, but nothing goes on.
    house.count([9_000, 0], [2_000, 0]);
    assert_eq!(house.step(60), "");
    house.count([9_000, 0], [2_000, 100]);
    assert_eq!(house.step(60), "weight 0 %, roll back, record RolledBack");
}

#[test]
fn a_load_that_never_ends_is_held() {
    let mut house = House::new(PLAN);
    assert_eq!(house.step(3_600), "record Inconclusive");
    house.seen.readiness = Readiness::Validated;
    assert_eq!(house.step(1), "");
}

#[test]
fn a_promotion_needs_proof() {
    let mut house = House::split(PLAN);
    house.count([9_000, 90], [1_000, 10]);
    house.step(60);
    house.count([1_000, 10], [1_000, 10]);
    assert_eq!(house.step(60), "", "as good, but few");
    assert_eq!(house.step(3_600), "record Inconclusive");
    let last = house.records.last().expect("a record");
    assert!(last.findings.iter().any(|it| it.question == Question::GoodEnough && !it.holds()));
    // The same with more of it.
    let mut house = House::split(PLAN);
    house.count([9_000, 90], [1_000, 10]);
    house.step(60);
    house.count([200_000, 2_000], [200_000, 2_000]);
    let promoted = "weight 100 %, promote, warm 1 to 723000, record Promoted";
    assert_eq!(house.step(60), promoted);
}

#[test]
fn a_split_waits_until_it_is_known_what_is_slow() {
    let plan = PLAN.replace(r#""latency": false"#, r#""p99_tolerance": 0.5"#);
    let mut house = House::begun(&plan);
    house.seen.counts.pairs.pairs = 1_000;
    assert_eq!(house.step(1), "", "nobody knows");
    house.seen.stable_p99 = Some(Duration::from_millis(10));
    assert_eq!(house.step(1), "shadow 0 %, weight 10 % slow above 15ms, record Advanced");
    house.count([9_000, 0], [1_000, 0]);
    house.seen.stable_p99 = None;
    assert_eq!(house.step(60), "weight 50 % slow above 15ms, record Advanced");
    house.count([1_000, 0], [1_000, 0]);
    house.seen.counts.canary.slow = 100;
    house.seen.counts.stable.slow = 10;
    assert_eq!(house.step(1), "weight 0 %, roll back, record RolledBack");
    assert_eq!(house.records.last().expect("a record").cause, Cause::Guard(Guard::Latency));
}

#[test]
fn late_counts_belong_to_no_other_stage() {
    let mut house = House::split(PLAN);
    house.seen.stage = 1;
    house.count([900, 0], [100, 100]);
    assert_eq!(house.step(60), "");
    assert_eq!(house.rollout.counts().canary.requests, 0);
    house.seen.stage = 2;
    house.count([9_000, 0], [1_000, 0]);
    assert_eq!(house.step(1), "weight 50 %, record Advanced");
    assert_eq!(house.rollout.counts().canary.requests, 1_000);
}

#[test]
fn the_same_seen_twice_changes_nothing() {
    let mut house = House::split(PLAN);
    house.count([9_000, 90], [900, 9]);
    house.step(60);
    let before = house.rollout.clone();
    assert_eq!(house.step(0), "");
    assert_eq!(house.rollout, before);
}

#[test]
fn counters_may_begin_anew() {
    let mut house = House::split(PLAN);
    house.count([9_000, 90], [900, 9]);
    house.step(60);
    house.rollout.recount();
    house.count([90, 1], [99, 1]);
    assert_eq!(house.step(1), "");
    let Counts { stable, canary, .. } = house.rollout.counts();
    assert_eq!(
        [stable.requests, stable.errors, canary.requests, canary.errors],
        [9_090, 91, 999, 10]
    );
    house.count([90, 1], [100, 1]);
    assert_eq!(house.step(1), "weight 50 %, record Advanced");
    // What was kept belongs to its own stage.
    house.count([10, 0], [10, 0]);
    assert_eq!(house.step(1), "");
    let Counts { stable, canary, .. } = house.rollout.counts();
    assert_eq!([stable.requests, canary.requests], [9_100, 1_010]);
}

#[test]
fn a_driver_that_begins_again_is_told_what_is_in_force() {
    let shown = |mut house: House| {
        let actions = house.rollout.in_force();
        house.obey(actions)
    };
    assert_eq!(shown(House::new(PLAN)), "");
    assert_eq!(shown(House::begun(PLAN)), "shadow 10 %");
    assert_eq!(shown(House::split(PLAN)), "weight 10 %");
    let said = |command| {
        let mut house = House::split(PLAN);
        house.say(command);
        shown(house)
    };
    assert_eq!(said(Command::Hold), "weight 10 %");
    assert_eq!(said(Command::Promote), "weight 100 %, warm 1 to 603000");
    assert_eq!(said(Command::Abort), "weight 0 %");
}

#[test]
fn a_fault_brings_the_old_version_back_while_it_is_ready() {
    let promoted = || {
        let plan = PLAN.replace("10,50,100", "10,100");
        let mut house = House::split(&plan);
        house.count([90_000, 0], [10_000, 0]);
        let shown = house.step(60);
        assert!(shown.ends_with("record Promoted"), "{shown}");
        house
    };
    let mut house = promoted();
    house.crash();
    assert_eq!(house.step(599), "weight 0 %, roll back, record RolledBack");
    let mut house = promoted();
    house.crash();
    assert_eq!(house.step(600), "", "it is gone");
    assert_eq!(house.rollout.weight(), Weight::ALL);
}

#[test]
fn a_clock_that_is_set_back_only_delays() {
    let mut house = House::split(PLAN);
    house.count([9_000, 0], [1_000, 0]);
    let rollout = &mut house.rollout;
    assert!(rollout.step(Moment(0), &house.seen).is_empty());
    assert!(!rollout.step(Moment(u64::MAX), &house.seen).is_empty());
}

#[test]
fn a_rollout_survives_being_written_down() {
    let mut house = House::split(PLAN);
    house.count([9_000, 90], [1_000, 10]);
    for _ in 0..3 {
        let text = serde_json::to_string(&house.rollout).expect("JSON");
        let read: Rollout = serde_json::from_str(&text).expect("it was written");
        assert_eq!(read, house.rollout);
        house.rollout = read;
        house.step(60);
    }
    for record in &house.records {
        let text = serde_json::to_string(record).expect("JSON");
        let read: Evidence = serde_json::from_str(&text).expect("it was written");
        assert_eq!(&read, record);
    }
    // A step that the plan does not have: nothing to split, and nothing breaks.
    let text = serde_json::to_string(&house.rollout).expect("JSON");
    let text = text.replace(r#"{"step":1}"#, r#"{"step":7}"#);
    house.rollout = serde_json::from_str(&text).expect("a rollout");
    assert_eq!(house.rollout.weight(), Weight::NONE);
    house.step(60);
}

/// Also one that a server has begun which wrote less down.
#[test]
fn one_keeps_its_name_for_as_long_as_it_lasts() {
    let mut house = House::split(PLAN);
    let name = house.rollout.id();
    house.say(Command::Hold);
    house.step(60);
    house.say(Command::Resume);
    assert_eq!(house.rollout.id(), name);
    let mut json = serde_json::to_value(&house.rollout).expect("JSON");
    json.as_object_mut().expect("an object").remove("since").expect("it was there");
    let old: Rollout = serde_json::from_value(json).expect("a rollout");
    assert!(old.id().starts_with("1-2-") && old.id() != name, "{}", old.id());
}

#[test]
fn one_of_which_replicas_have_other_bytes_is_held_and_never_promoted() {
    let words = "a has sha256:1 of version 2, b has sha256:2";
    let mut house = House::split(PLAN);
    house.count([20_000, 0], [20_000, 0]);
    house.step(60);
    house.count([20_000, 0], [20_000, 0]);
    // All that a promotion needs is there.
    house.seen.differs = Some(words.to_owned());
    assert_eq!(house.step(60), "record Held");
    let last = house.records.last().expect("a record");
    assert_eq!(last.cause, Cause::Differs(words.to_owned()));
    assert!(last.words.contains(words), "{}", last.words);
    let held = house.rollout.state();
    assert!(matches!(held, State::Held { why: Hold::Differs, .. }), "{held:?}");
    house.seen.differs = None;
    assert_eq!(house.step(60), "", "an operator says when it goes on");
    house.say(Command::Resume);
    assert_eq!(house.step(60), "weight 100 %, promote, warm 1 to 843000, record Promoted");
    // As early as both are loaded; and a fault still takes it back.
    let mut house = House::new(PLAN);
    house.seen.differs = Some(words.to_owned());
    assert_eq!(house.step(1), "record Held");
    house.seen.fault = Some(Fault::Crashed("index out of bounds".to_owned()));
    assert_eq!(house.step(1), "weight 0 %, roll back, record RolledBack");
}
