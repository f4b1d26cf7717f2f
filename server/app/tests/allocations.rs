//! How often memory is asked for to answer one request, when everything is warm.
//!
//! The number is small because it is looked at: a change that adds to it says so here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backend_fake::Fake;
use server_app::cli::ServeArgs;
use server_app::serve::Server;
use server_app::settings::Settings;
use server_lifecycle::Engines;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: passes every call on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting;

const REQUESTS: usize = 2_000;

/// Asks over and over on one connection, with memory of its own taken beforehand.
async fn taken_by(stream: &mut TcpStream, request: &[u8], answer_bytes: usize) -> usize {
    let mut answer = vec![0; answer_bytes];
    let mut before = 0;
    for n in 0..2 * REQUESTS {
        if n == REQUESTS {
            before = TAKEN.load(Ordering::Relaxed);
        }
        stream.write_all(request).await.expect("sends");
        stream.read_exact(&mut answer).await.expect("answers");
    }
    TAKEN.load(Ordering::Relaxed) - before
}

/// One test in this file: the count is the process's.
#[tokio::test]
async fn few_for_a_plain_prediction() {
    let root = tempfile::tempdir().expect("scratch");
    std::fs::create_dir_all(root.path().join("m/1")).expect("folders");
    let script = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
    std::fs::write(root.path().join("m/1/model.fake"), script).expect("writes");
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

    let body =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1.5,2.5]}]}";
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(server.addresses.http).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut first = vec![0; 4_096];
    let length = stream.read(&mut first).await.expect("answers");
    assert!(String::from_utf8_lossy(&first[..length]).contains("\"data\":[3.0,5.0]"));

    let taken = taken_by(&mut stream, request.as_bytes(), length).await;
    let each = taken as f64 / REQUESTS as f64;
    assert!(each <= 28.5, "{each:.1} for each request");
    drop(stream);
    let stopped = std::thread::spawn(move || server.stop(Duration::from_secs(10)));
    assert!(stopped.join().expect("lives"), "nothing is left");
}
