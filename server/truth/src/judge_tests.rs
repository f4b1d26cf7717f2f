use backend_api::{DType, Dim};
use server_drift::random::Random;

use super::*;
use crate::fixture::{floats, model, subject};
use crate::label::Given;

const SECOND: i64 = 1_000_000;

fn config() -> TruthConfig {
    TruthConfig {
        window: std::time::Duration::from_secs(100),
        horizon: std::time::Duration::from_secs(50),
        ..TruthConfig::default()
    }
}

fn opened(judge: &mut Judge) -> Reading {
    opened_as(judge, 1, &config())
}

fn opened_as(judge: &mut Judge, version: u64, config: &TruthConfig) -> Reading {
    let outputs: &[(&str, DType, &[Dim])] = &[("p", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)])];
    judge.open(&subject(version, outputs), config, None).expect("opens")
}

/// What is shown: a row that is answered with a class, or its truth.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Answer(u32, i64, bool),
    Truth(u32, i64, bool),
}

fn show(judge: &mut Judge, reading: &Reading, shown: Shown) -> Seen {
    match shown {
        Shown::Answer(row, at, class) => {
            let scores = if class { [0.2, 0.8] } else { [0.8, 0.2] };
            let rows = [("a", row, at * SECOND)];
            let tensor = floats(&[1, 2], &scores);
            judge.predicted(&model(), reading, &Answers { rows: &rows, tensor: &tensor })
        }
        Shown::Truth(row, at, class) => {
            let label = Label::new("a", row, Given::Bool(class), None).expect("a label");
            judge.labelled(&model(), &label, at * SECOND)
        }
    }
}

fn so_far(judge: &Judge) -> (Value, Value, Value) {
    let shown = judge.shown("wine", None).expect("it is judged");
    let so_far = &shown["versions"][0]["so_far"];
    let of = |key: &str| so_far[key].clone();
    (of("predicted"), of("labelled"), so_far["metrics"]["accuracy"].clone())
}

#[test]
fn what_counts_does_not_depend_on_order_or_repetition() {
    use Shown::{Answer, Truth};
    let mut all = vec![
        Answer(0, 1, true),
        Truth(0, 5, true),
        Answer(1, 2, true),
        // Corrected twice.
        Truth(1, 6, true),
        Truth(1, 7, true),
        Truth(1, 8, false),
        Answer(2, 3, true),
        // Asked again under the same id: the last answer counts.
        Answer(3, 4, false),
        Answer(3, 9, true),
        Truth(3, 10, true),
        // Corrected when the horizon was over, and labelled only then.
        Answer(4, 5, true),
        Truth(4, 149, true),
        Truth(4, 150, false),
        Truth(4, 160, false),
        Answer(5, 6, true),
        Truth(5, 150, true),
    ];
    all.extend(all.clone());
    let mut random = Random::new(1);
    for _ in 0..200 {
        for place in (1..all.len()).rev() {
            let other = usize::try_from(random.below(place as u64 + 1)).expect("small");
            all.swap(place, other);
        }
        let mut judge = Judge::new(1 << 20, 0);
        let reading = opened(&mut judge);
        all.iter().for_each(|it| {
            show(&mut judge, &reading, *it);
        });
        let expect = (6.into(), 4.into(), 0.75.into());
        assert_eq!(so_far(&judge), expect, "{all:?}");
    }
}

/// Each version by its own windows.
#[test]
fn a_label_may_be_in_time_for_one_version_and_late_for_another() {
    use Shown::{Answer, Truth};
    let longer = TruthConfig { horizon: std::time::Duration::from_secs(200), ..config() };
    let labels = [Truth(0, 100, true), Truth(0, 200, false), Truth(0, 400, true)];
    // Labels before, between and after the answers of the two.
    for (before, between) in [(0, 0), (0, 2), (1, 2), (1, 3), (2, 3), (3, 3)] {
        let mut judge = Judge::new(1 << 20, 0);
        let readings = [(1, &config()), (2, &longer)].map(|it| opened_as(&mut judge, it.0, it.1));
        let [first, second] = &readings;
        let answer = Answer(0, 1, true);
        let mut all: Vec<_> = labels.iter().map(|it| (first, *it)).collect();
        all.insert(between, (second, answer));
        all.insert(before, (first, answer));
        for (reading, shown) in all {
            show(&mut judge, reading, shown);
        }
        let shown = judge.shown("wine", None).expect("both are judged");
        let accuracy = |it: usize| shown["versions"][it]["so_far"]["metrics"]["accuracy"].clone();
        assert_eq!((accuracy(0), accuracy(1)), (1.0.into(), 0.0.into()), "{before} {between}");
    }
}

