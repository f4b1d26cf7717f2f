//! Memory that clients share with the server, over both protocols.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode};
use proto::inference::infer_parameter::ParameterChoice;
use proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use proto::inference::{
    InferParameter, ModelInferRequest, SystemSharedMemoryRegisterRequest,
    SystemSharedMemoryStatusRequest, SystemSharedMemoryUnregisterRequest,
};
use server_app::cli::LoadArg;
use tonic::Code;

use crate::house::{DOUBLE, House, Http, json, message, values};

const INFER: &str = "/v2/models/m/infer";

async fn house() -> House {
    House::with(&[("m/1/model.fake", DOUBLE)], |it| it.allow_client_shm = Some(true)).await
}

/// An object with these numbers; it goes with the test.
struct Object {
    key: String,
}

impl Object {
    fn new(numbers: &[f32]) -> Object {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let object = Object { key: format!("test_it_{}_{number}", std::process::id()) };
        let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        fs::write(object.path(), bytes).expect("an object");
        object
    }

    fn path(&self) -> String {
        format!("/dev/shm/{}", self.key)
    }

    fn numbers(&self) -> Vec<f32> {
        let bytes = fs::read(self.path()).expect("read");
        bytes.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect()
    }

    /// Registers all of it under that name.
    async fn register(&self, http: &mut Http, name: &str) {
        let bytes = fs::metadata(self.path()).expect("there").len();
        let answer = post(http, &format!("region/{name}/register"), &self.body(0, bytes)).await;
        assert_eq!(answer, (StatusCode::OK, String::new()));
    }

    fn body(&self, offset: u64, bytes: u64) -> String {
        format!(r#"{{"key":"/{}","offset":{offset},"byte_size":{bytes}}}"#, self.key)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path()); // a test may have done it
    }
}

async fn post(http: &mut Http, what: &str, body: &str) -> (StatusCode, String) {
    http.send(Method::POST, &format!("/v2/systemsharedmemory/{what}"), body.to_owned()).await
}

/// A request whose input is in a region, and whose output goes into one.
fn shared(input: (&str, u64, u64), output: Option<(&str, u64, u64)>) -> String {
    let at = |(region, offset, bytes): (&str, u64, u64)| {
        format!(
            r#""parameters":{{"shared_memory_region":"{region}","shared_memory_offset":{offset},"shared_memory_byte_size":{bytes}}}"#
        )
    };
    let outputs =
        output.map_or(String::new(), |it| format!(r#","outputs":[{{"name":"y",{}}}]"#, at(it)));
    let input = at(input);
    format!(r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,2],{input}}}]{outputs}}}"#)
}

#[tokio::test]
async fn nothing_is_shared_unless_it_may_be() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let (mut http, mut grpc) = (house.http().await, house.grpc().await);
    let object = Object::new(&[1.0, 2.0]);
    for (method, what) in [
        (Method::POST, "region/r/register"),
        (Method::POST, "region/r/unregister"),
        (Method::POST, "unregister"),
        (Method::GET, "status"),
    ] {
        let path = format!("/v2/systemsharedmemory/{what}");
        let (status, text) = http.send(method, &path, object.body(0, 8)).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{what}");
        assert!(text.contains("--allow-client-shm"), "{text}");
    }
    let (status, text) = http.send(Method::POST, INFER, shared(("r", 0, 8), None)).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert!(text.contains("'shared_memory_region' of 'x'"), "{text}");
    let refused =
        grpc.system_shared_memory_status(SystemSharedMemoryStatusRequest::default()).await;
    assert_eq!(refused.expect_err("off").code(), Code::Unimplemented);
    assert!(!http.get("/v2").await.1.contains("shared_memory"));
}

