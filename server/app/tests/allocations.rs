//! How often memory is asked for to answer one request, when everything is warm, and by whom.
//!
//! The stack of each allocation is kept; the innermost frame that belongs to somebody in [`OWNERS`]
//! says whose it is, so that what a helper takes (a vector, a header map, a parser) counts for who
//! calls it. Asserted is what a request costs in our own code. Not in it: what HTTP/2 and
//! the runtime take for themselves, what is taken once for
//! each batch, however many requests it has (here it has one), and what the scripted engine takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_fake::Fake;
use prost::Message as _;
use proto::inference::ModelInferRequest;
use proto::inference::model_infer_request::InferInputTensor;
use server_app::cli::{LogArgs, ServeArgs};
use server_app::serve::Server;
use server_app::settings::Settings;
use server_lifecycle::Engines;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Who takes memory: how the names of their functions begin, and what the paths of their files
/// hold, where only these are known. The first that fits counts.
const OWNERS: &[(&str, &str, &str)] = &[
    ("allocations::http", "tests/allocations.rs", "this test"),
    ("backend_fake::", "backends/fake/", "engine"),
    ("server_serving::batch::", "serving/src/batch.rs", "batch"),
    ("server_serving::pack::", "serving/src/pack.rs", "batch"),
    ("server_serving::instance::", "serving/src/instance.rs", "batch"),
    ("server_serving::lane::", "serving/src/lane.rs", "batch"),
    ("server_serving::policy::", "serving/src/policy.rs", "batch"),
    ("server_serving::seat::", "serving/src/seat.rs", "batch"),
    ("server_", "/server/", "ours"),
    ("h2::", "/h2-", "protocol"),
    ("hyper", "/hyper", "protocol"),
    ("tonic::", "/tonic-", "protocol"),
    ("tower", "/tower", "protocol"),
    ("tokio", "/tokio", "runtime"),
];

static TRACING: AtomicBool = AtomicBool::new(false);
static TRACES: Mutex<Vec<Backtrace>> = Mutex::new(Vec::new());

thread_local! {
    /// What is taken to keep a trace is not traced.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn taken() {
    if TRACING.load(Ordering::Relaxed) && !INSIDE.replace(true) {
        // What the log's own threads take, no request waits for.
        if !std::thread::current().name().is_some_and(|it| it.starts_with("log")) {
            TRACES.lock().expect("lives").push(Backtrace::force_capture());
        }
        INSIDE.set(false);
    }
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: passes every call on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting;

const WARM: usize = 1_000;
const REQUESTS: usize = 20;

/// Owner and place of an allocation: the innermost frame of somebody who is known.
fn owner(trace: &Backtrace) -> (&'static str, String) {
    let text = trace.to_string();
    let mut frames: Vec<(&str, &str)> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        // `12: name`, and below it `at file`, if that is known.
        match (line.strip_prefix("at "), frames.last_mut()) {
            (Some(file), Some((_, of_last))) => *of_last = file,
            (Some(_), None) => {}
            (None, _) => frames.extend(line.split_once(": ").map(|it| (it.1, ""))),
        }
    }
    // The innermost ones are the allocator's own.
    frames.retain(|(name, _)| !name.starts_with("__rustc::"));
    let taken = frames.iter().position(|(_, file)| file.contains("tests/allocations.rs"));
    let callers = frames.iter().skip(taken.map_or(0, |it| it + 1));
    let mut callers = callers.skip_while(|(_, file)| file.contains("tests/allocations.rs"));
    let known = callers.find_map(|(name, file)| {
        let bare = name.trim_start_matches(['<', '&']).trim_start_matches("mut ");
        let is = |&&(begin, path, _): &&(&str, &str, &str)| {
            bare.starts_with(begin) || file.contains(path)
        };
        Some((OWNERS.iter().find(is)?.2, format!("{name} {file}")))
    });
    known.unwrap_or(("nobody", text))
}

/// Holds what was traced since the last time against what may be taken for each request. What was
/// taken, and where, is told in any case (`--nocapture` shows it).
#[track_caller]
fn check(what: &str, most: f64) {
    let traces = std::mem::take(&mut *TRACES.lock().expect("lives"));
    let mut places: BTreeMap<(&str, String), f64> = BTreeMap::new();
    for trace in &traces {
        *places.entry(owner(trace)).or_default() += 1.0 / REQUESTS as f64;
    }
    let line = |((owner, place), count): (&(&str, String), &f64)| {
        format!("{count:6.2} {owner:9} {}\n", place.lines().next().unwrap_or_default())
    };
    eprintln!("{what}:\n{}", places.iter().map(line).collect::<String>());
    let ours = places.iter().filter(|((owner, _), _)| *owner == "ours");
    let ours: f64 = ours.map(|(_, count)| count).sum();
    assert!(ours > 0.0, "{what}: nothing was found, so the names of functions have changed");
    assert!(ours <= most + 0.25, "{what}: {ours:.1} for each request, {most} at most");
}

