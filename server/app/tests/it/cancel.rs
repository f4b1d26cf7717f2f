//! Deadlines and callers that leave, over the wire.

use http::StatusCode;
use proto::inference::InferParameter;
use proto::inference::infer_parameter::ParameterChoice;
use tonic::Code;

use crate::house::{DOUBLE, House, message};

/// Occupies the only instance.
async fn block(house: &House) -> tokio::task::JoinHandle<()> {
    let mut grpc = house.grpc().await;
    let blocked = tokio::spawn(async move {
        grpc.model_infer(message("m", &[[99.0, 0.0]])).await.expect("answered in the end");
    });
    house.hangs().await;
    blocked
}

#[tokio::test]
async fn a_calls_deadline_holds_and_nothing_runs_for_it() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let blocked = block(&house).await;
    let runs = house.fake.runs().len();
    let mut grpc = house.grpc().await;
    // As a parameter, which only the server keeps; the call's own timeout the client keeps too.
    let mut request = message("m", &[[1.0, 1.0]]);
    let micros = Some(ParameterChoice::Int64Param(20_000));
    request.parameters.insert("timeout".to_owned(), InferParameter { parameter_choice: micros });
    let status = grpc.model_infer(request).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let mut http = house.http().await;
    let body = r#"{"parameters":{"timeout":20000},"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1]}]}"#;
    let (status, text) = http.send(http::Method::POST, "/v2/models/m/infer", body).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{text}");
    assert!(text.contains("Request timeout expired"), "{text}");
    house.fake.hangs().open();
    blocked.await.expect("answered");
    // How long the hung run took is no measure of what those would take who have left.
    house.holds(0, 0).await;
    // One more request makes the instance look at its queue again.
    let mut last = house.grpc().await;
    last.model_infer(message("m", &[[2.0, 2.0]])).await.expect("answered");
    assert_eq!(house.fake.runs().len(), runs + 1, "the expired requests did not run");
}

#[tokio::test]
async fn a_caller_that_leaves_costs_nothing() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let blocked = block(&house).await;
    let runs = house.fake.runs().len();
    for number in 1..=20 {
        let mut grpc = house.grpc().await;
        let leaving =
            tokio::spawn(async move { grpc.model_infer(message("m", &[[1.0, 1.0]])).await });
        house.holds(2, number).await;
        // Dropped after it was sent: the stream is reset, the connection closed.
        leaving.abort();
        house.holds(1, number).await;
    }
    let mut http = house.http().await;
    let leaving = tokio::spawn(async move { http.infer("m", &[[1.0, 1.0]]).await });
    house.holds(2, 21).await;
    leaving.abort();
    let table = house.server().lifecycle().index();
    assert_eq!(table.len(), 1, "still there");
    // The server hears of it before the gate opens: its metrics say when nobody is left.
    house.holds(1, 21).await; // those who left are still in the queue, unwanted
    house.fake.hangs().open();
    blocked.await.expect("answered");
    // How long the hung run took is no measure of what those would take who have left.
    house.holds(0, 0).await;
    let mut last = house.grpc().await;
    last.model_infer(message("m", &[[2.0, 2.0]])).await.expect("answered");
    assert_eq!(house.fake.runs().len(), runs + 1, "nothing ran for those who left");
}
