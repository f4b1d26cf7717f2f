use super::*;

use std::cell::Cell;
use std::rc::Rc;

use server_base::Version;
use server_rollout::{Arm, Counts, Fault, Observation, RawPlan, Readiness, Subject, Verdict};

use crate::memory::{Memory, Weather};
use crate::shown::ReplicaShown;

const LEASE: Duration = Duration::from_secs(10);

fn wine() -> ModelName {
    ModelName::new("wine").expect("a name")
}

/// One split, everything quick, nothing watched but errors.
fn rollout(at: u64) -> Rollout {
    let plan = RawPlan {
        steps: Some("50,100".to_owned()),
        shadow_rows: Some(0),
        latency: Some(false),
        step_requests_min: Some(100),
        step_duration_s_min: Some(0),
        duration_s_max: Some(3_600),
        error_rate_ok: Some(0.2),
        rollback_window_s: Some(60),
        ..RawPlan::default()
    };
    let plan = plan.validate().expect("a plan");
    let subject = Subject::new(wine(), Version(1), Version(2)).expect("two versions");
    Rollout::new(subject, plan, Moment(at))
}

fn saved(at: u64) -> Saved {
    Saved::new(rollout(at), false, None)
}

fn now(second: u64) -> Now {
    Now { wall: Moment(second * 1_000), own: Duration::from_secs(second) }
}

type Outside = Rc<Cell<Weather>>;

fn members<const N: usize>(names: [&str; N]) -> [(Member<Memory>, Outside); N] {
    let memory = Memory::default();
    names.map(|it| {
        let store = memory.other();
        let weather = Rc::clone(&store.weather);
        (Member::new(ReplicaId::new(it).expect("a name"), store, LEASE), weather)
    })
}

fn seen(stage: u32, requests: u64, errors: u64) -> Seen {
    let counts = Counts {
        stable: Arm { requests, ..Arm::default() },
        canary: Arm { requests, errors, ..Arm::default() },
        ..Counts::default()
    };
    let readiness = Readiness::Validated;
    let observation = Observation { readiness, stage, counts, ..Observation::default() };
    Seen { observation, ..Seen::default() }
}

/// The first of its model.
fn begin(member: &mut Member<Memory>) {
    assert!(member.begin(saved(0), now(0)).expect("written"), "the first");
    assert_eq!(member.news().len(), 1, "it is acted by");
}

/// Reads, and acts by what is new: which numbers that are, and what went wrong.
fn follow(member: &mut Member<Memory>, second: u64) -> (Vec<u64>, String) {
    let faults: Vec<String> = member.refresh(now(second)).iter().map(ToString::to_string).collect();
    (member.news().iter().map(|it| it.record.number).collect(), faults.join("; "))
}

/// A turn of a replica that has seen this.
fn turn(member: &mut Member<Memory>, second: u64, seen: Seen) -> Decision {
    assert_eq!(follow(member, second).1, "");
    member.report(now(second), [(wine(), seen)].into()).expect("reported");
    member.decide("wine", now(second)).expect("decided").expect("a rollout")
}

fn state(member: &Member<Memory>) -> String {
    let record = member.record("wine").expect("a rollout");
    let state = match record.saved.rollout.state() {
        State::Running { phase } => format!("{phase:?}"),
        State::Held { phase, .. } => format!("Held {phase:?}"),
        State::Promoted { .. } => "Promoted".to_owned(),
        State::RolledBack => "RolledBack".to_owned(),
    };
    format!("{} {} {} {state}", record.number, record.term, record.leader)
}

