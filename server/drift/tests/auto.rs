//! False alarms of the calibrated thresholds where nothing drifts, and alarms where something does.
//! The long run, with the power of fixed thresholds beside it: `examples/false_alarms.rs`.

use server_drift::random::Random;
use server_drift::{
    Auto, Evidence, Feature, Fixed, Kind, NumberState, Role, Shape, Test, Thresholds, Values,
    of_numbers_state,
};

const REFERENCE_ROWS: usize = 4000;
const FEATURES: usize = 3;

fn column(random: &mut Random, n: usize, shift: f64) -> Vec<f64> {
    (0..n).map(|_| random.normal() + shift).collect()
}

fn evidence(random: &mut Random, reference: &Feature, rows: usize, shift: f64) -> Evidence {
    let Shape::Numerical(profile) = &reference.shape else { panic!("numbers") };
    let mut state = NumberState::new(profile);
    state.extend(profile, &column(random, rows, shift));
    of_numbers_state(profile, &state)
}

fn reference(random: &mut Random) -> Vec<Feature> {
    let one = |_| {
        let values = column(random, REFERENCE_ROWS, 0.0);
        let values = Values::Numbers { values, whole: false };
        let feature = Feature::of("x", Role::Input, &values, Some(Kind::Numerical));
        feature.expect("values").expect("a profile")
    };
    (0..FEATURES).map(one).collect()
}

/// Windows with an alarm, of `windows`; a fresh reference every tenth. The first feature is shifted.
fn alarmed(thresholds: &Thresholds, windows: usize, rows: usize, shift: f64) -> usize {
    let mut random = Random::new(rows as u64);
    let mut features = Vec::new();
    let mut alarmed = 0;
    for window in 0..windows {
        if window % 10 == 0 {
            features = reference(&mut random);
        }
        let seen = features.iter().enumerate().map(|(at, it)| {
            let shift = if at == 0 { shift } else { 0.0 };
            (format!("f{at}"), evidence(&mut random, it, rows, shift))
        });
        let seen: Vec<(String, Evidence)> = seen.collect();
        alarmed += usize::from(!thresholds.alarms(&seen).is_empty());
    }
    alarmed
}

fn auto() -> Thresholds {
    Thresholds::Auto(Auto { windows_between: 20.0, effect_min: 0.0, ..Auto::default() })
}

#[test]
fn without_drift_alarms_come_as_rarely_as_asked() {
    // One in 20 of 200 windows is 10; 10 + 3√10 is 19.
    for rows in [100, 300] {
        let alarms = alarmed(&auto(), 200, rows, 0.0);
        assert!((1..=19).contains(&alarms), "{alarms} alarms at {rows} rows");
    }
}

#[test]
fn drift_is_found() {
    let alarms = alarmed(&auto(), 30, 300, 0.5);
    assert_eq!(alarms, 30);
}

#[test]
fn a_fixed_threshold_cries_wolf_in_a_small_window() {
    let fixed = Thresholds::Fixed(Fixed { test: Test::Wasserstein, threshold: 0.1 });
    assert!(alarmed(&fixed, 30, 100, 0.0) > 20);
}

#[test]
fn an_alarm_names_what_led_to_it() {
    let mut random = Random::new(1);
    let features = reference(&mut random);
    let seen = vec![("age".to_owned(), evidence(&mut random, &features[0], 500, 1.0))];
    let alarms = Thresholds::Auto(Auto::every(3600.0, 30.0 * 86_400.0)).alarms(&seen);
    let alarm = &alarms[0];
    assert_eq!((alarm.rows, alarm.reference_rows, alarm.test), (500, 4000, "ks"));
    assert!((alarm.threshold - 1.0 / 720.0).abs() < 1e-12);
    assert!(alarm.effect > 0.3 && alarm.p < 1e-10 && alarm.top_bins.len() == 3);
    let words = alarm.to_string();
    assert!(words.starts_with("age drifted: ks effect 0."), "{words}");
}

#[test]
fn an_alarm_by_a_fixed_test_names_what_that_came_to() {
    let mut random = Random::new(1);
    let features = reference(&mut random);
    let seen = vec![("age".to_owned(), evidence(&mut random, &features[0], 500, 1.0))];
    let rule = Thresholds::Fixed(Fixed { test: Test::Wasserstein, threshold: 0.1 });
    let alarm = &rule.alarms(&seen)[0];
    assert_eq!((alarm.score, alarm.test), (seen[0].1.statistics.wasserstein, "wasserstein"));
    assert!(alarm.score.is_some_and(|it| (0.9..1.1).contains(&it)), "{:?}", alarm.score);
    let words = alarm.to_string();
    let expect = format!(
        "age drifted: wasserstein {:.3}, threshold 0.100 (ks effect {:.3}, p {:.2e}), 500 rows",
        alarm.score.unwrap_or_default(),
        alarm.effect,
        alarm.p
    );
    assert!(words.starts_with(&expect), "{words}");
    // By default numbers of that many rows are judged by just that.
    assert_eq!(Thresholds::Default.alarms(&seen), rule.alarms(&seen));
}

#[test]
fn few_rows_and_small_differences_are_no_alarm() {
    let mut random = Random::new(1);
    let features = reference(&mut random);
    let few = vec![("x".to_owned(), evidence(&mut random, &features[0], 40, 3.0))];
    let small = vec![("x".to_owned(), evidence(&mut random, &features[0], 3000, 0.15))];
    let rule = |effect_min| Thresholds::Auto(Auto { effect_min, ..Auto::default() });
    assert!(rule(0.0).alarms(&few).is_empty());
    assert_eq!(rule(0.0).alarms(&small).len(), 1);
    assert!(rule(0.2).alarms(&small).is_empty());
}
