//! What a member has to tell, and to act by.

use super::*;

use server_rollout::Evidence;

use crate::record::Telling;

#[test]
fn what_is_read_on_any_occasion_is_acted_by() {
    let [(mut a, _), (mut b, weather)] = members(["a", "b"]);
    // Both look, and see none; one is faster.
    follow(&mut b, 0);
    begin(&mut a);
    assert!(!b.begin(saved(0), now(0)).expect("read"), "one is under way");
    // What b saw until now was not seen of it.
    b.report(now(0), [(wine(), seen(0, 0, 0))].into()).expect("reported");
    assert!(b.peers[b.id()].report.rollouts.is_empty());
    assert_eq!(follow(&mut b, 1), (vec![1], String::new()));
    // What a command reads, though it cannot write.
    turn(&mut a, 1, seen(0, 0, 0));
    a.command(&wine(), Command::Hold, now(1)).expect("written").expect("tried").expect("fits");
    weather.set(Weather::Fading(2));
    b.command(&wine(), Command::Abort, now(1)).expect_err("cut off");
    let last = a.record("wine").expect("a rollout").number;
    assert_eq!(follow(&mut b, 2).0, [last]);
    assert_eq!(follow(&mut b, 2).0, [0; 0], "once");
}

#[test]
fn what_was_read_before_a_fault_is_acted_by() {
    let [(mut a, _), (mut b, weather)] = members(["a", "b"]);
    begin(&mut a);
    // Two lists and the record; the list of reports fails.
    weather.set(Weather::Fading(3));
    let cut = "what other replicas report cannot be read".to_owned();
    assert_eq!(follow(&mut b, 1), (vec![1], cut));
}

#[test]
fn what_a_file_asks_for_is_answered_once() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    a.command(&wine(), Command::Abort, now(1)).expect("written").expect("tried").expect("fits");
    // b has read nothing of it when it looks at its file.
    let declared = || Saved::new(rollout(1), true, None);
    assert!(!b.begin(declared(), now(1)).expect("read"), "it was rolled back");
    assert_eq!(follow(&mut b, 1).0, [2]);
    // Who has read it knows what it wants.
    assert!(b.begin(declared(), now(2)).expect("written"), "the one before is over");
}

/// Verdicts that a member has to tell, and the record that it is to act by.
fn news(member: &mut Member<Memory>, second: u64) -> (Vec<Verdict>, Option<u64>) {
    member.refresh(now(second));
    let news = member.news();
    let decided = news.iter().flat_map(|it| &it.decided).map(|(_, it)| it.verdict).collect();
    (decided, news.iter().map(|it| it.record.number).next())
}

