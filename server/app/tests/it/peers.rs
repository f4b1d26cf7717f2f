//! Peers that misbehave, byte by byte, and what the server holds against them.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{DOUBLE, House, PATIENCE, json, message};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const HEADERS: u8 = 1;
const SETTINGS_MAX_CONCURRENT_STREAMS: u16 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The next frame: its kind and its payload.
async fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).expect("short")];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

async fn http2(house: &House) -> TcpStream {
    let mut stream = TcpStream::connect(house.at.grpc).await.expect("connects");
    stream.write_all(PREFACE).await.expect("sends");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("sends");
    stream
}

#[tokio::test]
async fn streams_of_one_connection_are_limited() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let mut stream = http2(&house).await;
    let (kind, payload) = read_frame(&mut stream).await.expect("settings come first");
    assert_eq!(kind, SETTINGS);
    let settings = payload.as_chunks::<6>().0.iter();
    let of = |it: &[u8; 6]| {
        (u16::from_be_bytes([it[0], it[1]]), u32::from_be_bytes([it[2], it[3], it[4], it[5]]))
    };
    let streams = settings.map(of).find(|(id, _)| *id == SETTINGS_MAX_CONCURRENT_STREAMS);
    assert_eq!(streams.expect("a limit is advertised").1, 256);
}

/// Requests that the server must reset: each has a malformed header. A peer that makes it reset
/// thousands is told to go away.
#[tokio::test]
async fn a_flood_of_faulty_streams_ends_the_connection() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let mut stream = http2(&house).await;
    // GET / with a header that HTTP/2 forbids: a stream error by RFC 9113, 8.2.2.
    let mut header = vec![0x82, 0x86, 0x84, 0x41, 1, b'x', 0x00, 10];
    header.extend(b"connection\x01x");
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        for number in 0..5_000_u32 {
            if writer.write_all(&frame(HEADERS, 0x5, 2 * number + 1, &header)).await.is_err() {
                return; // the server has closed the connection
            }
        }
    };
    let verdict = async {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes).await;
        bytes
    };
    let both = async { tokio::join!(flood, verdict).1 };
    let bytes = tokio::time::timeout(PATIENCE, both).await.expect("the connection ends");
    let mut rest = bytes.as_slice();
    let mut calm = false;
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, tail)) = tail.split_at_checked(length) else { break };
        if head[3] == GOAWAY {
            let code = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
            calm |= code == ENHANCE_YOUR_CALM;
        }
        rest = tail;
    }
    assert!(calm, "the peer is told to calm down");
    house.grpc().await.model_infer(message("m", &[[1.0, 1.0]])).await.expect("others are served");
}

#[tokio::test]
async fn either_port_speaks_both_protocols() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let endpoint =
        tonic::transport::Channel::from_shared(format!("http://{}", house.at.http)).expect("a URL");
    let channel = endpoint.connect().await.expect("connects");
    let mut grpc =
        proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient::new(channel);
    grpc.model_infer(message("m", &[[1.0, 1.0]])).await.expect("gRPC on the HTTP port");
    let mut stream = TcpStream::connect(house.at.grpc).await.expect("connects");
    let body = json(&[[1.0, 1.0]]);
    let request = format!(
        "POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "HTTP on the gRPC port: {answer}");
}

#[tokio::test]
async fn one_port_is_enough() {
    // Ports of their own choice are told apart only after binding. This one is held, without listening, so that nobody
    // else comes to have it; the server may listen there all the same.
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.set_reuseaddr(true).expect("an option");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let port = held.local_addr().expect("bound").port();
    let same = |args: &mut server_app::cli::ServeArgs| {
        (args.http_port, args.grpc_port) = (Some(port), Some(port));
    };
    let house = House::with(&[("m/1/model.fake", DOUBLE)], same).await;
    assert_eq!(house.at.http, house.at.grpc);
    house.grpc().await.model_infer(message("m", &[[1.0, 1.0]])).await.expect("gRPC");
    assert_eq!(house.http().await.infer("m", &[[1.0, 1.0]]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_chunk_flood_is_refused_without_growing() {
    let house =
        House::with(&[("m/1/model.fake", DOUBLE)], |args| args.request_bytes_max = Some(10_000))
            .await;
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sends");
    let flood = "1\r\n \r\n".repeat(1_000);
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        for _ in 0..100 {
            if writer.write_all(flood.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let reading = async {
        let mut answer = vec![0; 12];
        reader.read_exact(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    };
    let both = async { tokio::join!(sending, reading).1 };
    let answer = tokio::time::timeout(Duration::from_secs(10), both).await.expect("in time");
    assert_eq!(answer, "HTTP/1.1 413");
}
