//! Requests whose version goes while they are on their way to it: at the worst moment of all, between the
//! look into the table and the push, and as often as the test says. Nothing sleeps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use backend_fake::Fake;
use server_base::VersionLog;
use server_base::{InferRequest, LogConfig, Protocol, Record, Told, Version, VersionChoice};
use server_serving::{Bell, Demand, InferError, OnDemand, Prospect, Serving, Workers};

use crate::scripted::{
    PATIENCE, entry, load, model, plan, publish, request, serving, start, values,
};

/// One model `m`, of which every version goes when a request is about to be put to it.
struct House {
    me: Weak<House>,
    serving: Serving,
    demand: Arc<Demand>,
    bell: Arc<Bell>,
    /// Is the next version loaded when somebody asks, or before the last one goes?
    is_lazy: bool,
    workers: Mutex<Option<Workers>>,
    loads: AtomicUsize,
    /// How often a version still goes.
    unloads: AtomicUsize,
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().expect("no panics")
}

impl House {
    fn new(is_lazy: bool, unloads: usize) -> Arc<House> {
        let house = Arc::new_cyclic(|me: &Weak<House>| {
            let ringing = me.clone();
            let bell = Bell::new(move || {
                let house = ringing.upgrade().expect("it lives");
                house.bell.take();
                house.load();
                house.demand.tell();
            });
            House {
                me: me.clone(),
                serving: serving(),
                demand: Demand::new(model(), Arc::clone(&bell)),
                bell,
                is_lazy,
                workers: Mutex::default(),
                loads: AtomicUsize::new(0),
                unloads: AtomicUsize::new(unloads),
            }
        });
        house.publish();
        if !is_lazy {
            house.load();
        }
        house
    }

    /// Shows what is loaded now.
    fn publish(&self) {
        let workers = lock(&self.workers);
        let ready: Vec<&Workers> = workers.iter().collect();
        let on_demand = (self.is_lazy && ready.is_empty()).then(|| OnDemand {
            demand: Arc::clone(&self.demand),
            prospect: Prospect::Registered,
            versions: vec![Version(1)],
            timeout: PATIENCE,
            waiting_max: 1,
        });
        publish(&self.serving, entry(&ready, &[1]).with_demand(on_demand));
    }

    /// Gives the version that was there before.
    fn load(&self) -> Option<Workers> {
        let script = "input x FP32 rows,1\noutput y FP32 rows,1 = double x\n";
        let workers = start(load(&Fake::new(), script), 1, plan());
        let going = Going { house: self.me.clone(), config: LogConfig::default() };
        workers.servable().set_log(Arc::new(going));
        self.loads.fetch_add(1, Ordering::Relaxed);
        let before = lock(&self.workers).replace(workers);
        self.publish();
        before
    }

    /// The version that is there goes, if one is still to go.
    fn unload(&self) {
        // A push looks more than once, and what has gone does not go again.
        if self.is_lazy && lock(&self.workers).is_none() {
            return;
        }
        let less = |it: usize| it.checked_sub(1);
        if self.unloads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return;
        }
        let before = if self.is_lazy { lock(&self.workers).take() } else { self.load() };
        self.publish();
        drop(before); // which closes its lane, now that nobody finds it any more
    }

    async fn ask(&self, timeout: Option<Duration>) -> Result<f32, InferError> {
        let request = InferRequest { timeout, ..request(&[&[2.0]]) };
        let mut trip = self.serving.trip(Protocol::Grpc);
        let (submitted, answer) = self.serving.infer(request, &mut trip).await?;
        Ok(values(&submitted.response(answer, &mut trip).outputs)[0])
    }
}

/// A log that is asked for its rules right before a push.
struct Going {
    house: Weak<House>,
    config: LogConfig,
}

impl VersionLog for Going {
    fn config(&self) -> &LogConfig {
        self.house.upgrade().into_iter().for_each(|it| it.unload());
        &self.config
    }

    fn offer(&self, _: &Record) {}

    fn commit(&self, _: &Record, told: Told) {
        told(Ok(()));
    }
}

#[tokio::test]
async fn a_request_waits_as_often_as_its_model_is_unloaded_under_its_feet() {
    let house = House::new(true, 12);
    assert_eq!(house.ask(None).await, Ok(4.0));
    assert_eq!(house.loads.load(Ordering::Relaxed), 13);
}

#[tokio::test]
async fn a_request_follows_its_model_through_any_number_of_versions() {
    let house = House::new(false, 12);
    assert_eq!(house.ask(None).await, Ok(4.0));
    assert_eq!(house.loads.load(Ordering::Relaxed), 13);
}

#[tokio::test]
async fn the_deadline_ends_what_would_go_on_for_ever() {
    for is_lazy in [true, false] {
        let house = House::new(is_lazy, usize::MAX);
        let timeout = Duration::from_millis(50);
        let ended = house.ask(Some(timeout)).await;
        assert!(matches!(ended, Err(InferError::Expired { waited }) if waited >= timeout));
    }
}

/// A lane that is closed while the table still shows it: a bug, which is not to become a loop.
#[tokio::test]
async fn a_closed_version_that_is_found_again_is_not_asked_for_ever() {
    let house = House::new(false, 0);
    lock(&house.workers).take(); // closed by that, and nothing published
    let ended = house.ask(None).await;
    assert!(matches!(ended, Err(InferError::NotReady { .. })), "{ended:?}");
}

/// The look at what was waited for may come too late any number of times.
#[tokio::test]
async fn a_look_waits_again_if_what_it_looks_for_has_gone() {
    let house = House::new(true, 0);
    let mut looks = 0;
    let look = || {
        looks += 1;
        if looks < 9 {
            // Loaded by the wait before, and gone again before this look.
            lock(&house.workers).take();
            house.publish();
        }
        let table = house.serving.table();
        table.route("m", &VersionChoice::Any).map(|it| it.version())
    };
    let time = (std::time::Instant::now(), None);
    let found = house.serving.when_awake(("m", &VersionChoice::Any), time, look).await;
    assert_eq!((found, looks), (Ok(Version(1)), 9));
}
