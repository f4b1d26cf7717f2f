//! Candidates that are as good take over; those that are not go back by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::house::{House, PATIENCE, put};

const STABLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
/// Both are there, and the file wants the first: only a rollout wants the second.
const SETTINGS: &str = "version_policy = { specific = [1] }\n";

/// Quick steps, and little to prove.
fn plan() -> Value {
    json!({
        "steps": "10,50,100", "step_requests_min": 100, "step_duration_s_min": 0,
        "duration_s_max": 600, "shadow_rows": 20, "shadow_percent": "100", "latency": false,
        "error_rate_ok": 0.2, "rollback_window_s": 600,
    })
}

struct Bench {
    house: Arc<House>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Bench {
    /// A server with the two versions, and callers that ask for none. Every fifth row holds a 13.
    async fn new(candidate: &str, state: Option<std::path::PathBuf>) -> Bench {
        let files =
            [("m/model.toml", SETTINGS), ("m/1/model.fake", STABLE), ("m/2/model.fake", candidate)];
        let house = House::with(&files, |args| {
            args.rollout_interval_ms = Some(10);
            args.state = state;
        });
        let mut bench =
            Bench { house: Arc::new(house.await), stop: Arc::default(), callers: Vec::new() };
        bench.call();
        bench
    }

    fn call(&mut self) {
        for _ in 0..4 {
            let (house, stop) = (Arc::clone(&self.house), Arc::clone(&self.stop));
            self.callers.push(tokio::spawn(async move {
                let (mut client, mut turn) = (house.http().await, 0_u32);
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let first = if turn.is_multiple_of(5) { 13.0 } else { 1.0 };
                    client.infer("m", &[[first, 2.0]]).await;
                }
            }));
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.house.http().await.send(method, path, body).await;
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    async fn start(&self, plan: &Value) -> Value {
        let body = json!({ "to": 2, "plan": plan });
        let (status, view) = self.ask(Method::POST, "/v2/models/m/rollout", &body).await;
        assert_eq!(status, StatusCode::OK, "{view}");
        view
    }

    async fn view(&self) -> Value {
        self.ask(Method::GET, "/v2/models/m/rollout", &Value::Null).await.1
    }

    /// Waits until the rollout is in a state of that name.
    async fn becomes(&self, state: &str) -> Value {
        self.until(|view| view["state"]["name"] == state).await
    }

    /// The same, of the rollout to that version.
    async fn comes(&self, version: u64, state: &str) -> Value {
        self.until(|view| view["canary"] == version && view["state"]["name"] == state).await
    }

    async fn until(&self, done: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let view = self.view().await;
                if done(&view) {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        match waited {
            Ok(view) => view,
            Err(_) => panic!("{:#}", self.view().await),
        }
    }

    /// Which version answers.
    async fn answers(&self) -> String {
        let (_, text) = self.house.http().await.infer("m", &[[1.0, 2.0]]).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["model_version"].as_str().unwrap_or_default().to_owned()
    }

    /// Requests that the version has answered.
    fn served(&self, version: u64) -> u64 {
        let table = self.house.server().serving().table();
        let found = table.servables().find(|it| it.version().0 == version);
        found.map_or(0, |it| it.counts().requests)
    }

    /// Returns when the server is gone: the next may open the same state.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for it in self.callers {
            it.await.expect("the caller lives");
        }
        Arc::into_inner(self.house).expect("nobody else has it").stop(PATIENCE).await;
    }
}

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
        assert_eq!(bench.answers().await, "1");
        bench.end().await;
    }
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
