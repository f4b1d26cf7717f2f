use server_feedback::hour_folder;

use super::*;

const NOON: i64 = 500_004 * MICROS_AN_HOUR;

fn path(hour: u32, name: &str) -> String {
    format!("{}/{name}.parquet", hour_folder(500_004 + hour))
}

fn object(hour: u32, name: &str, written: i64) -> Object {
    Object { path: path(hour, name), size: 1, written: NOON + written }
}

#[test]
fn a_row_waits_or_is_late_or_of_no_interest() {
    let mut cursor = Cursor::new(NOON);
    assert!(cursor.advance(NOON + 5));
    assert!(!cursor.advance(NOON + 4), "time does not go back");
    for (time, expect) in [
        (0, Place::Before),
        (1, Place::Late),
        (5, Place::Late),
        (6, Place::Waits),
        (9, Place::Ahead),
    ] {
        assert_eq!(cursor.place(NOON + time, NOON + 8), expect, "{time}");
    }
    assert!(cursor.is_beyond(NOON + 4) && !cursor.is_beyond(NOON + 5));
    // Nothing of it was counted: it is to begin then.
    assert!(!Cursor::new(NOON).is_beyond(0));
}

#[test]
fn names_are_forgotten_when_no_list_shows_them() {
    let mut cursor = Cursor::new(NOON);
    for hour in 0..6 {
        cursor.was_read(&object(hour, "a", 0), NOON + i64::from(hour) * MICROS_AN_HOUR + 7);
    }
    cursor.advance(NOON + 4 * MICROS_AN_HOUR + 7);
    assert_eq!(cursor.unfinished(), BTreeSet::from([path(5, "a")]));
    assert_eq!(cursor.first_hour(), 500_006);
    cursor.forget();
    let known: Vec<bool> = (0..6).map(|hour| cursor.is_read(&object(hour, "a", 0))).collect();
    assert_eq!(known, [false, false, true, true, true, true]);
}

#[test]
fn a_file_that_is_another_is_not_read_yet() {
    let mut cursor = Cursor::new(NOON);
    let read = object(1, "a", 5);
    cursor.was_read(&read, NOON + 7);
    cursor.is_gone(&path(1, "b"));
    let text = serde_json::to_string(&cursor).expect("JSON");
    let next: Cursor = serde_json::from_str(&text).expect("what was written");
    for it in [&cursor, &next] {
        assert!(it.is_read(&read) && !it.is_read(&object(1, "b", 5)));
        assert!(!it.is_read(&Object { size: 2, ..read.clone() }));
        assert!(!it.is_read(&object(1, "a", 6)));
    }
    assert_eq!(next.unfinished(), BTreeSet::from([path(1, "a")]));
    let larger = Object { size: 2, ..read.clone() };
    cursor.was_read(&larger, NOON + 9);
    assert!(cursor.is_read(&larger) && !cursor.is_read(&read));
    assert_eq!(cursor.bytes, next.bytes, "one of the name is remembered");
    cursor.is_gone(&path(1, "a"));
    assert!(cursor.is_read(&larger) && cursor.unfinished().is_empty());
}

/// As an earlier release writes and reads it.
#[derive(Serialize, Deserialize)]
struct Earlier {
    begin: i64,
    watermark: i64,
    read: BTreeMap<String, i64>,
}

#[test]
fn an_earlier_release_knows_names_alone() {
    let mut cursor = Cursor::new(NOON);
    for name in ["a", "b"] {
        cursor.was_read(&object(1, name, 5), NOON + 7);
    }
    let text = serde_json::to_string(&cursor).expect("JSON");
    let earlier: Earlier = serde_json::from_str(&text).expect("it can go back to that");
    assert_eq!(earlier.read, ["a", "b"].map(|it| (path(1, it), NOON + 7)).into());
    let text = serde_json::to_string(&earlier).expect("JSON");
    let mut next: Cursor = serde_json::from_str(&text).expect("what it has written");
    // Whether it has changed since nobody knows.
    let larger = Object { size: 2, ..object(1, "a", 5) };
    assert!(next.is_read(&object(1, "a", 5)) && next.is_read(&larger));
    assert_eq!((next.bytes, next.unfinished()), (cursor.bytes, cursor.unfinished()));
    next.was_read(&object(1, "a", 5), NOON + 7);
    assert!(!next.is_read(&larger));
}

/// What is read of a list, and up to where rows are there after each file.
#[track_caller]
fn check(listed: &[Object], (is_cut, settled): (bool, i64), expect: (&[&str], &[i64])) {
    let mut cursor = Cursor::new(NOON);
    cursor.was_read(&object(1, "known", 0), NOON);
    let again = BTreeSet::from([path(3, "again")]);
    cursor.was_read(&object(3, "again", 0), NOON + 4 * MICROS_AN_HOUR);
    let next = listed.last().map(|it| it.path.clone()).filter(|_| is_cut);
    let page = next.clone().map(|after| Page { after, settled: NOON + settled });
    let listed = Listed { objects: listed.to_vec(), next };
    let turn = Turn::new((&cursor, &again), listed, NOON + settled);
    assert_eq!(turn.next, page);
    let names = turn.objects.iter().map(|it| it.path.rsplit('/').next().unwrap_or_default());
    let names: Vec<&str> = names.map(|it| it.trim_end_matches(".parquet")).collect();
    let settled: Vec<i64> = (0..=turn.objects.len()).map(|it| turn.settled(it) - NOON).collect();
    assert_eq!((names.as_slice(), settled.as_slice()), expect);
}

#[test]
fn an_hour_is_settled_when_the_next_begins() {
    const HOUR: i64 = MICROS_AN_HOUR;
    let all = [object(1, "b", 9), object(1, "c", 8), object(1, "known", 0), object(2, "a", 1)];
    let end = 2 * HOUR + 5;
    check(&all, (false, end), (&["c", "b", "a"], &[HOUR - 1, HOUR - 1, 2 * HOUR - 1, end]));
    // What need not be there yet is not settled.
    check(&all, (false, HOUR + 3), (&["c", "b", "a"], &[HOUR - 1, HOUR - 1, HOUR + 3, HOUR + 3]));
    // A list that is cut says nothing of its last hour.
    let cut = [HOUR - 1, HOUR - 1, 2 * HOUR - 1, 2 * HOUR - 1];
    check(&all, (true, end), (&["c", "b", "a"], &cut));
    check(&all[..3], (true, end), (&["c", "b"], &[HOUR - 1, HOUR - 1, HOUR - 1]));
    check(&[], (false, end), (&[], &[end]));
    let again = [object(1, "known", 0), object(3, "again", 0)];
    check(&again, (false, end), (&["again"], &[end, end]));
    // One was written anew; and one of its name in another folder is never fetched.
    let anew = [object(1, "known", 1), object(1, "known", 2)];
    check(&anew, (false, end), (&["known"], &[HOUR - 1, end]));
    check(&[object(1, "known", 0), object(1, "known", 2)], (false, end), (&[], &[end]));
}
