use super::*;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn failures_double_the_pause_up_to_a_quarter_of_an_hour() {
    let mut schedule = Schedule::new(Duration::from_secs(10));
    let pauses: Vec<u64> = (0..7).map(|_| schedule.failed(0.0).as_secs()).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 900, 900, 900]);
    assert_eq!(schedule.pause(0.5), Duration::from_secs(10));
    schedule.succeeded();
    assert_eq!(schedule.failed(0.0), MINUTE);
    assert_eq!(schedule.failed(1.0), 3 * MINUTE);
}

#[test]
fn a_long_interval_is_not_shortened_by_failing() {
    let mut schedule = Schedule::new(Duration::from_secs(3600));
    assert_eq!(schedule.failed(0.0), Duration::from_secs(3600));
}

#[test]
fn those_that_start_together_are_spread() {
    let schedule = Schedule::new(MINUTE);
    assert_eq!(
        [0.0, 0.25, 2.0].map(|draw| schedule.first(draw)),
        [Duration::ZERO, MINUTE / 4, MINUTE]
    );
}

proptest! {
    /// A day without a registry, in virtual time.
    #[test]
    fn a_registry_that_is_down_is_asked_once_a_minute_at_most(
        interval in 1u64..7200, draws in prop::collection::vec(-1.0f64..2.0, 200)
    ) {
        let mut schedule = Schedule::new(Duration::from_secs(interval));
        for draw in draws {
            let pause = schedule.failed(draw);
            prop_assert!(pause >= MINUTE, "{:?}", pause);
            prop_assert!(pause <= RETRY_MAX.max(Duration::from_secs(interval)).mul_f64(1.5));
        }
    }

    #[test]
    fn a_steady_rhythm_stays_within_a_tenth(interval in 1u64..7200, draw in 0.0f64..=1.0) {
        let pause = Schedule::new(Duration::from_secs(interval)).pause(draw).as_secs_f64();
        let interval = interval as f64;
        prop_assert!((pause - interval).abs() <= interval * 0.1001);
    }
}
