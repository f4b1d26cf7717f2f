//! A version whose model.toml has a `[drift]`: what it is asked is watched.

use std::path::Path;

use serde_json::Value;
use server_drift::profile::{FORMAT, distinct_rows};
use server_drift::random::Random;
use server_drift::{Feature, Kind, Profile, Role, Source, Values};

use crate::house::{DOUBLE, House, PATIENCE, message};

const FEATURES: &str = "max_batch_size = 100\n[log]\nfeatures = { x = [\"a\", \"b\"] }\n";

fn normal(random: &mut Random, shift: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "as a client sends it")]
    let value = (random.normal() + shift) as f32;
    value
}

fn rows(random: &mut Random, count: usize, shift: f64) -> Vec<[f32; 2]> {
    (0..count).map(|_| [normal(random, shift), normal(random, 0.0)]).collect()
}

/// What `salver profile` would make of 5,000 rows.
fn profile() -> String {
    let mut random = Random::new(7);
    let mut column = || -> Vec<f64> { (0..5_000).map(|_| random.normal()).collect() };
    let inputs = [("a", column()), ("b", column())];
    let output: Vec<f64> = inputs[0].1.iter().map(|it| 2.0 * it).collect();
    let all = [("a", Role::Input, inputs[0].1.clone()), ("b", Role::Input, inputs[1].1.clone())];
    let all = all.into_iter().chain([("y.0", Role::Output, output)]);
    let columns: Vec<(&str, Role, Values)> = all
        .map(|(name, role, values)| (name, role, Values::Numbers { values, whole: false }))
        .collect();
    let feature = |(name, role, values): &(&str, Role, Values)| {
        Feature::of(name, *role, values, Some(Kind::Numerical)).expect("values").expect("a profile")
    };
    let values: Vec<&Values> = columns.iter().map(|it| &it.2).collect();
    let profile = Profile {
        format: FORMAT,
        model: "m".to_owned(),
        source: Source::Data,
        rows: 5_000,
        distinct_rows: distinct_rows(&values),
        features: columns.iter().map(feature).collect(),
    };
    serde_json::to_string(&profile).expect("JSON")
}

/// A model of that name whose inputs are watched.
fn watched(model: &str, drift: &str) -> [(String, String); 3] {
    let path = |it: &str| format!("{model}/{it}");
    [
        (path("model.toml"), format!("{FEATURES}[drift]\n{drift}\n")),
        (path("1/profile.json"), profile()),
        (path("1/model.fake"), DOUBLE.to_owned()),
    ]
}

/// Serves a model of that name: series are the process's, so each test has its own.
async fn serve(log: &Path, model: &str, drift: &str) -> House {
    let files = watched(model, drift);
    let files = files.each_ref().map(|it| (it.0.as_str(), it.1.as_str()));
    logged(log, &files).await
}

async fn logged(log: &Path, files: &[(&str, &str)]) -> House {
    House::with(files, |args| {
        args.log.log_dir = Some(log.to_path_buf());
        args.log.log_roll_ms = Some(10);
    })
    .await
}

