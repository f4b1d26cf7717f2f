//! States merge whichever way round, stay small, and say what the raw values say.

mod alike;

use alike::{near, same};
use proptest::prelude::*;
use server_drift::profile::{Categories, Numbers};
use server_drift::random::Random;
use server_drift::{
    CategoryState, Comparison, Feature, Frequent, Kind, Lookup, Method, NumberState, Quantiles,
    Role, Shape, Values, between, compare, of_categories_state, of_numbers_state,
};

/// The bound on what one feature may keep.
const BYTES_MAX: usize = 64 * 1024;

fn feature(values: &Values, kind: Kind) -> Shape {
    let feature = Feature::of("x", Role::Input, values, Some(kind)).expect("values");
    feature.expect("a profile").shape
}

fn numbers(values: Vec<f64>) -> Numbers {
    match feature(&Values::Numbers { values, whole: false }, Kind::Numerical) {
        Shape::Numerical(numbers) => numbers,
        Shape::Categorical(_) | Shape::Vectors(_) => panic!("numbers"),
    }
}

fn categories(values: &Values) -> Categories {
    match feature(values, Kind::Categorical) {
        Shape::Categorical(categories) => categories,
        Shape::Numerical(_) | Shape::Vectors(_) => panic!("categories"),
    }
}

fn state_of(profile: &Numbers, values: &[f64]) -> NumberState {
    let mut state = NumberState::new(profile);
    state.extend(profile, values);
    state
}

/// The same of words.
fn words_of(profile: &Categories, values: &Values) -> CategoryState {
    let Values::Words(words) = values else { panic!("words") };
    let (lookup, mut state) = (Lookup::new(profile), CategoryState::new(profile));
    words.iter().flatten().for_each(|it| state.add_word(&lookup, it));
    state
}

/// What all values say.
fn raw(reference: &Values, current: &Values) -> Comparison {
    compare(reference, current, Some(Kind::Categorical)).expect("comparable")
}

fn normal(seed: u64, n: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..n).map(|_| random.normal()).collect()
}

fn close(left: f64, right: f64, relative: f64) -> bool {
    (left - right).abs() <= relative * left.abs().max(right.abs()).max(1.0)
}

/// Everything that merges exactly in any order.
fn exact_parts(it: &NumberState) -> impl PartialEq + std::fmt::Debug + use<> {
    let counts = (it.missing, it.nan, it.infinite, it.below, it.above, it.counts.clone());
    let raw = it.raw().map(|raw| {
        let mut raw = raw.to_vec();
        raw.sort_unstable_by(f64::total_cmp);
        raw
    });
    (counts, it.range, it.distinct.clone(), it.quantiles.n(), it.moments.n, raw)
}

