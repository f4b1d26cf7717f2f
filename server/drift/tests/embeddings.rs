//! Embeddings: the discrepancy against NumPy's, its p-values where nothing differs, and samples that
//! merge. See `data/README.md`.

use serde::Deserialize;
use server_drift::kernel::{Judge, cosine, discrepancy, euclidean};
use server_drift::random::Random;
use server_drift::{
    Auto, EMBEDDING_BYTES_MAX, Feature, Merge as _, Method, Pane, Reference, Role, Thresholds,
    VectorState, vectors_max,
};

#[derive(Deserialize)]
struct Golden {
    reference: Vec<Vec<f32>>,
    current: Vec<Vec<f32>>,
    bandwidth: f64,
    mmd_squared: f64,
    euclidean: f64,
    cosine: f64,
    permutation_p: f64,
    witness_p: f64,
}

fn borrowed(vectors: &[Vec<f32>]) -> Vec<&[f32]> {
    vectors.iter().map(Vec::as_slice).collect()
}

fn mean(vectors: &[Vec<f32>]) -> Vec<f64> {
    let of = |at: usize| vectors.iter().map(|it| f64::from(it[at])).sum::<f64>();
    (0..vectors[0].len()).map(|at| of(at) / vectors.len() as f64).collect()
}

#[track_caller]
fn close(got: f64, expect: f64, relative: f64) {
    assert!((got - expect).abs() <= relative * expect.abs().max(1e-12), "{got}, not {expect}");
}

#[test]
fn numbers_are_those_of_numpy() {
    let golden: Vec<Golden> =
        serde_json::from_str(include_str!("data/embeddings.json")).expect("JSON");
    assert_eq!(golden.len(), 6);
    for case in &golden {
        let (left, right) = (borrowed(&case.reference), borrowed(&case.current));
        let by = |judge| discrepancy(&left, &right, judge).expect("vectors");
        let found = by(Judge::Permutation(20_000, 1));
        close(found.bandwidth, case.bandwidth, 1e-9);
        close(found.mmd_squared, case.mmd_squared, 1e-8);
        close(by(Judge::Witness).p, case.witness_p, 1e-6);
        let (a, b) = (mean(&case.reference), mean(&case.current));
        close(euclidean(&a, &b), case.euclidean, 1e-9);
        close(cosine(&a, &b), case.cosine, 1e-9);
        // Both are drawn: twenty extremes, or 4,000 partings of the other side.
        let expect = case.permutation_p;
        let off = 4.0 * (expect * expect / 20.0 + expect / 4_000.0).sqrt() + 5e-4;
        assert!((found.p - expect).abs() <= off, "{} is not {expect}", found.p);
    }
}

/// Vectors of correlated numbers, the first of them shifted.
fn vectors(random: &mut Random, n: usize, length: usize, shift: f64) -> Vec<Vec<f32>> {
    let one = |random: &mut Random| {
        let common = random.normal();
        let number = |at: usize, random: &mut Random| {
            let shift = if at == 0 { shift } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, reason = "embeddings have that precision")]
            let number = (0.5 * common + random.normal() + shift) as f32;
            number
        };
        (0..length).map(|at| number(at, random)).collect()
    };
    (0..n).map(|_| one(random)).collect()
}

/// How many of so many pairs of samples have a p-value of at most `level`.
fn below(level: f64, pairs: usize, shift: f64, judge: impl Fn(u64) -> Judge) -> usize {
    let mut random = Random::new(11);
    let mut count = 0;
    for seed in 0..pairs {
        let left = vectors(&mut random, 40, 6, 0.0);
        let right = vectors(&mut random, 30, 6, shift);
        let found = discrepancy(&borrowed(&left), &borrowed(&right), judge(seed as u64));
        count += usize::from(found.expect("vectors").p <= level);
    }
    count
}

#[test]
fn p_values_are_as_seldom_small_as_they_say() {
    // One in 20 of 200 is 10, and 10 + 3.3√10 is 20.
    let permutation = below(0.05, 200, 0.0, |it| Judge::Permutation(999, it));
    let witness = below(0.05, 200, 0.0, |_| Judge::Witness);
    assert!((2..=20).contains(&permutation), "{permutation} of 200 by permutation");
    assert!((1..=20).contains(&witness), "{witness} of 200 by the witness");
    let permutation = below(0.05, 20, 2.0, |it| Judge::Permutation(999, it));
    let witness = below(0.05, 20, 2.0, |_| Judge::Witness);
    assert!(permutation == 20 && witness >= 18, "drift: {permutation} and {witness} of 20");
}

fn seen(random: &mut Random, rows: usize, length: usize, kept: usize, shift: f64) -> VectorState {
    let mut state = VectorState::new(length, kept);
    let first = random.bits();
    for (at, vector) in vectors(random, rows, length, shift).iter().enumerate() {
        state.add(vector, first.wrapping_add(at as u64));
    }
    state
}

fn reference(random: &mut Random, length: usize, steps: usize) -> Reference {
    let state = seen(random, 1_000, length, 100, 0.0);
    let feature = Feature::of_vectors("pooled", Role::Output, &state).expect("vectors");
    Reference::new(feature, steps)
}

