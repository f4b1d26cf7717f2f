//! Beyond what is kept raw: how far the numbers of a window may be from those of all values, and that they
//! are no further.

mod alike;

use std::ops::Range;

use server_drift::profile::Numbers;
use server_drift::random::Random;
use server_drift::smirnov::asymptotic;
use server_drift::{
    Evidence, Feature, Fixed, Kind, Merge as _, Method, NumberState, Role, Rule, Sample, Shape,
    Statistics, Test, Values, compare, of_numbers_state,
};

use alike::{near, same};

/// Larger windows are not kept raw.
const RAW_MAX: usize = 2_048;

fn values(values: &[f64]) -> Values {
    Values::Numbers { values: values.to_vec(), whole: false }
}

fn of_values(reference: &[f64], window: &[f64]) -> (Statistics, Option<Test>) {
    let found = compare(&values(reference), &values(window), Some(Kind::Numerical));
    let found = found.expect("comparable");
    (found.statistics, found.default)
}

fn profile(reference: &[f64]) -> Numbers {
    Numbers::of(&Sample::new(reference.iter().copied()), false)
}

fn seen(profile: &Numbers, window: &[f64]) -> Evidence {
    let mut state = NumberState::lean(profile);
    window.chunks(100).for_each(|it| state.extend(profile, it));
    of_numbers_state(profile, &state)
}

/// Of every kind, the rarest being one in a thousand, moved by `shift`.
fn draw(kind: usize, random: &mut Random, n: usize, shift: f64) -> Vec<f64> {
    let one = |random: &mut Random| {
        let normal = random.normal() + shift;
        let uniform = random.uniform();
        match kind {
            0 => normal,
            // Skewed, and with a tail that a standard deviation says little of.
            1 => normal.exp(),
            2 => (1.0 - uniform).powf(-0.7) + shift,
            // Mostly nothing, or one of very many whole numbers.
            3 => {
                if uniform < 0.6 {
                    0.0
                } else {
                    normal.abs()
                }
            }
            4 => (200.0 * uniform + 30.0 * shift).round(),
            // Two hills.
            5 => normal + if uniform < 0.3 { 8.0 } else { 0.0 },
            // Few values.
            6 => f64::from(u8::from(uniform < 0.3 + shift / 10.0)),
            7 => {
                if uniform < 0.001 {
                    9.5
                } else {
                    (4.0 * random.uniform() + shift / 3.0).floor()
                }
            }
            8 => (12.0 * uniform * (1.0 - shift / 10.0)).floor() / 10.0,
            9 => (40.0 * uniform * uniform).floor(),
            _ => 7.25,
        }
    };
    (0..n).map(|_| one(random)).collect()
}

/// Of the distance between all values, by the law that windows of that size are judged by.
fn p_of(rows: usize, count: usize, expect: &Statistics) -> f64 {
    let few = rows * count <= 1_000_000;
    let law = || asymptotic(rows as u64, count as u64, expect.ks_statistic.expect("a distance"));
    if few { expect.ks.expect("p") } else { law() }
}

/// A window of a seeded case, as it is seen, and a name for the case: what it says differs from what all
/// values would by its own bound at the most, and it alarms no earlier.
fn seeded(
    random: &mut Random,
    (kind, shift): (usize, f64),
    counts: &Range<usize>,
) -> (String, Evidence) {
    let mut one_of =
        |it: &Range<usize>| it.start + usize::try_from(random.below(it.len() as u64)).expect("few");
    let (rows, count) = (one_of(&(1_001..31_001)), one_of(counts));
    let reference = draw(kind, random, rows, 0.0);
    let window = draw(kind, random, count, shift);
    let (expect, _) = of_values(&reference, &window);
    let found = seen(&profile(&reference), &window);
    let name = format!("{rows} rows of kind {kind} by {shift} against {count}");
    let (got, within) = (found.statistics, found.within.expect("a bound"));
    near(&name, got.ks_statistic, expect.ks_statistic, within.ks_statistic + 1e-12);
    near(&name, got.wasserstein, expect.wasserstein, within.wasserstein + 1e-12);
    let (p, of_all) = (got.ks.expect("p"), p_of(rows, count, &expect));
    assert!(p >= of_all, "{name}: {p} is smaller than {of_all}");
    (name, found)
}