#[test]
fn one_decides_on_what_all_have_counted() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    assert!(!b.begin(saved(0), now(0)).expect("read"), "one is under way");
    // Two hear of it and report; the candidate is there and validated.
    for second in 1..=2 {
        turn(&mut b, second, seen(0, 0, 0));
        turn(&mut a, second, seen(0, 0, 0));
    }
    turn(&mut a, 3, seen(0, 0, 0));
    assert_eq!(state(&a), "3 1 a Canary { step: 0 }");
    // Neither has counted enough by itself, and both together have.
    turn(&mut b, 4, seen(2, 60, 0));
    assert_eq!(state(&b), "3 1 a Canary { step: 0 }");
    let made = turn(&mut a, 4, seen(2, 60, 0));
    assert!(matches!(made, Decision::Made), "{made:?}");
    assert!(matches!(&a.news()[..], [it] if it.decided.len() == 1));
    let record = a.record("wine").expect("a rollout");
    assert!(matches!(record.saved.rollout.state(), State::Promoted { .. }), "{record:?}");
    assert_eq!(record.saved.evidence.last().expect("decided").counts.canary.requests, 120);
    turn(&mut b, 5, seen(2, 60, 0));
    assert_eq!(a.record("wine"), b.record("wine"));
}

fn with_bytes(stage: u32, requests: u64, digests: &[(u64, &str)]) -> Seen {
    let digests = digests.iter().map(|(version, it)| (*version, (*it).to_owned())).collect();
    Seen { digests, ready: vec![1, 2], ..seen(stage, requests, 0) }
}

#[test]
fn what_is_not_the_same_everywhere_is_not_promoted() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    let (right, other) = ([(1, "sha256:1"), (2, "sha256:2")], [(1, "sha256:1"), (2, "sha256:x")]);
    begin(&mut a);
    for second in 1..=3 {
        turn(&mut b, second, with_bytes(0, 0, &right));
        turn(&mut a, second, with_bytes(0, 0, &right));
    }
    assert_eq!(state(&a), "3 1 a Canary { step: 0 }");
    // All is proven, and one has other bytes meanwhile.
    turn(&mut b, 4, with_bytes(2, 60, &other));
    turn(&mut a, 4, with_bytes(2, 60, &right));
    assert_eq!(state(&a), "4 1 a Held Canary { step: 0 }");
    let words = "a has sha256:2 of version 2, b has sha256:x";
    let record = a.record("wine").expect("a rollout");
    let last = record.saved.evidence.last().expect("decided");
    assert!(last.words.contains(words), "{}", last.words);
    // Nor by command, whoever is asked; and what resumes it does not help either.
    follow(&mut b, 5);
    for it in [&mut a, &mut b] {
        let said = it.command(&wine(), Command::Promote, now(5)).expect("read").expect("tried");
        assert!(said.expect_err("they differ").to_string().contains(words));
    }
    a.command(&wine(), Command::Resume, now(5)).expect("written").expect("tried").expect("fits");
    turn(&mut a, 6, with_bytes(2, 60, &right));
    assert_eq!(state(&a), "6 1 a Held Canary { step: 0 }");
    let shown = a.shown(&wine(), now(6)).expect("a rollout");
    let of = |it: &ReplicaShown| (it.digest_differs, it.seen_ago_ms, it.digests[&2].clone());
    let all: Vec<_> = shown.replicas.iter().map(of).collect();
    let expect = [(false, 0, "sha256:2"), (true, 2_000, "sha256:x")];
    assert_eq!(all, expect.map(|(differs, ago, it)| (differs, ago, it.to_owned())));
    assert_eq!(shown.differs.as_deref(), Some(words));
    // One that is gone keeps nobody from it; nor does one that knows nothing of its bytes.
    turn(&mut b, 7, with_bytes(2, 60, &[]));
    a.command(&wine(), Command::Resume, now(7)).expect("written").expect("tried").expect("fits");
    turn(&mut a, 8, with_bytes(2, 60, &right));
    assert!(state(&a).starts_with("8 1 a Promoted"), "{}", state(&a));
}

#[test]
fn a_fault_of_one_goes_for_all() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    let mut failed = seen(0, 0, 0);
    failed.observation.fault = Some(Fault::LoadFailed("no space".to_owned()));
    turn(&mut b, 1, failed);
    turn(&mut a, 1, seen(0, 0, 0));
    assert_eq!(state(&a), "2 1 a RolledBack");
}