async fn http(address: SocketAddr, model: &str, content: &[u8], headers: &str) {
    let head = format!("POST /v2/models/{model}/infer HTTP/1.1\r\nhost: here\r\n{headers}");
    let head = format!("{head}content-length: {}\r\n\r\n", content.len());
    let request = [head.as_bytes(), content].concat();
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let mut answer = vec![0; 4_096];
    for n in 0..WARM + REQUESTS {
        TRACING.store(n >= WARM, Ordering::Relaxed);
        stream.write_all(&request).await.expect("sends");
        let length = stream.read(&mut answer).await.expect("answers");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
    TRACING.store(false, Ordering::Relaxed);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Speaks HTTP/2 by itself, so that header and message of a call come together, as they do from
/// clients under load.
async fn grpc(address: SocketAddr, model: &str) {
    let text = |it: &str| [&[u8::try_from(it.len()).expect("short")], it.as_bytes()].concat();
    let field = |(name, value): (&str, &str)| [vec![0], text(name), text(value)].concat();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/inference.GRPCInferenceService/ModelInfer"),
        (":authority", "here"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let header = fields.map(field).concat();
    let (name, datatype, shape) = ("x".to_owned(), "FP32".to_owned(), vec![1, 2]);
    let message = ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![InferInputTensor { name, datatype, shape, ..Default::default() }],
        raw_input_contents: vec![vec![0; 8].into()],
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let message = [&[0][..], &length, &message].concat();

    let mut stream = TcpStream::connect(address).await.expect("connects");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = frame(SETTINGS, 0, 0, &[]);
    stream.write_all(&[&preface[..], &settings].concat()).await.expect("sends");
    let mut answer = Vec::with_capacity(64 << 10);
    for n in 0..WARM + REQUESTS {
        TRACING.store(false, Ordering::Relaxed);
        let number = u32::try_from(2 * n + 1).expect("small");
        let header = frame(HEADERS, END_HEADERS, number, &header);
        let call = [header, frame(DATA, END_STREAM, number, &message)].concat();
        TRACING.store(n >= WARM, Ordering::Relaxed);
        stream.write_all(&call).await.expect("sends");
        while !ended(&mut answer, number) {
            assert_ne!(stream.read_buf(&mut answer).await.expect("answers"), 0);
        }
    }
    TRACING.store(false, Ordering::Relaxed);
}

/// Takes whole frames out of the front; true if the answer of that stream ends with one.
fn ended(bytes: &mut Vec<u8>, number: u32) -> bool {
    while let Some((&[a, b, c, kind, flags, s, t, u, v], rest)) = bytes.split_first_chunk() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let Some(payload) = rest.get(..length) else { return false };
        let end = u32::from_be_bytes([s, t, u, v]) == number && flags & END_STREAM != 0;
        // A message stands between header and trailers: there was no fault.
        assert!(!end || kind == HEADERS && payload.len() < 40, "trailers: {payload:?}");
        bytes.drain(..9 + length);
        if end {
            return true;
        }
    }
    false
}

/// One test in this file: what is counted is the process's.
#[tokio::test]
async fn few_for_a_prediction() {
    let root = tempfile::tempdir().expect("scratch");
    let script = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
    for model in ["m", "logged"] {
        let folder = root.path().join(model).join("1");
        std::fs::create_dir_all(&folder).expect("folders");
        std::fs::write(folder.join("model.fake"), script).expect("writes");
    }
    std::fs::write(root.path().join("logged/model.toml"), "[log]\n").expect("writes");
    let log = tempfile::tempdir().expect("scratch");
    let args = ServeArgs {
        model_repository: Some(root.path().to_path_buf()),
        host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        http_port: Some(0),
        grpc_port: Some(0),
        metrics_port: Some(0),
        instances: Some(1),
        worker_threads: Some(1),
        rest_ms: Some(0),
        // Looking at the folder takes memory too.
        scan_interval_ms: Some(60_000),
        log: LogArgs { log_dir: Some(log.path().to_path_buf()), ..LogArgs::default() },
        ..ServeArgs::default()
    };
    let settings = Settings::new(args, None).expect("no faults");
    let engines = Engines::new(vec![Arc::new(Fake::new())], Vec::new());
    let metrics = server_app::telemetry::start_metrics().expect("a recorder");
    let server = Server::start(&settings, engines, metrics).expect("starts");
    let mut changes = server.lifecycle().changes();
    while !server.lifecycle().readiness().is_ready() {
        changes.changed().await.expect("the lifecycle lives");
    }

    let (rest, rpc) = (server.addresses.http, server.addresses.grpc);
    let json = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,2.5]}]}"#;
    http(rest, "m", json.as_bytes(), "").await;
    check("a prediction as JSON", 2.0);

    let json = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true}}"#;
    let length = format!("inference-header-content-length: {}\r\n", json.len());
    let content = [json.as_bytes(), &[0; 8]].concat();
    http(rest, "m", &content, &length).await;
    // One, and where the engine has a thread of its own: two for new memory to read to, as long as
    // that thread has not yet let go of what the last request lay in.
    check("a prediction as binary tensors", 3.0);

    grpc(rpc, "m").await;
    // Four of them are the two maps of headers that HTTP/2 asks for.
    check("a prediction over gRPC", 6.0);

    // No more: the record is one of a request before, and what it holds is packed into a list.
    http(rest, "logged", &content, &length).await;
    check("a logged prediction as binary tensors", 3.0);
    grpc(rpc, "logged").await;
    check("a logged prediction over gRPC", 6.0);

    let stopped = std::thread::spawn(move || server.stop(Duration::from_secs(10)));
    assert!(stopped.join().expect("lives"), "nothing is left");
}
