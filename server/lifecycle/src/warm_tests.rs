use super::*;

const WINDOW: Duration = Duration::from_secs(60);

/// Versions in memory as words `version:flags`: A answers, `!` wanted, `-` its content is gone, and
/// how it was: `k5` kept for 5 seconds by now, `c` cold, `s` spent, `e` evicted.
fn parse(text: &str, now: Instant) -> Vec<Candidate> {
    let word = |word: &str| {
        let (version, flags) = word.split_once(':').expect("version:flags");
        let kept = flags.split_once('k').map(|(_, it)| it.parse().expect("seconds"));
        let since = kept.map(|it| now - Duration::from_secs(it));
        let warmth = match since {
            Some(since) => Warmth::Kept { since, until: since },
            None if flags.contains('c') => Warmth::Cold,
            None if flags.contains('s') => Warmth::Spent,
            None if flags.contains('e') => Warmth::Evicted,
            None => Warmth::Wanted,
        };
        Candidate {
            version: Version(version.parse().expect("a number")),
            is_available: flags.contains('A'),
            is_desired: flags.contains('!'),
            is_there: !flags.contains('-'),
            warmth,
        }
    };
    text.split_whitespace().map(word).collect()
}

const PLAIN: Wish = Wish { window: WINDOW, is_wanted: true, is_directed: false };

/// What becomes of each, a letter for each: wanted, kept, cold, spent, evicted.
fn letters(text: &str, wish: Wish) -> String {
    let now = Instant::now() + Duration::from_secs(1_000);
    let found = warmths(&parse(text, now), wish, now);
    let letter = |it: &Warmth| match it {
        Warmth::Wanted => 'w',
        Warmth::Kept { until, .. } => {
            assert!(*until > now, "its time is not over: {text}");
            'k'
        }
        Warmth::Cold => 'c',
        Warmth::Spent => 's',
        Warmth::Evicted => 'e',
    };
    found.iter().map(letter).collect()
}

#[track_caller]
fn check(versions: &str, expect: &str) {
    assert_eq!(letters(versions, PLAIN), expect, "{versions}");
}

#[test]
fn what_is_replaced_is_kept_for_a_while() {
    check("1:A 2:!", "ww");
    check("1:A 2:A!", "kw");
    check("1:Ak59 2:A!", "kw");
    check("1:Ak60 2:A!", "sw");
    check("1:As 2:A!", "sw");
    check("1:Ac 2:A!", "cw");
    let none = Wish { window: Duration::ZERO, ..PLAIN };
    assert_eq!(letters("1:A 2:A!", none), "cw", "unless nobody wants that");
    assert_eq!(letters("1:Ak5 2:A!", none), "sw", "nor wants it any more");
}

#[test]
fn what_is_wanted_again_is_as_before() {
    check("1:Ak5 2:A!", "kw");
    check("1:A!k5 2:A", "wk");
    check("1:Ac! 2:A", "wk");
    check("1:As! 2:A", "wk");
    check("1:Ae! 2:A", "wk");
}

#[test]
fn one_is_kept_and_that_the_last() {
    check("1:Ak5 2:A 3:A!", "skw");
    check("1:Ak5 2:A 3:!", "kww");
    check("1:A 2:A 3:A!", "ckw");
    check("1:A! 2:A 3:Ak5", "wks");
    // That the later one is gone does not bring back the one before.
    check("1:As 2:Ak60 3:A!", "ssw");
}

#[test]
fn nothing_is_kept_that_nobody_could_go_back_to() {
    let nothing = Wish { is_wanted: false, ..PLAIN };
    assert_eq!(letters("1:Ak5 2:A", nothing), "sw");
    // Wanted is what has no life yet.
    check("1:Ak5 2:A", "kw");
    check("1:A- 2:A!", "cw");
    check("1:A-k5 2:A!", "sw");
    // Another content of the same number is on its way: this one waits for it.
    check("1:A- 1: 2:!", "www");
    check("1: 2:A!", "ww");
    // The one that answered has failed: what is kept stays, and can be gone back to.
    check("1:Ak5 2:!", "kw");
}

#[test]
fn who_needs_the_memory_gets_it() {
    check("1:Ae 2:A!", "ew");
    check("1:Ae 2:A 3:A!", "ekw");
    check("1:e 2:A!", "ww");
}

#[test]
fn what_a_rollout_replaces_is_kept_by_the_rollout() {
    let directed = Wish { is_directed: true, ..PLAIN };
    assert_eq!(letters("1:A 2:A!", directed), "cw");
    // What was kept before it began stays for its time.
    assert_eq!(letters("1:Ak5 2:A! 3:A!", directed), "kww");
}