#[test]
fn a_leader_that_is_silent_is_replaced() {
    let [(mut a, _), (mut b, _), (mut c, _)] = members(["a", "b", "c"]);
    begin(&mut a);
    for second in 1..=4 {
        for it in [&mut b, &mut c, &mut a] {
            turn(it, second, seen(0, 0, 0));
        }
    }
    // a has counted, and is gone. What it has counted is not.
    turn(&mut a, 5, seen(2, 90, 0));
    for second in 5..=15 {
        turn(&mut b, second, seen(2, 0, 0));
        assert_eq!(b.standing("wine", now(second)), Standing::Follows);
    }
    for second in [14, 15] {
        follow(&mut c, second);
    }
    turn(&mut b, 16, seen(2, 0, 0));
    assert_eq!(state(&b), "4 2 b Canary { step: 0 }");
    // c would have as well, and finds the number taken.
    let late = c.decide("wine", now(26)).expect("tried").expect("a rollout");
    assert!(matches!(late, Decision::Refused), "{late:?}");
    turn(&mut c, 27, seen(2, 5, 0));
    assert_eq!(state(&c), "4 2 b Canary { step: 0 }");
    turn(&mut b, 27, seen(2, 10, 0));
    let record = b.record("wine").expect("a rollout");
    assert_eq!(record.saved.evidence.last().expect("decided").counts.canary.requests, 105);
    // a wakes up, sees nothing of it, and decides: refused, whatever its clock says.
    let mine = a.decide("wine", now(5)).expect("tried").expect("a rollout");
    assert!(matches!(mine, Decision::None(_)), "not enough by itself: {mine:?}");
    a.report(now(5), [(wine(), seen(2, 500, 400))].into()).expect("reported");
    let stale = a.decide("wine", now(5)).expect("tried").expect("a rollout");
    assert!(matches!(stale, Decision::Refused), "{stale:?}");
}

#[test]
fn a_stale_leader_finds_its_number_taken_even_when_the_log_was_cut() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    for _ in 0..70 {
        for command in [Command::Hold, Command::Resume] {
            b.command(&wine(), command, now(1)).expect("written").expect("tried").expect("fits");
        }
    }
    let last = b.record("wine").expect("a rollout").number;
    assert_eq!(last, 141);
    assert_eq!(b.store.list("rollouts/wine").expect("listed").len(), 64, "older ones are gone");
    a.report(now(2), [(wine(), seen(0, 0, 0))].into()).expect("reported");
    let stale = a.decide("wine", now(2)).expect("tried").expect("a rollout");
    assert!(matches!(stale, Decision::Refused), "{stale:?}");
    follow(&mut b, 2);
    assert_eq!(b.record("wine").expect("a rollout").number, last);
}

#[test]
fn anybody_takes_commands() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    assert!(b.command(&wine(), Command::Abort, now(0)).expect("read").is_none(), "there is none");
    begin(&mut a);
    b.command(&wine(), Command::Abort, now(1)).expect("written").expect("tried").expect("fits");
    assert_eq!(state(&b), "2 1 a RolledBack");
    let again = b.command(&wine(), Command::Abort, now(1)).expect("read").expect("tried");
    again.expect_err("it is over");
    // The leader, which has not read it yet, cannot decide otherwise.
    a.report(now(2), [(wine(), seen(0, 0, 0))].into()).expect("reported");
    assert!(matches!(a.decide("wine", now(2)).expect("tried"), Some(Decision::Refused)));
    assert!(b.begin(saved(3), now(3)).expect("written"), "the one before is over");
    let next = b.record("wine").expect("a rollout");
    assert_eq!((next.number, next.begun, next.term), (3, 3, 2));
}

