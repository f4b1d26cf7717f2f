use super::*;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

fn window(stream: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &[0, 0, 1, 0])
}

fn begin(stream: u32) -> Vec<u8> {
    frame(HEADERS, 5, stream, b"a block of fields")
}

/// What is seen of these, read in pieces of that many bytes.
fn seen(frames: &[Vec<u8>], piece: usize) -> Vec<u8> {
    let (mut reader, mut bytes) = (Frames::new(), [PREFACE, &frames.concat()].concat());
    bytes.chunks_mut(piece).for_each(|it| reader.look(it));
    bytes.split_off(PREFACE.len())
}

#[test]
fn only_windows_of_streams_that_came_too_late_are_hidden() {
    let (farewell, other) = (frame(PING, ACK, 0, &FAREWELL), frame(PING, ACK, 0, &[7; 8]));
    let ours = frame(PING, 0, 0, &FAREWELL);
    let data = frame(0, 0, 1, &[WINDOW_UPDATE; 300]);
    let hidden = frame(UNKNOWN, 0, 5, &[0, 0, 1, 0]);
    let check = |frames: &[&Vec<u8>], late: Option<usize>| {
        let frames: Vec<Vec<u8>> = frames.iter().map(|it| (*it).clone()).collect();
        let mut expect = frames.clone();
        if let Some(late) = late {
            expect[late] = hidden.clone();
        }
        assert_eq!(seen(&frames, usize::MAX >> 1), expect.concat());
        // As long as a head lies in one piece.
        let piece = PREFACE.len() + frames[..late.unwrap_or(0)].concat().len();
        assert_eq!(seen(&frames, piece), expect.concat());
        if late.is_none() {
            (1..40).for_each(|piece| assert_eq!(seen(&frames, piece), expect.concat()));
        }
    };
    let (one, five, at_one, at_five) = (begin(1), begin(5), window(1), window(5));
    let everyone = window(0);
    check(&[&one, &data, &farewell, &five, &at_five], Some(4));
    check(&[&one, &farewell, &at_five], Some(2));
    check(&[&one, &farewell, &data, &at_one, &everyone], None);
    check(&[&one, &five, &at_five, &farewell, &at_five, &farewell, &at_five], None);
    check(&[&one, &other, &ours, &five, &at_five], None);
    check(&[&one, &frame(PING, ACK, 0, &FAREWELL[..7]), &five, &at_five], None);
}
