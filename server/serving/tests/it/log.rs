//! What the prediction log gets to see of requests, and what answers wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use backend_fake::Fake;
use server_base::{
    Kind, LogConfig, LogMode, Protocol, Reason, Record, Route, Share, Told, Unlogged,
    VersionChoice, VersionLog,
};
use server_serving::{InferError, Serving, Shadow, Workers};

use crate::scripted::{self, PATIENCE, entry, load, plan, publish, request, serving};

mod copies;
mod traffic;

/// The numbers of the first tensor.
fn values(of: &server_base::Kept) -> Vec<f32> {
    let tensor = of.get(0).and_then(|it| it.tensor()).expect("a tensor");
    tensor.aligned().view().expect("floats").to_vec()
}

/// A log that keeps what it is given, and says what it was told to say.
#[derive(Default)]
struct Kept {
    config: LogConfig,
    offered: Mutex<Vec<Record>>,
    committed: Mutex<Vec<Record>>,
    /// What to say at once; where nothing, whoever waits does so here.
    says: Option<Result<(), Unlogged>>,
    waiting: Mutex<Vec<Told>>,
    /// Where set: keeps the thread that compares until the other end is dropped.
    holds: Option<Mutex<Receiver<()>>>,
    held: AtomicBool,
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().expect("no panics")
}

impl VersionLog for Kept {
    fn config(&self) -> &LogConfig {
        &self.config
    }

    fn offer(&self, record: &Record) {
        if let Some(gate) = &self.holds
            && thread::current().name() == Some("shadow/m")
        {
            self.held.store(true, Ordering::SeqCst);
            let _ = lock(gate).recv();
        }
        lock(&self.offered).push(record.clone());
    }

    fn commit(&self, record: &Record, told: Told) {
        lock(&self.committed).push(record.clone());
        match self.says {
            Some(says) => told(says),
            None => lock(&self.waiting).push(told),
        }
    }
}

struct House {
    serving: Serving,
    log: Arc<Kept>,
    _workers: Workers,
}

fn start(script: &str, version: u64) -> Workers {
    let script = format!("input x FP32 rows,2\noutput y FP32 rows,2 = {script}\non 13 fail\n");
    scripted::start(load(&Fake::new(), &script), version, plan())
}

impl House {
    fn new(log: Kept) -> House {
        let (workers, log) = (start("double x", 1), Arc::new(log));
        workers.servable().set_log(Arc::clone(&log) as Arc<dyn VersionLog>);
        let serving = serving();
        publish(&serving, entry(&[&workers], &[1]));
        House { serving, log, _workers: workers }
    }

    /// Asks under a name; what was answered, and what was said of the log.
    async fn ask(&self, id: &str, input: &str, row: [f32; 2]) -> Result<Option<&str>, InferError> {
        let mut request = request(&[&row]);
        request.inputs[0].name = input.to_owned().into();
        let mut trip = self.serving.trip(Protocol::Grpc);
        let addressed = self.serving.address("m", &VersionChoice::Any, (&Headers, &mut trip));
        addressed.expect("it is there");
        trip.is_called(id.as_bytes());
        trip.holds(Arc::new(self.serving.admission().enter().expect("room")));
        let asked = self.serving.infer(request, &mut trip).await;
        let result = asked.map(|(submitted, answer)| {
            let logged = answer.logged();
            submitted.response(answer, &mut trip);
            logged
        });
        trip.finish(result.as_ref().err());
        result
    }
}

struct Headers;

impl server_serving::Caller for Headers {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let trace: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        (name == "traceparent").then_some(trace)
    }

    fn parameter(&self, _name: &str) -> server_serving::Parameter<'_> {
        server_serving::Parameter::None
    }
}

/// Id, code and reason of each record, in short.
fn shown(records: &Mutex<Vec<Record>>) -> Vec<String> {
    let show = |it: &Record| {
        let id = String::from_utf8_lossy(&it.request_id).into_owned();
        let code = it.failure.as_ref().map_or("OK", |(kind, _)| Kind::label(*kind));
        format!("{id} {code} {} {}", it.reason.label(), it.outputs.len())
    };
    lock(records).iter().map(show).collect()
}

#[tokio::test]
async fn every_end_is_offered_once() {
    let house = House::new(Kept::default());
    assert_eq!(house.ask("good", "x", [1.0, 2.0]).await, Ok(None), "nothing is promised");
    house.ask("bad", "nothing", [1.0, 2.0]).await.expect_err("no such input");
    house.ask("fails", "x", [13.0, 0.0]).await.expect_err("the model fails");
    let mut trip = house.serving.trip(Protocol::Http);
    house.serving.address("m", &VersionChoice::Any, (&Headers, &mut trip)).expect("it is there");
    drop(trip);
    let expect = [
        "good OK uniform 1",
        "bad INVALID_ARGUMENT error 0",
        "fails INTERNAL error 0",
        " CANCELLED error 0",
    ];
    assert_eq!(shown(&house.log.offered), expect);
    let offered = lock(&house.log.offered);
    assert_eq!(values(&offered[0].inputs), [1.0, 2.0]);
    assert_eq!(values(&offered[0].outputs), [2.0, 4.0]);
    assert_eq!(values(&offered[2].inputs), [13.0, 0.0]);
    assert_eq!(offered[0].trace.map(|it| it.span), Some(0x00f0_67aa_0ba9_02b7));
    assert_eq!((offered[0].rows, offered[0].timing.batch_rows), (1, 1));
}