/// Asks for so many rows, a hundred at a time.
async fn ask((house, model): (&House, &str), random: &mut Random, count: usize, shift: f64) {
    let mut http = house.http().await;
    for _ in 0..count / 100 {
        let (status, answer) = http.infer(model, &rows(random, 100, shift)).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// What is shown once that is so.
async fn shown((house, model): (&House, &str), what: impl Fn(&Value) -> bool) -> Value {
    let mut http = house.http().await;
    let mut last = String::new();
    let wait = async {
        loop {
            let (status, text) = http.get(&format!("/v2/models/{model}/versions/1/drift")).await;
            assert_eq!(status, 200, "{text}");
            let view: Value = serde_json::from_str(&text).expect("JSON");
            last = text;
            if what(&view) {
                return view;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await;
    found.unwrap_or_else(|_| panic!("{last}"))
}

fn windows(view: &Value) -> usize {
    view["history"].as_array().map_or(0, Vec::len)
}

/// Which kinds were alarms, window by window.
fn alarms(view: &Value) -> Vec<String> {
    let history = view["history"].as_array().expect("a history");
    let kinds = ["drift", "prediction_drift", "quality"];
    let of = |window: &Value| {
        let alarmed = kinds.iter().filter(|it| window["found"][**it]["is_alarm"] == true);
        alarmed.copied().collect::<Vec<_>>().join(" ")
    };
    history.iter().map(of).collect()
}

const PLAN: &str = "window_rows = 500\nfalse_alarm_windows = 720";

#[tokio::test]
async fn drift_is_found_and_shown() {
    let log = tempfile::tempdir().expect("scratch");
    let house = serve(log.path(), "drifts", PLAN).await;
    let mut random = Random::new(1);
    ask((&house, "drifts"), &mut random, 1_000, 0.0).await;
    ask((&house, "drifts"), &mut random, 500, 1.0).await;
    // What is not a number comes in binary.
    let mut grpc = house.grpc().await;
    for _ in 0..5 {
        let broken: Vec<[f32; 2]> =
            rows(&mut random, 100, 0.0).into_iter().map(|[a, _]| [a, f32::NAN]).collect();
        grpc.model_infer(message("drifts", &broken)).await.expect("answered");
    }
    let view = shown((&house, "drifts"), |it| windows(it) == 4).await;
    assert_eq!(alarms(&view), ["", "", "drift prediction_drift", "quality"]);
    let told = &view["history"][2]["found"]["drift"];
    assert_eq!(told["subjects"], serde_json::json!(["in.a"]), "b is as it was");
    let words = view["history"][3]["found"]["quality"]["text"].as_str().expect("words");
    assert!(words.starts_with("in.b: 100.0 % of the rows are missing"), "{words}");
    assert_eq!(view["reference"]["absent"], serde_json::json!([]));

    let (status, all) = house.http().await.get("/v2/models/drifts/drift").await;
    let all: Value = serde_json::from_str(&all).expect("JSON");
    assert_eq!((status.as_u16(), &all["versions"][0]["version"]), (200, &1.into()));
    for (path, expect) in [
        ("/v2/models/n/drift", 404),
        ("/v2/models/drifts/versions/2/drift", 404),
        ("/v2/models/drifts/versions/x/drift", 400),
    ] {
        assert_eq!(house.http().await.get(path).await.0, expect, "{path}");
    }
    let (_, metrics) = house.metrics().await.get("/metrics").await;
    for line in [
        "salver_drift_alarms_total{model=\"drifts\",version=\"1\",kind=\"drift\"} 1",
        "salver_drift_alarm{model=\"drifts\",version=\"1\",kind=\"drift\"} 0",
        "salver_drift_alarm{model=\"drifts\",version=\"1\",kind=\"quality\"} 1",
        "salver_drift_windows_total{model=\"drifts\",version=\"1\"} 4",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn a_restart_goes_on_with_the_window() {
    let log = tempfile::tempdir().expect("scratch");
    let mut random = Random::new(2);
    let mut house = serve(log.path(), "restarts", PLAN).await;
    ask((&house, "restarts"), &mut random, 300, 0.0).await;
    assert!(house.stop(PATIENCE).await, "everything was written down");
    let house = serve(log.path(), "restarts", PLAN).await;
    ask((&house, "restarts"), &mut random, 300, 0.0).await;
    let view = shown((&house, "restarts"), |it| it["open"]["rows"] == 100).await;
    assert_eq!(alarms(&view), [""]);
    assert_eq!(view["history"][0]["rows"], 500);
}

/// The log hands its rows over when it ends.
#[cfg(feature = "triggers")]
#[tokio::test]
async fn what_the_last_rows_show_reaches_triggers() {
    let folder = tempfile::tempdir().expect("scratch");
    let text = "[target.hook]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9\"\n[[trigger]]\n\
                name = \"r\"\nmodel = \"ends\"\ntarget = \"hook\"\non = [\"drift\"]\nwindows = 1\n\
                dry_run = true\n";
    let files = watched("ends", PLAN);
    let files = files.each_ref().map(|it| (it.0.as_str(), it.1.as_str()));
    let log = folder.path().join("log");
    let change = |args: &mut server_app::cli::ServeArgs| {
        args.log.log_dir = Some(log);
        args.log.log_roll_ms = Some(3_600_000);
        args.state = Some(folder.path().to_path_buf());
    };
    let mut house = House::over(&files, change, Some(text)).await;
    ask((&house, "ends"), &mut Random::new(5), 500, 1.0).await;
    assert!(house.stop(PATIENCE).await, "nothing was cut off");
    let read = |path: &str| {
        let text = std::fs::read_to_string(folder.path().join(path));
        text.unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let audit = read("audit.jsonl");
    assert!(audit.contains("\"event\":\"alarm\",\"evidence\""), "{audit}");
    let state: Value = serde_json::from_str(&read("triggers/state.json")).expect("JSON");
    let lane = &state["book"]["entries"][0][1]["lanes"][0];
    assert_eq!((&lane["cause"], &lane["last"][0]["rows"]), (&"drift".into(), &500.into()));
}

#[tokio::test]
async fn a_reference_is_learned_where_none_is() {
    let log = tempfile::tempdir().expect("scratch");
    let house = serve(log.path(), "learns", &format!("learn_rows = 1000\n{PLAN}")).await;
    let mut random = Random::new(3);
    ask((&house, "learns"), &mut random, 1_500, 0.0).await;
    ask((&house, "learns"), &mut random, 500, 1.0).await;
    let view = shown((&house, "learns"), |it| windows(it) == 2).await;
    assert_eq!(view["reference"]["source"], "learned");
    assert_eq!(alarms(&view)[0], "");
    assert!(alarms(&view)[1].starts_with("drift prediction_drift"), "{:?}", alarms(&view));
}

/// Each number by itself is as it was: only together they are not.
#[tokio::test]
async fn an_embedding_that_changes_is_found() {
    let log = tempfile::tempdir().expect("scratch");
    let settings =
        "max_batch_size = 100\n[log]\n[drift]\nembeddings = [\"x\"]\nlearn_rows = 1000\n";
    let settings = format!("{settings}{PLAN}\n");
    let files = [("embeds/model.toml", settings.as_str()), ("embeds/1/model.fake", DOUBLE)];
    let house = logged(log.path(), &files).await;
    let mut random = Random::new(4);
    ask((&house, "embeds"), &mut random, 1_500, 0.0).await;
    let mut http = house.http().await;
    for _ in 0..5 {
        let rows = rows(&mut random, 100, 0.0).into_iter().map(|[a, _]| [a, a]);
        let (status, answer) = http.infer("embeds", &rows.collect::<Vec<_>>()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let view = shown((&house, "embeds"), |it| windows(it) == 2).await;
    let told = &view["history"][1]["found"]["embedding_drift"];
    assert_eq!(
        (&told["is_alarm"], &told["subjects"]),
        (&true.into(), &serde_json::json!(["in.x"]))
    );
    assert_ne!(view["history"][1]["found"]["drift"]["is_alarm"], true, "{view:#}");
}

#[tokio::test]
async fn what_cannot_be_watched_is_not_served() {
    let log = tempfile::tempdir().expect("scratch");
    let house = serve(log.path(), "none", "profile = \"none.json\"").await;
    let (_, index) = house.http().await.send(http::Method::POST, "/v2/repository/index", "").await;
    assert!(index.contains("drift: none.json: No such file"), "{index}");
    let (status, _) = house.http().await.infer("none", &[[1.0, 2.0]]).await;
    assert_ne!(status, 200, "its configuration asks for what cannot be");
}
