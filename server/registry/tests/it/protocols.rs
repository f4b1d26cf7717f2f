//! Registries by their protocols: what they must not be able to do to us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use server_registry::{AddressPolicy, Digest, ErrorKind, Limits};

use crate::house::House;
use crate::liar::{Asked, Liar, Reply, raw, reply};

pub(crate) fn json(text: impl AsRef<str>) -> Reply {
    reply("200 OK; Content-Type: application/json", text.as_ref())
}

/// An MLflow server with one version whose files, and their place, are the test's.
pub(crate) async fn mlflow(root: &'static str, files: &'static str) -> Liar {
    Liar::start(move |asked| honest(&asked.line, root, files)).await
}

/// What such a server answers.
fn honest(line: &str, root: &str, files: &str) -> Reply {
    if line.contains("registered-models/alias") {
        return json(r#"{"model_version": {"version": "3", "status": "READY"}}"#);
    }
    if line.contains("registered-models/get?") {
        return json(r#"{"registered_model": {"name": "wine"}}"#);
    }
    if line.contains("get-download-uri") {
        return json(format!(r#"{{"artifact_uri": "{root}"}}"#));
    }
    if line.contains("artifacts?path=") {
        return json(format!(r#"{{"files": [{files}]}}"#));
    }
    if line.contains("presigned") {
        return raw("501 Not Implemented", "");
    }
    raw("200 OK; Transfer-Encoding: chunked", "5\r\nmodel\r\n0\r\n\r\n")
}

async fn refused(root: &'static str, files: &'static str, kind: ErrorKind, says: &str) {
    let liar = mlflow(root, files).await;
    let house = House::new();
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    house.refused(house.pull(&uri).await, kind, says);
}

pub(crate) const ROOT: &str = "mlflow-artifacts:/1/models/m-1/artifacts";

#[tokio::test]
async fn mlflow_without_lengths_and_ranges() {
    let files = r#"{"path": "model.onnx", "is_dir": false, "file_size": 5}"#;
    let liar = mlflow(ROOT, files).await;
    let mut house = House::new();
    house.environment = vec![("MLFLOW_TRACKING_TOKEN".into(), "hush".into())];
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    let pulled = house.pull(&uri).await.expect("a model");
    assert_eq!(pulled.record.version, Some(3));
    assert!(liar.requests().iter().all(|it| it.header("authorization") == "Bearer hush"));
    let before = liar.asked().len();
    assert!(!house.pull(&uri).await.expect("a model").fetched);
    assert_eq!(liar.asked().len() - before, 1, "the alias");
}

#[tokio::test]
async fn mlflow_that_knows_versions_alone() {
    let files = r#"{"path": "model.onnx", "is_dir": false, "file_size": 5}"#;
    for (says, good) in [("403 Forbidden", true), ("404 Not Found", true), ("503 Down", false)] {
        let liar = Liar::start(move |asked| match asked.line.as_str() {
            it if it.contains("registered-models/get?") => reply(says, ""),
            it if it.contains("registered-models/alias") => json(
                r#"{"model_version": {"version": "3", "status": "READY",
                    "tags": [{"key": "salver.rollout", "value": "true"}]}}"#,
            ),
            line => honest(line, ROOT, files),
        })
        .await;
        let house = House::new();
        let uri = format!("mlflow://{}/wine@champion", liar.address);
        if !good {
            house.refused(house.pull(&uri).await, ErrorKind::Unavailable, "503");
            continue;
        }
        for fetched in [true, false] {
            let pulled = house.pull(&uri).await.unwrap_or_else(|why| panic!("{says}: {why}"));
            assert_eq!(pulled.fetched, fetched, "{says}");
            let tags: Vec<_> = pulled.record.tags.iter().collect();
            assert_eq!(format!("{tags:?}"), r#"[("salver.rollout", "true")]"#, "{says}");
        }
    }
}

#[tokio::test]
async fn what_arrived_before_a_failure_is_not_fetched_again() {
    let down = Arc::new(AtomicBool::new(true));
    let broken = down.clone();
    let liar = Liar::start(move |asked| {
        let line = asked.line.as_str();
        if line.contains("model-versions/get?") {
            return json(r#"{"model_version": {"version": "3", "status": "READY"}}"#);
        }
        if line.contains("registered-models/get?") {
            return json(r#"{"registered_model": {"name": "wine"}}"#);
        }
        if line.contains("get-download-uri") {
            return json(format!(r#"{{"artifact_uri": "{ROOT}"}}"#));
        }
        if line.contains("artifacts?path=") {
            // One more than are fetched at a time: when the last begins, the first has ended.
            let files = ["a", "b", "c", "d", "e"].map(|it| format!(r#"{{"path": "{it}"}}"#));
            return json(format!(r#"{{"files": [{}]}}"#, files.join(",")));
        }
        match line.ends_with("/e") && broken.load(Ordering::Relaxed) {
            true => raw("503 Service Unavailable", ""),
            false => reply("200 OK", "x"),
        }
    })
    .await;
    let house = House::new();
    let uri = format!("mlflow://{}/wine/3", liar.address);
    house.refused(house.pull(&uri).await, ErrorKind::Unavailable, "503");
    down.store(false, Ordering::Relaxed);
    assert_eq!(house.pulled(&uri).await, "a=x b=x c=x d=x e=x");
    let first = |it: &&String| it.ends_with("artifacts/1/models/m-1/artifacts/a");
    let fetched = |it: &&String| first(it) && !it.contains("presigned");
    assert_eq!(liar.asked().iter().filter(fetched).count(), 1);
}

#[tokio::test]
async fn mlflow_names_that_lead_out() {
    for file in [
        r#"{"path": "../../etc/passwd", "is_dir": false}"#,
        r#"{"path": "/etc/passwd", "is_dir": false}"#,
        r#"{"path": "a\\b", "is_dir": false}"#,
        r#"{"path": "a\u0000b", "is_dir": false}"#,
        r#"{"path": "..", "is_dir": true}"#,
    ] {
        refused(ROOT, file, ErrorKind::Policy, "no name for a file").await;
    }
    let twice = r#"{"path": "m", "is_dir": false}, {"path": "M", "is_dir": false}"#;
    refused(ROOT, twice, ErrorKind::Policy, "one name where case").await;
    // A folder in a folder in a folder, for ever.
    let deep = r#"{"path": "d", "is_dir": true}"#;
    refused(ROOT, deep, ErrorKind::Policy, "too many folders").await;
}

#[tokio::test]
async fn mlflow_roots_that_are_none_of_its_business() {
    refused("file:///etc", "", ErrorKind::Policy, "only the MLflow server itself").await;
    refused("/srv/mlruns/1", "", ErrorKind::Policy, "only the MLflow server itself").await;
    refused("http://10.0.0.1/x", "", ErrorKind::Policy, "only the MLflow server itself").await;
    refused("mlflow-artifacts://other/1", "", ErrorKind::Policy, "another server").await;
    refused("mlflow-artifacts:/../x", "", ErrorKind::Policy, "no name for a file").await;
    // Asked with our credentials, and trusted to lie anywhere: if it were followed.
    for root in ["s3://http://169.254.169.254/latest/x", "s3://https://evil.example/b/x"] {
        refused(root, "", ErrorKind::Policy, "not for a registry to name").await;
    }
}

/// An MLflow server whose files lie elsewhere: it signs an address there, or redirects to it.
async fn mlflow_elsewhere(storage: String, signs: bool) -> Liar {
    Liar::start(move |asked| {
        let line = asked.line.as_str();
        if line.contains("registered-models/alias") {
            return json(r#"{"model_version": {"version": "3", "status": "READY"}}"#);
        }
        if line.contains("registered-models/get?") {
            return json(r#"{"registered_model": {"name": "wine"}}"#);
        }
        if line.contains("get-download-uri") {
            return json(format!(r#"{{"artifact_uri": "{ROOT}"}}"#));
        }
        if line.contains("artifacts?path=") {
            return json(r#"{"files": [{"path": "m", "is_dir": false, "file_size": 5}]}"#);
        }
        if line.contains("presigned") && !signs {
            return raw("501 Not Implemented", "");
        }
        if line.contains("presigned") {
            let headers = r#"{"x-ms-version": "1", "Connection": "x", "Range": "bytes=1-"}"#;
            return json(format!(r#"{{"url": "{storage}", "headers": {headers}}}"#));
        }
        match signs {
            true => reply("200 OK", "model"),
            false => raw(&format!("302 Found; Location: {storage}"), ""),
        }
    })
    .await
}

fn guarded(policy: AddressPolicy) -> House {
    let environment = vec![("MLFLOW_TRACKING_TOKEN".into(), "hush".into())];
    House { environment, policy, ..House::new() }
}

#[tokio::test]
async fn signed_addresses_are_followed_where_they_may_be() {
    let storage = Liar::start(|_| reply("200 OK", "model")).await;
    let liar = mlflow_elsewhere(format!("http://{}/m?sig=1", storage.address), true).await;
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    assert_eq!(guarded(AddressPolicy::default()).pulled(&uri).await, "m=model");
    assert_eq!(storage.asked(), [""; 0], "the server itself was asked instead");
    let house = guarded(AddressPolicy { allow_private: true });
    assert_eq!(house.pulled(&uri).await, "m=model");
    let [asked]: [Asked; 1] = storage.requests().try_into().expect("one request");
    let headers = ["authorization", "x-ms-version", "connection", "range"];
    assert_eq!(headers.map(|it| asked.header(it)), ["", "1", "close", ""]);
}

#[tokio::test]
async fn signed_addresses_that_lead_nowhere_are_not_the_end() {
    let liar = mlflow_elsewhere("http://127.0.0.1:1/m".to_owned(), true).await;
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    let house = guarded(AddressPolicy { allow_private: true });
    assert_eq!(house.pulled(&uri).await, "m=model");
}

#[tokio::test]
async fn nothing_that_is_ours_goes_along_with_a_redirect() {
    let storage = Liar::start(|_| reply("200 OK", "model")).await;
    let liar = mlflow_elsewhere(format!("http://{}/m", storage.address), false).await;
    let uri = format!("mlflow://{}/wine@champion?workspace=team", liar.address);
    let house = guarded(AddressPolicy { allow_private: true });
    assert_eq!(house.pulled(&uri).await, "m=model");
    let ours = ["authorization", "x-mlflow-workspace"];
    let [asked]: [Asked; 1] = storage.requests().try_into().expect("one request");
    assert_eq!(ours.map(|it| asked.header(it)), ["", ""]);
    for asked in liar.requests() {
        assert_eq!(ours.map(|it| asked.header(it)), ["Bearer hush", "team"]);
    }
}

/// A signed address that comes a byte at a time: a small answer ends, also outside of a look.
#[tokio::test]
async fn small_answers_that_drip_end() {
    let files = r#"{"path": "m", "is_dir": false, "file_size": 5}"#;
    let honest = mlflow(ROOT, files).await;
    let to = format!("http://{}", honest.address);
    let liar = Liar::start(move |asked| match asked.line.contains("presigned") {
        true => Reply::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        false => {
            let path = asked.line.split(' ').nth(1).unwrap_or_default();
            raw(&format!("307 Temporary; Location: {to}{path}"), "")
        }
    })
    .await;
    let limits = Limits { look_max: std::time::Duration::from_secs(1), ..Limits::default() };
    let house = House { limits, ..guarded(AddressPolicy { allow_private: true }) };
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    assert_eq!(house.pulled(&uri).await, "m=model");
}

#[tokio::test]
async fn mlflow_that_answers_with_a_page() {
    let liar = Liar::start(|_| reply("200 OK; Content-Type: text/html", "<html>")).await;
    let house = House::new();
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    house.refused(
        house.pull(&uri).await,
        ErrorKind::Answer,
        "did not answer as expected (text/html)",
    );
}

const ONNX: &str = "model";

/// A hub that keeps its large files elsewhere.
async fn hub(storage: String) -> Liar {
    let digest = Digest::of(ONNX.as_bytes()).hex();
    Liar::start(move |asked: &Asked| {
        if asked.line.contains("/api/models/org/wine/revision/main") {
            let large = format!(r#""lfs": {{"sha256": "{digest}", "size": 5}}"#);
            return json(format!(
                r#"{{"sha": "c0ffee", "siblings": [{{"rfilename": "onnx/model.onnx", "size": 5, {large}}},
                {{"rfilename": "README.md", "size": 1}}, {{"rfilename": ".gitattributes"}}]}}"#
            ));
        }
        raw(&format!("302 Found; Location: {storage}"), "")
    })
    .await
}

#[tokio::test]
async fn the_hub_keeps_its_token_to_itself() {
    let storage = Liar::start(|_| reply("200 OK", ONNX)).await;
    let liar = hub(format!("http://{}/blob?sig=1", storage.address)).await;
    let mut house = House::new();
    house.environment = vec![
        ("HF_ENDPOINT".into(), format!("http://{}", liar.address)),
        ("HF_TOKEN".into(), "hush".into()),
    ];
    let uri = "hf://org/wine/onnx";
    house.refused(house.pull(uri).await, ErrorKind::Policy, "no public address");
    house.policy = AddressPolicy { allow_private: true };
    assert_eq!(house.pulled(uri).await, "model.onnx=model");
    assert!(liar.requests().iter().all(|it| it.header("authorization") == "Bearer hush"));
    assert!(storage.requests().iter().all(|it| it.header("authorization").is_empty()));
    assert_eq!(storage.requests().len(), 1);
}

#[tokio::test]
async fn the_hub_does_not_say_what_is_not_there() {
    let words = r#"{"error": "Invalid username or password."}"#;
    let liar = Liar::start(move |_| reply("401 Unauthorized", words)).await;
    let mut house = House::new();
    house.environment = vec![("HF_ENDPOINT".into(), format!("http://{}", liar.address))];
    let found = house.pull("hf://org/wien").await;
    house.refused(found, ErrorKind::Refused, "there is no such repository, or HF_TOKEN");
}

/// An OCI registry that wants a token, and serves one ModelPack with one layer.
pub(crate) async fn oci(tampered: bool) -> Liar {
    let layer = Digest::of(ONNX.as_bytes());
    let manifest = format!(
        r#"{{"config": {{"mediaType": "application/vnd.cncf.model.config.v1+json"}}, "layers": [{{
        "mediaType": "application/vnd.cncf.model.weight.v1.raw", "digest": "{layer}", "size": 5,
        "annotations": {{"org.cncf.model.filepath": "model.onnx"}}}}]}}"#
    );
    let digest = Digest::of(manifest.as_bytes());
    Liar::start(move |asked: &Asked| {
        let host = asked.header("host");
        if asked.line.contains("/token") {
            return json(r#"{"token": "fresh"}"#);
        }
        if asked.header("authorization") != "Bearer fresh" {
            let realm = format!("Bearer realm=\"http://{host}/token\",service=\"r\"");
            return reply(&format!("401 Unauthorized; WWW-Authenticate: {realm}"), "{}");
        }
        if asked.line.contains("/manifests/") {
            let body = if tampered {
                manifest.replace("model.onnx", "other.onnx")
            } else {
                manifest.clone()
            };
            return reply(&format!("200 OK; Docker-Content-Digest: {digest}"), body);
        }
        reply("200 OK; Content-Type: application/octet-stream", ONNX)
    })
    .await
}

#[tokio::test]
async fn an_oci_registry_gives_tokens_for_logins() {
    let liar = oci(false).await;
    let mut house = House::new();
    let auths = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6aHVzaA=="}}}}}}"#, liar.address);
    house.docker_config = Some(auths);
    let uri = format!("oci://{}/org/wine:v1?tls=false", liar.address);
    assert_eq!(house.pulled(&uri).await, "model.onnx=model");
    let token = liar.requests().into_iter().find(|it| it.line.contains("/token")).expect("asked");
    assert_eq!(token.header("authorization"), "Basic bWU6aHVzaA==");
    assert!(token.line.contains("scope=repository%3Aorg%2Fwine%3Apull"), "{}", token.line);
    assert!(!house.pull(&uri).await.expect("a model").fetched);
    assert!(liar.asked().last().expect("asked").starts_with("HEAD /v2/org/wine/manifests/v1"));
}

#[tokio::test]
async fn a_manifest_that_is_not_its_digest() {
    let liar = oci(true).await;
    let house = House::new();
    let uri = format!("oci://{}/org/wine:v1?tls=false", liar.address);
    house.refused(house.pull(&uri).await, ErrorKind::Corrupt, "has digest");
}

#[tokio::test]
async fn a_token_is_not_fetched_from_where_nobody_may_look() {
    let challenge = "WWW-Authenticate: Bearer realm=\"http://169.254.169.254/token\"";
    let liar = Liar::start(move |_| reply(&format!("401 Unauthorized; {challenge}"), "")).await;
    let house = House::new();
    let uri = format!("oci://{}/org/wine:v1?tls=false", liar.address);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "169.254.169.254");
}