#[test]
fn a_window_that_is_kept_says_what_all_values_would_within_its_bound() {
    let mut random = Random::new(11);
    for case in 0..90 {
        let kind = (case % 6, [0.0, 0.1, 1.0][case / 6 % 3]);
        let (name, found) = seeded(&mut random, kind, &(60..2_040));
        assert_eq!(found.method, Method::Sketch, "{name}");
        assert_eq!(found.method_of(Test::Psi), Method::Binned, "not of ranks, which are noisy");
        let within = found.within.expect("a bound");
        assert!(within.ks_statistic <= 0.0015, "{name}: {within:?}");
    }
}

#[test]
fn a_window_that_is_not_kept_says_what_all_values_would_within_its_bound() {
    let mut random = Random::new(12);
    for case in 0..36 {
        let kind = (case % 6, [0.0, 1.0][case / 6 % 2]);
        let counts = RAW_MAX + 1..RAW_MAX + 10_001;
        let (name, found) = seeded(&mut random, kind, &counts);
        assert_eq!(found.method, Method::Binned, "{name}");
        let within = found.within.expect("a bound");
        // Frequent values have bins of their own, so that no bin hides more than two 128ths.
        assert!(within.ks_statistic <= 2.0 / 128.0 + 1e-3, "{name}: {within:?}");
    }
}

/// Zeroes that have become almost zeroes are others, though they are in the same place.
#[test]
fn what_moves_a_little_within_a_bin_is_seen() {
    let mut random = Random::new(13);
    let reference = draw(3, &mut random, 20_000, 0.0);
    let moved: Vec<f64> = draw(3, &mut random, 5_000, 0.0)
        .iter()
        .map(|&it| if it == 0.0 { 1e-6 } else { it })
        .collect();
    let found = seen(&profile(&reference), &moved);
    assert!(found.effect > 0.55 && found.p < 1e-12, "{found:?}");
    let constant = seen(&profile(&[5.0; 3_000]), &[7.0; 3_000]);
    assert_eq!((constant.effect, constant.method), (1.0, Method::Binned));
    assert!(constant.p < 1e-12);
}

#[test]
fn of_few_values_the_numbers_are_those_of_all_however_many_rows_there_are() {
    let mut random = Random::new(14);
    for (kind, shift) in
        [(6, 0.0), (6, 1.0), (7, 0.0), (8, 0.0), (8, 1.0), (9, 0.0), (10, 0.0), (7, -0.1)]
    {
        // As many as Evidently takes the same law for.
        let reference = draw(kind, &mut random, 20_000, 0.0);
        let mut window = draw(kind, &mut random, 9_000, shift);
        window.retain(|it| reference.contains(it));
        let (expect, default) = of_values(&reference, &window);
        let found = seen(&profile(&reference), &window);
        assert_eq!((found.method, found.within), (Method::Exact, None), "kind {kind}");
        same(&format!("kind {kind} by {shift}"), &found.statistics, &expect, 1e-9);
        assert_eq!(found.default, default);
        assert_eq!(found.statistics.z.is_some(), [6, 10].contains(&kind));
        assert_eq!(found.statistics.chisquare.is_some(), [6, 7].contains(&kind), "{kind}");
    }
}

#[test]
fn a_value_that_the_reference_never_had_is_one_more() {
    let mut random = Random::new(15);
    let reference = draw(7, &mut random, 20_000, 0.0);
    let profile = profile(&reference);
    for count in [1_500, 9_000] {
        let mut window = draw(7, &mut random, count, 0.0);
        window[..40].fill(1.5);
        window[40..60].fill(12.0);
        let (expect, _) = of_values(&reference, &window);
        let found = seen(&profile, &window);
        assert_eq!(expect.chisquare, None, "of seven values nobody asks");
        assert_eq!(found.statistics.chisquare, Some(0.0), "what never was is not to be expected");
        let Statistics { chisquare: _, ks, .. } = found.statistics;
        if count <= RAW_MAX {
            assert_eq!(found.method, Method::Exact);
            same("kept", &Statistics { chisquare: None, ..found.statistics }, &expect, 1e-9);
        } else {
            assert_eq!(found.method, Method::Binned);
            near("ks", ks, expect.ks, 1e-9);
            near("psi", found.statistics.psi, expect.psi, 1e-9);
        }
        let names: Vec<&str> = found.top_bins.iter().map(|it| it.name.as_str()).collect();
        assert!(names.contains(&"(1, 2)") && names.contains(&"(9.5, inf)"), "{names:?}");
    }
}