/// What one replica was told is read before anything that another has answered.
#[test]
fn a_label_waits_for_the_first_answer_of_all() {
    let mut judge = Judge::new(1 << 20, 0);
    let label = |row, class| Label::new("a", row, Given::Bool(class), None).expect("a label");
    for (row, class) in [(0, true), (1, false)] {
        let seen = judge.labelled(&model(), &label(row, class), 5 * SECOND);
        assert_eq!(seen, Seen { counted: 1, ..Seen::default() });
    }
    assert_eq!(judge.labelled(&model(), &label(0, true), 5 * SECOND).repeated, 1);
    assert_eq!(judge.shown("wine", None), None, "no version is known");
    let reading = opened(&mut judge);
    for row in 0..2 {
        show(&mut judge, &reading, Shown::Answer(row, 1, true));
    }
    assert_eq!(so_far(&judge), (2.into(), 2.into(), 0.5.into()));
}

/// What waits for labels takes all memory most of the time: a label that is early by seconds has its place all
/// the same.
#[test]
fn a_label_waits_where_memory_is_full() {
    let mut judge = Judge::new(64 << 10, 0);
    let horizon = std::time::Duration::from_secs(86_400);
    let reading = opened_as(&mut judge, 1, &TruthConfig { horizon, ..config() });
    for row in 1..=500 {
        show(&mut judge, &reading, Shown::Answer(row, 1, true));
    }
    show(&mut judge, &reading, Shown::Truth(0, 5, true));
    show(&mut judge, &reading, Shown::Answer(0, 4, true));
    assert_eq!(so_far(&judge), (501.into(), 1.into(), 1.0.into()));
}

#[test]
fn a_window_is_told_once_and_what_comes_later_is_late() {
    use Shown::{Answer, Truth};
    let mut judge = Judge::new(1 << 20, 0);
    let reading = opened(&mut judge);
    show(&mut judge, &reading, Answer(0, 1, true));
    assert_eq!(show(&mut judge, &reading, Truth(0, 149, false)).counted, 1);
    // The horizon is over: by its time, whenever it is read.
    assert_eq!(show(&mut judge, &reading, Truth(0, 150, true)).late, 1);
    assert_eq!(judge.tick(150 * SECOND - 1), []);
    let told = judge.tick(150 * SECOND);
    assert_eq!(told.len(), 1);
    assert!(told[0].text.starts_with("accuracy 0.0000"), "{}", told[0].text);
    assert_eq!(show(&mut judge, &reading, Answer(0, 1, true)).late, 1);
    assert_eq!(judge.tick(1_000 * SECOND), []);
}

#[test]
fn rows_that_are_days_ahead_count_for_whoever_knows_how_late_it_is() {
    use Shown::Answer;
    const DAYS_S: i64 = 3 * 86_400;
    let mut judge = Judge::new(1 << 20, 0);
    let reading = opened(&mut judge);
    assert_eq!(show(&mut judge, &reading, Answer(0, DAYS_S, true)).late, 1);
    judge.allow_until(DAYS_S * SECOND);
    assert_eq!(show(&mut judge, &reading, Answer(0, DAYS_S, true)).counted, 1);
    assert_eq!(show(&mut judge, &reading, Answer(1, DAYS_S + 1, true)).late, 1);
}

