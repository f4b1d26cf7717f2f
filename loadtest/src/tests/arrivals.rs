//! Schedules are exact where they are constant, and right on average where they are not.

use std::sync::Arc;
use std::time::Duration;

use super::shown;
use crate::arrivals::{Arrival, Arrivals, Due, Schedule};
use crate::profile::{Profile, Segment};
use crate::trace::Trace;

fn micros(arrivals: Arrivals, count: usize) -> Vec<u128> {
    arrivals.take(count).map(|it| it.offset.as_micros()).collect()
}

fn arrivals(arrival: Arrival, rate_per_s: f64, seed: u64) -> Arrivals {
    along(Profile::constant(rate_per_s), arrival, seed)
}

fn along(profile: Profile, arrival: Arrival, seed: u64) -> Arrivals {
    Arrivals::new(Schedule::Drawn { profile: Arc::new(profile), arrival }, seed)
}

#[test]
fn constant_gaps_are_exact() {
    let table: [(f64, &[u128]); 3] = [
        (1000.0, &[0, 1000, 2000, 3000]),
        (0.5, &[0, 2_000_000, 4_000_000]),
        (3.0, &[0, 333_333, 666_666, 1_000_000]),
    ];
    for (rate, expected) in table {
        let constant = arrivals(Arrival::Constant, rate, 1);
        assert_eq!(micros(constant, expected.len()), expected, "rate {rate}");
    }
}

#[test]
fn constant_gaps_do_not_drift() {
    let mut constant = arrivals(Arrival::Constant, 30_000.0, 1);
    let offset = constant.nth(30_000 * 3600).map(|it| it.offset);
    assert_eq!(offset, Some(Duration::from_secs(3600)));
}

#[test]
fn shares_of_constant_arrivals_interleave() {
    let whole = arrivals(Arrival::Constant, 1000.0, 1);
    assert_eq!(micros(whole.clone().share(0, 3), 3), [0, 3000, 6000]);
    assert_eq!(micros(whole.share(2, 3), 3), [2000, 5000, 8000]);
}

#[test]
fn poisson_gaps_have_the_mean_and_spread_of_an_exponential() {
    const COUNT: usize = 100_000;
    for threads in [1, 4] {
        let poisson = arrivals(Arrival::Poisson, 2000.0, 7).share(0, threads);
        let offsets: Vec<f64> = poisson.take(COUNT).map(|it| it.offset.as_secs_f64()).collect();
        let expected = threads as f64 / 2000.0;
        let mean = offsets[COUNT - 1] / COUNT as f64;
        assert!((mean / expected - 1.0).abs() < 0.01, "mean gap {mean}, expected {expected}");

        let gaps: Vec<f64> = offsets.windows(2).map(|it| it[1] - it[0]).collect();
        let variance = gaps.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / COUNT as f64;
        let spread = variance.sqrt() / mean;
        assert!((spread - 1.0).abs() < 0.02, "an exponential has a spread of 1, got {spread}");
        assert!(gaps.iter().all(|&it| it >= 0.0));
    }
}

#[test]
fn a_seed_gives_one_schedule_and_threads_differ() {
    let poisson =
        |seed, thread| micros(arrivals(Arrival::Poisson, 100.0, seed).share(thread, 2), 10);
    assert_eq!(poisson(1, 0), poisson(1, 0));
    assert_ne!(poisson(1, 0), poisson(2, 0));
    assert_ne!(poisson(1, 0), poisson(1, 1));
}

/// Seconds, first rate, last rate.
type Segments = &'static [(f64, f64, f64)];

fn segments(list: Segments) -> Profile {
    let segment = |&(seconds, from_per_s, to_per_s)| Segment { seconds, from_per_s, to_per_s };
    Profile::new(list.iter().map(segment).collect())
}

#[test]
fn a_profile_is_followed_exactly() {
    // segments: when the constant arrivals are due, in ms
    let table: [(Segments, &[u128]); 4] = [
        (&[(1.0, 2.0, 2.0), (1.0, 4.0, 4.0)], &[0, 500, 1000, 1250, 1500, 1750, 2000, 2250]),
        (&[(1.0, 2.0, 2.0), (5.0, 0.0, 0.0), (1.0, 2.0, 2.0)], &[0, 500, 1000, 6500, 7000, 7500]),
        // 0 to 4 per second: the n-th after the root of n / 2.
        (&[(2.0, 0.0, 8.0)], &[0, 707, 1000, 1224, 1414, 1581, 1732, 1870, 2000, 2125]),
        (&[(1.0, 4.0, 0.0)], &[0, 292, 1000]),
    ];
    for (list, expected) in table {
        let offsets = along(segments(list), Arrival::Constant, 1);
        let offsets: Vec<u128> =
            offsets.take(expected.len()).map(|it| it.offset.as_millis()).collect();
        assert_eq!(offsets, expected, "{list:?}");
    }
    let ended = along(segments(&[(1.0, 4.0, 0.0)]), Arrival::Constant, 1);
    assert_eq!(ended.count(), 3, "a rate of 0 at the end lasts on");
}

