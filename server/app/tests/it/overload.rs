//! More than the server takes: refused at once, in words, and nothing else suffers.

use http::StatusCode;
use tonic::Code;

use crate::house::{DOUBLE, House, json, message};

const TIGHT: &str = "[dynamic_batching]\nmax_queue_size = 1\n";

#[tokio::test]
async fn a_full_queue_is_said_so() {
    let house = House::new(&[("m/1/model.fake", DOUBLE), ("m/model.toml", TIGHT)]).await;
    let (mut first, mut second) = (house.grpc().await, house.grpc().await);
    let runs = tokio::spawn(async move { first.model_infer(message("m", &[[99.0, 0.0]])).await });
    house.hangs().await;
    let waits = tokio::spawn(async move { second.model_infer(message("m", &[[1.0, 1.0]])).await });
    house.holds(2, 1).await;
    let refused = house.grpc().await.model_infer(message("m", &[[2.0, 2.0]])).await;
    let refused = refused.expect_err("full");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().starts_with("Exceeds maximum queue size"), "{refused:?}");
    let mut http = house.http().await;
    let (status, body) = http.infer("m", &[[2.0, 2.0]]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("Exceeds maximum queue size"), "{body}");
    house.fake.hangs().open();
    for it in [runs, waits] {
        it.await.expect("lives").expect("what was taken is answered");
    }
}

#[tokio::test]
async fn a_full_house_refuses_predictions_and_answers_probes() {
    let full = |args: &mut server_app::cli::ServeArgs| args.in_flight_requests_max = Some(1);
    let house = House::with(&[("m/1/model.fake", DOUBLE)], full).await;
    let mut grpc = house.grpc().await;
    let inside = tokio::spawn(async move { grpc.model_infer(message("m", &[[99.0, 0.0]])).await });
    house.hangs().await;
    let mut http = house.http().await;
    let (status, body) = http.infer("m", &[[1.0, 1.0]]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(body.contains("as many requests as it may (1)"), "{body}");
    let mut http = house.http().await;
    assert_eq!(http.get("/v2/health/live").await.0, StatusCode::OK);
    let refused = house.grpc().await.model_infer(message("m", &[[1.0, 1.0]])).await;
    assert_eq!(refused.expect_err("full").code(), Code::Unavailable);
    house.fake.hangs().open();
    inside.await.expect("lives").expect("answered");
    house.grpc().await.model_infer(message("m", &[[1.0, 1.0]])).await.expect("room again");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_by_its_own_words() {
    let small = |args: &mut server_app::cli::ServeArgs| args.request_bytes_max = Some(1_000);
    let house = House::with(&[("m/1/model.fake", DOUBLE)], small).await;
    let rows = vec![[1.0, 1.0]; 30];
    let mut http = house.http().await;
    assert_eq!(
        http.send(http::Method::POST, "/v2/models/m/infer", json(&rows[..8])).await.0,
        StatusCode::OK
    );
    let (status, body) =
        http.send(http::Method::POST, "/v2/models/m/infer", json(&vec![[1.0, 1.0]; 3_000])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(body.contains("more than 1000 bytes"), "{body}");
    let mut grpc = house.grpc().await;
    let error =
        grpc.model_infer(message("m", &vec![[1.0, 1.0]; 30_000])).await.expect_err("too large");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
    grpc.model_infer(message("m", &rows)).await.expect("the connection is as good as before");
}

#[tokio::test]
async fn messages_above_tonics_own_limit_pass() {
    let wide = "input x FP32 rows,2\noutput y FP32 rows,2 = copy x\n";
    let toml = "max_batch_size = 65536\n[warmup]\nbatch_sizes = [1]\n[dynamic_batching]\nprobe_rows = false\n";
    let house = House::new(&[("m/1/model.fake", wide), ("m/model.toml", toml)]).await;
    let endpoint =
        tonic::transport::Channel::from_shared(format!("http://{}", house.at.grpc)).expect("a URL");
    let channel = endpoint.connect().await.expect("connects");
    let mut grpc =
        proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient::new(channel)
            .max_decoding_message_size(64 << 20);
    // 65,536 rows of 8 bytes are half a mebibyte; ten of them as one message of five.
    let big = "input x FP32 rows,200\noutput y FP32 rows,200 = copy x\n";
    // What it says counts from the first load on.
    crate::house::put(house.root.path(), "big/model.toml", toml);
    crate::house::put(house.root.path(), "big/1/model.fake", big);
    house.shows("big/1:AVAILABLE m/1:AVAILABLE").await;
    let mut request = message("big", &vec![[1.0, 1.0]; 1_000_000]);
    request.inputs[0].shape = vec![10_000, 200];
    let response = grpc.model_infer(request).await.expect("eight megabytes").into_inner();
    assert_eq!(response.raw_output_contents[0].len(), 8_000_000);
}
