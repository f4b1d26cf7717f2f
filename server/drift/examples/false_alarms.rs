//! How often thresholds cry wolf where nothing drifts, and how soon they find what does:
//! `cargo run --release -p server-drift --example false_alarms [windows]`.
//!
//! Ten features, three of them categorical with ten categories, a reference of 5,000 rows that is
//! drawn anew every ten windows. Seeded: the same numbers every time.

use server_drift::random::Random;
use server_drift::{
    Auto, CategoryState, Evidence, Feature, Fixed, Kind, Lookup, NumberState, Role, Shape, Test,
    Thresholds, Values, of_categories_state, of_numbers_state,
};

const REFERENCE_ROWS: usize = 5000;
const NUMERICAL: usize = 7;
const CATEGORICAL: usize = 3;
const CATEGORIES: u64 = 10;

/// One feature in ten is shifted by so many standard deviations.
fn numbers(random: &mut Random, n: usize, shift: f64, skewed: bool) -> Vec<f64> {
    let one = |it: f64| if skewed { (it + shift).exp() } else { it + shift };
    (0..n).map(|_| one(random.normal())).collect()
}

fn category(random: &mut Random) -> f64 {
    // The smaller of two draws: the rarest of ten categories has one row in a hundred.
    random.below(CATEGORIES).min(random.below(CATEGORIES)) as f64
}

struct House {
    features: Vec<Feature>,
    lookups: Vec<Lookup>,
}

impl House {
    fn new(random: &mut Random) -> House {
        let mut features = Vec::new();
        let mut lookups = Vec::new();
        for at in 0..NUMERICAL + CATEGORICAL {
            let (kind, values) = if at < NUMERICAL {
                (Kind::Numerical, numbers(random, REFERENCE_ROWS, 0.0, at % 2 == 1))
            } else {
                (Kind::Categorical, (0..REFERENCE_ROWS).map(|_| category(random)).collect())
            };
            let values = Values::Numbers { values, whole: kind == Kind::Categorical };
            let feature = Feature::of(&format!("f{at}"), Role::Input, &values, Some(kind));
            let feature = feature.expect("values").expect("a profile");
            lookups.push(match &feature.shape {
                Shape::Categorical(it) => Lookup::new(it),
                Shape::Numerical(_) | Shape::Vectors(_) => Lookup::default(),
            });
            features.push(feature);
        }
        House { features, lookups }
    }

    fn window(&self, random: &mut Random, rows: usize, shift: f64) -> Vec<(String, Evidence)> {
        let evidence = |at: usize| match &self.features[at].shape {
            Shape::Numerical(profile) => {
                let shift = if at == 0 { shift } else { 0.0 };
                let mut state = NumberState::new(profile);
                state.extend(profile, &numbers(random, rows, shift, at % 2 == 1));
                of_numbers_state(profile, &state)
            }
            Shape::Categorical(profile) => {
                let mut state = CategoryState::new(profile);
                for _ in 0..rows {
                    state.add_number(&self.lookups[at], category(random));
                }
                of_categories_state(profile, &state)
            }
            Shape::Vectors(_) => panic!("there is no embedding"),
        };
        let names = self.features.iter().map(|it| it.name.clone());
        names.zip((0..self.features.len()).map(evidence)).collect()
    }
}

/// Windows with an alarm, for each of the rules.
fn alarmed(rules: &[Thresholds], windows: usize, rows: usize, shift: f64) -> Vec<usize> {
    let mut random = Random::new(rows as u64);
    let mut house = House::new(&mut random);
    let mut counts = vec![0; rules.len()];
    for window in 0..windows {
        if window % 10 == 9 {
            house = House::new(&mut random);
        }
        let seen = house.window(&mut random, rows, shift);
        for (count, rule) in counts.iter_mut().zip(rules) {
            *count += usize::from(!rule.alarms(&seen).is_empty());
        }
    }
    counts
}

fn main() {
    let windows = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(1000);
    let auto = |windows_between, effect_min| {
        Thresholds::Auto(Auto { windows_between, effect_min, ..Auto::default() })
    };
    let fixed = |test, threshold| Thresholds::Fixed(Fixed { test, threshold });
    let rules = [
        auto(20.0, 0.0),
        auto(100.0, 0.0),
        auto(720.0, 0.0),
        auto(720.0, 0.02),
        fixed(Test::Psi, 0.1),
        fixed(Test::JensenShannon, 0.1),
        fixed(Test::Wasserstein, 0.1),
        fixed(Test::Ks, 0.05),
    ];
    let heads = ["1/20", "1/100", "1/720", "default", "psi", "js", "wasserstein", "ks p 0.05"];
    let line = |first: &str, counts: &[String]| {
        let cells: Vec<String> = counts.iter().map(|it| format!("{it:>11}")).collect();
        eprintln!("{first:>12} {}", cells.join(" "));
    };
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    eprintln!("false alarms: windows with an alarm, of {windows} without drift");
    line("rows", &heads);
    for rows in [100, 300, 1000, 10_000] {
        let counts = alarmed(&rules, windows, rows, 0.0);
        line(&rows.to_string(), &counts.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    let some = windows.div_ceil(5);
    eprintln!("power: share of {some} windows with an alarm, one of ten features shifted");
    line("rows, shift", &heads);
    for rows in [100, 300, 1000, 10_000] {
        for shift in [0.1, 0.2, 0.3, 0.5, 1.0] {
            let counts = alarmed(&rules, some, rows, shift);
            let shares = counts.iter().map(|&it| format!("{:.2}", it as f64 / some as f64));
            line(&format!("{rows}, {shift}"), &shares.collect::<Vec<_>>());
        }
    }
}
