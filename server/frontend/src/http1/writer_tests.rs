use super::*;

use server_serving::{Admission, AdmissionLimits};
use smallvec::SmallVec;

use crate::activity::Activity;
use crate::headers::Notes;

/// Requests and bytes in the house.
type House = (usize, usize);

/// Takes so many bytes at a time.
struct Peer {
    takes: usize,
    got: Vec<u8>,
    door: Admission,
    activity: Arc<Activity>,
    /// At each write: what it had before, and what was in the house.
    saw: Vec<(usize, House)>,
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let had = self.got.len();
        let saw = (had, self.door.in_flight());
        self.saw.push(saw);
        assert!(self.activity.can_be_asked(), "the request is under way until all is written");
        let all = slices.iter().flat_map(|it| it.iter()).take(self.takes);
        self.got.extend(all);
        Poll::Ready(Ok(self.got.len() - had))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes an answer of so long a JSON and such tensors to a peer that takes so many bytes at a time. Gives how long
/// it was, and what the peer saw.
fn written(json: usize, tensors: &[usize], takes: usize) -> (usize, Vec<(usize, House)>) {
    let door = Admission::new(AdmissionLimits::default());
    let permit = door.enter().expect("room");
    permit.grow(10).expect("room");
    let activity = Arc::new(Activity::new());
    let finished =
        Finished { ended: Instant::now(), took: Duration::ZERO, permit: Some(Arc::new(permit)) };
    let body = |bytes: usize, of: u8| (of..of + 26).cycle().take(bytes);
    let encoded = Encoded {
        json: body(json, b'a').collect(),
        tensors: tensors
            .iter()
            .map(|it| body(*it, b'A').collect::<Bytes>())
            .collect::<SmallVec<_>>(),
        notes: Notes { version: Bytes::from_static(b"1"), logged: None },
    };
    let expect: Vec<u8> =
        body(json, b'a').chain(tensors.iter().flat_map(|it| body(*it, b'A'))).collect();
    let mut writer = Writer::new();
    writer.encoded(encoded, false, (finished, activity.begin()));
    let (got, saw) = (Vec::new(), Vec::new());
    let mut peer = Peer { takes, got, door, activity: Arc::clone(&activity), saw };
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(writer.poll(&mut peer, &mut cx), Poll::Ready(Ok(()))));
    assert!(!activity.can_be_asked(), "the request is over");
    assert!(peer.got.ends_with(&expect), "every byte, in order");
    assert!(peer.got.starts_with(b"HTTP/1.1 200 OK\r\n"));
    (peer.got.len(), peer.saw)
}

const OPEN: House = (0, 0);
const HELD: House = (1, 10);

#[test]
fn who_has_all_of_an_answer_finds_room() {
    let houses =
        |(_, saw): (usize, Vec<(usize, House)>)| saw.into_iter().map(|it| it.1).collect::<Vec<_>>();
    let all = usize::MAX;
    // What is not large is not written in more pieces for that.
    assert_eq!(houses(written(100, &[], all)), [OPEN]);
    assert_eq!(houses(written(100, &[100_000, 100_000], all)), [OPEN]);
    assert_eq!(houses(written(LAST_BYTES_MAX, &[], all)), [HELD, OPEN]);
    assert_eq!(houses(written(2 << 20, &[], all)), [HELD, OPEN]);
    assert_eq!(houses(written(100, &[1 << 20, 1 << 20], all)), [HELD, OPEN]);
    let many = [100_000; 2 * SLICES];
    assert_eq!(houses(written(100, &many, all)), [HELD, HELD, OPEN]);
}

#[test]
fn what_a_slow_peer_leaves_is_in_the_budget_up_to_the_last_bytes() {
    for (json, tensors) in [(2 << 20, &[][..]), (100, &[1 << 20, 100_000, 1 << 20])] {
        let (bytes, saw) = written(json, tensors, 10_007);
        assert!(saw.len() >= bytes / 10_007, "{saw:?}");
        for (had, house) in saw {
            let expect = if bytes - had > LAST_BYTES_MAX { HELD } else { OPEN };
            assert_eq!(house, expect, "{had} of {bytes} bytes were taken");
        }
    }
}
