use super::*;

use server_drift::random::Random;

use crate::fixture::of_classes;
use crate::form::Guess;
use crate::label::Given;
use crate::tally::Way;

fn config(between: f64, expected: Option<f64>) -> TruthConfig {
    TruthConfig {
        reference_rows: expected.is_none().then_some(1_000),
        error_expected: expected,
        false_alarm_windows: between,
        ..TruthConfig::default()
    }
}

/// A window of rows that are wrong with that probability.
fn window(random: &mut Random, rows: u64, wrong: f64) -> Window {
    let form = of_classes(1, 2, &TruthConfig::default());
    let mut window = Window::default();
    for _ in 0..rows {
        let guess = Guess::Scores([0.25, 0.75].into_iter().collect());
        let truth = Given::Number(if random.uniform() < wrong { 0.0 } else { 1.0 });
        window.predicted += 1;
        window.tally.count(&form, &guess, &truth, Way::In);
        window.lost(crate::tally::loss(&form, &guess, &truth), Way::In);
    }
    window
}

/// The same, without all that a window has beside it.
fn errors(random: &mut Random, rows: u64, wrong: f64) -> Errors {
    let all = (0..rows).filter(|_| random.uniform() < wrong).count();
    Errors { rows, sum: all as f64 }
}

/// Alarms of a stream of so many windows.
fn alarms(random: &mut Random, windows: usize, (config, wrong): (&TruthConfig, f64)) -> usize {
    let mut detector = Detector::default();
    let (before, bound) = (Errors { rows: 0, sum: 0.1 }, 0.1);
    let mut alarm = || {
        let seen = errors(random, 50, wrong);
        detector.window(0, seen, (before, bound, config)).is_alarm
    };
    (0..windows).filter(|_| alarm()).count()
}

#[test]
fn false_alarms_over_a_thousand_streams_are_as_rare_as_asked() {
    let mut random = Random::new(1);
    for between in [20.0, 100.0] {
        let config = config(between, Some(0.1));
        let count: usize = (0..1_000).map(|_| alarms(&mut random, 60, (&config, 0.1))).sum();
        let most = 1_000.0 * 60.0 / between;
        assert!(count > 0 && (count as f64) <= most, "{count} alarms, at most {most} are allowed");
    }
}

/// Windows of 100 rows until an alarm, on average over 200 streams that have been good for 30.
fn delay(wrong: f64) -> f64 {
    let mut random = Random::new(2);
    let config = config(720.0, Some(0.1));
    let mut waited = 0;
    for _ in 0..200 {
        let mut detector = Detector::default();
        let mut step = |wrong: f64| {
            let seen = errors(&mut random, 100, wrong);
            detector.window(0, seen, (Errors { rows: 0, sum: 0.1 }, 0.1, &config)).is_alarm
        };
        let false_alarms = (0..30).filter(|_| step(0.1)).count();
        assert!(false_alarms <= 1, "{false_alarms} of 30");
        waited += (1..500).find(|_| step(wrong)).unwrap_or(500);
    }
    f64::from(waited) / 200.0
}

#[test]
fn a_change_is_found_the_sooner_the_larger_it_is() {
    let delays = [0.13, 0.15, 0.2, 0.3].map(delay);
    eprintln!(
        "windows of 100 rows until 0.13, 0.15, 0.2, 0.3 instead of 0.1 are found: {delays:?}"
    );
    assert!(delays.is_sorted_by(|a, b| a > b), "{delays:?}");
    assert!(delays[0] < 40.0 && delays[2] < 4.5 && delays[3] < 2.0, "{delays:?}");
}

#[test]
fn what_was_learned_is_a_bound_and_what_is_worse_is_named() {
    let mut random = Random::new(3);
    let config = config(720.0, None);
    let mut change = Change::default();
    for at in 0..10 {
        assert_eq!(change.window(&config, &window(&mut random, 100, 0.1)), None, "window {at}");
    }
    assert_eq!(change.reference().map(|it| it.rows), Some(1_000));
    let quiet: Vec<Judged> =
        (0..60).filter_map(|_| change.window(&config, &window(&mut random, 100, 0.1))).collect();
    assert!(quiet.len() == 60 && quiet.iter().all(|it| !it.is_alarm));
    let kept = serde_json::to_string(&change).expect("JSON");
    let mut change: Change = serde_json::from_str(&kept).expect("the same");
    let mut worse = || {
        let mut window = window(&mut random, 100, 0.25);
        window.from_us = 7;
        change.window(&config, &window).expect("it is judged")
    };
    let alarm = (0..20).map(|_| worse()).find(|it| it.is_alarm).expect("an alarm");
    assert!((alarm.before - 0.1).abs() < 0.03 && alarm.before_rows == 1_000, "{alarm:?}");
    assert!(alarm.bound > alarm.before && alarm.bound < alarm.before + 0.05, "{alarm:?}");
    assert!((alarm.after - 0.25).abs() < 0.06 && alarm.since_us == 7, "{alarm:?}");
    assert!(alarm.evidence >= 720.0 && alarm.after_rows <= 800, "{alarm:?}");
    assert!(worse().evidence < 1e6, "it begins anew");
}

/// Where windows were judged up to a time that was not yet, those of the right time count all the same.
#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let config = config(720.0, Some(0.1));
    let (mut random, mut change) = (Random::new(5), Change::default());
    let mut is_taken = |from_s: i64| {
        let mut window = window(&mut random, 100, 0.1);
        (window.from_us, window.to_us) = (from_s * 1_000_000, (from_s + 3_600) * 1_000_000);
        change.window(&config, &window).is_some()
    };
    let horizon = i64::try_from(config.horizon.as_secs()).expect("small");
    let ahead = 100 * horizon;
    let all = [ahead, ahead, ahead - horizon + 3_600, 0, 3_600];
    assert_eq!(all.map(&mut is_taken), [true, false, false, true, true]);
}

#[test]
fn learned_references_are_no_more_often_wrong_than_asked() {
    let mut random = Random::new(4);
    let config = config(50.0, None);
    let mut count = 0;
    for _ in 0..300 {
        let errors_of = errors(&mut random, 1_000, 0.1);
        let bound = upper_bound(errors_of);
        let mut detector = Detector::default();
        let mut alarm = || {
            detector.window(0, errors(&mut random, 50, 0.1), (errors_of, bound, &config)).is_alarm
        };
        count += (0..60).filter(|_| alarm()).count();
    }
    assert!(count <= 300 * 60 / 50, "{count} alarms in 18,000 windows, 360 are allowed");
}

#[test]
fn a_bound_is_that_of_hoeffding() {
    // Of no errors in n rows it is 1 − δ^(1/n).
    let none = upper_bound(Errors { rows: 100, sum: 0.0 });
    assert!((none - (1.0 - 0.01_f64.powf(0.01))).abs() < 1e-9, "{none}");
    let wide = upper_bound(Errors { rows: 100, sum: 10.0 });
    let narrow = upper_bound(Errors { rows: 10_000, sum: 1_000.0 });
    assert!(wide > narrow && narrow > 0.1 && narrow < 0.11, "{wide} {narrow}");
}

#[test]
fn parts_of_errors_count_as_parts() {
    let mut detector = Detector::default();
    let config = config(20.0, Some(0.1));
    let before = Errors { rows: 0, sum: 0.1 };
    let seen = Errors { rows: 200, sum: 60.5 };
    assert!(detector.window(0, seen, (before, 0.1, &config)).is_alarm);
    assert_eq!(detector, Detector::default(), "begun anew");
}
