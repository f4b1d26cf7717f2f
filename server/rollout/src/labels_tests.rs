//! Whole rollouts that are decided by labels: wrong or right, as classes are. The seeds are fixed, so
//! that the same numbers come every time.

use crate::counts::Arm;
use crate::finding::Guard;
use crate::house::House;
use crate::moments::Moments;
use crate::random::Random;
use crate::record::Cause;
use crate::state::State;

/// A quarter, then a half; every labelled row of the candidate's is waited for.
const PLAN: &str = r#"{"steps": "25,50,100", "shadow_rows": 0, "latency": false,
    "step_requests_min": 1000, "step_labels_min": 500, "step_duration_s_min": 60,
    "duration_s_max": 7200, "loss_increase_max": 0}"#;

/// Requests of both in ten seconds, of which every tenth gets a label.
const REQUESTS: u64 = 2_000;

/// How it ended, and how many labels of the candidate's were there.
struct End {
    house: House,
    labels: u64,
}

impl End {
    fn is_back(&self) -> bool {
        self.house.rollout.state() == State::RolledBack
    }
}

/// Adds so many answers of which so many are wrong.
fn add(to: &mut Moments, rows: u64, wrong: u64) {
    let (n, mean) = (rows as f64, wrong as f64 / rows.max(1) as f64);
    to.merge(&Moments { n: rows, mean, m2: n * mean * (1.0 - mean) });
}

/// `wrong` is how often the stable version and the candidate are; `moves` is by how much both are more
/// often with each hour.
fn play(plan: &str, wrong: [f64; 2], moves: f64, seed: u64) -> End {
    let mut house = House::new(plan);
    house.seen.readiness = crate::observation::Readiness::Validated;
    let (mut random, mut labels, mut tick) = (Random::new(seed), 0, 0.0);
    while let State::Running { .. } = house.rollout.state() {
        if house.seen.stage > 0 {
            let canary = REQUESTS * u64::from(house.rollout.weight().basis_points()) / 10_000;
            let stable = REQUESTS - canary;
            let counts = &mut house.seen.counts;
            let arm = |requests| Arm { requests, ..Arm::default() };
            counts.stable.merge(&arm(stable));
            counts.canary.merge(&arm(canary));
            let harder = moves * tick / 360.0;
            let mut of = |rows: u64, rate: f64| random.binomial(rows / 10, rate + harder);
            let errors = [of(stable, wrong[0]), of(canary, wrong[1])];
            add(&mut counts.labels.stable, stable / 10, errors[0]);
            add(&mut counts.labels.canary, canary / 10, errors[1]);
            labels += canary / 10;
            tick += 1.0;
        }
        house.step(10);
    }
    End { house, labels }
}

fn back(plan: &str, wrong: [f64; 2], moves: f64) -> usize {
    (0..200).filter(|&seed| play(plan, wrong, moves, seed).is_back()).count()
}

#[test]
fn a_candidate_that_is_as_right_is_seldom_sent_back() {
    for rate in [0.002, 0.02, 0.1, 0.3, 0.5] {
        let back = back(PLAN, [rate, rate], 0.0);
        assert!(back <= 10, "{back} of 200, wrong in {rate}");
    }
}

#[test]
fn a_world_that_gets_harder_is_not_the_candidates_fault() {
    // Most answers of the stable version are from the time before, when the candidate had few.
    let back = back(PLAN, [0.1, 0.1], 0.5);
    assert!(back <= 10, "{back} of 200");
}

#[test]
fn one_that_is_a_little_worse_than_allowed_goes_and_one_that_is_not_stays() {
    let allowed = PLAN.replace(r#""loss_increase_max": 0"#, r#""loss_increase_max": 0.05"#);
    let stays = back(&allowed, [0.1, 0.15], 0.0);
    assert!(stays <= 10, "{stays} of 200 went back");
}

/// After how many labels of the candidate's is it sent back, in half of the runs? All must be.
#[track_caller]
fn back_within(wrong: [f64; 2], labels_max: u64) {
    let ends: Vec<End> = (0..31).map(|seed| play(PLAN, wrong, 0.0, seed)).collect();
    for end in &ends {
        let last = end.house.records.last().expect("a record");
        assert_eq!(last.cause, Cause::Guard(Guard::Loss), "{}", last.words);
        assert!(last.words.contains("mean loss: candidate 0."), "{}", last.words);
    }
    let mut labels: Vec<u64> = ends.iter().map(|it| it.labels).collect();
    labels.sort_unstable();
    let median = labels[labels.len() / 2];
    assert!(median <= labels_max, "{median} labels, at most {labels_max}");
}

#[test]
fn a_candidate_that_is_wrong_more_often_goes_back_soon() {
    back_within([0.05, 0.5], 150);
    back_within([0.1, 0.3], 250);
    back_within([0.1, 0.2], 600);
}

#[test]
fn a_step_waits_for_its_labels() {
    let mut house = House::split(&PLAN.replace(r#""shadow_rows": 0"#, r#""shadow_rows": 100"#));
    house.count([9_000, 0], [3_000, 0]);
    house.seen.counts.labels.canary = Moments { n: 499, mean: 0.0, m2: 0.0 };
    assert_eq!(house.step(600), "", "one is missing");
    house.seen.counts.labels.paired = Moments { n: 1, mean: 0.0, m2: 0.0 };
    assert_eq!(house.step(1), "weight 50 %, record Advanced");
}
