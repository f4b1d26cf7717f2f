//! Requests through the hot path, against scripted models. Nothing sleeps: where a test needs a
//! queue to fill, one run hangs at the fake's gate until the test opens it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backend_api::{BackendError, Device, Instance, Model, Output, Signature, Tensor};
use backend_fake::Fake;
use server_base::{InferRequest, Protocol, Version, VersionChoice};
use server_serving::{Batching, Cores, InferError, Plan, Servable, Serving, WarmUp, Workers};
use tokio::task::JoinHandle;

use crate::scripted::{labelled, load, model, publish, request, serving, start, values};

const DOUBLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n\
    on 99 hang\non 13 fail\non 14 panic\non 15 refuse\non 16 lose\n";

struct House {
    serving: Arc<Serving>,
    fake: Fake,
    workers: Vec<Workers>,
}

fn plan() -> Plan {
    Plan::plain("fake_script", Duration::from_secs(60))
}

impl House {
    fn new(script: &str, plan: Plan) -> House {
        let fake = Fake::new();
        House::of(start(load(&fake, script), 1, plan), fake)
    }

    fn of(workers: Workers, fake: Fake) -> House {
        let house = House { serving: Arc::new(serving()), fake, workers: vec![workers] };
        house.publish();
        house
    }

    fn publish(&self) {
        let ready: Vec<&Workers> = self.workers.iter().collect();
        let known = ready.iter().map(|it| it.servable().version().0).chain([77]);
        let known: Vec<u64> = known.collect();
        publish(&self.serving, labelled(&ready, &known, &[("stable", 1)]));
    }

    /// Sends one request on a task of its own.
    fn send(&self, request: InferRequest<'static>) -> JoinHandle<Result<Vec<f32>, InferError>> {
        let serving = Arc::clone(&self.serving);
        tokio::spawn(async move {
            let mut trip = serving.trip(Protocol::Grpc);
            let result = serving.infer(request, &mut trip).await;
            let result = result
                .map(|(submitted, answer)| values(&submitted.response(answer, &mut trip).outputs));
            trip.finish(result.as_ref().err());
            result
        })
    }

    /// Occupies the only instance until the gate is opened.
    async fn block(&self) -> JoinHandle<Result<Vec<f32>, InferError>> {
        let blocked = self.send(request(&[&[99.0, 0.0]]));
        tokio::task::yield_now().await;
        self.fake.hangs().await_waiting(1);
        blocked
    }
}

async fn end(sent: JoinHandle<Result<Vec<f32>, InferError>>) -> Result<Vec<f32>, String> {
    let result = sent.await.expect("the task lives");
    result.map_err(|it| it.to_string())
}

#[tokio::test]
async fn requests_that_wait_share_a_batch_and_get_their_own_rows() {
    let house = House::new(DOUBLE, plan());
    let blocked = house.block().await;
    let sent: Vec<_> =
        [request(&[&[1.0, 2.0]]), request(&[&[3.0, 4.0], &[5.0, 6.0]]), request(&[&[7.0, 8.0]])]
            .into_iter()
            .map(|it| house.send(it))
            .collect();
    tokio::task::yield_now().await;
    house.fake.hangs().open();
    let mut got = Vec::new();
    for it in sent {
        got.push(end(it).await.expect("answered"));
    }
    assert_eq!(got, [vec![2.0, 4.0], vec![6.0, 8.0, 10.0, 12.0], vec![14.0, 16.0]]);
    end(blocked).await.expect("answered");
    assert_eq!(house.fake.runs(), [1, 4], "three requests, one run of four rows");
}

/// Sends neighbours of a bad request in one batch with it.
async fn neighbours_of(bad: f32) -> (Vec<Result<Vec<f32>, String>>, Vec<usize>) {
    let house = House::new(DOUBLE, plan());
    let blocked = house.block().await;
    let rows = [[1.0, 1.0], [bad, 1.0], [2.0, 2.0]];
    let sent: Vec<_> = rows.iter().map(|it| house.send(request(&[it]))).collect();
    tokio::task::yield_now().await;
    house.fake.hangs().open();
    let mut got = Vec::new();
    for it in sent {
        got.push(end(it).await);
    }
    end(blocked).await.expect("answered");
    // The instance is well again, a panic's included.
    assert_eq!(end(house.send(request(&[&[4.0, 4.0]]))).await, Ok(vec![8.0, 8.0]));
    (got, house.fake.runs())
}

#[tokio::test]
async fn an_error_costs_only_the_request_that_caused_it() {
    let (got, runs) = neighbours_of(13.0).await;
    let failed = Err("the model failed: the script fails on 13".to_owned());
    assert_eq!(got, [Ok(vec![2.0, 2.0]), failed, Ok(vec![4.0, 4.0])]);
    assert_eq!(runs, [1, 3, 1, 1, 1, 1], "the batch, then each alone, then the last");
}

#[tokio::test]
async fn so_does_a_panic() {
    let (got, _) = neighbours_of(14.0).await;
    let failed = Err("the model failed: it panicked".to_owned());
    assert_eq!(got, [Ok(vec![2.0, 2.0]), failed, Ok(vec![4.0, 4.0])]);
}

