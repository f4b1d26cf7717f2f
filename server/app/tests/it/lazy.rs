//! Models that are loaded when somebody asks, over every way by which a request comes in.

use std::sync::Arc;

use http::{Method, StatusCode};
use proto::inference::infer_parameter::ParameterChoice;
use proto::inference::{
    InferParameter, InferTensorContents, ModelMetadataRequest, ModelReadyRequest,
    RepositoryIndexRequest,
};
use server_app::cli::{LoadArg, ServeArgs};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use crate::house::{DOUBLE, House, PATIENCE, json, message, values};

const REGISTERED: &str = "registered; loads on first request";

fn lazy(args: &mut ServeArgs) {
    args.load = Some(LoadArg::Lazy);
    args.strict_readiness = Some(true);
}

/// One model `m` whose loads wait at the gate.
async fn gated() -> Arc<House> {
    let script = format!("{DOUBLE}load_waits\n");
    Arc::new(House::with(&[("m/1/model.fake", &script)], lazy).await)
}

/// Waits until so many requests wait for the load.
async fn waits(house: &House, count: usize) {
    let wait = async {
        loop {
            let table = house.server().serving().table();
            let demand = table.model("m").and_then(|it| it.on_demand());
            if demand.map_or(0, |it| it.demand.waiting()) == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("they come");
}

/// The whole answer to a request, in however many pieces it comes.
async fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let length = stream.read(&mut piece).await.expect("answers");
        answer.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        assert!(length > 0, "cut off: {text}");
        let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let told = text.lines().find_map(|it| it.strip_prefix("content-length: "));
        let body: usize = told.expect("a length").parse().expect("a number");
        if answer.len() >= end + 4 + body {
            return answer;
        }
    }
}

/// A prediction over HTTP/1, plain or with its body in chunks, so that hyper answers it; two of
/// them on one connection.
async fn ask_http(house: Arc<House>, chunked: bool) {
    let body = json(&[[1.0, 2.0]]);
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\n";
    let request = if chunked {
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    } else {
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await.expect("sends");
        let answer = String::from_utf8(read_answer(&mut stream).await).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"data\":[2.0,4.0]"), "{answer}");
    }
}

/// A tensor and nothing else: what it means is told by the model alone.
async fn ask_raw(house: Arc<House>) {
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\n\
                inference-header-content-length: 0\r\ncontent-length: 8\r\n\r\n";
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("sends");
    stream
        .write_all(&[1.0_f32.to_le_bytes(), 2.0_f32.to_le_bytes()].concat())
        .await
        .expect("sends");
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert!(answer.ends_with(&[2.0_f32.to_le_bytes(), 4.0_f32.to_le_bytes()].concat()));
}

/// A prediction over gRPC; a large one does not come in one piece, and is answered by a task.
async fn ask_grpc(house: Arc<House>, rows: usize) {
    let mut client = house.grpc().await;
    let response = client.model_infer(message("m", &vec![[1.0, 2.0]; rows])).await;
    let response = response.expect("answered").into_inner();
    assert_eq!(values(&response), [2.0, 4.0].repeat(rows));
}

async fn ask_metadata(house: Arc<House>, is_grpc: bool) {
    if is_grpc {
        let request = ModelMetadataRequest { name: "m".to_owned(), version: String::new() };
        let answer = house.grpc().await.model_metadata(request).await.expect("there").into_inner();
        assert_eq!((answer.versions, answer.inputs[0].name.as_str()), (vec!["1".to_owned()], "x"));
    } else {
        let (status, text) = house.http().await.get("/v2/models/m").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.contains("\"versions\":[\"1\"]"), "{text}");
    }
}

