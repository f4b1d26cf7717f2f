use super::*;

use std::net::{Ipv4Addr, TcpStream as StdStream};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Wake, Waker};

use tokio::sync::Notify;

/// Answers nothing of substance.
struct Nobody;

impl Handler for Nobody {
    async fn handle(&self, _: Request<Incoming>) -> Response<ResponseBody> {
        Response::new(ResponseBody::empty())
    }

    fn calls(&self, _: &Arc<ConnectionLimits>) -> Option<Calls> {
        None
    }

    fn plain(&self) -> Option<Arc<Rest>> {
        None
    }
}

/// Notes, at the moment when whoever drains is told something, whether a peer is still let in.
struct Look {
    address: SocketAddr,
    lets_in: Mutex<Vec<bool>>,
    told: Notify,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        let lets_in = StdStream::connect(self.address).is_ok();
        self.lets_in.lock().expect("no panics").push(lets_in);
        self.told.notify_one();
    }
}

/// Drains a port with so many places, some of them taken until the drain has begun; what was seen of it.
async fn drained(places: usize, taken: u32) -> Vec<bool> {
    let bound = Bound::bind("test", (Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = bound.address().expect("bound");
    let limits = ConnectionLimits { connections_max: places, ..ConnectionLimits::default() };
    let serving = bound.serve(Arc::new(Nobody), limits).expect("serves");
    // As connections do, but the door does not run before this.
    let places = Arc::clone(&serving.places);
    let taken = places.try_acquire_many(taken).expect("free");
    // Ours, the port's, the door's, and that of the place for the next peer, which it has or waits for.
    while Arc::strong_count(&places) < 4 {
        tokio::task::yield_now().await;
    }
    let (lets_in, told) = (Mutex::default(), Notify::new());
    let look = Arc::new(Look { address, lets_in, told });
    let waker = Waker::from(Arc::clone(&look));
    let mut cx = Context::from_waker(&waker);
    let mut drain = pin!(serving.drain(Instant::now() + Duration::from_secs(60)));
    assert!(drain.as_mut().poll(&mut cx).is_pending(), "the door is still to hear of it");
    drop(taken);
    let ended = loop {
        look.told.notified().await;
        if let std::task::Poll::Ready(ended) = drain.as_mut().poll(&mut cx) {
            break ended;
        }
    };
    assert_eq!(ended, Drain::Complete);
    let lets_in = look.lets_in.lock().expect("no panics");
    lets_in.clone()
}

#[tokio::test]
async fn a_drained_port_is_closed() {
    let seen = drained(2, 0).await;
    assert!(!seen.contains(&true), "{seen:?}");
}

#[tokio::test]
async fn so_is_one_that_had_no_place_left() {
    let seen = drained(1, 1).await;
    assert!(!seen.contains(&true), "{seen:?}");
}
