//! What a member hears of others, and for how long it counts.

use super::*;
use crate::folder::Folder;

fn reports(member: &Member<Memory>) -> Vec<String> {
    member.store.list("replicas").expect("listed")
}

#[test]
fn reports_that_nobody_needs_are_forgotten() {
    let [(mut a, _), (mut b, _), (mut c, _)] = members(["a", "b", "c"]);
    begin(&mut a);
    turn(&mut b, 1, seen(2, 50, 0));
    turn(&mut c, 1, seen(0, 0, 0));
    follow(&mut a, 1);
    a.report(now(1), BTreeMap::new()).expect("reported");
    assert_eq!((a.living(now(1)), a.living(now(12))), (3, 0));
    for second in [60, 61] {
        follow(&mut a, second);
        assert_eq!(reports(&a), ["a.json", "b.json", "c.json"]);
    }
    // Six leases after its last sign; what was counted of a rollout that goes on is kept.
    follow(&mut a, 62);
    assert_eq!(reports(&a), ["a.json", "b.json"]);
    a.command(&wine(), Command::Abort, now(63)).expect("written").expect("tried").expect("fits");
    follow(&mut a, 63);
    assert_eq!(reports(&a), ["a.json"], "its own stays as it is");
}

#[test]
fn what_is_not_known_is_kept_for_longer() {
    let [(mut a, _), (b, _)] = members(["a", "b"]);
    b.store.put("rollouts/wine/00000000000000000001.json", b"of a newer release");
    let put = |name: &str, rollouts: BTreeMap<ModelName, Seen>| {
        let replica = ReplicaId::new(name).expect("a name");
        let report = Report { format: FORMAT, replica, beat: 1, at: Moment(0), rollouts };
        let bytes = serde_json::to_vec(&report).expect("JSON");
        b.store.put(&format!("replicas/{name}.json"), &bytes);
    };
    put("c", [(wine(), Seen { begun: 1, ..seen(2, 50, 0) })].into());
    for second in [1, 2, 3_600, 3_601] {
        follow(&mut a, second);
        assert_eq!(reports(&a), ["c.json"]);
    }
    follow(&mut a, 3_602);
    assert!(reports(&a).is_empty());
    // Many are taken away in several turns.
    for number in 0..100 {
        put(&format!("gone-{number}"), BTreeMap::new());
    }
    for (second, left) in [(3_603, 100), (3_662, 100), (3_663, 100), (3_664, 92), (3_665, 84)] {
        follow(&mut a, second);
        assert_eq!(reports(&a).len(), left, "{second}");
    }
}

#[test]
fn one_report_that_cannot_be_read_keeps_nobody_from_the_others() {
    let [(mut a, weather), (mut b, _), (mut c, _)] = members(["a", "b", "c"]);
    begin(&mut a);
    turn(&mut b, 1, seen(0, 0, 0));
    turn(&mut c, 1, seen(0, 0, 0));
    // The lists of logs, of the log and of reports, and the first of these.
    weather.set(Weather::Fading(4));
    assert_eq!(follow(&mut a, 1).1, "what other replicas report cannot be read");
    assert_eq!(a.living(now(1)), 1, "of one it was heard");
}

/// On a volume anybody may leave a folder; records can be read all the same, and a server starts by them.
#[test]
fn what_else_lies_among_the_reports_is_no_fault_of_the_store() {
    let root = tempfile::tempdir().expect("scratch");
    let id = ReplicaId::new("a").expect("a name");
    let store = Folder::open(root.path(), id.clone()).expect("opened");
    let mut a = Member::new(id, store, LEASE);
    a.begin(saved(0), now(0)).expect("written");
    let put = |name: &str| std::fs::create_dir_all(root.path().join("replicas").join(name));
    put("lost+found").expect("made");
    assert!(a.refresh(now(1)).is_empty());
    put("b.json").expect("made");
    assert!(matches!(a.refresh(now(2))[..], [ShareError::Reports(_)]));
}

#[test]
fn a_leader_whose_turns_are_long_is_not_replaced() {
    let [(mut a, _), (mut b, _)] = members(["a", "b"]);
    begin(&mut a);
    // Both wait for the store, for longer than the lease.
    for second in (0..200).step_by(22) {
        turn(&mut a, second, seen(0, 0, 0));
        turn(&mut b, second + 11, seen(0, 0, 0));
    }
    assert_eq!(b.standing("wine", now(220)), Standing::Follows);
    assert_eq!(b.record("wine").expect("a rollout").term, 1);
    // It is fast again, and hears nothing.
    for second in 221..=241 {
        turn(&mut b, second, seen(0, 0, 0));
    }
    let record = b.record("wine").expect("a rollout");
    assert_eq!((record.term, record.leader.to_string().as_str()), (2, "b"));
}
