use super::*;

use server_drift::{Method, QualityFault, Role, Source};

use crate::fixture::{Rows as Drawn, Weather, basis, most, plan};

const CALM: Weather = Weather { shift: 0.0, nan: 0.0, strange: 0.0, trouble: false };

fn monitor(json: &str) -> Monitor {
    Monitor::new("m", plan(json), Some(basis(7, 5_000))).expect("a monitor")
}

/// Shows rows in batches of an odd size, as they come from a log.
fn show(monitor: &mut Monitor, rows: &mut Drawn, count: usize, weather: Weather) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut left = count;
    while left > 0 {
        let now = left.min(137);
        verdicts.extend(monitor.see(&rows.draw(now, weather), 0).expect("rows of the log"));
        left -= now;
    }
    verdicts
}

fn alarms(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|it| it.drift.is_alarm || it.predictions.is_alarm).count()
}

#[test]
fn windows_have_the_rows_that_were_asked_for() {
    let mut monitor = monitor(r#"{"window_rows": 500}"#);
    let verdicts = show(&mut monitor, &mut Drawn::new(1), 1_700, CALM);
    let sizes: Vec<(u64, u64)> = verdicts.iter().map(|it| (it.number, it.rows)).collect();
    assert_eq!(sizes, [(1, 500), (2, 500), (3, 500)]);
    assert_eq!(monitor.progress(), (200, 500));
    let spans: Vec<(f64, f64)> = verdicts.iter().map(|it| (it.from_s, it.to_s)).collect();
    assert_eq!(spans, [(0.0, 499.0), (500.0, 999.0), (1_000.0, 1_499.0)]);
}

#[test]
fn or_the_time() {
    let mut monitor = monitor(r#"{"window_s": 300}"#);
    let mut rows = Drawn::new(2);
    let mut verdicts = show(&mut monitor, &mut rows, 1_000, CALM);
    // A night without requests: the window that was open ends with the first row of the morning.
    rows.skip(30_000);
    verdicts.extend(show(&mut monitor, &mut rows, 400, CALM));
    let sizes: Vec<u64> = verdicts.iter().map(|it| it.rows).collect();
    assert_eq!(sizes, [300, 300, 300, 100, 300]);
}

#[test]
fn sliding_windows_overlap() {
    let mut monitor = monitor(r#"{"window_rows": 400, "steps": 4}"#);
    let verdicts = show(&mut monitor, &mut Drawn::new(3), 800, CALM);
    let sizes: Vec<(u64, f64)> = verdicts.iter().map(|it| (it.rows, it.from_s)).collect();
    assert_eq!(sizes, [(400, 0.0), (400, 100.0), (400, 200.0), (400, 300.0), (400, 400.0)]);
}

#[test]
fn what_shifts_is_an_alarm_of_inputs_and_of_answers() {
    let mut monitor = monitor(r#"{"window_rows": 1000, "false_alarm_windows": 720}"#);
    let mut rows = Drawn::new(4);
    assert_eq!(alarms(&show(&mut monitor, &mut rows, 3_000, CALM)), 0);
    let drifted = show(&mut monitor, &mut rows, 2_000, Weather { shift: 0.5, ..CALM });
    assert_eq!(drifted.len(), 2);
    for verdict in &drifted {
        let names: Vec<&str> = verdict.drift.alarms.iter().map(|it| it.feature.as_str()).collect();
        assert_eq!(names, ["in.x"], "kind is as it was");
        assert!(verdict.predictions.is_alarm, "more of them are above one half");
        let alarm = &verdict.drift.alarms[0];
        assert!(alarm.effect > 0.15 && alarm.p < 1e-6 && !alarm.top_bins.is_empty(), "{alarm}");
        assert_eq!((alarm.rows, alarm.reference_rows), (1_000, 5_000));
    }
    assert_eq!(alarms(&show(&mut monitor, &mut rows, 1_000, CALM)), 0, "over");
}

#[test]
fn broken_values_are_a_fault_and_no_drift() {
    let mut monitor = monitor(r#"{"window_rows": 500}"#);
    let verdicts =
        show(&mut monitor, &mut Drawn::new(5), 500, Weather { nan: 0.4, shift: 2.0, ..CALM });
    let [verdict] = verdicts.as_slice() else { panic!("a window") };
    let x = verdict.features.iter().find(|it| it.name == "x").expect("x");
    assert!(matches!(x.faults[..], [QualityFault::Missing { .. }, ..]), "{:?}", x.faults);
    assert!(!x.judged && !verdict.drift.is_alarm && verdict.is_broken());
    assert!(verdict.predictions.is_alarm, "answers are another matter");
    assert!((x.missing - 0.4).abs() < 0.1);
}

#[test]
fn new_categories_are_a_fault_and_drift_as_well() {
    let mut monitor = monitor(r#"{"window_rows": 500}"#);
    let verdicts = show(&mut monitor, &mut Drawn::new(6), 500, Weather { strange: 0.3, ..CALM });
    let kind = verdicts[0].features.iter().find(|it| it.name == "kind").expect("kind");
    assert!(matches!(kind.faults[..], [QualityFault::NewCategories { .. }]), "{:?}", kind.faults);
    assert!(kind.judged && kind.drifted && kind.role == Role::Input);
    assert!(!verdicts[0].is_broken(), "a world that has changed is no broken pipeline");
}

#[test]
fn a_million_categories_have_room() {
    let mut monitor = monitor(r#"{"window_rows": 1000000}"#);
    let mut rows = Drawn::new(8);
    for _ in 0..20 {
        let verdicts = monitor.see(&rows.draw(50_000, Weather { strange: 1.0, ..CALM }), 0);
        assert!(verdicts.expect("rows").len() <= 1);
        let (_, panes, _) = monitor.standing().expect("it watches");
        for pane in panes.states() {
            let bytes = pane.features.iter().map(server_drift::FeatureState::bytes).max();
            assert!(bytes <= Some(server_drift::FEATURE_BYTES_MAX), "{bytes:?}");
        }
    }
}

#[test]
fn what_is_no_part_of_the_sample_does_not_count() {
    let mut monitor = monitor(r#"{"window_rows": 500}"#);
    show(&mut monitor, &mut Drawn::new(9), 1_500, Weather { trouble: true, ..CALM });
    assert_eq!(monitor.seen + monitor.left_out, 1_500);
    // Two of three succeed, of those four of five are of the sample, and six of seven are no replays.
    assert!((645..=725).contains(&monitor.seen), "{}", monitor.seen);
}

#[test]
fn a_reference_is_learned_and_said_to_be() {
    let learns = plan(r#"{"learn_rows": 1000, "window_rows": 500, "false_alarm_windows": 720}"#);
    let mut monitor = Monitor::new("m", learns, None).expect("a monitor");
    let mut rows = Drawn::new(10);
    assert!(show(&mut monitor, &mut rows, 999, CALM).is_empty());
    assert!(monitor.basis().is_none(), "one is missing");
    assert_eq!(monitor.progress(), (999, 1_000));
    let verdicts = show(&mut monitor, &mut rows, 1_001, CALM);
    let basis = monitor.basis().expect("learned");
    assert_eq!((basis.source, basis.rows), (Source::Learned, 1_000));
    let names: Vec<&str> = basis.columns.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(names, ["in.x", "in.kind", "out.y"]);
    assert_eq!((verdicts.len(), alarms(&verdicts)), (2, 0));
    let drifted = show(&mut monitor, &mut rows, 500, Weather { shift: 1.0, ..CALM });
    assert_eq!(alarms(&drifted), 1);
}

#[test]
fn fixed_thresholds_go_by_the_share_of_features() {
    let text = |share| {
        format!(
            r#"{{"window_rows": 500, "test": "psi", "threshold": 0.2, "drift_share": {share}}}"#
        )
    };
    for (share, expect) in [(0.5, true), (0.6, false)] {
        let mut monitor = monitor(&text(share));
        let weather = Weather { shift: 1.0, ..CALM };
        let verdicts = show(&mut monitor, &mut Drawn::new(11), 500, weather);
        assert_eq!(verdicts[0].drift.dataset.drifted, 1, "of two");
        assert_eq!(verdicts[0].drift.is_alarm, expect, "from {share} on");
    }
}

/// Nobody may take for unchanged what the test cannot see.
#[test]
fn what_a_fixed_test_says_nothing_of_is_not_judged() {
    let weather = Weather { shift: 1.5, ..CALM };
    // Of x, which is numbers, of kind, which is three words, and of y, which is one of two numbers.
    for (test, expect) in [
        ("ks", [true, false, false]),
        ("wasserstein", [true, false, false]),
        ("z", [false, false, true]),
        ("chisquare", [false, true, true]),
        ("tvd", [false, true, true]),
        ("linf", [false, true, true]),
        ("psi", [true; 3]),
        ("default", [true; 3]),
    ] {
        let text = format!(r#"{{"window_rows": 500, "test": "{test}"}}"#);
        let mut monitor = monitor(&text);
        let rule = monitor.plan().rule;
        let basis = monitor.basis().expect("it watches").clone();
        let verdicts = show(&mut monitor, &mut Drawn::new(14), 500, weather);
        let judged: Vec<bool> = verdicts[0].features.iter().map(|it| it.judged).collect();
        assert_eq!(judged, expect, "{test}");
        let noted = verdicts[0].features.iter().map(|it| it.note.is_none());
        assert_eq!(noted.collect::<Vec<bool>>(), expect, "{test}: why is said");
        let names = ["in.x", "in.kind", "out.y"].into_iter().zip(expect);
        let mute: Vec<&str> = names.filter(|it| !it.1).map(|it| it.0).collect();
        assert_eq!(basis.unjudged(&rule), mute, "{test}: known beforehand");
        let inputs = verdicts[0].drift.dataset;
        assert_eq!(inputs.columns, expect[..2].iter().filter(|it| **it).count(), "{test}");
        // x has shifted, and where it alone is judged all of what is judged has.
        assert_eq!(verdicts[0].drift.is_alarm, expect[0], "{test}: {inputs:?}");
        assert_eq!(verdicts[0].predictions.is_alarm, expect[2], "{test}");
    }
}

/// The reference is longer than what a profile keeps of it, as it mostly is.
#[test]
fn how_a_window_was_judged_is_told() {
    use Method::{Binned, Exact, Sketch};
    for (rows, test, expect, judged_by) in [
        (1_000, "ks", Sketch, [Sketch, Exact]),
        (1_000, "psi", Sketch, [Binned, Exact]),
        (4_000, "ks", Binned, [Binned, Exact]),
        (4_000, "psi", Binned, [Binned, Exact]),
    ] {
        let mut monitor = monitor(&format!(r#"{{"window_rows": {rows}, "test": "{test}"}}"#));
        let weather = Weather { shift: 1.0, ..CALM };
        let verdicts = show(&mut monitor, &mut Drawn::new(17), rows, weather);
        let features = &verdicts[0].features;
        let x = &features[0].evidence;
        assert_eq!((x.method, features[1].evidence.method), (expect, Exact), "{rows} {test}");
        let within = x.within.expect("it is not exact").ks_statistic;
        assert!(if expect == Sketch { within < 0.001 } else { within < 0.016 }, "{within}");
        let scores = features.iter().take(2).filter_map(|it| it.score.as_ref());
        let methods: Vec<Method> = scores.map(|it| it.method).collect();
        assert_eq!(methods, judged_by, "{rows} {test}");
        assert_eq!(verdicts[0].drift.alarms[0].method, judged_by[0]);
    }
}

#[test]
fn a_clock_that_jumps_ends_one_window() {
    let mut monitor = monitor(r#"{"window_s": 100}"#);
    let mut rows = Drawn::new(12);
    let before = rows.draw(50, CALM);
    let mut ahead = Drawn::new(13);
    ahead.skip(1_000_000);
    let ahead = ahead.draw(10, CALM);
    let mut counts = Vec::new();
    for batch in [before, ahead, rows.draw(40, CALM)] {
        counts.push(monitor.see(&batch, 0).expect("rows").len());
    }
    assert_eq!(counts, [0, 1, 0], "once, and going back ends none");
}

/// Windows with an alarm where nothing drifts, through everything that decides.
fn false_alarms(windows: usize, rows: usize, between: f64) -> usize {
    let mut count = 0;
    let text = format!(r#"{{"window_rows": {rows}, "false_alarm_windows": {between}}}"#);
    let mut drawn = Drawn::new(rows as u64);
    for seed in 0..windows.div_ceil(10) {
        let basis = basis(1_000 + seed as u64, 5_000);
        let mut monitor = Monitor::new("m", plan(&text), Some(basis)).expect("a monitor");
        for _ in 0..10.min(windows - 10 * seed) {
            count += alarms(&monitor.see(&drawn.draw(rows, CALM), 0).expect("rows"));
        }
    }
    count
}

#[test]
fn false_alarms_are_as_rare_as_was_asked_for() {
    for rows in [100, 300] {
        let count = false_alarms(200, rows, 20.0);
        assert!(
            count <= most(10.0),
            "{count} alarms in 200 windows of {rows} rows, one in 20 asked"
        );
    }
}

#[test]
#[ignore = "takes minutes: `make test-long` runs it"]
fn false_alarms_are_as_rare_as_was_asked_for_in_many_windows() {
    for between in [20.0, 100.0, 720.0] {
        for rows in [100, 300, 1_000, 10_000] {
            let count = false_alarms(1_000, rows, between);
            eprintln!("{count} of 1000 windows of {rows} rows, one in {between} asked for");
            assert!(count <= most(1_000.0 / between), "{count}, {rows} rows, one in {between}");
        }
    }
}
