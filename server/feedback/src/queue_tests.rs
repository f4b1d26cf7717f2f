use super::*;
use crate::fixture::{form, hour, record, subject};
use crate::list::LIST_RECORDS;

/// If a test fails, it does so after so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn queue() -> (Queue, Arc<Version>) {
    let bounds = Bounds { records_max: 1_000, bytes_max: 16 << 20 };
    (Queue::new(bounds), Version::new(form(subject("m"))))
}

/// Puts in so many records; their names.
fn push(queue: &Queue, version: &Arc<Version>, records: usize) -> Vec<server_base::EventId> {
    let push = |_| {
        let record = record(hour(1), 1);
        let event = record.event;
        assert!(queue.push(version, &record, None).is_ok());
        event
    };
    (0..records).map(push).collect()
}

fn drain(queue: &Queue) -> Vec<List> {
    queue.drain(Duration::ZERO, Duration::ZERO).lists
}

#[test]
fn records_come_out_as_they_went_in_and_their_lists_are_filled_again() {
    let (queue, version) = queue();
    for _ in 0..2 {
        let names = push(&queue, &version, 2 * LIST_RECORDS + 10);
        assert_eq!(queue.filled().0, names.len());
        let lists = drain(&queue);
        let lengths: Vec<usize> = lists.iter().map(List::len).collect();
        assert_eq!(lengths, [LIST_RECORDS, LIST_RECORDS, 10]);
        let got: Vec<_> = lists.iter().flat_map(List::entries).map(|it| it.head.event).collect();
        assert_eq!(got, names);
        assert_eq!(queue.lock().spares.len(), 0, "all are under way");
        queue.release(lists);
        assert_eq!(queue.filled(), (0, 0));
        assert_eq!(queue.lock().spares.len(), 3);
    }
}

#[test]
fn only_some_empty_lists_are_kept() {
    let (queue, version) = queue();
    queue.release((0..SPARES_MAX + 5).map(|_| List::with_room()).collect());
    assert_eq!(queue.lock().spares.len(), SPARES_MAX);
    push(&queue, &version, 1);
    let lists = drain(&queue);
    assert_eq!(queue.lock().spares.len(), SPARES_MAX - 1);
    queue.release(lists);
    assert_eq!(queue.lock().spares.len(), SPARES_MAX);
    assert!(queue.lock().spares.iter().all(|it| it.len() == 0), "emptied");
}

#[test]
fn no_more_come_in_than_there_is_room_for() {
    let (queue, version) = queue();
    push(&queue, &version, 1_000);
    let refused = |queue: &Queue| {
        let pushed = queue.push(&version, &record(hour(1), 1), None);
        pushed.err().map(|it| it.0)
    };
    assert_eq!(refused(&queue), Some(Unlogged::Queue));
    let lists = drain(&queue);
    assert_eq!(refused(&queue), Some(Unlogged::Queue), "the writer still has them");
    queue.release(lists);
    assert_eq!(refused(&queue), None);
    queue.close();
    assert_eq!(refused(&queue), Some(Unlogged::Closed));
}

#[test]
fn a_writer_that_waits_for_company_goes_on_when_there_is_enough() {
    let (queue, version) = queue();
    let queue = Arc::new(Queue { bounds: Bounds { records_max: 10_000, ..queue.bounds }, ..queue });
    push(&queue, &version, 1);
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let (theirs, hour) = (Arc::clone(&queue), Duration::from_secs(3_600));
    let writer = thread::spawn(move || {
        theirs.listen();
        tell.send(0).expect("somebody listens");
        tell.send(theirs.drain(hour, hour).lists.len()).expect("somebody listens");
    });
    assert_eq!(told.recv(), Ok(0));
    push(&queue, &version, COMPANY * LIST_RECORDS);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(COMPANY + 1));
    writer.join().expect("ends");
}

#[test]
fn long_records_are_held_within_the_bounds() {
    let (queue, version) = queue();
    let long = record(hour(1), 1_000);
    let bytes = Parcel::new(&long, &version).expect("can be a row").bytes;
    let fit = queue.bounds.bytes_max / bytes;
    let pushed = (0..=fit).map(|_| queue.push(&version, &long, None).err().map(|it| it.0));
    let expect = (0..=fit).map(|it| (it == fit).then_some(Unlogged::Queue));
    assert_eq!(pushed.collect::<Vec<_>>(), expect.collect::<Vec<_>>());
    assert_eq!(
        queue.filled(),
        (fit, fit * bytes),
        "nothing is counted of the one that was refused"
    );
    let lists = drain(&queue);
    let held = lists.iter().flat_map(List::entries).filter_map(|it| it.tensor(0));
    let input = long.inputs.get(0).expect("an input");
    assert_eq!(held.filter(|it| it.data == input.data).count(), fit);
    queue.release(lists);
    assert_eq!(queue.filled(), (0, 0));
}

#[test]
fn a_long_record_on_its_way_keeps_the_queue_open() {
    let (queue, version) = queue();
    let long = record(hour(1), 1_000);
    let mut parcel = Parcel::new(&long, &version).expect("can be a row");
    assert_eq!(queue.lock().enter(parcel.bytes, queue.bounds), Ok(()));
    queue.close();
    let is_closed = || queue.drain(Duration::ZERO, Duration::ZERO).closed;
    assert!(!is_closed(), "it has its place, but is not there");
    queue.lock().put(&mut parcel, None);
    assert!(is_closed());
}