#[test]
fn a_warmup_comes_at_the_first_rate() {
    let profile = segments(&[(1.0, 2.0, 4.0)]).after(Duration::from_secs(1));
    assert_eq!(profile, segments(&[(1.0, 2.0, 2.0), (1.0, 2.0, 4.0)]));
}

#[test]
fn bursts_come_at_once_and_keep_the_rate() {
    const COUNT: usize = 100_000;
    for threads in [1, 2] {
        let bursts = arrivals(Arrival::Burst(10), 2000.0, 7).share(0, threads);
        let offsets: Vec<Duration> = bursts.take(COUNT).map(|it| it.offset).collect();
        assert!(offsets.chunks(10).all(|it| it.iter().all(|offset| offset == &it[0])));
        let mean = offsets[COUNT - 1].as_secs_f64() / COUNT as f64;
        assert!((mean * 2000.0 / threads as f64 - 1.0).abs() < 0.03, "mean gap {mean}");
    }
}

#[test]
fn a_trace_is_read_from_csv_and_json_lines() {
    let models = ["a", "7"].map(str::to_owned);
    let due = |millis, model| Due { offset: Duration::from_millis(millis), model };
    let rates = vec![Segment::flat(10.0, 100.0), Segment::flat(0.5, 0.0)];
    let table = [
        ("offset_s\n0\n0.25\n", Trace::Arrivals(vec![due(0, None), due(250, None)])),
        (
            "model, offset_s\r\n a, 0.5\r\n\r\n7, 1\r\n",
            Trace::Arrivals(vec![due(500, Some(0)), due(1000, Some(1))]),
        ),
        (
            "{\"offset_s\": 0.5, \"model\": \"7\"}\n{\"offset_s\": 0.5}",
            Trace::Arrivals(vec![due(500, Some(1)), due(500, None)]),
        ),
        ("seconds,rate_per_s\n10,100\n0.5,0\n", Trace::Segments(rates.clone())),
        (
            "{\"seconds\": 10, \"rate_per_s\": 100}\n{\"seconds\": 0.5, \"rate_per_s\": 0}\n",
            Trace::Segments(rates),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(Trace::parse(text, &models), Ok(expected), "{text}");
    }
}

#[test]
fn a_trace_that_cannot_be_played_says_where() {
    let table = [
        ("", "it is empty"),
        ("offset_s\n", "no line below its head"),
        ("0.1\n0.2\n", "line 2: \"0.1\" is none of offset_s, model, seconds, rate_per_s"),
        ("offset_s\n1\n0.5\n", "line 3: offset_s is less than in the line before"),
        ("offset_s\n-1\n", "line 2: offset_s -1, expected 0 or more"),
        ("offset_s,model\n1\n", "line 2: 1 columns, the first line has 2"),
        ("offset_s,model\n1,b\n", "line 2: model \"b\" is not among --model [\"a\"]"),
        ("seconds,rate_per_s\n0,1\n", "line 2: seconds 0, expected more than 0"),
        ("seconds,rate_per_s\n1,-1\n", "line 2: rate_per_s -1, expected 0, or 0.001"),
        ("seconds,rate_per_s\n1,0\n", "all its rates are 0"),
        ("seconds\n1\n", "line 2: no number for \"rate_per_s\""),
        ("{\"offset_s\": 1}\nx\n", "line 2: not a JSON object"),
    ];
    for (text, expected) in table {
        let fault = Trace::parse(text, &["a".to_owned()]).map_err(anyhow::Error::msg);
        assert!(shown(fault).contains(expected), "{text:?}: not {expected:?}");
    }
}

#[test]
fn recorded_arrivals_are_dealt_out_in_turn() {
    let due = |millis| Due { offset: Duration::from_millis(millis), model: None };
    let trace = Arrivals::new(Schedule::Traced(Arc::new((0..5).map(due).collect())), 1);
    assert_eq!(micros(trace.clone(), 9), [0, 1000, 2000, 3000, 4000]);
    assert_eq!(micros(trace.clone().share(0, 2), 9), [0, 2000, 4000]);
    assert_eq!(micros(trace.share(1, 2), 9), [1000, 3000]);
}
