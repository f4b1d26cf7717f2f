use super::*;

use std::sync::Mutex;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use backend_api::Signature;
use server_base::{ModelName, Version};

use crate::admission::Admission;
use crate::metrics::VersionMetrics;
use crate::plan::Plan;
use crate::reply::Mailbox;

/// Notes how many requests and bytes are in the house when a caller is woken.
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

/// What the caller sees at the moment when it is told, and what it is told.
fn told(end: impl FnOnce(Pending)) -> (Option<(usize, usize)>, Option<InferError>) {
    let door = Admission::new(Default::default());
    let permit = door.enter().expect("room");
    permit.grow(10).expect("room");
    let look = Arc::new(Look { door, saw: Mutex::default() });
    let (mailbox, waker) = (Mailbox::new(1), Waker::from(Arc::clone(&look)));
    let (cx, mut answers) = (Context::from_waker(&waker), Vec::new());
    mailbox.collect(&cx, &mut answers);
    let (_, reply) = mailbox.open(0).expect("a place");
    let (name, now) = (ModelName::new("m").expect("a name"), Instant::now());
    let metrics = VersionMetrics::new(&name, Version(1));
    let signature = Signature { inputs: Vec::new(), outputs: Vec::new() };
    let plan = Plan::plain("fake_script", Duration::from_secs(60));
    end(Pending {
        inputs: Inputs::new(),
        permit: Some(Arc::new(permit)),
        extent: Extent::new("m", (&signature, &plan), (&[], 1)).expect("fits"),
        arrived: now,
        deadline: now + Duration::from_secs(60),
        stated: false,
        reply,
        ledger: Arc::new(Ledger::new(name, metrics)),
    });
    mailbox.collect(&cx, &mut answers);
    let saw = look.saw.lock().expect("no panics").take();
    (saw, answers.pop().and_then(|(_, it)| it.err()))
}

#[test]
fn who_is_answered_finds_room() {
    let answered = told(|it| assert!(it.answer(Err(InferError::Panicked))));
    assert_eq!(answered, (Some((0, 0)), Some(InferError::Panicked)));
}

#[test]
fn so_does_one_that_is_forgotten() {
    assert_eq!(told(drop), (Some((0, 0)), Some(InferError::Dropped)));
}
