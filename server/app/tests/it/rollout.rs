//! Candidates that are as good take over; those that are not go back by themselves.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bench::{Bench, STABLE, plan};
use crate::house::{House, PATIENCE, put};

fn causes(view: &Value) -> Vec<Value> {
    let evidence = view["evidence"].as_array().expect("a list");
    evidence.iter().map(|it| it["cause"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_as_good_takes_over() {
    let bench = Bench::new(STABLE, None).await;
    assert_eq!(bench.answers().await, "1");
    bench.start(&plan()).await;
    let view = bench.becomes("promoted").await;
    assert_eq!(bench.answers().await, "2");
    let verdicts: Vec<&Value> =
        view["evidence"].as_array().expect("a list").iter().map(|it| &it["verdict"]).collect();
    let advanced = &json!("advanced");
    let expect = [advanced, advanced, advanced, advanced, &json!("promoted")];
    assert_eq!(verdicts, expect, "validating, shadow, 10, 50, all: {view:#}");
    assert!(view["counts"]["pairs"]["pairs"].as_u64() >= Some(20), "{view:#}");
    // The old version is kept, and one word brings it back.
    let (status, view) = bench.ask(Method::POST, "/v2/models/m/rollout/abort", &Value::Null).await;
    assert_eq!((status, &view["state"]["name"]), (StatusCode::OK, &json!("rolled_back")));
    assert_eq!(bench.answers().await, "1");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_goes_back() {
    let bench = Bench::new(&format!("{STABLE}on 13 fail\n"), None).await;
    let mut plan = plan();
    plan["shadow_rows"] = json!(0);
    bench.start(&plan).await;
    let view = bench.becomes("rolled_back").await;
    assert_eq!(causes(&view).last(), Some(&json!({ "guard": "errors" })), "{view:#}");
    assert_eq!(bench.answers().await, "1");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_on_copies_is_never_seen() {
    let bench = Bench::new(&format!("{STABLE}on 13 fail\n"), None).await;
    let mut plan = plan();
    plan["shadow_rows"] = json!(1_000_000);
    bench.start(&plan).await;
    let view = bench.becomes("rolled_back").await;
    assert_eq!(causes(&view).last(), Some(&json!({ "guard": "errors" })), "{view:#}");
    assert_eq!(bench.served(2), 0, "nobody was answered by it");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_answers_nonsense_goes_back_at_once() {
    let nonsense = "input x FP32 rows,2\noutput y FP32 rows,2 = constant NaN\n";
    let bench = Bench::new(nonsense, None).await;
    bench.start(&plan()).await;
    let view = bench.becomes("rolled_back").await;
    let cause = causes(&view).last().cloned().unwrap_or_default();
    assert_eq!(cause["fault"]["kind"], "non_finite", "{view:#}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_slow_goes_back() {
    let slow = format!("{STABLE}run_us 30000\n");
    let bench = Bench::new(&slow, None).await;
    let mut plan = plan();
    (plan["latency"], plan["shadow_rows"]) = (json!(true), json!(0));
    bench.start(&plan).await;
    let view = bench.becomes("rolled_back").await;
    assert_eq!(causes(&view).last(), Some(&json!({ "guard": "latency" })), "{view:#}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_loaded_or_is_another_model_goes_back() {
    for (candidate, kind) in [
        ("nonsense", "load_failed"),
        ("input x FP32 rows,3\noutput y FP32 rows,3 = double x\n", "signature_changed"),
    ] {
        let bench = Bench::new(candidate, None).await;
        bench.start(&plan()).await;
        let view = bench.becomes("rolled_back").await;
        let cause = causes(&view).last().cloned().unwrap_or_default();
        assert_eq!(cause["fault"]["kind"], kind, "{view:#}");
        if kind == "signature_changed" {
            let expect =
                "x FP32 [rows,3] -> y FP32 [rows,3] instead of x FP32 [rows,2] -> y FP32 [rows,2]";
            assert_eq!(cause["fault"]["reason"], expect, "{view:#}");
        }
        assert_eq!(bench.answers().await, "1");
        bench.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_names_of_free_axes_are_no_other_model() {
    let script =
        |axis: &str| format!("input x FP32 rows,{axis}\noutput y FP32 rows,{axis} = double x\n");
    let bench = Bench::of([&script("width"), &script("columns")], None).await;
    bench.start(&plan()).await;
    bench.becomes("promoted").await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_has_the_last_word() {
    let bench = Bench::new(STABLE, None).await;
    let post = async |path: &str| {
        bench.ask(Method::POST, &format!("/v2/models/m/rollout{path}"), &Value::Null).await
    };
    assert_eq!(post("/hold").await.0, StatusCode::NOT_FOUND, "there is none");
    let (status, error) = post("").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["error"], "to: expected the number of the version to roll out, from 1");
    let bad = json!({ "to": 2, "plan": { "steps": "50,5,100" } });
    let (status, error) = bench.ask(Method::POST, "/v2/models/m/rollout", &bad).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        error["error"].as_str().is_some_and(|it| it.contains("steps: 5 % after 50 %")),
        "{error}"
    );
    let mut plan = plan();
    plan["step_requests_min"] = json!(1_000_000_000);
    bench.start(&plan).await;
    let (status, error) =
        bench.ask(Method::POST, "/v2/models/m/rollout", &json!({ "to": 2 })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "one at a time: {error}");
    bench.becomes("running").await;
    assert_eq!(post("/hold").await.1["state"]["name"], "held");
    assert_eq!(post("/hold").await.0, StatusCode::BAD_REQUEST, "it is held already");
    assert_eq!(post("/resume").await.1["state"]["name"], "running");
    assert_eq!(post("/abort").await.1["state"]["name"], "rolled_back");
    bench.start(&plan).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_survives_a_restart() {
    let state = tempfile::tempdir().expect("scratch");
    let folder = Some(state.path().to_path_buf());
    let bench = Bench::new(STABLE, folder.clone()).await;
    let mut long = plan();
    long["step_requests_min"] = json!(1_000_000_000);
    bench.start(&long).await;
    let wait = async {
        while bench.view().await["weight"] != "10" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes to its first split");
    bench.end().await;
    let bench = Bench::new(STABLE, folder).await;
    let view = bench.view().await;
    assert_eq!((&view["state"]["name"], &view["weight"]), (&json!("running"), &json!("10")));
    let versions = async {
        let mut seen = [false; 2];
        while seen != [true; 2] {
            seen[usize::from(bench.answers().await == "2")] = true;
        }
    };
    tokio::time::timeout(PATIENCE, versions).await.expect("both versions answer");
    let audit = std::fs::read_to_string(state.path().join("audit.jsonl")).expect("a log");
    let decisions = audit.lines().filter(|it| it.contains("\"verdict\"")).count();
    assert!(decisions >= 3, "{audit}");
    bench.end().await;
}

/// A model whose file asks for rollouts, with version 1, callers, and perhaps a second version.
async fn declared(state: Option<std::path::PathBuf>, second: Option<&str>) -> Bench {
    let settings = "[rollout]\nsteps = '10,50,100'\nstep_requests_min = 100\nstep_duration_s_min = 0\n\
                    shadow_rows = 20\nshadow_percent = '100'\nlatency = false\nerror_rate_ok = 0.2\n";
    let mut files = vec![("m/model.toml", settings), ("m/1/model.fake", STABLE)];
    files.extend(second.map(|it| ("m/2/model.fake", it)));
    let house = House::with(&files, |args| {
        args.rollout_interval_ms = Some(10);
        args.state = state;
    });
    let mut bench =
        Bench { house: Arc::new(house.await), stop: Arc::default(), callers: Vec::new() };
    bench.call();
    bench
}

impl Bench {
    fn arrives(&self, version: u64, content: &str) {
        put(self.house.root.path(), &format!("m/{version}/model.fake"), content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_is_rolled_out_where_the_file_says_so() {
    let bench = declared(None, None).await;
    assert_eq!(bench.answers().await, "1");
    bench.arrives(2, STABLE);
    let view = bench.comes(2, "promoted").await;
    assert_eq!(view["declared"], true);
    assert_eq!(bench.answers().await, "2");
    // The old version is let go when the next comes; one that is worse goes back to the second.
    bench.arrives(3, &format!("{STABLE}on 13 fail\n"));
    let view = bench.comes(3, "rolled_back").await;
    assert_eq!(view["stable"], 2);
    assert_eq!(bench.answers().await, "2");
    // Mended in place it is tried again.
    bench.arrives(3, STABLE);
    bench.comes(3, "promoted").await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_taken_away_goes_back() {
    let bench = declared(None, None).await;
    bench.arrives(2, STABLE);
    bench.comes(2, "promoted").await;
    std::fs::remove_dir_all(bench.house.root.path().join("m/2")).expect("removed");
    let view = bench.comes(2, "rolled_back").await;
    assert_eq!(causes(&view).last(), Some(&json!("withdrawn")), "{view:#}");
    assert_eq!(bench.answers().await, "1");
    bench.end().await;
}

/// With the section goes the wish for rollouts; what has begun must not promote what nobody wants any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_wants_another_version_ends_what_it_began() {
    let bench = declared(None, None).await;
    let file = |text: &str| put(bench.house.root.path(), "m/model.toml", text);
    file(
        "[rollout]\nsteps = '10,100'\nstep_requests_min = 1000000000\nshadow_rows = 0\nlatency = false\n",
    );
    bench.arrives(2, STABLE);
    let in_canary =
        |view: &Value| view["canary"] == 2 && view["state"]["phase"]["canary"].is_object();
    bench.until(in_canary).await;
    file("version_policy = { specific = [1] }\n");
    let view = bench.comes(2, "rolled_back").await;
    assert_eq!(causes(&view).last(), Some(&json!("withdrawn")), "{view:#}");
    assert_eq!(bench.answers().await, "1");
    bench.end().await;
}

/// What was rolled back is the newest there is, and must not be what a restart loads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rolled_back_stays_back_after_a_restart() {
    let state = tempfile::tempdir().expect("scratch");
    let folder = Some(state.path().to_path_buf());
    let bench = declared(folder.clone(), None).await;
    bench.arrives(2, "nonsense");
    bench.comes(2, "rolled_back").await;
    bench.end().await;
    // Other content than before: it is tried anew, and is not what serves meanwhile.
    let fails = format!("{STABLE}on 1 fail\non 13 fail\n");
    let bench = declared(folder, Some(&fails)).await;
    let view = bench.comes(2, "rolled_back").await;
    assert_eq!(view["stable"], 1, "{view:#}");
    assert_eq!(bench.answers().await, "1");
    assert_eq!(bench.served(2), 0, "nobody was answered by it");
    bench.end().await;
}

/// A model's file is all that counts for those that no rollout directs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_may_come_after_its_rollout_began() {
    let bench = Bench::new(STABLE, None).await;
    std::fs::remove_dir_all(bench.house.root.path().join("m/2")).expect("removed");
    let gone = async {
        let lifecycle = bench.house.server().lifecycle();
        while lifecycle.index().iter().any(|it| it.version == Some(server_base::Version(2))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("its end is seen");
    bench.start(&plan()).await;
    put(bench.house.root.path(), "m/2/model.fake", STABLE);
    bench.becomes("promoted").await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_switches_at_once_and_back() {
    let state = tempfile::tempdir().expect("scratch");
    let bench = Bench::new(STABLE, Some(state.path().to_path_buf())).await;
    let order = |version: Value| json!({ "version": version, "by": "anna", "reason": "a hotfix" });
    let (status, view) = bench.ask(Method::POST, "/v2/models/m/promote", &order(json!(2))).await;
    assert_eq!((status, &view["ordered"]), (StatusCode::OK, &json!(true)), "{view}");
    bench.becomes("promoted").await;
    let (_, text) = bench.ask(Method::POST, "/v2/models/m/promote", &order(json!(2))).await;
    assert!(text["error"].as_str().is_some(), "{text}");
    let back = json!({ "by": "bert", "reason": "it was none" });
    let (status, view) = bench.ask(Method::POST, "/v2/models/m/rollback", &back).await;
    assert_eq!((status, &view["state"]["name"]), (StatusCode::OK, &json!("rolled_back")), "{view}");
    let (status, again) = bench.ask(Method::POST, "/v2/models/m/rollback", &back).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{again}");
    let audit = std::fs::read_to_string(state.path().join("audit.jsonl")).expect("written");
    let lines = audit.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
    let orders: Vec<String> = lines
        .filter(|it| it["by"] == "anna" || it["by"] == "bert")
        .map(|it| format!("{} {} {} {}", it["event"], it["version"], it["reason"], it["result"]))
        .collect();
    let expect = [
        r#""promote" 2 "a hotfix" "begun""#,
        r#""promote" 2 "a hotfix" "refused""#,
        r#""rollback" 1 "it was none" "begun""#,
        r#""rollback" null "it was none" "refused""#,
    ];
    assert_eq!(orders, expect);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_told_a_rollout_what_is_written_down() {
    let state = tempfile::tempdir().expect("scratch");
    let bench = Bench::new(STABLE, Some(state.path().to_path_buf())).await;
    let mut plan = plan();
    plan["step_requests_min"] = json!(1_000_000_000);
    let start = json!({ "to": 2, "plan": plan, "by": "anna", "reason": "a better one" });
    let rollout = "/v2/models/m/rollout";
    assert_eq!(bench.ask(Method::POST, rollout, &start).await.0, StatusCode::OK);
    assert_eq!(bench.ask(Method::POST, rollout, &start).await.0, StatusCode::BAD_REQUEST);
    bench.until(|view| view["weight"] == "10").await;
    for verb in ["hold", "resume", "abort"] {
        let body = json!({ "by": "bert", "reason": verb });
        let (status, view) = bench.ask(Method::POST, &format!("{rollout}/{verb}"), &body).await;
        assert_eq!(status, StatusCode::OK, "{view}");
    }
    let long = json!({ "by": "b".repeat(201) });
    let (status, error) = bench.ask(Method::POST, &format!("{rollout}/hold"), &long).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["error"], "by: 201 characters, at most 200");
    let audit = std::fs::read_to_string(state.path().join("audit.jsonl")).expect("written");
    let lines: Vec<Value> =
        audit.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    let orders: Vec<String> = lines
        .iter()
        .filter(|it| it["by"] == "anna" || it["by"] == "bert")
        .map(|it| format!("{} {} {} {}", it["event"], it["version"], it["reason"], it["result"]))
        .collect();
    let expect = [
        r#""rollout_start" 2 "a better one" "begun""#,
        r#""rollout_start" 2 "a better one" "refused""#,
        r#""rollout_hold" 2 "hold" "begun""#,
        r#""rollout_resume" 2 "resume" "begun""#,
        r#""rollout_abort" 2 "abort" "begun""#,
    ];
    assert_eq!(orders, expect);
    // Decisions are told apart by what all lines have.
    let decisions: Vec<&Value> = lines.iter().filter(|it| it["event"] == "rollout").collect();
    assert!(decisions.len() >= 4, "{audit}");
    for it in decisions {
        let digest = it["digest"].as_str().unwrap_or_default();
        assert!(it["model"] == "m" && it["version"] == 2, "{it}");
        assert!(digest.starts_with("sha256:"), "{it}");
    }
    bench.end().await;
}
