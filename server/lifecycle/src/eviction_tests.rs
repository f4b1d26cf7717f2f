use super::*;

/// Residents as words `name@used`, seconds ago; `+n`: stays for n more seconds; `~n`: goes after n
/// idle seconds; `*n`: takes n bytes.
fn parse(text: &str, now: Instant) -> Vec<Resident> {
    let seconds = |it: &str| Duration::from_secs(it.parse().expect("a number"));
    let word = |word: &str| {
        let (word, bytes) = word.split_once('*').map_or((word, "0"), |(a, b)| (a, b));
        let (word, idle) = word.split_once('~').map_or((word, None), |(a, b)| (a, Some(b)));
        let (word, stays) = word.split_once('+').map_or((word, "0"), |(a, b)| (a, b));
        let (name, used) = word.split_once('@').expect("name@used");
        Resident {
            name: ModelName::new(name).expect("a name"),
            bytes: bytes.parse().expect("bytes"),
            stays_until: now + seconds(stays),
            used: now - seconds(used),
            idle_max: idle.map(seconds),
        }
    };
    text.split_whitespace().map(word).collect()
}

/// `counts`: most, occupied, leaving, newcomers. Expects admitted, evicted, refused, and after how
/// many seconds the refused may come again.
#[track_caller]
fn check(
    counts: (usize, usize, usize, usize),
    residents: &str,
    expect: (usize, &str, usize, Option<u64>),
) {
    let now = Instant::now() + Duration::from_secs(1_000);
    let (max, occupied, leaving, newcomers) = counts;
    let picture = Picture {
        limits: Limits { models: Some(max).filter(|it| *it > 0), bytes: None },
        occupied: Space { models: occupied, bytes: 0 },
        leaving: Space { models: leaving, bytes: 0 },
        newcomers: vec![Space { models: 1, bytes: 0 }; newcomers],
        residents: parse(residents, now),
        spares: Vec::new(),
    };
    let room = plan(picture, now);
    let refused = room.fates.iter().filter(|it| matches!(it, Fate::Refused(_))).count();
    let admitted = room.fates.iter().filter(|it| **it == Fate::Admitted).count();
    let retry = (refused > 0).then(|| (room.retry - now).as_secs());
    assert_eq!((admitted, &*words(&room), refused, retry), expect, "{counts:?} {residents}");
}

fn words(room: &Room) -> String {
    let word = |(name, cause): &(ModelName, Cause)| format!("{name}:{}", cause.label());
    let cooled = room.cooled.iter().map(|it| format!("{it}:spare"));
    cooled.chain(room.evicted.iter().map(word)).collect::<Vec<_>>().join(" ")
}

/// Bytes: limit, occupied, leaving, and what newcomers need. Expects a letter for each of them
/// (admitted, waits, refused), and who is evicted.
#[track_caller]
fn check_bytes(bytes: (u64, u64, u64), needs: &[u64], residents: &str, expect: (&str, &str)) {
    check_spares(bytes, needs, (residents, ""), expect);
}

/// The same with versions `name*bytes` that are kept for a roll-back.
#[track_caller]
fn check_spares(
    (max, occupied, leaving): (u64, u64, u64),
    needs: &[u64],
    (residents, spares): (&str, &str),
    expect: (&str, &str),
) {
    let now = Instant::now() + Duration::from_secs(1_000);
    let space = |bytes| Space { models: 1, bytes };
    let spare = |it: &str| {
        let (name, bytes) = it.split_once('*').expect("name*bytes");
        let (name, bytes) = (ModelName::new(name).expect("a name"), bytes.parse().expect("bytes"));
        Spare { name, bytes }
    };
    let picture = Picture {
        spares: spares.split_whitespace().map(spare).collect(),
        limits: Limits { models: None, bytes: Some(max) },
        occupied: space(occupied),
        leaving: space(leaving),
        newcomers: needs.iter().copied().map(space).collect(),
        residents: parse(residents, now),
    };
    let room = plan(picture, now);
    let fates = room.fates.iter().map(|it| match it {
        Fate::Admitted => 'a',
        Fate::Waits => 'w',
        Fate::Refused(cause) => {
            assert_eq!(*cause, Cause::Memory);
            'r'
        }
    });
    let fates: String = fates.collect();
    assert_eq!((&*fates, &*words(&room)), expect, "{needs:?} {residents} {spares}");
}

#[test]
fn what_is_kept_for_a_roll_back_goes_first() {
    check_spares((100, 90, 0), &[10], ("a@5*40", "m*30"), ("a", ""));
    check_spares((100, 90, 0), &[30], ("a@5*40", "m*30"), ("w", "m:spare"));
    check_spares((100, 90, 0), &[60], ("a@5*40", "m*30"), ("w", "m:spare a:memory"));
    check_spares((100, 90, 0), &[90], ("a@5*40", "m*30"), ("r", ""));
    check_spares((100, 120, 0), &[], ("a@5*40", "m*30"), ("", "m:spare"));
    // What leaves already is waited for.
    check_spares((100, 90, 30), &[30], ("", "m*30"), ("w", ""));
    // With a model that is idle goes what it keeps, and makes room.
    check_spares((100, 90, 0), &[60], ("a@60~60*20 b@5*10", "a*30 m*10"), ("w", "a:idle"));
}