#[tokio::test]
async fn the_sample_goes_by_id_and_what_is_sure_to_be_logged_says_so() {
    let sample = Share::new(0.5).expect("a share");
    let config = LogConfig { sample, ..LogConfig::default() };
    let house = House::new(Kept { config, ..Kept::default() });
    let ids: Vec<String> = (0..64).map(|it| format!("id-{it}")).collect();
    for id in &ids {
        house.ask(id, "x", [1.0, 2.0]).await.expect("answered");
    }
    house.ask("bad", "nothing", [1.0, 2.0]).await.expect_err("no such input");
    let mut offered = lock(&house.log.offered);
    let bad = offered.pop().expect("it failed");
    assert_eq!((bad.probability, bad.reason), (1.0, Reason::Error));
    let got: Vec<&[u8]> = offered.iter().map(|it| &it.request_id[..]).collect();
    let expect: Vec<&[u8]> =
        ids.iter().map(|it| it.as_bytes()).filter(|it| sample.takes(it)).collect();
    assert_eq!(got, expect);
    assert!(offered.iter().all(|it| (it.probability, it.reason) == (0.5, Reason::Uniform)));
}

#[tokio::test]
async fn a_slow_answer_is_logged_whatever_the_sample() {
    let config = LogConfig {
        sample: Share::new(0.0).expect("none"),
        slow_over: Some(Duration::ZERO),
        ..LogConfig::default()
    };
    let house = House::new(Kept { config, ..Kept::default() });
    house.ask("slow", "x", [1.0, 2.0]).await.expect("answered");
    assert_eq!(shown(&house.log.offered), ["slow OK slow 1"]);
}

fn durable(mode: LogMode, says: Option<Result<(), Unlogged>>) -> House {
    House::new(Kept { config: LogConfig { mode, ..LogConfig::default() }, says, ..Kept::default() })
}

#[tokio::test]
async fn an_answer_waits_until_it_is_logged() {
    let house = durable(LogMode::AtLeastOnce, None);
    let mut asked = Box::pin(house.ask("one", "x", [1.0, 2.0]));
    let told = loop {
        tokio::select! {
            biased;
            answer = &mut asked => panic!("{answer:?} before anybody was told"),
            () = tokio::task::yield_now() => {}
        }
        if let Some(told) = lock(&house.log.waiting).pop() {
            break told;
        }
    };
    told(Ok(()));
    assert_eq!(asked.await, Ok(Some("durable")));
    assert_eq!(shown(&house.log.committed), ["one OK uniform 1"]);
    assert_eq!(shown(&house.log.offered), Vec::<String>::new(), "once is enough");
}

/// As when the log has ended by a bug.
#[tokio::test]
async fn whom_the_log_forgets_is_answered() {
    let house = durable(LogMode::AtLeastOnce, None);
    let mut asked = Box::pin(house.ask("one", "x", [1.0, 2.0]));
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut asked => break answer,
            () = tokio::task::yield_now() => {}
        }
        lock(&house.log.waiting).clear();
    };
    assert_eq!(answer, Err(InferError::Dropped));
}

#[tokio::test]
async fn what_is_not_logged_is_said_or_fails() {
    let unlogged = Some(Err(Unlogged::Disk));
    let house = durable(LogMode::AtLeastOnce, unlogged);
    assert_eq!(house.ask("one", "x", [1.0, 2.0]).await, Ok(Some("dropped")));
    let house = durable(LogMode::FailClosed, unlogged);
    let error = house.ask("one", "x", [1.0, 2.0]).await.expect_err("it is vital");
    assert_eq!(
        (error.kind(), error),
        (Kind::Unavailable, InferError::Unlogged { why: Unlogged::Disk })
    );
    let house = durable(LogMode::FailClosed, Some(Ok(())));
    assert_eq!(house.ask("one", "x", [1.0, 2.0]).await, Ok(Some("durable")));
    // What failed by itself is logged too, and fails as it would have.
    let error = house.ask("two", "x", [13.0, 2.0]).await.expect_err("the model fails");
    assert_eq!(error.kind(), Kind::Internal);
    house.ask("three", "nothing", [1.0, 2.0]).await.expect_err("no such input");
    assert_eq!(shown(&house.log.committed), ["one OK uniform 1", "two INTERNAL error 0"]);
    assert_eq!(shown(&house.log.offered), ["three INVALID_ARGUMENT error 0"]);
}
