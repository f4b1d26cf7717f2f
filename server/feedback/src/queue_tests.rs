use super::*;
use crate::fixture::{form, hour, record, subject};

fn queue() -> (Queue, Arc<Version>) {
    let bounds = Bounds { records_max: 1_000, bytes_max: 16 << 20 };
    (Queue::new(bounds), Version::new(form(subject("m"))))
}

/// Puts in so many records; their names.
fn push(queue: &Queue, version: &Arc<Version>, records: usize) -> Vec<server_base::EventId> {
    let push = |_| {
        let record = record(hour(1), 1);
        let event = record.event;
        assert!(queue.push(version, Box::new(record), None).is_ok());
        event
    };
    (0..records).map(push).collect()
}

fn drain(queue: &Queue) -> Vec<Vec<Item>> {
    queue.drain(Duration::ZERO, Duration::ZERO).lists
}

#[test]
fn records_come_out_as_they_went_in_and_their_lists_are_filled_again() {
    let (queue, version) = queue();
    for _ in 0..2 {
        let names = push(&queue, &version, 2 * LIST_RECORDS + 10);
        assert_eq!(queue.filled().0, names.len());
        let mut lists = drain(&queue);
        let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
        assert_eq!(lengths, [LIST_RECORDS, LIST_RECORDS, 10]);
        let got: Vec<_> = lists.iter().flatten().map(|it| it.record.event).collect();
        assert_eq!(got, names);
        assert_eq!(queue.lock().spares.len(), 0, "all are under way");
        let bytes: usize = lists.iter().flatten().map(|it| it.bytes).sum();
        lists.iter_mut().for_each(Vec::clear);
        queue.give_back(lists);
        queue.release(names.len(), bytes);
        assert_eq!(queue.filled(), (0, 0));
        assert_eq!(queue.lock().spares.len(), 3);
    }
}

#[test]
fn only_some_empty_lists_are_kept() {
    let (queue, version) = queue();
    queue.give_back((0..SPARES_MAX + 5).map(|_| Vec::with_capacity(LIST_RECORDS)).collect());
    assert_eq!(queue.lock().spares.len(), SPARES_MAX);
    push(&queue, &version, 1);
    queue.give_back(drain(&queue));
    assert_eq!(queue.lock().spares.len(), SPARES_MAX - 1, "one that is not empty is none of them");
}

#[test]
fn no_more_come_in_than_there_is_room_for() {
    let (queue, version) = queue();
    push(&queue, &version, 1_000);
    let refused = |queue: &Queue| {
        let pushed = queue.push(&version, Box::new(record(hour(1), 1)), None);
        pushed.err().map(|it| it.0)
    };
    assert_eq!(refused(&queue), Some(Unlogged::Queue));
    let lists = drain(&queue);
    assert_eq!(refused(&queue), Some(Unlogged::Queue), "the writer still has them");
    let bytes: usize = lists.iter().flatten().map(|it| it.bytes).sum();
    queue.release(1_000, bytes);
    assert_eq!(refused(&queue), None);
    queue.close();
    assert_eq!(refused(&queue), Some(Unlogged::Closed));
}
