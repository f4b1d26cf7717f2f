use super::*;

/// A point out of the words `engine instances×threads/batch callers rows/s p99-ms`.
fn point(text: &str) -> Point {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [engine, shape, callers, rows_per_s, p99_ms] = words[..] else { panic!("{text}") };
    let engine = ["onnxruntime", "tract"].into_iter().find(|it| *it == engine).expect("an engine");
    let (instances, rest) = shape.split_once('×').expect("instances");
    let (threads, batch) = rest.split_once('/').expect("threads");
    let number = |it: &str| it.parse::<usize>().expect("a number");
    let setting = Setting {
        engine,
        instances: number(instances),
        threads: number(threads),
        batch: (batch != "-").then(|| number(batch)),
    };
    let failure = (p99_ms == "failed").then(|| Failure("no".to_owned()));
    let p99 = Duration::from_millis(p99_ms.parse().unwrap_or(0));
    let rows_per_s: f64 = rows_per_s.parse().expect("a number");
    let answers = if rows_per_s > 0.0 { 100 } else { 0 };
    let concurrency = number(callers);
    Point { setting, concurrency, answers, rows_per_s, p50: p99 / 2, p99, failure }
}

fn points(lines: &[&str]) -> Vec<Point> {
    lines.iter().map(|it| point(it)).collect()
}

/// The goal is 10 ms.
#[track_caller]
fn check(lines: &[&str], expect: Choice) {
    assert_eq!(choose(&points(lines), Duration::from_millis(10)), expect, "{lines:#?}");
}

#[test]
fn the_most_within_the_goal_is_best() {
    let slow = "tract 1×1/8 1 500 5";
    check(&[slow, "onnxruntime 1×1/8 4 900 10", "onnxruntime 1×1/8 8 2000 11"], Choice::Best(1));
    check(&[slow, "onnxruntime 2×1/32 4 900 3"], Choice::Best(1));
    check(&["onnxruntime 1×1/8 4 900 failed", slow], Choice::Best(1));
    check(&["onnxruntime 1×1/8 4 0 0", slow], Choice::Best(1));
}

#[test]
fn of_what_is_alike_the_smaller_is_best() {
    let large = "onnxruntime 2×1/32 16 1000 5";
    check(&[large, "onnxruntime 1×1/32 16 971 9"], Choice::Best(1));
    check(&[large, "onnxruntime 1×1/32 16 969 1"], Choice::Best(0));
    check(&[large, "onnxruntime 2×1/8 16 980 5"], Choice::Best(1));
    check(&[large, "onnxruntime 2×1/32 8 980 5"], Choice::Best(1));
    check(&[large, "onnxruntime 1×2/32 16 1000 5"], Choice::Best(1));
    check(&[large, "tract 2×1/32 16 1001 5"], Choice::Best(0));
    check(&["onnxruntime 1×1/- 4 100 5", "onnxruntime 1×1/- 2 99 5"], Choice::Best(1));
    // What is alike to the best counts, not what is alike to its neighbour.
    check(&[large, "onnxruntime 2×1/8 16 980 5", "onnxruntime 1×1/1 1 960 5"], Choice::Best(1));
}

#[test]
fn without_any_within_the_goal_the_nearest_is_told() {
    let far = "tract 1×1/8 1 500 50";
    check(&[far, "onnxruntime 1×1/8 1 100 11", "onnxruntime 1×1/8 2 100 12"], Choice::Closest(1));
    check(&[far, "onnxruntime 1×1/8 1 100 failed"], Choice::Closest(0));
    check(&["onnxruntime 1×1/8 1 0 failed"], Choice::Nothing);
    check(&["onnxruntime 1×1/8 1 0 0"], Choice::Nothing);
    check(&[], Choice::Nothing);
}

#[test]
fn the_climb_ends_where_nothing_is_to_be_found() {
    let check = |lines: &[&str], expect: bool| {
        assert_eq!(climbs(&points(lines), Duration::from_millis(10)), expect, "{lines:?}");
    };
    let at = |rows_per_s: u32, ms: u32| format!("tract 1×1/8 1 {rows_per_s} {ms}");
    let lines = |it: &[(u32, u32)]| it.iter().map(|it| at(it.0, it.1)).collect::<Vec<_>>();
    let check_at = |it: &[(u32, u32)], expect| {
        let lines = lines(it);
        check(&lines.iter().map(String::as_str).collect::<Vec<_>>(), expect);
    };
    check_at(&[], true);
    check_at(&[(100, 1)], true);
    check_at(&[(100, 20)], true); // once may be chance
    check_at(&[(100, 20), (200, 20)], false);
    check_at(&[(100, 1), (200, 20)], true);
    check_at(&[(100, 1), (200, 20), (400, 20)], false);
    check_at(&[(100, 20), (200, 1), (400, 20)], true);
    check_at(&[(100, 1), (101, 1), (102, 2)], false);
    check_at(&[(100, 1), (101, 1), (110, 2)], true);
    check_at(&[(100, 1), (150, 1), (100, 1)], true);
    check(&["tract 1×1/8 1 0 failed"], false);
}