#[test]
fn no_place_is_won_by_what_is_kept() {
    let now = Instant::now() + Duration::from_secs(1_000);
    let name = |it: &str| ModelName::new(it).expect("a name");
    let picture = Picture {
        limits: Limits { models: Some(2), bytes: None },
        occupied: Space { models: 2, bytes: 60 },
        newcomers: vec![Space { models: 1, bytes: 10 }],
        residents: parse("a@5*10", now),
        spares: vec![Spare { name: name("m"), bytes: 30 }],
        ..Picture::default()
    };
    assert_eq!(words(&plan(picture, now)), "a:count");
}

#[test]
fn memory_is_room_too() {
    check_bytes((100, 60, 0), &[40], "a@5*60", ("a", ""));
    check_bytes((100, 60, 0), &[41], "a@5*60", ("w", "a:memory"));
    check_bytes((100, 90, 0), &[30], "a@5*10 b@9*20 c@7*60", ("w", "b:memory"));
    check_bytes((100, 90, 0), &[35], "a@5*10 b@9*20 c@7*60", ("w", "b:memory c:memory"));
    check_bytes((100, 90, 30), &[35], "b@9*20", ("w", ""));
    // Measured after it was let in: it takes more than was thought.
    check_bytes((100, 120, 0), &[], "a@5*10 b@9*20 c@7*60", ("", "b:memory"));
}

#[test]
fn nobody_goes_for_what_will_not_fit() {
    check_bytes((100, 90, 0), &[101], "a@5*40 b@9*50", ("r", ""));
    check_bytes((100, 90, 0), &[71], "a@5*40 b@9+3*50", ("r", ""));
    // What fits is not held up by what does not.
    check_bytes((100, 60, 0), &[101, 40], "a@5*60", ("ra", ""));
}

#[test]
fn who_waits_is_not_overtaken() {
    check_bytes((100, 90, 0), &[50, 5], "a@5*40 b@9*50", ("ww", "b:memory"));
    check_bytes((100, 90, 0), &[50, 60], "a@5*40 b@9*50", ("wr", "b:memory"));
}

#[test]
fn without_a_limit_all_may_come() {
    check((0, 900, 0, 100), "a@5 b@9", (100, "", 0, None));
}

#[test]
fn while_there_is_room_nobody_goes() {
    check((3, 2, 0, 1), "a@5 b@9", (1, "", 0, None));
    check((3, 2, 0, 0), "a@5 b@9", (0, "", 0, None));
}

#[test]
fn the_least_recently_used_goes_first() {
    check((2, 2, 0, 1), "a@5 b@9", (0, "b:count", 0, None));
    check((3, 3, 0, 2), "a@5 b@9 c@7", (0, "b:count c:count", 0, None));
    // What is loaded by command or always counts and cannot go.
    check((3, 3, 0, 1), "a@5", (0, "a:count", 0, None));
}

#[test]
fn what_leaves_already_is_waited_for() {
    check((2, 2, 1, 1), "a@5", (0, "", 0, None));
    check((2, 3, 1, 1), "a@5 b@6", (0, "b:count", 0, None));
}

#[test]
fn too_many_by_command_push_others_out() {
    check((2, 3, 0, 0), "a@5", (0, "a:count", 0, None));
    check((2, 4, 0, 0), "a@5+3", (0, "", 0, None));
}

#[test]
fn nobody_goes_before_its_time() {
    check((2, 2, 0, 1), "a@5+2 b@9+4", (0, "", 1, Some(2)));
    check((2, 2, 0, 1), "a@5 b@9+4", (0, "a:count", 0, None));
    check((2, 2, 0, 3), "a@5 b@9+4", (0, "a:count", 2, Some(4)));
    check((2, 1, 0, 3), "b@9+4", (1, "", 2, Some(4)));
    // Never at once, and not never.
    check((1, 1, 0, 1), "", (0, "", 1, Some(5)));
    check((2, 2, 0, 3), "a@1 b@2", (0, "b:count a:count", 1, Some(5)));
}

#[test]
fn the_idle_go_whether_there_is_room_or_not() {
    check((0, 2, 0, 0), "a@59~60 b@60~60", (0, "b:idle", 0, None));
    check((9, 2, 0, 0), "a@61+1~60 b@60~60", (0, "b:idle", 0, None));
    check((2, 2, 0, 1), "a@80 b@60~60", (0, "b:idle", 0, None));
}

#[test]
fn pauses_double_up_to_a_minute() {
    let pauses: Vec<u64> = [1, 2, 3, 6, 7, 40, 4_000].map(|it| backoff(it).as_secs()).into();
    assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
}
