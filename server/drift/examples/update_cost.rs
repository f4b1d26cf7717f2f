//! What a value costs: `cargo run --release -p server-drift --example update_cost`.

use std::hint::black_box;
use std::time::Instant;

use server_drift::random::Random;
use server_drift::{
    CategoryState, Feature, Kind, Lookup, NumberState, Role, Shape, Values, of_numbers_state,
};

/// Values of a round, and rounds: the best and the median are told.
const VALUES: usize = 1_000_000;
const ROUNDS: usize = 9;

/// Rows that come together.
const BATCH: usize = 64;

fn told(name: &str, per: usize, mut round: impl FnMut()) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            round();
            began.elapsed().as_secs_f64() * 1e9 / per as f64
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    eprintln!("{name}: best {:.1} ns, median {:.1} ns", times[0], times[ROUNDS / 2]);
}

fn shape(values: Values, kind: Kind) -> Shape {
    let feature = Feature::of("x", Role::Input, &values, Some(kind));
    feature.expect("values").expect("a profile").shape
}

fn main() {
    let mut random = Random::new(1);
    let values: Vec<f64> = (0..VALUES).map(|_| random.normal()).collect();
    let reference = Values::Numbers { values: values[..50_000].to_vec(), whole: false };
    let Shape::Numerical(profile) = shape(reference, Kind::Numerical) else { return };
    let mut state = NumberState::new(&profile);
    told("a number, in batches of 64", VALUES, || {
        state = NumberState::new(&profile);
        for batch in values.chunks(BATCH) {
            state.extend(&profile, black_box(batch));
        }
    });
    eprintln!("its state: {} bytes", state.bytes());
    told("the same, for a monitor", VALUES, || {
        let mut state = NumberState::lean(&profile);
        for batch in values.chunks(BATCH) {
            state.extend(&profile, black_box(batch));
        }
    });
    told("a verdict on it", 1, || {
        black_box(of_numbers_state(&profile, &state));
    });
    let other = state.clone();
    told("a merge with another", 1, || state.merge(black_box(&other)));

    let words: Vec<String> = (0..1000).map(|it| format!("category {it}")).collect();
    let reference = words.iter().map(|it| Some(Box::from(it.as_str()))).collect();
    let Shape::Categorical(profile) = shape(Values::Words(reference), Kind::Categorical) else {
        return;
    };
    let lookup = Lookup::new(&profile);
    let drawn: Vec<&str> = (0..VALUES).map(|at| words[(at * 7919) % 1000].as_str()).collect();
    let mut state = CategoryState::new(&profile);
    told("a word of the reference", VALUES, || {
        for word in &drawn {
            state.add_word(&lookup, black_box(word));
        }
    });
    let new: Vec<String> = (0..VALUES / 10).map(|it| format!("new {it}")).collect();
    told("a new word, all different", VALUES / 10, || {
        for word in &new {
            state.add_word(&lookup, black_box(word));
        }
    });
    eprintln!("its state: {} bytes", state.bytes());
}
