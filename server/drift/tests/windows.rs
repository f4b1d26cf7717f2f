//! Windows in virtual time: which rows each one holds.

use server_drift::{Merge, Windowing, Windows};

#[derive(Clone, Debug, Default)]
struct Rows(Vec<u32>);

impl Merge for Rows {
    fn merge(&mut self, other: &Rows) {
        self.0.extend(&other.0);
    }

    fn seal(&mut self, _steps: usize) {}
}

/// Plays rows `(seconds, number)`; every window that comes is shown as its numbers.
#[track_caller]
fn check(windowing: Windowing, rows: &[(f64, u32)], expect: &str) {
    let mut windows = Windows::new(windowing, Rows::default()).expect("sensible");
    let mut shown = Vec::new();
    for &(at, number) in rows {
        for window in windows.add(at, 1, |it| it.0.push(number)) {
            shown.push(window.0.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
        }
    }
    assert_eq!(shown.join(" "), expect);
}

fn rows(step_rows: u64, steps: usize) -> Windowing {
    Windowing { step_rows: Some(step_rows), step_s: None, steps }
}

fn seconds(step_s: f64, steps: usize) -> Windowing {
    Windowing { step_rows: None, step_s: Some(step_s), steps }
}

fn at_once(n: u32) -> Vec<(f64, u32)> {
    (1..=n).map(|it| (0.0, it)).collect()
}

#[test]
fn windows_of_rows_tumble_or_slide() {
    check(rows(2, 1), &at_once(5), "1,2 3,4");
    check(rows(1, 3), &at_once(5), "1,2,3 2,3,4 3,4,5");
    check(rows(2, 2), &at_once(7), "1,2,3,4 3,4,5,6");
}

#[test]
fn windows_of_time_end_with_the_first_row_after_them() {
    check(seconds(10.0, 1), &[(0.0, 1), (9.9, 2), (10.0, 3), (25.0, 4)], "1,2 3");
    check(seconds(10.0, 2), &[(0.0, 1), (10.0, 2), (20.0, 3), (30.0, 4)], "1,2 2,3");
}

#[test]
fn a_clock_that_jumps_ends_a_step_once_and_back_never() {
    check(seconds(10.0, 1), &[(0.0, 1), (1e9, 2), (1e9 + 5.0, 3), (1e9 + 10.0, 4)], "1 2,3");
    check(seconds(10.0, 1), &[(50.0, 1), (0.0, 2), (59.0, 3), (60.0, 4)], "1,2,3");
    check(seconds(10.0, 1), &[(0.0, 1), (f64::NAN, 2), (10.0, 3)], "1,2");
}

#[test]
fn a_window_without_rows_says_nothing() {
    let mut windows = Windows::new(seconds(1.0, 1), Rows::default()).expect("sensible");
    assert!(windows.tick(0.0).is_none());
    assert!(windows.tick(5.0).is_none());
}

#[test]
fn nonsense_is_refused() {
    for (windowing, word) in [
        (rows(1, 0), "steps is 0"),
        (rows(1, 65), "from 1 to 64"),
        (rows(0, 1), "above 0"),
        (seconds(f64::NAN, 1), "above 0"),
        (Windowing { step_rows: None, step_s: None, steps: 1 }, "must be given"),
    ] {
        let error = Windows::new(windowing, Rows::default()).expect_err("nonsense");
        assert!(error.contains(word), "{error}");
    }
}