fn any_values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        8 => -3.0..3.0_f64,
        1 => Just(0.5),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1e9)],
    ];
    prop::collection::vec(value, 0..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn numbers_merge_in_any_order(a in any_values(), b in any_values(), c in any_values()) {
        let profile = numbers(normal(1, 3000));
        let state = |values: &[f64]| state_of(&profile, values);
        let merged = |left: &NumberState, right: &NumberState| {
            let mut left = left.clone();
            left.merge(right);
            left
        };
        let (a, b, c) = (state(&a), state(&b), state(&c));
        let (ab, ba) = (merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(exact_parts(&ab), exact_parts(&ba));
        prop_assert_eq!(&ab.quantiles, &ba.quantiles);
        let (left, right) = (merged(&ab, &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(exact_parts(&left), exact_parts(&right));
        prop_assert!(close(left.moments.mean, right.moments.mean, 1e-9));
        prop_assert!(close(left.moments.m2, right.moments.m2, 1e-9));
        let points = [-2.0, -1.0, 0.0, 1.0, 2.0];
        let both = left.quantiles.shares_up_to(&points);
        for (x, y) in both.iter().zip(right.quantiles.shares_up_to(&points)) {
            prop_assert!((x - y).abs() <= 2.0 * 0.0165, "{} and {}", x, y);
        }
    }

    #[test]
    fn categories_merge_in_any_order(words in prop::collection::vec(0..300_u32, 0..3000)) {
        let reference = (0..50).map(|it| Some(Box::from(format!("k{it}")))).collect();
        let profile = categories(&Values::Words(reference));
        let lookup = Lookup::new(&profile);
        let mut whole = CategoryState::new(&profile);
        let mut parts = [whole.clone(), whole.clone(), whole.clone()];
        for (at, word) in words.iter().enumerate() {
            let word = format!("k{word}");
            whole.add_word(&lookup, &word);
            parts[at % 3].add_word(&lookup, &word);
        }
        let [a, b, c] = parts;
        let merged = |left: &CategoryState, right: &CategoryState| {
            let mut left = left.clone();
            left.merge(right);
            left
        };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        let (left, right) = (merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        for state in [&left, &right] {
            prop_assert_eq!(&state.counts, &whole.counts);
            prop_assert_eq!(state.others, whole.others);
            prop_assert_eq!(&state.distinct, &whole.distinct);
            prop_assert_eq!(state.new.n(), whole.new.n());
        }
    }

    #[test]
    fn frequent_words_are_never_far_off(words in prop::collection::vec(0..200_u32, 1..4000)) {
        // Word n stands as often as 200 others of its square.
        let words: Vec<u32> = words.iter().map(|it| it * it / 200).collect();
        let mut halves = [Frequent::default(), Frequent::default()];
        for (at, word) in words.iter().enumerate() {
            halves[at % 2].add(&word.to_string());
        }
        let [mut merged, other] = halves;
        merged.merge(&other);
        let slack = words.len() as u64 / 65;
        for word in 0..200 {
            let truth = words.iter().filter(|&&it| it == word).count() as u64;
            let name = word.to_string();
            let got = merged.top().iter().find(|it| it.0 == name).map_or(0, |it| it.1);
            prop_assert!(got <= truth && truth <= got + slack, "{}: {} of {}", word, got, truth);
        }
    }
}

/// A level that only one of the two has is in the same order as well: the values of an unmerged one
/// stand as they came.
#[test]
fn sketches_of_other_heights_merge_either_way_round() {
    let sketch = |n: usize| {
        let mut sketch = Quantiles::default();
        sketch.extend(&normal(n as u64, n));
        sketch
    };
    for (a, b) in [(0, 0), (0, 2), (0, 1322), (1, 1322), (100, 5000), (3000, 40_000)] {
        let (a, b) = (sketch(a), sketch(b));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(ab, ba, "{} and {} values", a.n(), b.n());
        assert_eq!(ab.n(), a.n() + b.n());
    }
}

#[test]
fn a_sketch_knows_the_ranks() {
    let mut sketch = Quantiles::default();
    let mut random = Random::new(5);
    for _ in 0..100 {
        let mut part = Quantiles::default();
        part.extend(&(0..3000).map(|_| random.uniform()).collect::<Vec<_>>());
        sketch.merge(&part);
    }
    assert_eq!(sketch.n(), 300_000);
    for step in 1..20 {
        let point = f64::from(step) / 20.0;
        let share = sketch.shares_up_to(&[point])[0];
        assert!((share - point).abs() < 0.0165, "{share} of the values are up to {point}");
        let value = sketch.value_at(point).expect("values");
        assert!((value - point).abs() < 0.0165, "{value} stands at {point}");
    }
}

#[test]
fn a_feature_stays_small() {
    let profile = numbers(normal(1, 20_000));
    let mut state = NumberState::new(&profile);
    let mut largest = 0;
    for seed in 0..40 {
        state.extend(&profile, &normal(seed, 1000));
        largest = largest.max(state.bytes());
    }
    let other = state.clone();
    state.merge(&other);
    assert!(largest.max(state.bytes()) <= BYTES_MAX, "{largest} bytes");

    let reference = (0..2000).map(|it| Some(Box::from(format!("category {it}")))).collect();
    let profile = categories(&Values::Words(reference));
    assert_eq!((profile.counts.len(), profile.others), (1000, 1000));
    let lookup = Lookup::new(&profile);
    let mut state = CategoryState::new(&profile);
    for it in 0..200_000 {
        state.add_word(&lookup, &format!("{it} {}", "long ".repeat(60)));
    }
    assert!(state.bytes() <= BYTES_MAX, "{} bytes", state.bytes());
    let estimate = state.distinct.estimate();
    assert!((estimate - 200_000.0).abs() < 3.0 * 0.023 * 200_000.0, "{estimate} words");
}

#[test]
fn a_small_window_is_exact_and_a_large_one_binned() {
    let values = |values| Values::Numbers { values, whole: false };
    let (reference, small) = (normal(1, 900), normal(2, 700));
    let profile = numbers(reference.clone());
    let evidence = of_numbers_state(&profile, &state_of(&profile, &small));
    let expect = compare(&values(reference), &values(small), None).expect("comparable");
    assert_eq!(evidence.method, Method::Exact);
    assert_eq!(evidence.statistics, expect.statistics);

    let (reference, large) = (normal(1, 20_000), normal(3, 20_000));
    let large: Vec<f64> = large.iter().map(|it| it + 0.2).collect();
    let profile = numbers(reference.clone());
    let state = state_of(&profile, &large);
    let evidence = of_numbers_state(&profile, &state);
    let mut sketch = Quantiles::default();
    sketch.extend(&reference);
    let sketched = between(&sketch, &state.quantiles, profile.deviation);
    let expect = compare(&values(reference), &values(large), None).expect("comparable").statistics;
    assert_eq!(evidence.method, Method::Binned);
    for (got, expect, within) in [
        (evidence.statistics.ks_statistic, expect.ks_statistic, 0.008),
        (evidence.statistics.wasserstein, expect.wasserstein, 0.01),
        (sketched.ks_statistic, expect.ks_statistic, 0.033),
        (sketched.wasserstein, expect.wasserstein, 0.1),
    ] {
        let (got, expect) = (got.expect("a number"), expect.expect("a number"));
        assert!((got - expect).abs() <= within, "{got} instead of {expect}");
    }
}

#[test]
fn what_is_no_number_is_counted() {
    let profile = numbers(normal(1, 1000));
    let state = state_of(&profile, &[f64::NAN, f64::INFINITY, 1e9, -1e9, 0.0]);
    assert_eq!((state.nan, state.infinite, state.below, state.above), (1, 1, 1, 1));
    assert_eq!(state.rows(), 3);
}

#[test]
fn categories_are_compared_with_those_of_the_profile() {
    let column = |k: u64, seed, n| {
        let mut random = Random::new(seed);
        let word = |it: u64| Some(Box::from(format!("k{it}")));
        Values::Words((0..n).map(|_| word(random.below(k))).collect())
    };
    let (reference, current) = (column(5, 1, 4000), column(6, 2, 500));
    let profile = categories(&reference);
    let state = words_of(&profile, &current);
    let evidence = of_categories_state(&profile, &state);
    let expect = raw(&reference, &current).statistics;
    assert!(close(evidence.effect, expect.tvd_statistic.expect("TVD"), 1e-12));
    assert!(close(evidence.statistics.psi.expect("PSI"), expect.psi.expect("PSI"), 1e-12));
    assert!(evidence.p < 1e-6);
    assert_eq!((evidence.method, evidence.statistics.z), (Method::Binned, None));
    assert_eq!(evidence.statistics.chisquare, Some(0.0), "as Evidently has it of what is new");
    assert_eq!(evidence.top_bins[0].name, "(any other)");
    assert_eq!(state.new.top()[0].0, "k5");
}

/// Every count is there, so the numbers are Evidently's, whichever category the profile has first.
#[test]
fn categories_that_are_all_known_have_the_numbers_of_the_raw_values() {
    // Each of ten is as likely as the others.
    let draw = |seed, n, ten: &str| {
        let mut random = Random::new(seed);
        let words: Vec<Box<str>> = ten.chars().map(|it| it.to_string().into()).collect();
        let word = |at: u64| words.get(usize::try_from(at).expect("one of ten")).cloned();
        Values::Words((0..n).map(|_| word(random.below(10))).collect())
    };
    // `n` is before `y`, and in the second case behind it in the profile.
    for (reference, current) in
        [("nnnnnnyyyy", "nnnnnyyyyy"), ("nnnnyyyyyy", "nnnnnyyyyy"), ("mmmnnnyyyy", "mmnnnnyyyy")]
    {
        let two = !reference.contains('m');
        let (reference, current) = (draw(1, 900, reference), draw(2, 400, current));
        let profile = categories(&reference);
        let evidence = of_categories_state(&profile, &words_of(&profile, &current));
        let expect = raw(&reference, &current);
        assert_eq!((evidence.method, evidence.default), (Method::Exact, expect.default));
        assert_eq!(expect.statistics.z.is_some(), two);
        let got = evidence.statistics;
        same("words", &got, &expect.statistics, 1e-12);
        let chisquare = got.chisquare.expect("two categories at least");
        assert!(evidence.p > 2.0 * chisquare, "{} counts the reference's rows too", evidence.p);
    }
}

/// One that the reference lacks makes two of one: the test for two judges it.
#[test]
fn a_constant_that_is_none_any_more_is_judged() {
    let column = |new: usize| {
        Values::Words((0..500).map(|it| Some(if it < new { "b" } else { "a" }.into())).collect())
    };
    let profile = categories(&column(0));
    for new in [0, 250] {
        let evidence = of_categories_state(&profile, &words_of(&profile, &column(new)));
        let expect = raw(&column(0), &column(new));
        assert_eq!(evidence.default, expect.default);
        let (got, expect) = (evidence.statistics.z, expect.statistics.z);
        near("z", got, expect, 1e-12);
        assert!(new == 0 || got.is_some_and(|it| it < 1e-6), "{got:?}");
    }
}
