//! What thresholds find, and what they cry wolf about: seeded windows through a monitor's own
//! columns, windows and decision, every rule on the same rows.

use std::fmt::Write as _;

use plot::shares::{Curves, Shares};
use server_drift::MonitorPlan;

use crate::fixture::{Rows, Weather, basis, most, plan};
use crate::monitor::Monitor;

/// Each with the keys that make it.
const RULES: [(&str, &str); 6] = [
    ("auto, 1 in 20", r#""false_alarm_windows": 20"#),
    ("auto, 1 in 720", r#""false_alarm_windows": 720"#),
    ("PSI 0.1", r#""test": "psi", "threshold": 0.1"#),
    ("PSI 0.2", r#""test": "psi", "threshold": 0.2"#),
    ("KS p 0.05", r#""test": "ks", "threshold": 0.05"#),
    ("Wasserstein 0.1", r#""test": "wasserstein", "threshold": 0.1"#),
];

const REFERENCE_ROWS: usize = 5_000;

/// Windows to a reference, so that the luck of one is not that of all.
const WINDOWS_EACH: usize = 10;

/// Windows that are alarms, rule by rule.
fn alarmed((windows, rows): (usize, usize), shift: f64) -> [usize; RULES.len()] {
    let plan_of = |keys: &str| plan(&format!(r#"{{"window_rows": {rows}, {keys}}}"#));
    let plans: Vec<MonitorPlan> = RULES.iter().map(|it| plan_of(it.1)).collect();
    let mut counts = [0; RULES.len()];
    let mut drawn = Rows::new(rows as u64);
    for seed in 0..windows.div_ceil(WINDOWS_EACH) {
        let basis = basis(5_000 + seed as u64, REFERENCE_ROWS);
        let mut monitor = Monitor::new("m", plans[0].clone(), Some(basis)).expect("a monitor");
        for _ in 0..WINDOWS_EACH.min(windows - WINDOWS_EACH * seed) {
            let batch = drawn.draw(rows, Weather { shift, ..Weather::default() });
            let verdicts = monitor.see(&batch, 0).expect("rows");
            let [verdict] = verdicts.as_slice() else { panic!("one window of {rows} rows") };
            for (count, plan) in counts.iter_mut().zip(&plans) {
                *count += usize::from(verdict.is_alarm_by(plan, 1.0));
            }
        }
    }
    counts
}

#[test]
fn calibrated_thresholds_find_drift_and_fixed_ones_what_is_none() {
    let quiet = alarmed((60, 100), 0.0);
    // One in 20 of 60 is 3; more than 8 is seen in one of some hundred runs.
    assert!(quiet[0] <= 8 && quiet[1] <= 2, "{quiet:?}");
    assert!(quiet[5] >= 40, "a distance of 0.1 is the noise of 100 rows: {quiet:?}");
    let drifted = alarmed((30, 300), 0.5);
    assert!(drifted[0] == 30 && drifted[1] >= 29, "{drifted:?}");
    let slight = alarmed((4, 10_000), 0.1);
    assert!(slight[0] == 4 && slight[2] == 0, "small, certain, and below every PSI: {slight:?}");
}

/// What `auto` promises, at every size: false alarms no more often than asked for, and a shift that the eye
/// sees found in every window.
fn keeps_its_promise((rows, shift, windows): (usize, f64, usize), counts: &[usize]) {
    let (twentieth, rare) = (counts[0], counts[1]);
    if shift == 0.0 {
        let expected = |between: f64| windows as f64 / between;
        assert!(twentieth <= most(expected(20.0)), "{twentieth} of {windows}, {rows} rows");
        assert!(rare <= most(expected(720.0)), "{rare} of {windows}, {rows} rows");
    }
    if shift >= 1.0 || (rows >= 10_000 && shift >= 0.2) {
        assert_eq!((twentieth, rare), (windows, windows), "{rows} rows, a shift of {shift}");
    }
}

/// The same at every size and shift: the picture and the table of the documents.
#[test]
#[ignore = "takes minutes: `make drift-power` and `make test-long` run it"]
fn power_of_thresholds() {
    let shifts = [0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0];
    let mut table = String::from("| rows | shift |");
    RULES.iter().for_each(|it| write!(table, " {} |", it.0).expect("a text"));
    table += "\n|---|---|---|---|---|---|---|---|\n";
    let mut panels = Vec::new();
    for rows in [100, 300, 1_000, 10_000] {
        let mut lines = vec![Vec::new(); RULES.len()];
        for shift in shifts {
            let windows = if shift == 0.0 { 1_000 } else { 200 };
            let counts = alarmed((windows, rows), shift);
            keeps_its_promise((rows, shift, windows), &counts);
            let _ = write!(table, "| {rows} | {shift} |");
            for (line, count) in lines.iter_mut().zip(counts) {
                let share = count as f64 / windows as f64;
                let _ = write!(table, " {share:.3} |");
                line.push((shift, share));
            }
            table.push('\n');
        }
        panels.push(Curves { title: format!("windows of {rows} rows"), lines });
    }
    eprintln!("{table}");
    let picture = Shares {
        title: "Windows that are alarms, by how far one of two inputs has moved".to_owned(),
        notes: vec![
            "Left end of each panel: nothing has moved, so every alarm is false (1,000 windows); \
             elsewhere 200. A reference of 5,000 rows, anew every ten windows."
                .to_owned(),
        ],
        across: "shift of the input, standard deviations".to_owned(),
        up: "share of the windows".to_owned(),
        names: RULES.iter().map(|it| it.0.to_owned()).collect(),
        panels,
    };
    let svg = picture.draw();
    plot::check::texts(&svg);
    #[expect(clippy::disallowed_methods, reason = "where the picture goes is no setting")]
    let path = std::env::var_os("SALVER_DRIFT_POWER");
    if let Some(path) = path {
        std::fs::write(path, svg).expect("the picture is written");
    }
}