#[tokio::test]
async fn every_way_in_waits_for_the_one_load() {
    let house = gated().await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..12 {
        asked.spawn(ask_http(Arc::clone(&house), false));
        asked.spawn(ask_http(Arc::clone(&house), true));
        asked.spawn(ask_raw(Arc::clone(&house)));
        asked.spawn(ask_grpc(Arc::clone(&house), 1));
        asked.spawn(ask_grpc(Arc::clone(&house), 32));
        asked.spawn(ask_metadata(Arc::clone(&house), true));
        asked.spawn(ask_metadata(Arc::clone(&house), false));
    }
    let asked_count = asked.len();
    waits(&house, asked_count).await;
    house.fake.loads().open();
    while let Some(it) = asked.join_next().await {
        it.expect("answered as it should be");
    }
    assert_eq!(house.fake.loads_begun(), 1);
    let mut house = Arc::into_inner(house).expect("nobody else");
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

/// What both protocols say of the model: ready or not, and how the index shows it.
async fn check(house: &House, ready: bool, state: &str, reason: &str) {
    let (mut http, mut grpc) = (house.http().await, house.grpc().await);
    let expect = if ready { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    assert_eq!(http.get("/v2/models/m/ready").await.0, expect);
    let request = ModelReadyRequest { name: "m".to_owned(), version: String::new() };
    assert_eq!(grpc.model_ready(request).await.expect("said").into_inner().ready, ready);
    let (_, index) = http.send(Method::POST, "/v2/repository/index", "{}").await;
    let share = if state == "READY" { ",\"share\":1.0" } else { "" };
    let line = format!(
        "[{{\"name\":\"m\",\"version\":\"1\",\"state\":\"{state}\",\"reason\":\"{reason}\"{share}}}]"
    );
    assert_eq!(index, line);
    let index = grpc.repository_index(RepositoryIndexRequest::default()).await;
    let index = index.expect("said").into_inner().models;
    assert_eq!((index[0].state.as_str(), index[0].reason.as_str()), (state, reason));
    assert_eq!(http.get("/v2/health/ready").await.0, StatusCode::OK, "the server is ready");
}

#[tokio::test]
async fn to_look_is_not_to_ask() {
    let house = House::with(&[("m/1/model.fake", DOUBLE)], lazy).await;
    check(&house, false, "UNAVAILABLE", REGISTERED).await;
    assert_eq!(house.fake.loads_begun(), 0);
    let mut http = house.http().await;
    assert_eq!(http.infer("m", &[[1.0, 1.0]]).await.0, StatusCode::OK);
    check(&house, true, "READY", "").await;
    let unload = "/v2/repository/models/m/unload";
    assert_eq!(http.send(Method::POST, unload, "{}").await.0, StatusCode::OK);
    house.shows("m/1:END").await;
    check(&house, false, "UNAVAILABLE", REGISTERED).await;
    let load = "/v2/repository/models/m/load";
    assert_eq!(http.send(Method::POST, load, "{}").await.0, StatusCode::OK);
    check(&house, true, "READY", "").await;
}

#[tokio::test]
async fn a_deadline_is_over_before_the_load() {
    let house = gated().await;
    let body = r#"{"parameters":{"timeout":20000},"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1]}]}"#;
    let mut http = house.http().await;
    let (status, text) = http.send(Method::POST, "/v2/models/m/infer", body).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{text}");
    let mut request = message("m", &[[1.0, 1.0]]);
    let micros = Some(ParameterChoice::Int64Param(20_000));
    request.parameters.insert("timeout".to_owned(), InferParameter { parameter_choice: micros });
    let status = house.grpc().await.model_infer(request).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    house.fake.loads().open();
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(http.infer("m", &[[1.0, 1.0]]).await.0, StatusCode::OK);
    assert_eq!(house.fake.loads_begun(), 1, "the load went on");
}

#[tokio::test]
async fn a_failed_load_is_told_with_its_reason() {
    let house = House::with(&[("m/1/model.fake", "nonsense")], lazy).await;
    // Connected before the load fails: it is tried again a second later, and only one call may lie between.
    let mut grpc = house.grpc().await;
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    let body = json(&[[1.0, 1.0]]);
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("sends");
    let answer = read_answer(&mut stream).await;
    let status = grpc.model_infer(message("m", &[[1.0, 1.0]])).await;
    let answer = String::from_utf8(answer).expect("text").to_lowercase();
    assert!(answer.starts_with("http/1.1 503"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("is no statement"), "{answer}");
    let status = status.expect_err("it cannot be loaded");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("is no statement"), "{status:?}");
    assert_eq!(house.fake.loads_begun(), 1, "not tried again at once");
}

#[tokio::test]
async fn a_caller_that_leaves_waits_no_longer() {
    let house = gated().await;
    let mut plain = TcpStream::connect(house.at.http).await.expect("connects");
    let body = json(&[[1.0, 1.0]]);
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    plain.write_all(request.as_bytes()).await.expect("sends");
    let mut grpc = house.grpc().await;
    let calling = tokio::spawn(async move { grpc.model_infer(message("m", &[[1.0, 1.0]])).await });
    waits(&house, 2).await;
    drop(plain);
    waits(&house, 1).await;
    calling.abort();
    waits(&house, 0).await;
    house.fake.loads().open();
    house.shows("m/1:AVAILABLE").await;
}

/// A message with typed contents, which take more in memory than in the message: it is decoded once more when
/// its model is there.
#[tokio::test]
async fn what_a_message_takes_counts_once_while_it_waits() {
    let house = gated().await;
    let ask = |value: f32| {
        let mut request = message("m", &[[value, 1.0]]);
        request.raw_input_contents.clear();
        let contents =
            InferTensorContents { fp32_contents: vec![value, 1.0], ..Default::default() };
        request.inputs[0].contents = Some(contents);
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.grpc().await.model_infer(request).await })
    };
    let taken = || house.server().serving().admission().in_flight().1;
    let late = ask(1.0);
    waits(&house, 1).await;
    let waiting = taken();
    house.fake.loads().open();
    let response = late.await.expect("lives").expect("answered").into_inner();
    assert_eq!(values(&response), [2.0, 2.0]);
    let hanging = ask(99.0);
    house.hangs().await;
    assert_eq!(taken(), waiting, "the same message to a model that is there");
    house.fake.hangs().open();
    hanging.await.expect("lives").expect("answered");
}

/// Unloading while callers ask over and over: each is answered, by the old load or by the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_to_an_unload() {
    let house = Arc::new(House::with(&[("m/1/model.fake", DOUBLE)], lazy).await);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let [one, other, third] = [(); 3].map(|()| Arc::clone(&house));
        callers.spawn(async move {
            let mut http = one.http().await;
            for _ in 0..200 {
                let (status, text) = http.infer("m", &[[1.0, 1.0]]).await;
                assert_eq!(status, StatusCode::OK, "{text}");
            }
        });
        callers.spawn(async move {
            let mut grpc = other.grpc().await;
            for _ in 0..200 {
                grpc.model_infer(message("m", &[[1.0, 1.0]])).await.expect("answered");
            }
        });
        callers.spawn(async move {
            for _ in 0..50 {
                ask_raw(Arc::clone(&third)).await;
                ask_metadata(Arc::clone(&third), true).await;
                ask_metadata(Arc::clone(&third), false).await;
            }
        });
    }
    let mut unloads = 0;
    while !callers.is_empty() {
        tokio::select! {
            it = callers.join_next() => it.expect("there is one").expect("all were answered"),
            it = house.server().lifecycle().unload("m") => {
                it.expect("unloads");
                unloads += 1;
            }
        }
    }
    assert!(unloads > 0 && house.fake.loads_begun() > 1);
}
