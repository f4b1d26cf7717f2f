use std::time::{Duration, UNIX_EPOCH};

use server_base::settings::Section;

use super::*;
use crate::event::Window;

const HOUR: u64 = 3_600_000;

fn config(rules: &str) -> Config {
    let text = format!(
        "[target.train]\nkind = \"airflow\"\nurl = \"http://a\"\ndag = \"d\"\n\
         [target.tell]\nkind = \"webhook\"\nurl = \"http://a\"\n{rules}"
    );
    let table: toml::Table = text.parse().expect("TOML");
    let mut root = Section::root(&table);
    let config = Config::read(&mut root);
    root.finish(config).expect("no faults")
}

/// One rule, for `m`, whose target is told and forgotten.
fn rule(more: &str) -> Config {
    config(&format!("[[trigger]]\nname = \"r\"\nmodel = \"m\"\ntarget = \"tell\"\n{more}\n"))
}

fn model() -> ModelName {
    ModelName::new("m").expect("a name")
}

fn finding(kind: FindingKind, is_alarm: bool, (hour, version): (u64, u64)) -> Finding {
    let at = |hour: u64| UNIX_EPOCH + Duration::from_secs(hour * 3600);
    Finding {
        model: model(),
        version: Version(version),
        kind,
        is_alarm,
        from: at(hour - 1),
        to: at(hour),
        rows: 1_000,
        subjects: vec!["alcohol".to_owned()],
        text: "psi 0.4".to_owned(),
        evidence: "{\"psi\":0.4}".to_owned(),
    }
}

fn told(decision: &Decision) -> String {
    match decision {
        Decision::Fire { event, is_dry_run: false } => event.cause.label().to_owned(),
        Decision::Fire { event, is_dry_run: true } => format!("dry_{}", event.cause),
        Decision::Skip { why, .. } => why.label().to_owned(),
    }
}

/// One word an hour: what is found in that hour, joined by `+`. The first letter is the kind, `!` is an
/// alarm and `.` none; digits are the version. `-` is an hour without anything. Other words are done
/// to the book. What comes out is one word an hour, too.
fn played(book: &mut Book, config: &Config, first: u64, script: &str) -> String {
    let mut out = Vec::new();
    for (hour, word) in (first..).zip(script.split_whitespace()) {
        let now = Moment(hour * HOUR);
        for part in word.split('+').filter(|it| *it != "-") {
            let version = part[1..].trim_matches(['!', '.']).parse().unwrap_or(1);
            let kind = match &part[..1] {
                "d" => FindingKind::Drift,
                "p" => FindingKind::Performance,
                "q" => FindingKind::Quality,
                other => panic!("{other}"),
            };
            assert!(book.found(&finding(kind, part.contains('!'), (hour, version)), config, now));
        }
        let served = [Served { model: model(), version: Version(1), made: None }];
        let world = World { config, room: 9, now: now.after(Duration::from_secs(3)) };
        let decisions = book.turn(&served, world);
        let words: Vec<String> = decisions.iter().map(told).collect();
        out.push(if words.is_empty() { "-".to_owned() } else { words.join("+") });
        // What has been said or done is not said or done again.
        assert_eq!(book.turn(&served, world), [], "hour {hour}");
    }
    out.join(" ")
}

#[track_caller]
fn check(config: &Config, script: &str, expect: &str) {
    assert_eq!(played(&mut Book::default(), config, 1000, script), expect, "{script}");
}

#[test]
fn a_rule_fires_at_k_of_w_windows() {
    let two = rule("on = [\"drift\"]\nwindows = 3\nalarms = 2\ncooldown_h = 0");
    check(&two, "d! d! d.", "- drift -");
    check(&two, "d! d. d!", "- - drift");
    check(&two, "d! d. d. d! d.", "- - - - -");
    check(&two, "d. d. - - d! - d!", "- - - - - - drift");
    // Kinds are counted apart, and others not at all.
    let any = rule("on = [\"drift\", \"performance\"]\nwindows = 3\nalarms = 2");
    check(&any, "d! p! q!", "- - -");
    check(&any, "d! p! p!", "- - performance");
    // So are versions.
    check(&two, "d!1 d!2 d!1", "- - drift");
}

#[test]
fn it_fires_again_only_after_quiet_windows() {
    let one = rule(
        "on = [\"drift\"]\nwindows = 1\nquiet_windows = 2\ncooldown_h = 0\nfires_per_day_max = 9",
    );
    check(&one, "d! d! d. d! d. d. d!", "drift hysteresis - hysteresis - - drift");
    // Another version is another matter.
    check(&one, "d!1 d!2 d!1", "drift drift hysteresis");
}

#[test]
fn it_cools_down_and_has_a_limit() {
    let slow = rule("on = [\"drift\"]\nwindows = 1\nquiet_windows = 1\ncooldown_h = 4");
    check(&slow, "d! d. d! d. d! d.", "drift - cooldown - drift -");
    let few = rule(
        "on = [\"drift\"]\nwindows = 1\nquiet_windows = 1\ncooldown_h = 0\nfires_per_day_max = 2",
    );
    check(&few, "d! d. d! d. d!", "drift - drift - rate");
    let day = format!("d! d. d! {} d!", ["d."; 22].join(" "));
    let quiet = ["-"; 22].join(" ");
    check(&few, &day, &format!("drift - drift {quiet} drift"));
}