/// a holds the rollout, without an answer. What b says then comes after it.
#[track_caller]
fn check(weather: Weather, b_says: &[Command], expect: &[Verdict]) {
    let [(mut a, outside), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    outside.set(weather);
    a.command(&wine(), Command::Hold, now(1)).expect_err("no answer");
    assert!(a.news().is_empty(), "nothing is known of it");
    for it in b_says {
        b.command(&wine(), *it, now(1)).expect("written").expect("tried").expect("fits");
    }
    assert_eq!(news(&mut a, 2).0, [], "cut off");
    outside.set(Weather::Fine);
    let last = b_says.len() as u64 + if weather == Weather::Leaving { 2 } else { 1 };
    let record = (last > 1).then_some(last);
    assert_eq!(news(&mut a, 3), (expect.to_vec(), record));
    assert_eq!(news(&mut a, 4), (Vec::new(), None), "once");
}

#[test]
fn what_was_written_without_an_answer_is_told_once() {
    check(Weather::Leaving, &[], &[Verdict::Held]);
    check(Weather::Leaving, &[Command::Resume, Command::Abort], &[Verdict::Held]);
    // It was not written: the log is read, and nothing after that.
    check(Weather::Fading(1), &[], &[]);
    check(Weather::Fading(1), &[Command::Hold], &[]);
    check(Weather::Fading(1), &[Command::Hold, Command::Resume], &[]);
}

#[test]
fn what_is_written_late_is_told_when_it_is_there() {
    let [(mut a, outside), (b, _)] = members(["a", "b"]);
    begin(&mut a);
    outside.set(Weather::Leaving);
    a.command(&wine(), Command::Hold, now(1)).expect_err("no answer");
    outside.set(Weather::Fine);
    // The store has not got to it yet.
    let name = "rollouts/wine/00000000000000000002.json";
    let bytes = b.store.read(name).expect("read").expect("it is there");
    b.store.remove(name).expect("removed");
    assert_eq!(news(&mut a, 2), (Vec::new(), None));
    b.store.put(name, &bytes);
    // Said again, it finds itself done.
    let said = a.command(&wine(), Command::Hold, now(3)).expect("read").expect("tried");
    said.expect_err("it is held");
    assert_eq!(news(&mut a, 3), (vec![Verdict::Held], Some(2)));
}

/// Each looks once a second, and finds nothing loaded: what each then has to tell, in words.
fn tell(members: &mut [(&mut Member<Memory>, &str)], seconds: std::ops::Range<u64>) -> Vec<String> {
    let mut told = Vec::new();
    for second in seconds {
        for (member, name) in members.iter_mut() {
            member.report(now(second), [(wine(), Seen::default())].into()).expect("reported");
            member.refresh(now(second));
            let mut news = member.news();
            member.decide("wine", now(second)).expect("decided");
            news.extend(member.news());
            let decided = news.iter().flat_map(|it| &it.decided);
            told.extend(decided.map(|it| format!("{name} {} {second}", in_short(it))));
        }
    }
    told
}

fn in_short((telling, evidence): &(Telling, Evidence)) -> String {
    match telling {
        Telling::First => format!("{:?}", evidence.verdict),
        Telling::Again => format!("{:?} again", evidence.verdict),
    }
}

const NOTHING: [String; 0] = [];

#[test]
fn what_a_replica_did_not_come_to_tell_another_tells() {
    let [(mut a, _), (mut b, _), (mut c, _)] = members(["a", "b", "c"]);
    begin(&mut a);
    assert_eq!(tell(&mut [(&mut a, "a"), (&mut b, "b"), (&mut c, "c")], 1..2), NOTHING);
    // It is killed as soon as this is written.
    a.command(&wine(), Command::Abort, now(1)).expect("written").expect("tried").expect("fits");
    assert_eq!(tell(&mut [(&mut b, "b"), (&mut c, "c")], 2..13), NOTHING, "it may be slow");
    // Nothing is left to decide, and somebody takes over all the same; it is killed likewise.
    b.refresh(now(13));
    b.decide("wine", now(13)).expect("decided");
    assert_eq!(state(&b), "3 2 b RolledBack");
    assert_eq!(tell(&mut [(&mut c, "c")], 14..60), ["c RolledBack again 25"]);
    assert_eq!(state(&c), "4 3 c RolledBack");
}

#[test]
fn what_was_told_nobody_tells_again() {
    let [(mut a, _), (mut b, _), (mut c, _)] = members(["a", "b", "c"]);
    begin(&mut a);
    assert_eq!(tell(&mut [(&mut a, "a"), (&mut b, "b")], 1..2), NOTHING);
    a.command(&wine(), Command::Abort, now(1)).expect("written").expect("tried").expect("fits");
    assert_eq!(tell(&mut [(&mut a, "a"), (&mut b, "b")], 2..4), ["a RolledBack 2"]);
    // a is gone; c is new, and finds what a has left.
    assert_eq!(tell(&mut [(&mut b, "b"), (&mut c, "c")], 4..60), NOTHING);
    assert_eq!(state(&c), "2 1 a RolledBack");
}

#[test]
fn who_leads_tells_what_an_operator_said_to_one_that_is_gone() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    assert_eq!(tell(&mut [(&mut a, "a"), (&mut b, "b")], 1..2), NOTHING);
    b.command(&wine(), Command::Hold, now(1)).expect("written").expect("tried").expect("fits");
    assert_eq!(tell(&mut [(&mut a, "a")], 2..30), ["a Held again 13"]);
    assert!(state(&a).starts_with("3 1 a Held"), "{}", state(&a));
    // What it decides next it tells alone.
    a.command(&wine(), Command::Abort, now(30)).expect("written").expect("tried").expect("fits");
    assert_eq!(tell(&mut [(&mut a, "a")], 30..50), ["a RolledBack 30"]);
}

#[test]
fn what_is_decided_on_top_of_what_is_told_again_is_told_first() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    assert_eq!(tell(&mut [(&mut a, "a"), (&mut b, "b")], 1..2), NOTHING);
    b.command(&wine(), Command::Hold, now(1)).expect("written").expect("tried").expect("fits");
    // b is gone when a is told to end it, and before it has looked for what b has left.
    (2..20).for_each(|second| assert_eq!(a.refresh(now(second)).len(), 0));
    a.news();
    a.command(&wine(), Command::Abort, now(20)).expect("written").expect("tried").expect("fits");
    let told: Vec<_> = a.news().iter().flat_map(|it| &it.decided).map(in_short).collect();
    assert_eq!(told, ["Held again", "RolledBack"]);
}
