use super::*;

fn offsets(all: &[(i32, i64)]) -> Offsets {
    all.iter().copied().collect()
}

/// What is read next when so much is there.
#[track_caller]
fn check(at: &[(i32, i64)], there: &[(i32, Range<i64>)], expect: &[(i32, i64)]) {
    let mut positions = Positions::default();
    positions.passed(offsets(&[(0, 50), (1, 50), (2, 50)]), &[]);
    positions.begin(offsets(at), &there.iter().cloned().collect());
    assert_eq!(positions.next, offsets(expect));
}

#[test]
fn reading_begins_where_something_is() {
    let all = [(0, 0..90), (1, 0..90)];
    check(&[(0, 50), (1, 40)], &all, &[(0, 50), (1, 40)]);
    // One has come, one has gone.
    check(&[(0, 50), (2, 50)], &all, &[(0, 50), (1, 0)]);
    check(&[(0, 50)], &[(0, 50..50), (1, 7..9)], &[(0, 50), (1, 7)]);
    // Taken away, before it was read and after.
    check(&[(0, 40), (1, 40)], &[(0, 60..90), (1, 45..90)], &[(0, 60), (1, 45)]);
    // Another topic of the same name.
    check(&[(0, 50)], &[(0, 0..49)], &[(0, 0)]);
}

#[test]
fn what_comes_again_is_known() {
    let mut positions = Positions::default();
    positions.passed(offsets(&[(0, 50)]), &[]);
    positions.begin(offsets(&[(0, 30)]), &BTreeMap::from([(0, 0..90), (1, 5..9)]));
    let again = |it: &Positions, offset| it.is_again(0, offset);
    assert_eq!([30, 49, 50, 51].map(|it| again(&positions, it)), [true, true, false, false]);
    assert!(!positions.is_again(1, 5));
    positions.begin(offsets(&[(0, 50)]), &BTreeMap::from([(0, 0..10)]));
    assert!(!again(&positions, 0), "what was made anew is new");
}

/// A process was killed that had read up to 50 and counted up to 40.
#[test]
fn what_is_taken_away_before_it_counts_is_lost() {
    let killed = || {
        let mut before = Positions::default();
        before.passed(offsets(&[(0, 50)]), &[]);
        let saved = before.saved("rows", &offsets(&[(0, 40)]), &[]);
        Positions::of(Some(saved), "rows")
    };
    let begin = |it: &mut Positions, at, first| {
        it.begin(offsets(&[(0, at)]), &BTreeMap::from([(0, first..90)]))
    };
    for (first, lost) in [(0, 0), (40, 0), (45, 5), (50, 10), (60, 20)] {
        let mut positions = killed();
        assert_eq!(begin(&mut positions, 40, first), lost, "{first}");
        // Somebody still asks for what is gone.
        assert_eq!(begin(&mut positions, 40, first), 0, "{first}");
        assert_eq!(begin(&mut positions, 40, first.max(40) + 3), 3, "{first}");
    }
    let mut positions = killed();
    assert_eq!(begin(&mut positions, 40, 60), 20);
    // Made anew.
    assert_eq!(begin(&mut positions, 91, 0), 0);
    assert_eq!(begin(&mut positions, 0, 10), 10);
}

#[test]
fn time_is_that_of_the_partition_which_is_behind() {
    let ends = offsets(&[(0, 10), (1, 10)]);
    let mut positions = Positions::default();
    positions.begin(offsets(&[(0, 0), (1, 0)]), &BTreeMap::from([(0, 0..10), (1, 0..10)]));
    // As many as are looked at, of one of two partitions.
    let many = |partition, time: i64| -> Vec<(i32, i64)> {
        (0..5_120).map(|it| (partition, time + it % 2)).collect()
    };
    let mut at = |next: [i64; 2], times: &[(i32, i64)]| {
        positions.passed(offsets(&[(0, next[0]), (1, next[1])]), times);
        (positions.written(&ends, 100), positions.has_reached(&ends))
    };
    assert_eq!(at([0, 0], &[]), (None, false));
    assert_eq!(at([3, 0], &many(0, 30)), (None, false));
    assert_eq!(at([3, 4], &many(1, 40)[1..]), (None, false), "too few to say");
    assert_eq!(at([3, 4], &[(1, 40)]), (Some(30), false));
    assert_eq!(at([4, 5], &many(0, 90)), (Some(40), false));
    assert_eq!(at([10, 6], &[(1, 77)]), (Some(40), false));
    assert_eq!(at([10, 7], &many(1, 142)), (Some(77), false));
    assert_eq!(at([10, 7], &many(1, 142)), (Some(100), false), "nor beyond now");
    assert_eq!(at([12, 10], &[]), (Some(100), true));
}

#[test]
fn the_next_process_begins_with_what_somebody_needs() {
    let next = offsets(&[(0, 50), (1, 60)]);
    let check = |needed: &[&[(i32, i64)]], expect: &[(i32, i64)]| {
        let needed: Vec<Offsets> = needed.iter().map(|it| offsets(it)).collect();
        assert_eq!(least(&next, needed.iter()), offsets(expect));
    };
    check(&[], &[(0, 50), (1, 60)]);
    check(&[&[(0, 40), (1, 99)], &[(0, 45), (1, 59)]], &[(0, 40), (1, 59)]);
    check(&[&[(0, 40)]], &[(0, 40)]);
}

#[test]
fn what_was_written_down_is_of_that_stream() {
    let who = |version| (ModelName::new("m").expect("a name"), Version(version));
    let mut positions = Positions::default();
    positions.passed(offsets(&[(0, 50), (1, 60)]), &[]);
    let save = || {
        let saved = positions.saved("rows", &offsets(&[(0, 40), (1, 60)]), &[&who(1)]);
        let text = serde_json::to_string(&saved).expect("JSON");
        Some(serde_json::from_str(&text).expect("what was written"))
    };
    let mut read = Positions::of(save(), "rows");
    assert_eq!(read.next, offsets(&[(0, 40), (1, 60)]));
    assert!(read.is_again(0, 49) && !read.is_again(0, 50));
    assert_eq!(read.covered(), BTreeSet::from([who(1)]));
    assert!(read.covered().is_empty(), "whoever is followed later was not left to anybody");
    let mut other = Positions::of(save(), "other");
    assert!(other.next.is_empty() && other.covered().is_empty());
    assert!(Positions::of(None, "rows").next.is_empty());
}
