use super::*;

const ENGINES: [&str; 3] = ["onnxruntime", "tract", "openvino"];

fn product(engines: usize, threads: &[(usize, usize)], batches: &[usize]) -> Vec<Setting> {
    let mut settings = Vec::new();
    for engine in &ENGINES[..engines] {
        for &(instances, threads) in threads {
            for &batch in batches {
                settings.push(Setting { engine, instances, threads, batch: Some(batch) });
            }
        }
    }
    settings
}

/// Searches with rows/s by a formula; settings without any cannot be loaded. The tried settings in
/// order, and the last word.
#[track_caller]
fn check(settings: &[Setting], rows_per_s: impl Fn(&Setting) -> f64, expect: &[&str]) {
    let goal = Duration::from_millis(10);
    let mut tried: Vec<Tried> = Vec::new();
    while let Some(setting) = next(settings, &tried, goal) {
        let rows_per_s = rows_per_s(&setting);
        let point = Point {
            setting,
            concurrency: 1,
            answers: 100,
            rows_per_s,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            failure: None,
        };
        let loads = rows_per_s > 0.0;
        let points = if loads { vec![point] } else { Vec::new() };
        let unloadable = (!loads).then(|| "no".to_owned());
        tried.push(Tried { setting, unloadable, points });
        assert!(tried.len() <= most(settings), "no more than was said");
    }
    let word = |it: &Tried| {
        let Setting { engine, instances, threads, batch } = it.setting;
        format!("{engine} {instances}×{threads}/{}", batch.unwrap_or(0))
    };
    assert_eq!(tried.iter().map(word).collect::<Vec<_>>(), expect);
}

#[test]
fn one_thing_is_varied_at_a_time() {
    let settings = product(3, &[(1, 1), (1, 2), (2, 1)], &[1, 8, 32]);
    // openvino wins with two threads and a batch of 8.
    let rows_per_s = |it: &Setting| {
        let engine = if it.engine == "openvino" { 300.0 } else { 100.0 };
        engine * it.threads as f64 * if it.batch == Some(8) { 2.0 } else { 1.0 }
    };
    let expect = [
        "onnxruntime 2×1/32",
        "tract 2×1/32",
        "openvino 2×1/32",
        "openvino 1×1/32",
        "openvino 1×2/32",
        "openvino 1×2/1",
        "openvino 1×2/8",
        "onnxruntime 1×2/8",
        "tract 1×2/8",
    ];
    check(&settings, rows_per_s, &expect);
}

#[test]
fn everything_is_tried_where_that_takes_no_longer() {
    let settings = product(2, &[(1, 1)], &[1, 8]);
    let expect = ["onnxruntime 1×1/1", "onnxruntime 1×1/8", "tract 1×1/1", "tract 1×1/8"];
    check(&settings[..3], |_| 1.0, &expect[..3]);
    check(&product(1, &[(1, 1)], &[4]), |_| 1.0, &["onnxruntime 1×1/4"]);
    check(&[], |_| 1.0, &[]);
}

#[test]
fn an_engine_that_cannot_load_the_model_is_tried_once() {
    let settings = product(2, &[(1, 1), (1, 2), (2, 1)], &[1, 8, 32]);
    let only_tract = |it: &Setting| if it.engine == "tract" { 1.0 } else { 0.0 };
    let mut tract: Vec<Setting> = settings.clone();
    tract.retain(|it| it.engine != "tract" || it.threads == 1);
    let expect =
        ["onnxruntime 2×1/32", "tract 2×1/32", "tract 1×1/32", "tract 1×1/1", "tract 1×1/8"];
    check(&tract, only_tract, &expect);
    check(&settings, |_| 0.0, &["onnxruntime 2×1/32", "tract 2×1/32"]);
}
