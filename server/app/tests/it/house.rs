//! A server with scripted models, and the few clients that the tests need.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backend_fake::Fake;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use proto::inference::model_infer_request::InferInputTensor;
use proto::inference::{ModelInferRequest, ModelInferResponse};
use server_app::cli::ServeArgs;
use server_app::recorder::Recorded;
use server_app::serve::{Addresses, Server};
use server_app::settings::Settings;
use server_lifecycle::Engines;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::transport::Channel;

/// A model that doubles; 99 hangs until the gate opens.
pub(crate) const DOUBLE: &str =
    "input x FP32 rows,2\noutput y FP32 rows,2 = double x\non 99 hang\n";

/// Nothing in a test takes longer, on a machine that is busy either; whatever does is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct House {
    pub(crate) root: TempDir,
    pub(crate) fake: Fake,
    pub(crate) at: Addresses,
    server: Option<Server>,
}

/// The process has one recorder, however many servers it runs.
pub(crate) fn metrics() -> Recorded {
    static HANDLE: OnceLock<Recorded> = OnceLock::new();
    HANDLE.get_or_init(|| server_app::telemetry::start_metrics().expect("a recorder")).clone()
}

/// Puts a file there whole, as a careful copy does: a folder that is new comes with it.
pub(crate) fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    let (folder, name) = (path.parent().expect("a parent"), path.file_name().expect("a name"));
    if folder.is_dir() {
        let part = path.with_extension("part");
        fs::write(&part, content).expect("write");
        fs::rename(part, path).expect("rename");
        return;
    }
    let above = folder.parent().expect("a parent");
    fs::create_dir_all(above).expect("folders");
    // Nobody looks into a folder of such a name: a version without a file in it would be shown as one that ended.
    let aside = tempfile::Builder::new().prefix(".part").tempdir_in(above).expect("a folder");
    fs::write(aside.path().join(name), content).expect("write");
    fs::rename(aside.keep(), folder).expect("rename");
}

impl House {
    /// Serves these files; returns when the models have settled.
    pub(crate) async fn new(files: &[(&str, &str)]) -> House {
        House::with(files, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(files: &[(&str, &str)], change: impl FnOnce(&mut ServeArgs)) -> House {
        House::over(files, change, None).await
    }

    /// The same, over a file of settings.
    pub(crate) async fn over(
        files: &[(&str, &str)],
        change: impl FnOnce(&mut ServeArgs),
        text: Option<&str>,
    ) -> House {
        let root = tempfile::tempdir().expect("scratch");
        files.iter().for_each(|(path, content)| put(root.path(), path, content));
        let mut args = ServeArgs {
            model_repository: Some(root.path().to_path_buf()),
            host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            http_port: Some(0),
            grpc_port: Some(0),
            metrics_port: Some(0),
            instances: Some(1),
            scan_interval_ms: Some(10),
            rest_ms: Some(0),
            ..ServeArgs::default()
        };
        change(&mut args);
        let settings = Settings::new(args, text).expect("no faults");
        let fake = Fake::new();
        let engines = Engines::new(vec![Arc::new(fake.clone())], Vec::new());
        let server = Server::start(&settings, engines, metrics()).expect("starts");
        let mut changes = server.lifecycle().changes();
        while !server.lifecycle().readiness().is_ready() {
            changes.changed().await.expect("the lifecycle lives");
        }
        House { root, fake, at: server.addresses, server: Some(server) }
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("not stopped yet")
    }

    /// Stops the server on a thread of its own, as a signal would; ends with its verdict.
    pub(crate) async fn stop(&mut self, drain: Duration) -> bool {
        let server = self.server.take().expect("not stopped yet");
        let (told, verdict) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || told.send(server.stop(drain)));
        verdict.await.expect("the thread lives")
    }

    /// Waits until a run hangs at the gate.
    pub(crate) async fn hangs(&self) {
        let fake = self.fake.clone();
        let hanging = std::thread::spawn(move || fake.hangs().await_waiting(1));
        while !hanging.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many requests are in the only model, and so many of them in its queue.
    pub(crate) async fn holds(&self, in_flight: usize, queued: usize) {
        let table = self.server().serving().table();
        let servable = table.servables().next().expect("a model");
        let wait = async {
            while (servable.in_flight(), servable.queued()) != (in_flight, queued) {
                tokio::task::yield_now().await;
            }
        };
        let now = || (servable.in_flight(), servable.queued());
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", now()));
    }

    pub(crate) async fn http(&self) -> Http {
        Http::connect(self.at.http).await
    }

    /// The port for scrapers.
    pub(crate) async fn metrics(&self) -> Http {
        Http::connect(self.at.metrics).await
    }

    pub(crate) async fn grpc(&self) -> GrpcInferenceServiceClient<Channel> {
        let endpoint = Channel::from_shared(format!("http://{}", self.at.grpc)).expect("a URL");
        GrpcInferenceServiceClient::new(endpoint.connect().await.expect("connects"))
    }

    /// Waits until the index shows that: `model/version:STATE` words.
    pub(crate) async fn shows(&self, expect: &str) {
        let lifecycle = self.server().lifecycle();
        let mut changes = lifecycle.changes();
        let shown = || {
            let index = lifecycle.index();
            let word = |it: &server_lifecycle::Entry| {
                format!("{}/{}:{}", it.model, it.version.map_or(0, |it| it.0), it.state)
            };
            index.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        let wait = async {
            while shown() != expect {
                changes.changed().await.expect("the lifecycle lives");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{}", shown()));
    }
}

impl Drop for House {
    /// A runtime must not end inside another, which is where tests run.
    fn drop(&mut self) {
        let server = self.server.take();
        std::thread::spawn(move || drop(server));
    }
}

/// One HTTP/1.1 connection.
pub(crate) struct Http {
    sender: SendRequest<Full<Bytes>>,
}

impl Http {
    async fn connect(address: std::net::SocketAddr) -> Http {
        let stream = TcpStream::connect(address).await.expect("connects");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Http { sender }
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "salver")
            .body(Full::new(body.into()))
            .expect("a request");
        self.sender.ready().await.expect("open");
        let response = self.sender.send_request(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn infer(&mut self, model: &str, rows: &[[f32; 2]]) -> (StatusCode, String) {
        self.send(Method::POST, &format!("/v2/models/{model}/infer"), json(rows)).await
    }
}

/// A request as JSON.
pub(crate) fn json(rows: &[[f32; 2]]) -> String {
    format!(
        r#"{{"inputs":[{{"name":"x","shape":[{},2],"datatype":"FP32","data":{rows:?}}}]}}"#,
        rows.len()
    )
}

/// A request as a message.
pub(crate) fn message(model: &str, rows: &[[f32; 2]]) -> ModelInferRequest {
    let bytes: Vec<u8> = rows.iter().flatten().flat_map(|it| it.to_le_bytes()).collect();
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![i64::try_from(rows.len()).expect("few"), 2],
            ..Default::default()
        }],
        raw_input_contents: vec![bytes.into()],
        ..Default::default()
    }
}

/// The numbers of the first output.
pub(crate) fn values(response: &ModelInferResponse) -> Vec<f32> {
    let raw = &response.raw_output_contents[0];
    raw.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect()
}
