//! Whole rollouts, from the load to the verdict, of candidates that are as good or worse. The
//! seeds are fixed, so that the same numbers come every time.

use std::time::Duration;

use server_base::{ModelName, Version};

use crate::counts::Counts;
use crate::moment::Moment;
use crate::observation::{Action, Observation, Readiness};
use crate::plan::Plan;
use crate::random::Random;
use crate::rollout::Rollout;
use crate::state::State;
use crate::subject::Subject;

/// Time between two looks.
const TICK: Duration = Duration::from_secs(10);

/// How a candidate behaves; the stable version fails, and is slow, once in a hundred requests.
#[derive(Clone, Copy)]
struct World {
    requests_a_tick: u64,
    error_rate: f64,
    /// The same at the last split.
    late_error_rate: f64,
    slow_rate: f64,
    flip_rate: f64,
    shift: f64,
    /// Share of the rows that are of the second class instead of the first.
    drift: f64,
    loss: f64,
}

const EQUAL: World = World {
    requests_a_tick: 2_000,
    error_rate: 0.01,
    late_error_rate: 0.01,
    slow_rate: 0.01,
    flip_rate: 0.05,
    shift: 0.0,
    drift: 0.0,
    loss: 0.0,
};

/// How it ended.
struct End {
    state: State,
    /// Requests to both versions while the candidate answered some.
    requests: u64,
}

impl End {
    fn is_back(&self) -> bool {
        self.state == State::RolledBack
    }

    fn is_promoted(&self) -> bool {
        matches!(self.state, State::Promoted { .. })
    }
}

/// Does what a driver does: counts, looks, obeys.
struct Driver {
    rollout: Rollout,
    seen: Observation,
    weight: u64,
    shadow: u64,
    random: Random,
    world: World,
}

impl Driver {
    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Validate => self.seen.readiness = Readiness::Validated,
                Action::SetShadow { share, stage } => {
                    self.shadow = u64::from(share.basis_points());
                    (self.seen.stage, self.seen.counts) = (stage, Counts::default());
                }
                Action::SetWeight { canary, stage, .. } => {
                    self.weight = u64::from(canary.basis_points());
                    (self.seen.stage, self.seen.counts) = (stage, Counts::default());
                }
                Action::Promote
                | Action::RollBack
                | Action::KeepWarm { .. }
                | Action::Record(_) => {}
            }
        }
    }

    /// Requests of one tick.
    fn serve(&mut self) {
        let Driver { seen, random, world, .. } = self;
        let canary = world.requests_a_tick * self.weight / 10_000;
        let stable = world.requests_a_tick - canary;
        let last = self.rollout.plan().splits().last();
        let is_last = last.is_some_and(|it| u64::from(it.basis_points()) == self.weight);
        let error_rate = if is_last { world.late_error_rate } else { world.error_rate };
        let counts = &mut seen.counts;
        counts.stable.requests += stable;
        counts.stable.errors += random.binomial(stable, 0.01);
        counts.stable.slow += random.binomial(stable, 0.01);
        let copies = stable * self.shadow / 10_000;
        counts.canary.requests += canary + copies;
        counts.canary.errors += random.binomial(canary + copies, error_rate);
        counts.canary.slow += random.binomial(canary, world.slow_rate);
        counts.pairs.pairs += copies;
        counts.pairs.flips += random.binomial(copies, world.flip_rate);
        for _ in 0..copies {
            counts.pairs.difference.add(random.normal() + world.shift);
            let moved = random.moved(world.drift);
            for (class, share) in counts.pairs.classes.iter_mut().zip(moved) {
                class.add(share);
            }
        }
        // The truth of one request in a hundred becomes known.
        for _ in 0..stable / 100 {
            counts.labels.stable.add(random.normal());
        }
        for _ in 0..canary / 100 {
            counts.labels.canary.add(random.normal() + world.loss);
        }
    }
}

fn play(plan: &str, world: World, seed: u64) -> End {
    let plan: Plan = serde_json::from_str(plan).expect("a plan");
    let wine = ModelName::new("wine").expect("a name");
    let subject = Subject::new(wine, Version(1), Version(2)).expect("two versions");
    let mut now = Moment(1_700_000_000_000);
    let seen = Observation {
        readiness: Readiness::Loaded,
        stable_p99: Some(Duration::from_millis(10)),
        ..Observation::default()
    };
    let rollout = Rollout::new(subject, plan, now);
    let random = Random::new(seed);
    let mut driver = Driver { rollout, seen, weight: 0, shadow: 0, random, world };
    let mut requests = 0;
    while let State::Running { .. } = driver.rollout.state() {
        now = now.after(TICK);
        driver.serve();
        requests += if driver.weight > 0 { world.requests_a_tick } else { 0 };
        let actions = driver.rollout.step(now, &driver.seen);
        driver.obey(actions);
    }
    End { state: driver.rollout.state(), requests }
}