#[tokio::test]
async fn tensors_travel_through_memory_over_http() {
    let house = house().await;
    let mut http = house.http().await;
    let object = Object::new(&[1.0, 2.0, 0.0, 0.0, 7.0]);
    assert!(http.get("/v2").await.1.contains("\"system_shared_memory\""));
    object.register(&mut http, "r").await;
    let (status, text) =
        http.send(Method::POST, INFER, shared(("r", 0, 8), Some(("r", 8, 10)))).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let parameters = r#""shape":[1,2],"parameters":{"shared_memory_region":"r","shared_memory_offset":8,"shared_memory_byte_size":8}}"#;
    assert!(text.contains(parameters) && !text.contains("\"data\""), "{text}");
    assert_eq!(object.numbers(), [1.0, 2.0, 2.0, 4.0, 7.0]);
    // Either end may be in memory, and the other on the wire.
    let (_, text) = http.send(Method::POST, INFER, shared(("r", 4, 8), None)).await;
    assert!(text.contains("\"data\":[4.0,4.0]"), "{text}");
    let ask = json(&[[5.0, 6.0]]).replace(
        r#"{"inputs""#,
        r#"{"outputs":[{"name":"y","parameters":{"shared_memory_region":"r","shared_memory_byte_size":8}}],"inputs""#,
    );
    assert_eq!(http.send(Method::POST, INFER, ask).await.0, StatusCode::OK);
    assert_eq!(object.numbers(), [10.0, 12.0, 2.0, 4.0, 7.0]);

    let line = format!(r#"[{{"name":"r","key":"/{}","offset":0,"byte_size":20}}]"#, object.key);
    assert_eq!(http.get("/v2/systemsharedmemory/status").await.1, line);
    assert_eq!(http.get("/v2/systemsharedmemory/region/r/status").await.1, line);
    assert_eq!(post(&mut http, "region/r/unregister", "").await.0, StatusCode::OK);
    assert_eq!(http.get("/v2/systemsharedmemory/status").await.1, "[]");
    assert_eq!(http.get("/v2/systemsharedmemory/region/r/status").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_written() {
    let house = house().await;
    let mut http = house.http().await;
    let object = Object::new(&[1.0, 2.0, 3.0, 4.0]);
    object.register(&mut http, "r").await;
    let inputs: [(&str, u64, u64, StatusCode, &str); 6] = [
        ("q", 0, 8, StatusCode::NOT_FOUND, "Unable to find shared memory region: 'q'"),
        ("r", 12, 8, StatusCode::BAD_REQUEST, "12 + 8, the region has 16 bytes"),
        ("r", u64::MAX - 7, 8, StatusCode::BAD_REQUEST, "the region has 16 bytes"),
        ("r", 8, u64::MAX - 7, StatusCode::BAD_REQUEST, "the region has 16 bytes"),
        ("r", 0, 4, StatusCode::BAD_REQUEST, "has 8 bytes, got 4"),
        ("r", 0, 12, StatusCode::BAD_REQUEST, "has 8 bytes, got 12"),
    ];
    for (region, offset, bytes, code, says) in inputs {
        let ask = shared((region, offset, bytes), None);
        let (status, text) = http.send(Method::POST, INFER, ask).await;
        assert!(status == code && text.contains(says), "{says}: {status} {text}");
    }
    let outputs: [(&str, u64, u64, StatusCode, &str); 3] = [
        ("q", 0, 8, StatusCode::NOT_FOUND, "'q'"),
        ("r", 16, 1, StatusCode::BAD_REQUEST, "16 + 1"),
        ("r", 8, 7, StatusCode::INTERNAL_SERVER_ERROR, "'y' (7 bytes) should be at least 8 bytes"),
    ];
    for (region, offset, bytes, code, says) in outputs {
        let ask = shared(("r", 0, 8), Some((region, offset, bytes)));
        let (status, text) = http.send(Method::POST, INFER, ask).await;
        assert!(status == code && text.contains(says), "{says}: {status} {text}");
    }
    assert_eq!(object.numbers(), [1.0, 2.0, 3.0, 4.0]);
    let registrations = [
        (object.body(0, 16), "'r' already in manager"),
        (object.body(0, 17).replace("{\"key\"", "{\"mine\":1,\"key\""), "'r' already in manager"),
        (r#"{"key":"k"}"#.to_owned(), "byte_size"),
        (r#"{"key":"k","byte_size":-1}"#.to_owned(), "-1"),
    ];
    for (body, says) in registrations {
        let (status, text) = post(&mut http, "region/r/register", &body).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains(says), "{status} {text}");
    }
    let both = shared(("r", 0, 8), None).replace("[1,2],", "[1,2],\"data\":[1,2],");
    let (status, text) = http.send(Method::POST, INFER, both).await;
    assert!(status == StatusCode::BAD_REQUEST && text.contains("has both"), "{text}");
    let (_, metrics) = house.metrics().await.get("/metrics").await;
    assert!(
        metrics.contains("salver_client_memory_refused_total{reason=\"too_small\"}"),
        "{metrics}"
    );
}

/// A tensor's parameters as messages have them.
fn parameters(region: &str, offset: i64, bytes: i64) -> Vec<(String, InferParameter)> {
    let number = ParameterChoice::Int64Param;
    [
        ("shared_memory_region", ParameterChoice::StringParam(region.to_owned())),
        ("shared_memory_offset", number(offset)),
        ("shared_memory_byte_size", number(bytes)),
    ]
    .map(|(name, it)| (name.to_owned(), InferParameter { parameter_choice: Some(it) }))
    .into()
}

/// The same as [`shared`], as a message.
fn called(input: (&str, i64, i64), output: Option<(&str, i64, i64)>) -> ModelInferRequest {
    let mut request = message("m", &[[0.0, 0.0]]);
    request.raw_input_contents.clear();
    let (region, offset, bytes) = input;
    request.inputs[0].parameters.extend(parameters(region, offset, bytes));
    request.outputs = output
        .map(|(region, offset, bytes)| InferRequestedOutputTensor {
            name: "y".to_owned(),
            parameters: parameters(region, offset, bytes).into_iter().collect(),
        })
        .into_iter()
        .collect();
    request
}

/// It is decoded when it comes, and once more when its model is there.
#[tokio::test]
async fn what_is_shared_is_charged_once_while_a_model_loads() {
    let script = "input x FP32 rows,150000\noutput y FP32 rows,150000 = double x\n";
    let models = [("m/1/model.fake", script)];
    let house = House::with(&models, |it| {
        it.allow_client_shm = Some(true);
        (it.load, it.strict_readiness) = (Some(LoadArg::Lazy), Some(true));
        (it.request_bytes_max, it.in_flight_bytes_max) = (Some(1 << 20), Some(1 << 20));
    });
    let house = house.await;
    let object = Object::new(&vec![1.5; 150_000]);
    object.register(&mut house.http().await, "r").await;
    let mut request = called(("r", 0, 600_000), None);
    request.inputs[0].shape = vec![1, 150_000];
    let answer = house.grpc().await.model_infer(request).await.expect("there is room for one");
    assert_eq!(values(&answer.into_inner()), vec![3.0; 150_000]);
}

#[tokio::test]
async fn tensors_travel_through_memory_over_grpc() {
    let house = house().await;
    let mut grpc = house.grpc().await;
    let object = Object::new(&[1.0, 2.0, 0.0, 0.0]);
    let register = SystemSharedMemoryRegisterRequest {
        name: "r".to_owned(),
        key: object.key.clone(),
        offset: 0,
        byte_size: 16,
    };
    grpc.system_shared_memory_register(register.clone()).await.expect("registered");
    let again = grpc.system_shared_memory_register(register).await.expect_err("there");
    assert_eq!(again.code(), Code::AlreadyExists);
    let answer = grpc.model_infer(called(("r", 0, 8), Some(("r", 8, 8)))).await.expect("answered");
    let answer = answer.into_inner();
    let expect = parameters("r", 8, 8).into_iter().collect();
    assert_eq!(answer.outputs[0].parameters, expect);
    assert_eq!(answer.raw_output_contents, [bytes::Bytes::new()], "a place for each output");
    assert_eq!(object.numbers(), [1.0, 2.0, 2.0, 4.0]);
    let answer = grpc.model_infer(called(("r", 8, 8), None)).await.expect("answered").into_inner();
    assert_eq!(values(&answer), [4.0, 8.0]);
    let small = grpc.model_infer(called(("r", 8, 8), Some(("r", 0, 4)))).await.expect_err("small");
    assert_eq!(small.code(), Code::Internal);
    let few = InferInputTensor { name: "z".to_owned(), ..Default::default() };
    let mut request = called(("r", 8, 8), None);
    request.inputs.push(few);
    request.raw_input_contents = vec![vec![0; 8].into(), vec![0; 8].into()];
    let error = grpc.model_infer(request).await.expect_err("one too many");
    assert!(error.message().contains("each of 1 inputs, got 2"), "{error}");
    let negative = grpc.model_infer(called(("r", -1, 8), None)).await.expect_err("negative");
    assert_eq!(negative.code(), Code::InvalidArgument);

    let status = || SystemSharedMemoryStatusRequest { name: "r".to_owned() };
    let regions = grpc.system_shared_memory_status(status()).await.expect("there").into_inner();
    let region = &regions.regions["r"];
    assert_eq!((&region.key, region.offset, region.byte_size), (&object.key, 0, 16));
    let all = SystemSharedMemoryUnregisterRequest::default();
    grpc.system_shared_memory_unregister(all).await.expect("unregistered");
    let gone = grpc.system_shared_memory_status(status()).await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
}

/// Two requests wait behind one that hangs, and then share a batch: the one's tensors are in memory, whose name
/// is taken back meanwhile.
#[tokio::test]
async fn a_request_keeps_its_memory_and_shares_its_batch() {
    let house = house().await;
    let (mut grpc, mut http) = (house.grpc().await, house.http().await);
    let (mut wire, mut admin) = (house.http().await, house.http().await);
    let object = Object::new(&[1.0, 2.0, 0.0, 0.0]);
    object.register(&mut admin, "r").await;
    let hanging = tokio::spawn(async move { grpc.model_infer(message("m", &[[99.0, 1.0]])).await });
    house.hangs().await;
    let ask = shared(("r", 0, 8), Some(("r", 8, 8)));
    let asking = tokio::spawn(async move { http.send(Method::POST, INFER, ask).await });
    house.holds(2, 1).await;
    let other = tokio::spawn(async move { wire.infer("m", &[[3.0, 4.0]]).await });
    house.holds(3, 2).await;
    assert_eq!(post(&mut admin, "unregister", "").await.0, StatusCode::OK);
    house.fake.hangs().open();
    assert_eq!(asking.await.expect("lives").0, StatusCode::OK);
    assert!(other.await.expect("lives").1.contains("[6.0,8.0]"));
    hanging.await.expect("lives").expect("answered");
    assert_eq!(object.numbers(), [1.0, 2.0, 2.0, 4.0]);
    assert!(house.fake.runs().ends_with(&[1, 2]), "one hung, two shared: {:?}", house.fake.runs());
}
