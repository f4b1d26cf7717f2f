//! Whoever hears an answer finds the place free that the question had, however soon the next one comes.

use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use backend_fake::Fake;
use server_base::{InferRequest, Protocol, VersionChoice};
use server_serving::{Admission, Caller, Mailbox, Parameter, Serving, Workers};

use crate::scripted::{PATIENCE, entry, load, plan, publish, request, serving, start};

const SCRIPT: &str =
    "input x FP32 rows,1\noutput y FP32 rows,1 = double x\non 13 fail\non 99 hang\n";

/// A caller that says nothing beside its request.
struct Nobody;

impl Caller for Nobody {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn parameter(&self, _: &str) -> Parameter<'_> {
        Parameter::None
    }
}

/// Notes, at the moment when a caller is woken, how many requests and bytes are in the house.
struct Look {
    door: Admission,
    saw: Mutex<Option<(usize, usize)>>,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        let saw = self.door.in_flight();
        self.saw.lock().expect("no panics").get_or_insert(saw);
    }
}

struct House {
    serving: Serving,
    fake: Fake,
    workers: Workers,
}

impl House {
    fn new() -> House {
        let (serving, fake) = (serving(), Fake::new());
        let workers = start(load(&fake, SCRIPT), 1, plan());
        publish(&serving, entry(&[&workers], &[1]));
        House { serving, fake, workers }
    }

    /// Puts a request that holds a place and ten bytes to the model, and to nobody else.
    fn ask(&self, value: f32, timeout: Duration) -> (Arc<Look>, Arc<Mailbox>) {
        let door = self.serving.admission().clone();
        let look = Arc::new(Look { door, saw: Mutex::default() });
        let mailbox = Mailbox::new(1);
        let waker = Waker::from(Arc::clone(&look));
        mailbox.collect(&Context::from_waker(&waker), &mut Vec::new());
        let (_, reply) = mailbox.open(0).expect("a place");
        let permit = self.serving.admission().enter().expect("room");
        permit.grow(10).expect("room");
        let mut trip = self.serving.trip(Protocol::Grpc);
        trip.holds(Arc::new(permit));
        let request = InferRequest { timeout: Some(timeout), ..request(&[&[value]]) };
        let address = self.serving.address("m", &VersionChoice::Any, (&Nobody, &mut trip));
        let servable = address.expect("it is there");
        self.serving.submit(servable, request, &mut trip, reply).map(drop).expect("waits");
        // The frontend's own share goes with its answer, which is not what is looked at here.
        drop(trip.finish(None));
        (look, mailbox)
    }
}

/// What the caller saw when it was told, with the instance held until the caller held nothing any more.
fn saw(value: f32, timeout: Duration) -> Option<(usize, usize)> {
    let house = House::new();
    let hung = house.ask(99.0, PATIENCE);
    house.fake.hangs().await_waiting(1);
    let late = Instant::now() + timeout;
    let (look, mailbox) = house.ask(value, timeout);
    while timeout < PATIENCE && Instant::now() <= late {}
    house.fake.hangs().open();
    assert!(house.workers.stop(Instant::now() + PATIENCE), "all answered");
    drop((hung, mailbox));
    let saw = look.saw.lock().expect("no panics");
    *saw
}

#[tokio::test]
async fn who_is_answered_finds_room() {
    assert_eq!(saw(1.0, PATIENCE), Some((0, 0)));
}

#[tokio::test]
async fn so_does_one_that_failed() {
    assert_eq!(saw(13.0, PATIENCE), Some((0, 0)));
}

#[tokio::test]
async fn and_one_whose_time_was_up() {
    assert_eq!(saw(1.0, Duration::from_millis(200)), Some((0, 0)));
}