#[tokio::test]
async fn and_an_input_that_the_model_refuses() {
    let (got, _) = neighbours_of(15.0).await;
    let refused = Err("the model refused the input: the script fails on 15".to_owned());
    assert_eq!(got, [Ok(vec![2.0, 2.0]), refused, Ok(vec![4.0, 4.0])]);
}

/// What one instance of a version sees of its device holds for what waits.
#[tokio::test]
async fn a_device_that_fails_refuses_what_waits_and_is_told_until_it_is_heard() {
    let house = House::new(DOUBLE, plan());
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    house.workers[0].servable().on_loss(Box::new(move |reason, device| {
        let mut heard = heard.lock().expect("whole");
        heard.push(format!("{device}: {reason}"));
        heard.len() > 1 // the first time nobody has room for it
    }));
    let blocked = house.block().await;
    let rows = [[1.0, 1.0], [16.0, 1.0], [2.0, 2.0]];
    let sent: Vec<_> = rows.iter().map(|it| house.send(request(&[it]))).collect();
    tokio::task::yield_now().await;
    house.fake.hangs().open();
    let lost = Err(InferError::DeviceLost { model: "m".to_owned() });
    for it in sent {
        assert_eq!(it.await.expect("the task lives"), lost);
    }
    end(blocked).await.expect("answered before");
    for _ in 0..2 {
        assert_eq!(house.send(request(&[&[4.0, 4.0]])).await.expect("the task lives"), lost);
    }
    assert_eq!(house.fake.runs(), [1, 3], "nothing runs on it any more");
    assert_eq!(*told.lock().expect("whole"), ["cpu: the script fails on 16"; 2]);
}

#[tokio::test]
async fn a_hang_costs_the_caller_its_deadline_and_no_more() {
    let house = House::new(DOUBLE, plan());
    let blocked = house.block().await;
    let mut hurried = request(&[&[1.0, 1.0]]);
    hurried.timeout = Some(Duration::from_millis(20));
    let error = end(house.send(hurried)).await.expect_err("too late");
    assert!(error.starts_with("Request timeout expired"), "{error}");
    house.fake.hangs().open();
    end(blocked).await.expect("the hung run was answered in the end");
}

