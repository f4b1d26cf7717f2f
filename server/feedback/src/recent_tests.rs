use super::*;
use crate::fixture;

const BYTES_MAX: usize = 1 << 20;
const START: Position = Position { segment: 1, offset: 20 };

fn at(offset: u64) -> Position {
    Position { offset, ..START }
}

/// Rows of so many records.
fn keep(recent: &Recent, offset: u64, records: usize) {
    recent.keep(Span { at: at(offset), length: 10 }, || fixture::rows("m", 1, records));
}

/// How many rows' batches are kept, and their bytes.
fn held(recent: &Recent) -> (usize, usize) {
    let state = recent.lock();
    (state.kept.len(), state.bytes)
}

fn found(recent: &Recent, sink: usize, offset: u64) -> Option<usize> {
    recent.at(sink, at(offset)).map(|(length, rows)| {
        assert_eq!(length, 10);
        rows.batch.num_rows()
    })
}

#[test]
fn each_sink_finds_what_follows_and_nothing_is_kept_that_all_have() {
    let recent = Recent::new(vec![START; 2], BYTES_MAX);
    keep(&recent, 20, 1);
    keep(&recent, 30, 2);
    assert_eq!(found(&recent, 0, 20), Some(1));
    assert_eq!(found(&recent, 0, 30), Some(2));
    assert_eq!(found(&recent, 0, 40), None);
    assert_eq!(found(&recent, 1, 25), None, "no frame begins there");
    assert_eq!(recent.lock().kept.len(), 1, "the second sink has passed the first");
    assert_eq!(found(&recent, 1, 30), Some(2));
    assert_eq!(found(&recent, 1, 40), None);
    assert_eq!(held(&recent), (0, 0));
}

#[test]
fn a_sink_that_goes_back_finds_what_is_left() {
    let recent = Recent::new(vec![START; 2], BYTES_MAX);
    keep(&recent, 20, 1);
    assert_eq!(found(&recent, 0, 30), None);
    assert_eq!(found(&recent, 0, 20), Some(1), "the other has not had it");
    assert_eq!(found(&recent, 1, 30), None);
    assert_eq!(found(&recent, 1, 20), Some(1));
    assert_eq!(found(&recent, 0, 30), None);
    assert_eq!(found(&recent, 0, 20), Some(1), "it has gone back itself");
}

#[test]
fn the_oldest_go_when_there_is_no_room() {
    let recent = Recent::new(vec![START], BYTES_MAX);
    let bytes = fixture::rows("m", 1, 1_000).batch.get_array_memory_size();
    let (fit, mut offset) = (BYTES_MAX / bytes, 20);
    for _ in 0..=fit {
        keep(&recent, offset, 1_000);
        offset += 10;
    }
    assert_eq!(held(&recent), (fit, fit * bytes));
    assert_eq!(found(&recent, 0, 20), None);
    assert_eq!(found(&recent, 0, 30), Some(1_000));
}

#[test]
fn without_a_sink_nothing_is_kept() {
    let recent = Recent::new(Vec::new(), BYTES_MAX);
    recent.keep(Span::default(), || panic!("nobody asks for them"));
    assert_eq!(recent.lock().kept.len(), 0);
}