#[test]
fn small_windows_do_not_count() {
    let large = rule("on = [\"drift\"]\nwindows = 1\nrows_min = 1001");
    check(&large, "d! d!", "- -");
    check(&rule("on = [\"drift\"]\nwindows = 1\nrows_min = 1000"), "d!", "drift");
}

#[test]
fn rows_are_a_reason_once_for_each_window() {
    let rows = rule("rows_new = 3000\ncooldown_h = 0");
    check(&rows, "d. d. d. d. d. d.", "- - rows - - rows");
    // Two kinds see the same rows; two versions do not.
    check(&rows, "d.+p. d. p. d.", "- - - rows");
    check(&rows, "d.1+d.2 d.1+d.2", "- rows");
}

#[test]
fn time_is_a_reason() {
    let daily = rule("every_h = 6\noffset_h = 1\ncooldown_h = 0");
    // Hour 1003 is the first of a slot: 6 * 167 + 1.
    check(&daily, "- - - - - - - - - -", "- - - schedule - - - - - schedule");
    let age = rule("age_days_max = 1\ncooldown_h = 0");
    let hours = ["-"; 50].join(" ");
    let mut expect = vec!["-"; 50];
    (expect[24], expect[48]) = ("age", "age");
    check(&age, &hours, &expect.join(" "));
}

#[test]
fn broken_data_raises_an_alert_and_no_retraining() {
    let both = config(
        "[[trigger]]\nname = \"a\"\nmodel = \"*\"\ntarget = \"tell\"\non = [\"quality\"]\nwindows = 1\n\
         [[trigger]]\nname = \"b\"\nmodel = \"*\"\ntarget = \"train\"\non = [\"drift\"]\nwindows = 3\n\
         alarms = 2\ncooldown_h = 0\n",
    );
    // In either order; and the window of broken data does not count later either.
    check(&both, "d! q!+d! d. d!", "- quality+broken_data - -");
    check(&both, "d! d!+q! d. d! d!", "- quality+broken_data - - drift");
    check(&both, "d! q. d!", "- - drift");
    let trusting = rule("on = [\"drift\"]\nwindows = 1\ndespite_quality = true");
    check(&trusting, "q!+d!", "drift");
}

/// Settings forbid it already; whoever builds a rule otherwise gets nowhere.
#[test]
fn no_rule_can_train_on_broken_data() {
    let mut config = rule("on = [\"quality\"]\nwindows = 1");
    check(&config, "q!", "quality");
    config.rules[0].target = "train".to_owned();
    check(&config, "q!", "forbidden");
}

#[test]
fn one_run_at_a_time_until_it_ends_or_takes_too_long() {
    let train = config(
        "[[trigger]]\nname = \"a\"\nmodel = \"m\"\ntarget = \"train\"\non = [\"drift\"]\nwindows = 1\n\
         quiet_windows = 1\ncooldown_h = 0\nfires_per_day_max = 9\nrun_h_max = 5\n\
         [[trigger]]\nname = \"b\"\nmodel = \"m\"\ntarget = \"train\"\non = [\"performance\"]\n\
         windows = 1\nquiet_windows = 1\ncooldown_h = 0\n",
    );
    let mut book = Book::default();
    assert_eq!(played(&mut book, &train, 1000, "d! d. d! p!"), "drift - in_flight in_flight");
    let key =
        |book: &Book| book.entries.values().find_map(|it| it.flight.clone()).expect("a run").key;
    let first = key(&book);
    book.begun(&first, Some("run".to_owned()));
    book.ended(&first, true);
    // It ended well, so what it was about is settled until it is quiet.
    assert_eq!(played(&mut book, &train, 1004, "d! d. d!"), "drift - in_flight");
    // One that fails may be asked for again at the next alarm.
    let second = key(&book);
    book.ended(&second, false);
    assert_eq!(played(&mut book, &train, 1008, "d! - - - - d."), "drift - - - - -");
    assert_eq!(book.entries.values().filter(|it| it.flight.is_some()).count(), 0, "given up");
}

#[test]
fn silence_and_dry_runs() {
    let one = rule("on = [\"drift\"]\nwindows = 1\nquiet_windows = 1\ncooldown_h = 0");
    let mut book = Book::default();
    book.muted.insert("r".to_owned(), Moment(1002 * HOUR));
    assert_eq!(played(&mut book, &one, 1000, "d! d! d!"), "muted muted drift");
    let dry = rule("on = [\"drift\"]\nwindows = 1\ndry_run = true");
    check(&dry, "d! d!", "dry_drift hysteresis");
}

