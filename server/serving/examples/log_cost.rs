//! What the prediction log costs the thread that answers, for each request of a tabular model:
//! `cargo run --release -p server-serving --example log_cost`.
//!
//! One model twice, logged in full and not at all, asked in turns on one thread, which also runs it; the
//! log's own thread writes to the disk meanwhile. The difference of what that one thread has used of
//! a processor is what the log costs it. A number behind it is how many rounds are asked, for a look with
//! callgrind.

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::collections::HashMap;
use std::error::Error;
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use backend_api::{Backend as _, DType, Model, Options, Shape, Tensor};
use backend_fake::Fake;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use rustix::time::{ClockId, clock_gettime};
use server_base::{
    InferRequest, LogConfig, ModelName, NamedTensor, PredictionLog as _, Protocol, Subject,
    Version, VersionChoice,
};
use server_feedback::Log;
use server_serving::metrics::RequestMetrics;
use server_serving::{
    Admission, AdmissionLimits, Caller, Cores, Mailbox, ModelEntry, Parameter, Plan, Servable,
    Serving, Table, WarmUp, Workers,
};

const FEATURES: usize = 30;
const SCRIPT: &str = "input x FP32 rows,30\noutput y FP32 rows,2 = constant 0.5\n";

/// Fewer than the log's queue takes, so that none is dropped however slow the disk is.
const REQUESTS: usize = 20_000;
const ROUNDS: usize = 41;

/// Requests that are under way at a time.
const PLACES: usize = 16;

struct House {
    serving: Serving,
    mailbox: Arc<Mailbox>,
    buffer: Bytes,
}

/// A caller with the headers of an ordinary request over gRPC.
struct User;

impl Caller for User {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let headers = [
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-python/1.70.0 grpc-c/45.0.0"),
            ("te", "trailers"),
        ];
        headers.iter().find(|(it, _)| *it == name).map(|(_, value)| value.as_bytes())
    }

    fn parameter(&self, _name: &str) -> Parameter<'_> {
        Parameter::None
    }
}

fn start(name: &ModelName) -> Result<Workers, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let artifact = folder.path().join("model.fake");
    std::fs::write(&artifact, SCRIPT)?;
    let model: Arc<dyn Model> = Fake::new().load(&artifact, &Options::default())?.into();
    let signature = model.signature().clone();
    let warm_up: WarmUp = Arc::new(|_| Ok(()));
    let plan = Plan::plain("fake_script", Duration::from_secs(60));
    let given = (name.clone(), Version(1));
    Ok(Servable::start(given, (model, signature), plan, &Cores::new(2), &warm_up)?)
}

/// Asks as many requests as there are places, as a frontend does: the values are slices of a buffer, as
/// if it had come from a socket.
async fn ask(house: &House, model: &str) -> Result<(), Box<dyn Error>> {
    let House { serving, mailbox, buffer } = house;
    let mut asked = Vec::with_capacity(PLACES);
    for place in 0..PLACES {
        let mut trip = serving.trip(Protocol::Grpc);
        let servable = serving.address(model, &VersionChoice::Any, (&User, &mut trip))?;
        let values = buffer.slice(..FEATURES * 4);
        let tensor = Tensor::new(DType::Fp32, Shape::new(&[1, FEATURES])?, values)?;
        let request = InferRequest {
            model: model.into(),
            version: VersionChoice::Any,
            inputs: [NamedTensor { name: "x".into(), tensor }].into_iter().collect(),
            outputs: Default::default(),
            timeout: None,
        };
        trip.decoded();
        let (place, reply) = mailbox.open(place).ok_or("a place is not free")?;
        let submitted = serving.submit(servable, request, &mut trip, reply)?;
        asked.push(Some((place, submitted, trip)));
    }
    let mut answers = Vec::with_capacity(PLACES);
    let mut left = PLACES;
    while left > 0 {
        poll_fn(|cx| {
            mailbox.collect(cx, &mut answers);
            if answers.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        for (place, answer) in answers.drain(..) {
            let asked = asked.get_mut(place.number()).and_then(Option::take);
            let (place, submitted, mut trip) = asked.ok_or("nobody asked for that answer")?;
            trip.resume();
            black_box(submitted.response(answer?, &mut trip));
            trip.encoded();
            trip.finish(None);
            mailbox.close(place);
            left -= 1;
        }
    }
    Ok(())
}

/// What this thread has used of a processor.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Nanoseconds of this thread for each request of one round.
async fn round(house: &House, model: &str) -> Result<f64, Box<dyn Error>> {
    let began = used();
    for _ in 0..REQUESTS / PLACES {
        ask(house, model).await?;
    }
    Ok((used() - began).as_secs_f64() * 1e9 / REQUESTS as f64)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Counters cost something only where somebody looks at them.
    metrics::set_global_recorder(PrometheusBuilder::new().build_recorder())?;
    let folder = tempfile::tempdir()?;
    let options = server_feedback::Options {
        folder: folder.path().join("wal"),
        queue_bytes_max: 256 << 20,
        disk_bytes_max: 16 << 30,
        roll: Duration::from_secs(3_600),
        host: "here".to_owned(),
        key: None,
        give_way: || {},
    };
    let log = Log::start(options, &|_| Ok(Vec::new()))?;
    let (bare, logged) = (ModelName::new("bare")?, ModelName::new("logged")?);
    let workers = [start(&bare)?, start(&logged)?];
    let served = workers[1].servable();
    served.set_log(log.open(Subject {
        model: logged.clone(),
        version: Version(1),
        digest: Some("0123456789abcdef".repeat(4)),
        signature: served.signature().clone(),
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    })?);
    let serving = Serving::new(Admission::new(AdmissionLimits::default()));
    let entry = |name: &ModelName, workers: &Workers| {
        let ready = vec![Arc::clone(workers.servable())];
        let requests = Arc::new(RequestMetrics::of_model(name));
        (name.clone(), ModelEntry::new(ready, vec![Version(1)], Vec::new(), requests))
    };
    let models = [entry(&bare, &workers[0]), entry(&logged, &workers[1])];
    serving.publish(Table::new(HashMap::from(models)));

    let (mailbox, buffer) = (Mailbox::new(PLACES.try_into()?), Bytes::from(vec![1; 4_096]));
    let house = House { serving, mailbox, buffer };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let rounds = std::env::args().nth(1).map_or(Ok(ROUNDS), |it| it.parse())?;
    for _ in 0..rounds {
        without.push(round(&house, "bare").await?);
        with.push(round(&house, "logged").await?);
    }
    let more = median(with.iter().zip(&without).map(|(with, without)| with - without).collect());
    println!("| ns of the answering thread a request, medians of {rounds} rounds | |\n|---|---|");
    println!("| without a log | {:.0} |", median(without));
    println!("| with one | {:.0} |", median(with));
    println!("| more, in rounds side by side | {more:.0} |");
    if !log.stop(Instant::now() + Duration::from_secs(60)) {
        return Err("the log has not ended".into());
    }
    Ok(())
}