#[test]
fn what_is_wanted_now_is_known_to_all() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    let wanted = |version| Wish { version, content: None };
    assert!(b.withdraw(&wine(), now(0)).expect("read").is_none(), "there is none");
    let two = Saved::new(rollout(0), true, Some(wanted(2)));
    assert!(a.begin(two, now(0)).expect("written"), "the first");
    b.withdraw(&wine(), now(1)).expect("written").expect("tried");
    assert_eq!(state(&b), "2 1 a RolledBack");
    b.note(&wine(), wanted(1), now(1)).expect("written").expect("tried");
    follow(&mut a, 2);
    let record = a.record("wine").expect("there");
    assert_eq!((record.leader.to_string().as_str(), record.term), ("b", 2), "who says so leads");
    assert_eq!(
        (record.number, record.saved.wish.clone(), record.saved.is_declared),
        (3, Some(wanted(1)), true)
    );
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    follow(&mut b, 1);
    let name = "rollouts/wine/00000000000000000002.json";
    for (content, says) in [("{\"form", "EOF"), ("{}", "missing field"), ("", "EOF")] {
        b.store.put(name, content.as_bytes());
        let faults = b.refresh(now(2));
        assert!(b.news().is_empty());
        let [ShareError::Unreadable { number: 2, reason, .. }] = &faults[..] else {
            panic!("{faults:?}")
        };
        assert!(reason.contains(says), "{reason}");
    }
    // Nobody decides past it.
    a.report(now(3), [(wine(), seen(0, 0, 0))].into()).expect("reported");
    assert!(matches!(a.decide("wine", now(3)).expect("tried"), Some(Decision::Refused)));
    b.command(&wine(), Command::Abort, now(3)).expect_err("it cannot be read");
    // Nor by what a newer release has written, or by what was there before.
    let text = serde_json::to_string(b.record("wine").expect("a rollout")).expect("JSON");
    b.store.put(name, text.replace("\"format\":1", "\"format\":2").as_bytes());
    assert!(matches!(b.refresh(now(4))[..], [ShareError::Unreadable { .. }]));
    let back = text.replace("\"number\":1", "\"number\":2").replace("\"term\":1", "\"term\":0");
    b.store.put(name, back.as_bytes());
    assert!(matches!(b.refresh(now(4))[..], [ShareError::Backwards { .. }]));
}

#[test]
fn a_report_that_is_torn_leaves_the_one_before() {
    let [(mut a, _), (mut b, weather)] = members(["a", "b"]);
    begin(&mut a);
    for second in 1..=4 {
        turn(&mut b, second, seen(0, 0, 0));
        turn(&mut a, second, seen(0, 0, 0));
    }
    turn(&mut b, 5, seen(2, 60, 0));
    follow(&mut a, 5);
    weather.set(Weather::Torn);
    turn(&mut b, 6, seen(2, 61, 0));
    turn(&mut a, 6, seen(2, 60, 0));
    let record = a.record("wine").expect("a rollout");
    assert_eq!(record.saved.evidence.last().expect("decided").counts.canary.requests, 120);
}

#[test]
fn an_answer_that_is_lost_is_no_second_decision() {
    let [(mut a, weather), (mut b, _)] = members(["a", "b"]);
    weather.set(Weather::Lost);
    assert!(a.begin(saved(0), now(0)).expect("written, and read back"), "the first");
    weather.set(Weather::Cut);
    assert_eq!(a.refresh(now(1)).len(), 2, "cut off");
    a.report(now(1), BTreeMap::new()).expect_err("cut off");
    follow(&mut b, 1);
    assert_eq!(state(&b), "1 1 a Loading");
}

#[test]
fn what_is_forgotten_is_nobodys_any_more() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    assert!(b.forget(&wine(), now(0)).expect("read").is_none(), "there is none");
    begin(&mut a);
    b.forget(&wine(), now(1)).expect("written").expect("tried");
    assert!(!b.record("wine").expect("a rollout").saved.is_forgotten, "it is under way");
    b.command(&wine(), Command::Abort, now(1)).expect("written").expect("tried").expect("fits");
    b.forget(&wine(), now(1)).expect("written").expect("tried");
    follow(&mut a, 2);
    assert!(a.record("wine").expect("a rollout").saved.is_forgotten);
    assert!(a.decide("wine", now(2)).expect("read").is_none());
    assert!(a.command(&wine(), Command::Abort, now(2)).expect("read").is_none());
    assert!(b.forget(&wine(), now(2)).expect("read").is_none(), "once is enough");
    assert!(a.begin(saved(3), now(3)).expect("written"), "the one before is over");
    assert!(!a.record("wine").expect("a rollout").saved.is_forgotten);
}

#[path = "news_tests.rs"]
mod news;

#[path = "peers_tests.rs"]
mod peers;