#[test]
fn a_hand_fires_whatever_the_windows_say_but_once() {
    let config =
        config("[[trigger]]\nname = \"r\"\nmodel = \"m\"\ntarget = \"train\"\ncooldown_h = 999\n");
    let rule = &config.rules[0];
    let mut book = Book::default();
    let world = World { config: &config, room: 1, now: Moment(5) };
    let mut fire = |id: &str, dry, room| {
        let world = World { room, ..world };
        told(&book.fire((rule, &model(), Version(1)), (id, "why"), dry, world))
    };
    assert_eq!(fire("a", true, 1), "dry_manual");
    assert_eq!(fire("a", false, 0), "full");
    assert_eq!(fire("a", false, 1), "manual");
    assert_eq!(fire("a", false, 1), "duplicate");
    assert_eq!(fire("b", false, 1), "in_flight");
}

#[test]
fn an_event_tells_the_evidence() {
    let one = rule("on = [\"drift\"]\nwindows = 2\nalarms = 1");
    let mut book = Book::default();
    let now = Moment(1000 * HOUR);
    book.found(&finding(FindingKind::Drift, true, (1000, 3)), &one, now);
    let world = World { config: &one, room: 9, now };
    assert_eq!(book.turn(&[], world), [], "the same window's quality may still come");
    let world = World { now: now.after(Duration::from_secs(2)), ..world };
    let decisions = book.turn(&[], world);
    let [Decision::Fire { event, is_dry_run: false }] = &decisions[..] else {
        panic!("{decisions:?}");
    };
    let window = Window { from: Moment(999 * HOUR), to: now, rows: 1_000 };
    assert_eq!((event.version, &event.window, event.alarms), (3, &Some(window), Some((1, 1))));
    assert_eq!(event.evidence.measured, Some(serde_json::json!({ "psi": 0.4 })));
    assert_eq!(event.key, crate::event::key("r", &model(), Version(3), "drift:3600000000"));
}

#[test]
fn what_was_told_before_changes_nothing_also_after_a_restart() {
    let one = rule("on = [\"drift\"]\nwindows = 1\nquiet_windows = 1\ncooldown_h = 0");
    let mut book = Book::default();
    assert_eq!(played(&mut book, &one, 1000, "d! d."), "drift -");
    let text = serde_json::to_string(&book).expect("JSON");
    let mut read: Book = serde_json::from_str(&text).expect("the same");
    book.is_changed = false;
    assert_eq!(read, book);
    assert_eq!(played(&mut read, &one, 1000, "d! d."), "- -", "windows of before");
    // A process that has forgotten everything comes to the same key.
    let (mut other, now) = (Book::default(), Moment(2000 * HOUR));
    other.found(&finding(FindingKind::Drift, true, (1000, 1)), &one, now);
    let world = World { config: &one, room: 9, now: now.after(Duration::from_secs(2)) };
    let decisions = other.turn(&[], world);
    let [Decision::Fire { event, .. }] = &decisions[..] else { panic!("{decisions:?}") };
    let entry = book.entries.values().next().expect("one");
    assert_eq!((entry.keys.len(), entry.keys.back()), (1, Some(&event.key)));
}

#[test]
fn what_time_brings_again_and_again_is_said_once() {
    let rule =
        rule("rows_new = 1000\nage_days_max = 1\non = [\"drift\"]\nwindows = 1\ncooldown_h = 99");
    let day = ["-"; 23].join(" ");
    let script = format!("d! d. {day} -");
    let quiet = ["-"; 22].join(" ");
    // Rows at 0 and 1, the age at 24; and nothing in between.
    let expect = format!("drift+cooldown cooldown {quiet} cooldown -");
    check(&rule, &script, &expect);
}

#[test]
fn a_clock_that_was_ahead_stops_nothing() {
    let one = rule("on = [\"drift\"]\nwindows = 1\nquiet_windows = 1\ncooldown_h = 2");
    let mut book = Book::default();
    assert_eq!(played(&mut book, &one, 9000, "d!"), "drift");
    assert_eq!(played(&mut book, &one, 1000, "d. d! d. d! d."), "- cooldown - drift -");
}

#[test]
fn memory_is_bounded() {
    let any = rule("on = [\"drift\"]\nwindows = 2");
    let all = config(
        "[[trigger]]\nname = \"r\"\nmodel = \"*\"\ntarget = \"tell\"\non = [\"drift\", \"quality\"]\n",
    );
    let mut book = Book::default();
    for version in 1..500 {
        book.found(&finding(FindingKind::Drift, true, (1000 + version, version)), &any, Moment(0));
    }
    assert_eq!(book.entries.values().next().map(|it| it.lanes.len()), Some(24));
    let mut refused = 0;
    for n in 0..ENTRIES_MAX + 3 {
        let name = ModelName::new(&format!("m{n}")).expect("a name");
        let it = Finding { model: name, ..finding(FindingKind::Quality, true, (1000, 1)) };
        refused += usize::from(!book.found(&it, &all, Moment(0)));
    }
    assert_eq!((book.entries.len(), refused), (ENTRIES_MAX, 4));
    assert_eq!(book.broken.len(), BROKEN_MAX);
}
