use proptest::prelude::*;

use super::*;

/// A segment, and where its head and each of its frames end.
fn segment(number: u64) -> (Vec<u8>, Vec<usize>) {
    let model = ModelName::new("m").expect("a name");
    let subject = Body::Subject { model, version: Version(3), schema: b"schema" };
    let rows = |batch| Body::Rows { hour: 480_000, rows: 2, batch };
    let (mut bytes, mut ends) = (head(number).to_vec(), vec![HEAD_BYTES]);
    for (index, body) in (0..).zip([subject, rows(b"first"), rows(b""), rows(b"the third, longer")])
    {
        let frame = Frame { index, subject: 0, body };
        let mut encoded = Vec::new();
        frame.encode(&mut encoded).expect("short");
        bytes.extend(encoded);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// The last end at or before that place.
fn before(ends: &[usize], place: usize) -> usize {
    ends.iter().copied().filter(|it| *it <= place).max().unwrap_or(0)
}

#[test]
fn what_is_written_is_read() {
    let (bytes, ends) = segment(7);
    assert_eq!(good_bytes(&bytes, 7), bytes.len());
    assert_eq!(good_bytes(&bytes, 8), 0, "it is another's");
    let Found::Frame(frame, length) = decode(&bytes[ends[1]..], 1) else { panic!("a frame") };
    assert_eq!(length, ends[2] - ends[1]);
    assert_eq!(frame.body, Body::Rows { hour: 480_000, rows: 2, batch: b"first" });
    assert_eq!(decode(&bytes[ends[1]..], 2), Found::Bad, "it stands elsewhere");
}

#[test]
fn a_tail_torn_anywhere_leaves_the_frames_before() {
    let (bytes, ends) = segment(1);
    for cut in 0..bytes.len() {
        assert_eq!(good_bytes(&bytes[..cut], 1), before(&ends, cut), "cut at {cut}");
    }
}

#[test]
fn a_tail_of_zeros_leaves_the_frames_before() {
    let (bytes, ends) = segment(1);
    for from in 0..bytes.len() {
        let mut zeroed = bytes.clone();
        zeroed[from..].fill(0);
        zeroed.extend([0; 4_096]);
        // Zeros may be what stood there.
        let changed = bytes[from..].iter().position(|it| *it != 0).map(|it| from + it);
        let expect = changed.map_or(bytes.len(), |it| before(&ends, it));
        assert_eq!(good_bytes(&zeroed, 1), expect, "zeros from {from}");
    }
}

#[test]
fn a_flipped_bit_anywhere_leaves_the_frames_before() {
    let (bytes, ends) = segment(1);
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            assert_eq!(good_bytes(&flipped, 1), before(&ends, place), "bit {bit} of {place}");
        }
    }
}

proptest! {
    /// Whatever lies there: nothing panics, and no more is good than there is.
    #[test]
    fn anything_can_be_looked_at(garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (bytes, _) = segment(1);
        let whole = [bytes.clone(), garbage].concat();
        prop_assert!((bytes.len()..=whole.len()).contains(&good_bytes(&whole, 1)));
    }
}
