use super::*;

use server_serving::{Admission, AdmissionLimits};
use smallvec::SmallVec;

use crate::activity::Activity;
use crate::headers::Notes;

/// Requests and bytes in the house.
type House = (usize, usize);

/// Takes so many bytes at a time, until it has so many.
struct Peer {
    takes: usize,
    stalls: usize,
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
        let takes = self.takes.min(self.stalls.saturating_sub(had));
        if takes == 0 {
            return Poll::Pending;
        }
        let all = slices.iter().flat_map(|it| it.iter()).take(takes);
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

/// The tensors of every answer.
fn tensors(lengths: &[usize]) -> Vec<Bytes> {
    lengths.iter().map(|it| body(*it, b'A').collect()).collect()
}

fn body(bytes: usize, of: u8) -> impl Iterator<Item = u8> {
    (of..of + 26).cycle().take(bytes)
}

/// An answer of so long a JSON and such tensors, and a peer for it that takes so many bytes at a time and no more
/// than so many.
fn begun(json: usize, tensors: Vec<Bytes>, (takes, stalls): (usize, usize)) -> (Writer, Peer) {
    let door = Admission::new(AdmissionLimits::default());
    let permit = door.enter().expect("room");
    permit.grow(10).expect("room");
    let activity = Arc::new(Activity::new());
    let finished =
        Finished { ended: Instant::now(), took: Duration::ZERO, permit: Some(Arc::new(permit)) };
    let encoded = Encoded {
        json: body(json, b'a').collect(),
        tensors: tensors.into_iter().collect::<SmallVec<_>>(),
        notes: Notes { version: Bytes::from_static(b"1"), logged: None },
    };
    let mut writer = Writer::new();
    writer.encoded(encoded, false, (finished, activity.begin()));
    let (got, saw) = (Vec::new(), Vec::new());
    (writer, Peer { takes, stalls, got, door, activity, saw })
}

fn poll(writer: &mut Writer, peer: &mut Peer) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match writer.poll(peer, &mut cx) {
        Poll::Ready(ended) => ended.is_ok(),
        Poll::Pending => false,
    }
}

/// It has the whole answer.
fn check(peer: &Peer, json: usize, lengths: &[usize]) {
    let expect: Vec<u8> = body(json, b'a').chain(tensors(lengths).concat()).collect();
    assert!(!peer.activity.can_be_asked(), "the request is over");
    assert!(peer.got.ends_with(&expect), "every byte, in order");
    assert!(peer.got.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// Writes such an answer to a peer that takes so many bytes at a time. Gives how long it was, and what the peer saw.
fn written(json: usize, lengths: &[usize], takes: usize) -> (usize, Vec<(usize, House)>) {
    let (mut writer, mut peer) = begun(json, tensors(lengths), (takes, usize::MAX));
    assert!(poll(&mut writer, &mut peer));
    check(&peer, json, lengths);
    (peer.got.len(), peer.saw)
}

/// A batch's memory, and whether it is still there.
struct Batch(Bytes, #[expect(dead_code, reason = "counts")] Arc<()>);

impl AsRef<[u8]> for Batch {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
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

#[test]
fn what_a_stalled_peer_leaves_outside_the_budget_keeps_nothing_else() {
    // The last one is small, and of a batch that is not.
    for (json, lengths) in
        [(2 << 20, &[][..]), (100, &[1 << 20, 100_000, 1 << 20]), (100, &[9_000])]
    {
        let memory = Arc::new(());
        let of_batch = |it| Bytes::from_owner(Batch(it, Arc::clone(&memory)));
        let all = tensors(lengths).into_iter().map(of_batch).collect();
        let bytes = written(json, lengths, usize::MAX).0;
        let stalls = bytes.saturating_sub(LAST_BYTES_MAX);
        let (mut writer, mut peer) = begun(json, all, (usize::MAX, stalls));
        for left in [LAST_BYTES_MAX, LAST_BYTES_MAX / 2, 5_000] {
            peer.stalls = bytes.saturating_sub(left);
            assert!(!poll(&mut writer, &mut peer));
            assert_eq!(peer.door.in_flight(), OPEN);
            assert!(writer.text.capacity() <= LAST_BYTES_MAX, "{}", writer.text.capacity());
            assert_eq!(Arc::strong_count(&memory), 1, "the batch's memory is free");
        }
        peer.stalls = usize::MAX;
        assert!(poll(&mut writer, &mut peer));
        check(&peer, json, lengths);
    }
}

#[test]
fn what_is_in_the_budget_is_not_copied() {
    let memory = Arc::new(());
    let all =
        tensors(&[1 << 20]).into_iter().map(|it| Bytes::from_owner(Batch(it, Arc::clone(&memory))));
    let (mut writer, mut peer) = begun(100, all.collect(), (usize::MAX, 1_000));
    assert!(!poll(&mut writer, &mut peer));
    assert_eq!((peer.door.in_flight(), Arc::strong_count(&memory)), (HELD, 2));
}