/// All guards, each at the edge of what is allowed.
const STRICT: &str = r#"{"steps": "5,25,50,100", "step_requests_min": 1000,
    "step_duration_s_min": 60, "duration_s_max": 10800, "shadow_rows": 1000, "flip_rate_max": 0.05,
    "difference_max": 0, "output_drift_max": 0, "loss_increase_max": 0}"#;

/// The shares of classes beside what is watched anyhow.
const DRIFT: &str = r#"{"steps": "5,25,50,100", "step_requests_min": 1000,
    "step_duration_s_min": 60, "duration_s_max": 10800, "shadow_rows": 1000, "output_drift_max": 0}"#;

#[test]
fn a_candidate_that_is_as_good_is_promoted() {
    let ends: Vec<End> = (0..200).map(|seed| play(STRICT, EQUAL, seed)).collect();
    let back = ends.iter().filter(|it| it.is_back()).count();
    assert!(back <= 10, "{back} of 200 were rolled back");
    let promoted = ends.iter().filter(|it| it.is_promoted()).count();
    assert!(promoted >= 180, "{promoted} of 200 were promoted");
}

/// As many rows as are copied decide what is seen: a small drift needs more than a thousand.
#[test]
fn answers_that_only_swap_are_no_drift() {
    let back = |drift| {
        let world = World { drift, ..EQUAL };
        (0..200).filter(|&seed| play(DRIFT, world, seed).is_back()).count()
    };
    let [none, small, large] = [0.0, 0.05, 0.1].map(back);
    assert!(none <= 10, "{none} of 200 were rolled back");
    assert!(small >= 180, "{small} of 200 were found");
    assert_eq!(large, 200);
}

/// A tenth of the requests, a hundred a second.
const TENTH: &str = r#"{"steps": "10,100", "step_duration_s_min": 60, "shadow_rows": 0}"#;

/// After how many requests is it rolled back, in half of the runs? All must be.
#[track_caller]
fn back_within(plan: &str, world: World, requests_max: u64) {
    let ends: Vec<End> = (0..31).map(|seed| play(plan, world, seed)).collect();
    assert!(ends.iter().all(End::is_back), "not all were rolled back");
    let mut requests: Vec<u64> = ends.iter().map(|it| it.requests).collect();
    requests.sort_unstable();
    let median = requests[requests.len() / 2];
    assert!(median <= requests_max, "{median} requests, at most {requests_max}");
}

#[test]
fn a_candidate_that_fails_more_goes_back_soon() {
    let failing = |times: f64| {
        let error_rate = 0.01 * times;
        World { requests_a_tick: 1_000, error_rate, late_error_rate: error_rate, ..EQUAL }
    };
    back_within(TENTH, failing(2.0), 25_000);
    back_within(TENTH, failing(5.0), 4_000);
    back_within(TENTH, failing(20.0), 1_000);
}

#[test]
fn a_candidate_that_is_slow_goes_back_soon() {
    let slow = |slow_rate| World { requests_a_tick: 1_000, slow_rate, ..EQUAL };
    back_within(TENTH, slow(0.02), 40_000);
    back_within(TENTH, slow(0.05), 6_000);
}

#[test]
fn a_candidate_that_answers_otherwise_never_answers() {
    back_within(STRICT, World { flip_rate: 0.12, ..EQUAL }, 0);
    back_within(STRICT, World { shift: 0.25, ..EQUAL }, 0);
    back_within(STRICT, World { drift: 0.1, ..EQUAL }, 0);
    back_within(STRICT, World { loss: 1.0, ..EQUAL }, 60_000);
}

#[test]
fn a_candidate_that_fails_under_load_goes_back() {
    let late = World { late_error_rate: 0.03, ..EQUAL };
    back_within(STRICT, late, 60_000);
}

#[test]
fn a_candidate_at_the_margin_is_seldom_promoted() {
    let plan = r#"{"steps": "50,100", "latency": false, "error_ratio_max": 2, "shadow_rows": 0,
        "duration_s_max": 3600}"#;
    let world = World { error_rate: 0.0125, late_error_rate: 0.0125, ..EQUAL };
    let promoted = (0..100).filter(|&seed| play(plan, world, seed).is_promoted()).count();
    assert!(promoted <= 5, "{promoted} of 100");
}

#[test]
fn a_candidate_that_nobody_asks_is_held() {
    let end = play(STRICT, World { requests_a_tick: 0, ..EQUAL }, 0);
    assert!(matches!(end.state, State::Held { .. }), "{:?}", end.state);
    // Too few to prove anything.
    let end = play(TENTH, World { requests_a_tick: 2, ..EQUAL }, 0);
    assert!(matches!(end.state, State::Held { .. }), "{:?}", end.state);
}