#[tokio::test]
async fn nothing_runs_for_callers_that_left() {
    let house = House::new(DOUBLE, plan());
    let blocked = house.block().await;
    let left = house.send(request(&[&[1.0, 1.0]]));
    let stays = house.send(request(&[&[2.0, 2.0]]));
    tokio::task::yield_now().await;
    left.abort();
    assert!(left.await.expect_err("aborted").is_cancelled());
    house.fake.hangs().open();
    end(blocked).await.expect("answered");
    assert_eq!(end(stays).await, Ok(vec![4.0, 4.0]));
    assert_eq!(house.fake.runs(), [1, 1], "the request that was left did not run");
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_refused_at_the_door() {
    let house = House::new(DOUBLE, plan());
    let mut late = request(&[&[1.0, 1.0]]);
    late.timeout = Some(Duration::ZERO);
    end(house.send(late)).await.expect_err("too late");
    assert_eq!(house.fake.runs(), Vec::<usize>::new());
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let batching = Batching { queue_max: 2, ..Batching::default() };
    let house = House::new(DOUBLE, Plan { batching, ..plan() });
    let blocked = house.block().await;
    let waiting = [house.send(request(&[&[1.0, 1.0]])), house.send(request(&[&[2.0, 2.0]]))];
    tokio::task::yield_now().await;
    let error = end(house.send(request(&[&[3.0, 3.0]]))).await.expect_err("full");
    assert_eq!(error, "Exceeds maximum queue size: 2 requests wait for model 'm'");
    house.fake.hangs().open();
    for it in waiting {
        end(it).await.expect("answered");
    }
    end(blocked).await.expect("answered");
}

#[tokio::test]
async fn unlike_shapes_run_apart() {
    let script = "input x FP32 rows,width\noutput y FP32 rows,width = double x\non 99 hang\n";
    let house = House::new(script, plan());
    let blocked = house.block().await;
    let sent: Vec<_> =
        [request(&[&[1.0]]), request(&[&[2.0, 2.0]]), request(&[&[3.0]]), request(&[&[4.0, 4.0]])]
            .into_iter()
            .map(|it| house.send(it))
            .collect();
    tokio::task::yield_now().await;
    house.fake.hangs().open();
    let mut got = Vec::new();
    for it in sent {
        got.push(end(it).await.expect("answered"));
    }
    assert_eq!(got, [vec![2.0], vec![4.0, 4.0], vec![6.0], vec![8.0, 8.0]]);
    end(blocked).await.expect("answered");
    assert_eq!(house.fake.runs(), [1, 2, 2]);
}

#[tokio::test]
async fn a_fixed_first_axis_is_served_unbatched() {
    let script = "input x FP32 1,2\noutput y FP32 1,2 = double x\non 99 hang\n";
    let house = House::new(script, plan());
    let blocked = house.block().await;
    let sent = [house.send(request(&[&[1.0, 1.0]])), house.send(request(&[&[2.0, 2.0]]))];
    tokio::task::yield_now().await;
    house.fake.hangs().open();
    let [first, second] = sent;
    assert_eq!(end(first).await, Ok(vec![2.0, 2.0]));
    assert_eq!(end(second).await, Ok(vec![4.0, 4.0]));
    end(blocked).await.expect("answered");
    assert_eq!(house.fake.runs(), [1, 1, 1]);
}

#[tokio::test]
async fn a_retired_version_answers_what_it_has_and_the_next_one_the_rest() {
    let mut house = House::new(DOUBLE, plan());
    let blocked = house.block().await;
    let inside = house.send(request(&[&[1.0, 1.0]]));
    tokio::task::yield_now().await;
    let successor = "input x FP32 rows,2\noutput y FP32 rows,2 = constant 7\n";
    let second = start(load(&house.fake, successor), 2, plan());
    let first = std::mem::replace(&mut house.workers[0], second);
    house.publish();
    house.fake.hangs().open();
    assert!(first.stop(Instant::now() + Duration::from_secs(60)), "nothing hangs");
    assert_eq!(end(blocked).await, Ok(vec![198.0, 0.0]));
    assert_eq!(end(inside).await, Ok(vec![2.0, 2.0]), "taken means answered, by version 1");
    assert_eq!(end(house.send(request(&[&[1.0, 1.0]]))).await, Ok(vec![7.0, 7.0]));
}

#[tokio::test]
async fn versions_and_labels_are_found_or_refused() {
    let house = House::new(DOUBLE, plan());
    let ask = |model: &'static str, version: &str| {
        let mut it = request(&[&[1.0, 1.0]]);
        it.model = model.into();
        it.version = VersionChoice::parse(version).expect("a version");
        house.send(it)
    };
    assert_eq!(end(ask("m", "1")).await, Ok(vec![2.0, 2.0]));
    assert_eq!(end(ask("m", "stable")).await, Ok(vec![2.0, 2.0]));
    let refused = |it: Result<Vec<f32>, String>| it.expect_err("refused");
    assert_eq!(refused(end(ask("n", "")).await), "Request for unknown model: 'n' is not found");
    assert_eq!(
        refused(end(ask("m", "99")).await),
        "Request for unknown model: 'm' version 99 is not found"
    );
    assert_eq!(
        refused(end(ask("m", "canary")).await),
        "Request for unknown model: 'm' version canary is not found"
    );
    assert_eq!(
        refused(end(ask("m", "77")).await),
        "Request for model 'm' cannot be served: it has no available versions"
    );
}

#[test]
fn a_warm_up_that_fails_fails_the_start() {
    let fake = Fake::new();
    let loaded = load(&fake, DOUBLE);
    let signature = loaded.signature().clone();
    let warm_up: WarmUp = Arc::new(|_| panic!("cold"));
    let started = Servable::start(
        (model(), Version(1)),
        (loaded, signature),
        plan(),
        &Cores::new(1),
        &warm_up,
    );
    let error = started.err().expect("does not start");
    assert_eq!(error.to_string(), "instance 0 failed to start: the model failed: it panicked");
}

/// On two GPUs, by name: the second has failed.
struct OnTwo(Arc<dyn Model>);
struct OnOne(Box<dyn Instance>, Device);

impl Model for OnTwo {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }
    fn devices(&self) -> Vec<Device> {
        vec![Device::Cuda(0), Device::Cuda(1)]
    }
    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        Ok(Box::new(OnOne(self.0.instance(&Device::Cpu)?, device.clone())))
    }
}

impl Instance for OnOne {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let gone = || BackendError::DeviceLost { reason: "gone".to_owned() };
        if self.1 == Device::Cuda(1) { Err(gone()) } else { self.0.run(inputs, outputs) }
    }
}

#[tokio::test]
async fn it_is_said_which_of_several_devices_has_failed() {
    let devices = vec![Device::Cuda(0), Device::Cuda(1)];
    let mut plan = Plan { instances: 2, devices, ..plan() };
    plan.batching.rows_max = 1;
    let fake = Fake::new();
    let on_two = Arc::new(OnTwo(load(&fake, DOUBLE)));
    let house = House::of(start(on_two, 1, plan), fake);
    let (said, mut heard) = tokio::sync::mpsc::channel(1);
    house.workers[0].servable().on_loss(Box::new(move |reason, device| {
        said.try_send((reason.to_owned(), device.clone())).is_ok()
    }));
    // The first device hangs at one of them, so the second gets the other.
    let sent = [house.send(request(&[&[99.0, 0.0]])), house.send(request(&[&[99.0, 0.0]]))];
    assert_eq!(heard.recv().await, Some(("gone".to_owned(), Device::Cuda(1))));
    house.fake.hangs().open();
    let [one, other] = sent;
    let _ = (end(one).await, end(other).await);
}
