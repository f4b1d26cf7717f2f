//! What a build without rollouts says to whoever asks for one.

use http::{Method, StatusCode};
use server_app::cli::ServeArgs;
use server_app::serve::Server;
use server_app::settings::Settings;
use server_lifecycle::Engines;

use crate::house::{DOUBLE, House, metrics, put};

const FEATURE: &str = "`--features rollouts`";

#[tokio::test]
async fn their_addresses_name_the_feature() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let mut http = house.http().await;
    let (get, post) = (Method::GET, Method::POST);
    for (method, path, body) in [
        (&get, "/v2/rollouts", ""),
        (&get, "/v2/models/m/rollout", ""),
        (&post, "/v2/models/m/rollout", r#"{"to": 2}"#),
        (&post, "/v2/models/m/rollout/promote", ""),
        (&post, "/v2/models/m/rollout/hold", ""),
        (&post, "/v2/models/m/rollout/resume", ""),
        (&post, "/v2/models/m/rollout/abort", ""),
        (&post, "/v2/models/m/promote", r#"{"version": 2}"#),
        (&post, "/v2/models/m/rollback", "{}"),
        (&post, "/v2/models/m/forget", "{}"),
    ] {
        let (status, text) = http.send(method.clone(), path, body).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{path}: {text}");
        assert!(text.contains(FEATURE), "{path}: {text}");
    }
    let (status, text) = http.infer("m", &[[1.0, 2.0]]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
}

/// It would let versions take over that nobody has compared.
#[tokio::test]
async fn a_model_that_asks_for_one_is_not_loaded() {
    let files = [("m/model.toml", "[rollout]\n"), ("m/1/model.fake", DOUBLE)];
    let house = House::new(&files).await;
    let (status, _) = house.http().await.infer("m", &[[1.0, 2.0]]).await;
    assert_ne!(status, StatusCode::OK);
    let (_, index) = house.http().await.send(Method::POST, "/v2/repository/index", "{}").await;
    assert!(index.contains(FEATURE), "{index}");
    put(house.root.path(), "m/model.toml", "");
    house.shows("m/1:AVAILABLE").await;
}

#[test]
fn what_another_build_has_begun_is_not_forgotten() {
    let (models, state) = (tempfile::tempdir().expect("scratch"), tempfile::tempdir());
    let state = state.expect("scratch");
    let start = || {
        let args = ServeArgs {
            model_repository: Some(models.path().to_path_buf()),
            state: Some(state.path().to_path_buf()),
            host: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            http_port: Some(0),
            grpc_port: Some(0),
            metrics_port: Some(0),
            ..ServeArgs::default()
        };
        let settings = Settings::new(args, None).expect("no faults");
        Server::start(&settings, Engines::new(Vec::new(), Vec::new()), metrics())
    };
    // What lies there besides is not of rollouts.
    put(state.path(), "triggers/state.json", "{}");
    drop(start().map_err(|it| it.to_string()).expect("starts"));
    put(state.path(), "wine.json", "{}");
    let why =
        start().err().map(|it| it.to_string()).expect("wine was rolled back, or may have been");
    assert!(why.contains("wine.json") && why.contains(FEATURE), "{why}");
}
