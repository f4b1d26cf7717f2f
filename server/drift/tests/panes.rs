//! Steps of all features: what they take, and what is left of them when they are over.

use server_drift::profile::distinct_rows;
use server_drift::random::Random;
use server_drift::{
    Distinct, FEATURE_BYTES_MAX, Feature, FeatureState, Kind, Merge as _, Method, Pane, Reference,
    Role, RowHashes, Shape, Values, Windowing, Windows,
};

fn feature(values: Values, kind: Kind) -> Feature {
    Feature::of("x", Role::Input, &values, Some(kind)).expect("values").expect("a profile")
}

fn numbers(random: &mut Random, n: usize) -> Vec<f64> {
    (0..n).map(|_| random.normal()).collect()
}

/// The most that a feature takes while windows of so many steps go by.
fn most(reference: &Reference, steps: usize, see: &mut dyn FnMut(&mut FeatureState)) -> usize {
    let windowing = Windowing { step_rows: Some(1), step_s: None, steps };
    let empty = Pane::new(std::slice::from_ref(reference));
    let beside = empty.features[0].bytes();
    let mut windows = Windows::new(windowing, empty).expect("sensible");
    let mut most = 0;
    for _ in 0..steps + 2 {
        // A step is seen at its fullest just before it ends.
        let see = |it: &mut Pane| {
            see(&mut it.features[0]);
            most = most.max(it.features[0].bytes());
        };
        windows.add(0.0, 1, see);
    }
    let held: usize = windows.panes().states().map(|it| it.features[0].bytes()).sum();
    beside + held + most
}

#[test]
fn a_feature_stays_within_its_room_whatever_the_window() {
    let mut random = Random::new(1);
    let values = numbers(&mut random, 5_000);
    let narrow = feature(Values::Numbers { values, whole: false }, Kind::Numerical);
    let words = (0..5_000).map(|it| Some(format!("{it:0>120}").into())).collect();
    let wide = feature(Values::Words(words), Kind::Categorical);
    for steps in [1, 4, 8, 24] {
        let reference = Reference::new(narrow.clone(), steps);
        for rows in [40, 2_048, 20_000] {
            let bytes = most(&reference, steps, &mut |it| {
                reference.numbers(it, &numbers(&mut random, rows));
            });
            assert!(
                bytes <= FEATURE_BYTES_MAX,
                "numbers: {bytes} bytes in {steps} steps of {rows}"
            );
        }
        let reference = Reference::new(wide.clone(), steps);
        let mut next = 0_u64;
        let bytes = most(&reference, steps, &mut |it| {
            let new: Vec<String> = (0..2_000).map(|at| format!("{:0>150}", next + at)).collect();
            next += 2_000;
            reference.words(it, new.iter().map(String::as_str));
        });
        assert!(bytes <= FEATURE_BYTES_MAX, "words: {bytes} bytes in {steps} steps");
    }
}

#[test]
fn small_windows_of_few_steps_stay_exact() {
    let mut random = Random::new(2);
    let values = Values::Numbers { values: numbers(&mut random, 800), whole: false };
    let feature = feature(values, Kind::Numerical);
    for (steps, rows, expect) in
        [(1, 2_000, Method::Exact), (4, 250, Method::Exact), (4, 500, Method::Binned)]
    {
        let reference = Reference::new(feature.clone(), steps);
        let mut pane = Pane::new(std::slice::from_ref(&reference));
        for _ in 0..steps {
            let mut step = Pane::new(std::slice::from_ref(&reference));
            reference.numbers(&mut step.features[0], &numbers(&mut random, rows));
            step.seal(steps);
            pane.merge(&step);
        }
        let evidence = reference.evidence(&pane.features[0], 1e-3).expect("its own");
        assert_eq!((evidence.method, evidence.rows), (expect, (steps * rows) as u64));
    }
}

#[test]
fn values_of_single_precision_fall_where_their_originals_do() {
    // Decimals such as a table of measurements has: each is an edge.
    let of = |it: u32| f64::from(it % 100) / 10.0;
    let values: Vec<f64> = (0..5_000).map(of).collect();
    let feature = feature(Values::Numbers { values, whole: false }, Kind::Numerical);
    let Shape::Numerical(wide) = &feature.shape else { panic!("numbers") };
    let narrow = wide.narrowed();
    assert_eq!(narrow.counts.iter().sum::<u64>(), 5_000);
    for it in 0..100 {
        #[expect(clippy::cast_possible_truncation, reason = "what is tested")]
        let single = f64::from(of(it) as f32);
        assert_eq!(narrow.bin(single), wide.bin(of(it)), "{}", of(it));
    }
}

#[test]
fn rows_are_told_apart_as_in_the_profile() {
    let mut random = Random::new(3);
    let first: Vec<f64> = (0..2_000).map(|_| random.below(50) as f64).collect();
    let second: Vec<Option<Box<str>>> =
        (0..2_000).map(|it| (it % 7 > 0).then(|| format!("w{}", it % 20).into())).collect();
    let columns =
        [Values::Numbers { values: first.clone(), whole: true }, Values::Words(second.clone())];
    let mut hashes = RowHashes::default();
    hashes.begin(first.len());
    hashes.numbers(&first);
    hashes.words(second.iter().map(Option::as_deref));
    let mut distinct = Distinct::default();
    hashes.end(&mut distinct);
    let expect = distinct_rows(&[&columns[0], &columns[1]]);
    assert_eq!(distinct.estimate().round(), expect as f64);
}
