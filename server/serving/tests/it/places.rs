//! Whoever hears an answer finds the place free that the question had, however soon the next one comes.

use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use backend_api::BackendError;
use backend_fake::Fake;
use server_base::{InferRequest, Protocol, VersionChoice};
use server_serving::{
    Admission, Caller, InferError, Mailbox, Parameter, Serving, Submitted, Workers,
};

use crate::scripted::{PATIENCE, entry, load, plan, publish, request, serving, start, values};

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

/// What a caller was told: numbers, or why not.
type Told = Result<Vec<f32>, InferError>;

/// A request that waits, and its caller.
struct Asked {
    look: Arc<Look>,
    mailbox: Arc<Mailbox>,
    submitted: Submitted,
}

impl Asked {
    fn told(&self, serving: &Serving) -> Told {
        let mut answers = Vec::new();
        self.mailbox.collect(&Context::from_waker(Waker::noop()), &mut answers);
        let (_, answer) = answers.pop().expect("told");
        let mut trip = serving.trip(Protocol::Grpc);
        answer.map(|it| values(&self.submitted.response(it, &mut trip).outputs))
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
    fn ask(&self, value: f32, timeout: Duration) -> Asked {
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
        let submitted = self.serving.submit(servable, request, &mut trip, reply).expect("waits");
        // The frontend's own share goes with its answer, which is not what is looked at here.
        drop(trip.finish(None));
        Asked { look, mailbox, submitted }
    }
}

/// What the caller saw when it was told, and was told, with the instance held until the caller held nothing any
/// more; and, if it says so, until its time was up.
fn saw(value: f32, timeout: Option<Duration>) -> (Option<(usize, usize)>, Told) {
    let house = House::new();
    let hung = house.ask(99.0, PATIENCE);
    house.fake.hangs().await_waiting(1);
    let asked = house.ask(value, timeout.unwrap_or(PATIENCE));
    // It arrived before that, however long asking took.
    let late = timeout.map(|_| asked.submitted.deadline());
    while let Some(left) = late.map(|it| it.saturating_duration_since(Instant::now()))
        && !left.is_zero()
    {
        thread::park_timeout(left);
    }
    house.fake.hangs().open();
    assert!(house.workers.stop(Instant::now() + PATIENCE), "all answered");
    assert_eq!(hung.told(&house.serving), Ok(vec![198.0]));
    let saw = *asked.look.saw.lock().expect("no panics");
    (saw, asked.told(&house.serving))
}

#[tokio::test]
async fn who_is_answered_finds_room() {
    assert_eq!(saw(1.0, None), (Some((0, 0)), Ok(vec![2.0])));
}

#[tokio::test]
async fn so_does_one_that_failed() {
    let (saw, told) = saw(13.0, None);
    assert_eq!(saw, Some((0, 0)));
    assert!(matches!(told, Err(InferError::Backend(BackendError::Run { .. }))), "{told:?}");
}

#[tokio::test]
async fn and_one_whose_time_was_up() {
    let timeout = Duration::from_millis(200);
    let (saw, told) = saw(1.0, Some(timeout));
    assert_eq!(saw, Some((0, 0)));
    assert!(matches!(told, Err(InferError::Expired { waited }) if waited >= timeout), "{told:?}");
}