#[test]
fn steps_merge_to_the_same_in_any_order() {
    let mut random = Random::new(16);
    for (kind, step) in [(0, 250), (7, 5_000), (7, 250)] {
        let profile = profile(&draw(kind, &mut random, 20_000, 0.0));
        let window = draw(kind, &mut random, 4 * step, 0.2);
        let steps: Vec<NumberState> = window
            .chunks(step)
            .map(|it| {
                let mut state = NumberState::lean(&profile);
                state.extend(&profile, it);
                state.seal(4);
                state
            })
            .collect();
        let merged = |order: [usize; 4]| {
            let mut all = NumberState::lean(&profile);
            order.iter().for_each(|&it| all.merge(&steps[it]));
            of_numbers_state(&profile, &all)
        };
        let one = merged([0, 1, 2, 3]);
        let few = kind == 7 && window.iter().all(|it| profile.sample.contains(it));
        assert!(!few || one.method == Method::Exact, "{:?}", one.method);
        assert!(kind == 7 || one.method == Method::Sketch, "{:?}", one.method);
        for order in [[3, 2, 1, 0], [1, 3, 0, 2]] {
            assert_eq!(merged(order), one);
        }
        assert_eq!(seen(&profile, &window), one, "as if it had been one");
    }
}

fn feature(numbers: Numbers) -> Feature {
    let (name, role, shape) = ("x".to_owned(), Role::Input, Shape::Numerical(numbers));
    Feature { name, role, rows: 6_000, missing: 0, shape }
}

/// As profiles were made once: an edge at each value but the smallest, as far as it is frequent.
fn before(profile: &Numbers, edges: &[f64], counts: &[u64]) -> Numbers {
    let sample = profile.sample.iter().copied().step_by(2).collect();
    Numbers { edges: edges.to_vec(), counts: counts.to_vec(), sample, ..profile.clone() }
}

#[test]
fn tests_of_counts_judge_where_values_are_counted_and_nowhere_else() {
    let reference: Vec<f64> = (0..6_000).map(|it| [1.0, 1.0, 4.0][it % 3]).collect();
    let profile = profile(&reference);
    let rule = |test| Rule::Fixed(Fixed { test, threshold: 0.05 });
    let judges = |it: &Numbers, test| rule(test).judges(&feature(it.clone()));
    let old = before(&profile, &[4.0], &[4_000, 2_000]);
    let lost = Numbers { distinct: 3, ..old.clone() };
    let many = Numbers::of(&Sample::new((0..6_000).map(f64::from)), false);
    for (numbers, expect) in [(&profile, true), (&old, false), (&lost, false), (&many, false)] {
        for test in [Test::ChiSquare, Test::Z] {
            assert_eq!(judges(numbers, test), expect, "{test:?} of {:?}", numbers.edges);
        }
        assert!(judges(numbers, Test::Ks) && judges(numbers, Test::Psi));
    }
    assert_eq!(old.resolved().edges, profile.edges);
    assert_eq!(old.resolved().counts, profile.counts);
    assert_eq!(lost.resolved(), lost, "a value that is not told cannot be counted");
    assert_eq!(many.resolved(), many);
    let whole = Numbers { sample: reference.clone(), ..lost.clone() };
    assert_eq!(whole.resolved().counts, profile.counts, "all values are there");
}

#[test]
fn few_values_of_single_precision_keep_bins_of_their_own() {
    let decimal = |it: u32| f64::from(it % 20) / 10.0;
    let wide = profile(&(0..4_000).map(decimal).collect::<Vec<_>>());
    let narrow = wide.narrowed();
    assert_eq!((narrow.values().map(|it| it.len()), narrow.distinct), (Some(20), 20));
    #[expect(clippy::cast_possible_truncation, reason = "what is tested")]
    let window: Vec<f64> = (0..5_000).map(|it| f64::from(decimal(it) as f32)).collect();
    let found = seen(&narrow, &window);
    assert_eq!((found.method, found.effect), (Method::Exact, 0.0));
    // Two that single precision cannot tell apart are one.
    let close = profile(&[1.0, 1.0 + 1e-12, 2.0]).narrowed();
    let counts: Vec<u64> =
        close.values().expect("few").iter().map(|it| close.counts[it.1]).collect();
    assert_eq!(counts, [2, 1]);
}