#[test]
fn steps_merge_to_the_sample_of_all_their_rows() {
    let mut random = Random::new(5);
    let (one, other) = (seen(&mut random, 300, 4, 64, 0.0), seen(&mut random, 90, 4, 64, 0.0));
    let (mut left, mut right) = (one.clone(), other.clone());
    left.merge(&other);
    right.merge(&one);
    let sorted = |state: &VectorState| {
        let mut all: Vec<Vec<u32>> =
            state.vectors().iter().map(|it| it.iter().map(|it| it.to_bits()).collect()).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&left), sorted(&right), "whichever way round");
    assert_eq!((left.rows(), left.vectors().len()), (390, 64));
    // 300 of 390 rows: about 49 of 64.
    let of_one = vectors_of(&one).iter().filter(|it| vectors_of(&left).contains(it)).count();
    assert!((38..=60).contains(&of_one), "{of_one} of the first");
    let text = serde_json::to_string(&left).expect("JSON");
    assert_eq!(serde_json::from_str::<VectorState>(&text).expect("the same"), left);
}

fn vectors_of(state: &VectorState) -> Vec<&[f32]> {
    state.vectors()
}

#[test]
fn an_embedding_stays_within_its_room() {
    for (length, steps) in [(2, 1), (384, 1), (768, 24), (4_096, 4), (10_000, 1)] {
        let mut random = Random::new(2);
        let Some(kept) = vectors_max(length, steps) else {
            panic!("{length} numbers in {steps} steps have no room")
        };
        assert!((32..=256).contains(&kept), "{kept} of {length} numbers in {steps} steps");
        let state = seen(&mut random, 40, length, 32, 0.0);
        let feature = Feature::of_vectors("x", Role::Input, &state).expect("vectors");
        let references = [Reference::new(feature, steps)];
        let mut pane = Pane::new(&references);
        let server_drift::FeatureState::Vectors(it) = &mut pane.features[0] else { panic!("vec") };
        let vector = vec![0.5; length];
        (0..300).for_each(|lot| it.add(&vector, lot));
        assert_eq!(it.vectors().len(), kept);
        // Each step has as much, and so have the open one and the window of all.
        let all = kept * length * 4 + kept * 8 + length * 8;
        assert!(all * (steps + 2) <= EMBEDDING_BYTES_MAX, "{all} bytes, {steps} steps");
    }
    assert_eq!(vectors_max(768, 1), Some(256));
    assert_eq!((vectors_max(1, 1), vectors_max(40_000, 1)), (None, None));
}

/// Windows with an alarm, of windows of 120 rows in two steps; a fresh reference every tenth.
fn alarms(windows: usize, shift: f64, windows_between: f64) -> usize {
    let mut random = Random::new(3);
    let mut reference_of = reference(&mut random, 8, 2);
    let rule = Thresholds::Auto(Auto { windows_between, ..Auto::default() });
    let mut alarms = 0;
    for window in 0..windows {
        if window % 10 == 9 {
            reference_of = reference(&mut random, 8, 2);
        }
        let references = std::slice::from_ref(&reference_of);
        let mut whole = Pane::new(references);
        for _ in 0..2 {
            let mut step = Pane::new(references);
            let server_drift::FeatureState::Vectors(it) = &mut step.features[0] else {
                panic!("vectors")
            };
            it.merge(&seen(&mut random, 60, 8, 256, shift));
            step.rows = 60;
            step.seal(2);
            whole.merge(&step);
        }
        let evidence = reference_of.evidence(&whole.features[0], rule.finest(1)).expect("its own");
        assert_eq!((evidence.rows, evidence.method), (120, Method::Sample));
        alarms += rule.alarms(&[("x".to_owned(), evidence)]).len();
    }
    alarms
}

#[test]
fn alarms_come_as_seldom_as_asked_and_drift_is_found() {
    // One in 20 of 60 is 3; more than 8 is seen in one of some hundred runs.
    let quiet = alarms(60, 0.0, 20.0);
    assert!(quiet <= 8, "{quiet} of 60");
    assert_eq!(alarms(4, 1.5, 20.0), 4);
    // No permutation test has a p-value that small: here the witness judges.
    assert_eq!(alarms(10, 0.0, 1e6), 0);
    assert!(alarms(5, 2.0, 1e6) >= 4, "drift of two deviations in one of eight numbers");
}

#[test]
fn broken_vectors_are_counted_and_not_kept() {
    let mut state = VectorState::new(3, 8);
    state.add(&[1.0, 2.0, f32::NAN], 1);
    state.add(&[1.0, 2.0], 2);
    state.add(&[1.0, 2.0, 3.0], 3);
    assert_eq!((state.rows(), state.broken, state.vectors().len()), (1, 2, 1));
    let same: Vec<&[f32]> = vec![&[1.0, 2.0]; 5];
    assert_eq!(discrepancy(&same, &same, Judge::Witness).expect("vectors").p, 1.0, "all the same");
    assert!(discrepancy(&same[..1], &same, Judge::Witness).is_none());
}
