//! A rollout on a bench: two versions, and callers that ask for none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::house::{House, PATIENCE};

pub(crate) const STABLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
/// Both are there, and the file wants the first: only a rollout wants the second.
pub(crate) const SETTINGS: &str = "version_policy = { specific = [1] }\n";

/// Quick steps, and little to prove.
pub(crate) fn plan() -> Value {
    json!({
        "steps": "10,50,100", "step_requests_min": 100, "step_duration_s_min": 0,
        "duration_s_max": 600, "shadow_rows": 20, "shadow_percent": "100", "latency": false,
        "error_rate_ok": 0.2, "rollback_window_s": 600,
    })
}

/// A server with two versions of one model, and those who ask it.
pub(crate) struct Bench {
    pub(crate) house: Arc<House>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) callers: Vec<JoinHandle<()>>,
}

impl Bench {
    /// The version that serves is `STABLE`. Every fifth row that is asked with holds a 13.
    pub(crate) async fn new(candidate: &str, state: Option<std::path::PathBuf>) -> Bench {
        Bench::of([STABLE, candidate], state).await
    }

    pub(crate) async fn of(
        [stable, candidate]: [&str; 2],
        state: Option<std::path::PathBuf>,
    ) -> Bench {
        let files =
            [("m/model.toml", SETTINGS), ("m/1/model.fake", stable), ("m/2/model.fake", candidate)];
        let house = House::with(&files, |args| {
            args.rollout_interval_ms = Some(10);
            args.state = state;
        });
        let mut bench =
            Bench { house: Arc::new(house.await), stop: Arc::default(), callers: Vec::new() };
        bench.call();
        bench
    }

    pub(crate) fn call(&mut self) {
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

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.house.http().await.send(method, path, body).await;
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    pub(crate) async fn start(&self, plan: &Value) -> Value {
        let body = json!({ "to": 2, "plan": plan });
        let (status, view) = self.ask(Method::POST, "/v2/models/m/rollout", &body).await;
        assert_eq!(status, StatusCode::OK, "{view}");
        view
    }

    pub(crate) async fn view(&self) -> Value {
        self.ask(Method::GET, "/v2/models/m/rollout", &Value::Null).await.1
    }

    /// Waits until the rollout is in a state of that name.
    pub(crate) async fn becomes(&self, state: &str) -> Value {
        self.until(|view| view["state"]["name"] == state).await
    }

    /// The same, of the rollout to that version.
    pub(crate) async fn comes(&self, version: u64, state: &str) -> Value {
        self.until(|view| view["canary"] == version && view["state"]["name"] == state).await
    }

    pub(crate) async fn until(&self, done: impl Fn(&Value) -> bool) -> Value {
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
    pub(crate) async fn answers(&self) -> String {
        let (_, text) = self.house.http().await.infer("m", &[[1.0, 2.0]]).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["model_version"].as_str().unwrap_or_default().to_owned()
    }

    /// Requests that the version has answered.
    pub(crate) fn served(&self, version: u64) -> u64 {
        let table = self.house.server().serving().table();
        let found = table.servables().find(|it| it.version().0 == version);
        found.map_or(0, |it| it.counts().requests)
    }

    /// Returns when the server is gone: the next may open the same state.
    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for it in self.callers {
            it.await.expect("the caller lives");
        }
        Arc::into_inner(self.house).expect("nobody else has it").stop(PATIENCE).await;
    }
}
