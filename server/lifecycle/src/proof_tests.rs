use crate::house::{constant, house};

fn golden(y: u32) -> String {
    let tensor = |name: &str, value: u32| {
        format!("{{\"name\":\"{name}\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[{value}]}}")
    };
    let (x, y) = (tensor("x", 0), tensor("y", y));
    format!("{{\"request\":{{\"inputs\":[{x}]}},\"response\":{{\"outputs\":[{y}]}}}}\n")
}

/// Puts a version there whose files come to be all at once.
fn put_version(house: &crate::house::House, files: &[(&str, &str)]) {
    for (path, content) in files {
        house.put(&format!(".next/{path}"), content);
    }
    std::fs::rename(house.root.path().join(".next"), house.root.path().join("m/2")).expect("moved");
}

#[tokio::test]
async fn a_version_that_answers_otherwise_leaves_the_old_one_serving() {
    let house = house(&[
        ("m/1/model.fake", &constant(1)),
        ("m/1/golden.jsonl", &golden(1)),
        ("m/model.toml", "[proof]\ngolden = \"golden.jsonl\"\n"),
    ]);
    house.shows("m/1:AVAILABLE").await;
    put_version(&house, &[("model.fake", &constant(2)), ("golden.jsonl", &golden(1))]);
    house.shows("m/1:AVAILABLE m/2:END").await;
    let reason = house.reason(2);
    assert!(reason.contains("line 1, output 'y'[0]: expected 1, got 2"), "{reason}");
    assert_eq!(house.ask("").await, Ok(1.0));
    // With other records it is another content, and tried again.
    house.put("m/2/golden.jsonl", &golden(2));
    house.shows("m/1:END m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(2.0));
    let table = house.serving.table();
    let servable = table.model("m").and_then(|it| it.ready().last()).expect("answers");
    let facts = &servable.plan().facts;
    assert_eq!(
        facts.get("proof.golden").map(String::as_str),
        Some("1 requests, 1 elements, 0 off, largest difference 0.000e0")
    );
}

#[tokio::test]
async fn records_of_the_model_hold_for_every_version() {
    let house = house(&[("m/1/model.fake", &constant(1)), ("m/golden.jsonl", &golden(1))]);
    house.shows("m/1:AVAILABLE").await;
    put_version(&house, &[("model.fake", &constant(2))]);
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert!(house.reason(2).starts_with("golden.jsonl: answers are not as recorded"));
}

#[tokio::test]
async fn a_version_that_is_much_slower_leaves_the_old_one_serving() {
    // A run that sleeps is never shorter than that, and may be longer without harm.
    let toml = "[proof]\nlatency_ms_max = 60000\nlatency_runs = 1\n";
    let house = house(&[("m/1/model.fake", &constant(1)), ("m/model.toml", toml)]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/model.toml", "[proof]\nlatency_ms_max = 20\nlatency_runs = 1\n[warmup]\nbatch_sizes = []\n[dynamic_batching]\nprobe_rows = false\n");
    put_version(&house, &[("model.fake", &format!("{}run_us 40000\n", constant(2)))]);
    house.says(2, |it| it.contains("ms (median of up to 1), and proof.latency_ms_max is 20")).await;
    assert_eq!(house.ask("").await, Ok(1.0));
}

#[tokio::test]
async fn a_folder_of_python_alone_says_what_is_needed() {
    let card = "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n";
    let house = house(&[("m/1/MLmodel", card)]);
    house.shows("m/1:END").await;
    house
        .says(1, |it| {
            it.starts_with("MLmodel has no flavor that is served here, only python_function")
        })
        .await;
    house.put("m/1/model.fake", &constant(1));
    house.shows("m/1:AVAILABLE").await;
}

const OTHER: &str = "input x FP32 rows,1\noutput z FP32 rows,1 = constant 2\n";

#[tokio::test]
async fn a_version_of_another_signature_leaves_the_old_one_serving() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", OTHER);
    house.shows("m/1:AVAILABLE m/2:END").await;
    let reason = house.reason(2);
    let (found, served) = ("z FP32 [rows,1]", "that of version 1, which answers, is");
    assert!(reason.contains(found) && reason.contains(served), "{reason}");
    assert!(reason.contains("proof.same_signature = false"), "{reason}");
    assert_eq!(house.ask("").await, Ok(1.0));
    // One of the same signature takes over all the same.
    house.put("m/3/model.fake", &constant(3));
    house.shows("m/1:END m/2:END m/3:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(3.0));
    // New content of the number that serves is no less another version.
    house.put("m/3/model.fake", OTHER);
    house.shows("m/1:END m/2:END m/3:AVAILABLE m/3:END").await;
    assert_eq!(house.ask("").await, Ok(3.0));
    house.put("m/model.toml", "[proof]\nsame_signature = false\n");
    house.shows("m/1:END m/2:END m/3:AVAILABLE").await;
    let table = house.serving.table();
    let servable = table.model("m").and_then(|it| it.ready().last()).expect("answers");
    assert_eq!(&*servable.signature().outputs[0].name, "z");
}

#[tokio::test]
async fn versions_that_stand_side_by_side_may_differ() {
    for (more, expect) in [
        ("", "m/1:AVAILABLE m/2:AVAILABLE"),
        ("[proof]\nsame_signature = true\n", "m/1:AVAILABLE m/2:END"),
    ] {
        let toml = format!("version_policy = {{ latest = 2 }}\n{more}");
        let house = house(&[("m/1/model.fake", &constant(1)), ("m/model.toml", &toml)]);
        house.shows("m/1:AVAILABLE").await;
        house.put("m/2/model.fake", OTHER);
        house.shows(expect).await;
    }
}

#[tokio::test]
async fn what_is_known_of_the_same_files_is_no_other_signature() {
    // It declares seven numbers where there are as many as were asked for: runs tell. Without them it is believed.
    let script = "input x FP32 rows,n\noutput y FP32 rows,7 = copy x\n";
    let house = house(&[("m/1/model.fake", script)]);
    house.shows("m/1:AVAILABLE").await;
    let output = || {
        let table = house.serving.table();
        let servable = table.model("m").and_then(|it| it.ready().last().cloned());
        servable.map(|it| it.signature().outputs[0].to_string()).unwrap_or_default()
    };
    assert_eq!(output(), "y FP32 [rows,?]");
    let mut changes = house.lifecycle.changes();
    house.put("m/model.toml", "[warmup]\nbatch_sizes = []\n");
    while output() != "y FP32 [rows,7]" {
        assert!(!house.shown().contains("END"), "{}", house.reason(1));
        changes.changed().await.expect("the manager lives");
    }
}