#[test]
fn what_stood_goes_on() {
    let config = TruthConfig { reference_rows: Some(150), ..config() };
    let outputs: &[(&str, DType, &[Dim])] = &[("p", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)])];
    let subject = subject(1, outputs);
    // One process, or another one after each window.
    let run = |restarts: bool| {
        let mut judge = Judge::new(1 << 20, 0);
        let mut standing = None;
        let mut told = Vec::new();
        for window in 0..6_i64 {
            if restarts {
                judge = Judge::new(1 << 20, window * 100 * SECOND);
            }
            let reading = judge.open(&subject, &config, standing.clone()).expect("opens");
            for row in 0..100_u32 {
                let at = window * 100 + i64::from(row);
                let row = u32::try_from(window * 100).expect("small") + row;
                show(&mut judge, &reading, Shown::Answer(row, at, true));
                let is_right = row % 100 >= if window < 3 { 10 } else { 60 };
                show(&mut judge, &reading, Shown::Truth(row, at, is_right));
            }
            told.extend(judge.tick((window * 100 + 150) * SECOND));
            standing = judge.changed().pop().map(|it| it.2).or(standing);
            let text = serde_json::to_string(&standing).expect("JSON");
            standing = serde_json::from_str(&text).expect("the same");
        }
        told
    };
    let (whole, parts) = (run(false), run(true));
    assert_eq!(whole, parts);
    assert!(whole.iter().any(|it| it.is_alarm), "{whole:?}");
}

/// A longer horizon, or other windows, and some are open once more that were judged.
#[test]
fn no_row_is_learned_from_twice() {
    let seconds = std::time::Duration::from_secs;
    let before = TruthConfig { reference_rows: Some(1_000), ..config() };
    let outputs: &[(&str, DType, &[Dim])] = &[("p", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)])];
    let subject = subject(1, outputs);
    let learned = |judge: &mut Judge, reading: &Reading, rows: std::ops::Range<u32>, tick: i64| {
        for row in rows {
            show(judge, reading, Shown::Answer(row, row.into(), true));
            show(judge, reading, Shown::Truth(row, row.into(), true));
        }
        let told = judge.tick(tick * SECOND).len();
        let shown = judge.shown("wine", None).expect("it is judged");
        (told, shown["versions"][0]["reference"]["rows"].clone())
    };
    let mut judge = Judge::new(1 << 20, 0);
    let reading = judge.open(&subject, &before, None).expect("opens");
    assert_eq!(learned(&mut judge, &reading, 0..200, 250), (2, 200.into()));
    let standing = judge.changed().pop().map(|it| it.2);
    for (window, told, rows) in [(100, 4, 400), (150, 3, 300)] {
        let (window, horizon) = (seconds(window), seconds(1_000));
        let mut judge = Judge::new(1 << 20, 250 * SECOND);
        let now = TruthConfig { window, horizon, ..before.clone() };
        let reading = judge.open(&subject, &now, standing.clone()).expect("opens");
        assert_eq!(learned(&mut judge, &reading, 0..400, 1_450), (told, rows.into()), "{window:?}");
    }
}

#[test]
fn what_stood_under_another_loss_does_not() {
    let outputs: &[(&str, DType, &[Dim])] = &[("p", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)])];
    let subject = subject(1, outputs);
    // Of windows one after the other.
    let mut from = 0;
    let mut state = |config: &TruthConfig, standing: Option<Standing>| {
        let mut judge = Judge::new(1 << 20, 0);
        let reading = judge.open(&subject, config, standing).expect("opens");
        for row in 0..100 {
            show(&mut judge, &reading, Shown::Answer(row, from + 1, true));
            show(&mut judge, &reading, Shown::Truth(row, from + 2, true));
        }
        judge.tick((from + 150) * SECOND);
        from += 100;
        let shown = judge.shown("wine", None).expect("it is judged");
        let standing = judge.changed().pop().map(|it| it.2);
        (shown["versions"][0]["reference"]["state"].clone(), standing)
    };
    let config = TruthConfig { reference_rows: Some(150), ..config() };
    let (learning, standing) = state(&config, None);
    assert_eq!(learning, "learning");
    assert_eq!(state(&config, standing.clone()).0, "learned", "with what stood it is enough");
    let other = TruthConfig { threshold: 0.7, ..config };
    assert_eq!(state(&other, standing).0, "learning");
}
