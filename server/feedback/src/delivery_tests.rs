use super::*;

use bytes::Bytes;

use crate::cloudevents::{CloudEvents, Event, Events, Post};
use crate::faults::Faulty;
use crate::fixture;
use crate::messages::{MESSAGE_BYTES_MAX, Message, Messages, Produce};
use crate::segment::Span;

/// Takes what is not too large for it, and keeps it.
#[derive(Clone, Default)]
struct Taken(Arc<std::sync::Mutex<Vec<Bytes>>>);

impl Post for Taken {
    fn post(&mut self, event: &Event) -> io::Result<()> {
        if event.body.len() > MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.lock().expect("no panics").push(event.body.clone());
        Ok(())
    }
}

impl Produce for Taken {
    fn produce(&mut self, messages: &[Message]) -> io::Result<()> {
        let values = messages.iter().map(|it| it.value.clone().into());
        self.0.lock().expect("no panics").extend(values);
        Ok(())
    }
}

/// What a sink has counted that was given three rows, of which nobody takes the second, and whose cursor could not
/// be written at first: failures, rows that are delivered, and events of which nobody is told.
fn counted(sink: impl FnOnce(Taken) -> Box<dyn Sink>) -> [u64; 3] {
    const LONG: Duration = Duration::from_secs(20);
    let (folder, files) = (tempfile::tempdir().expect("scratch"), Faulty::default());
    let (head, length) = (HEAD_BYTES as u64, 100);
    let end = head + length;
    let catalogue = Catalogue::new(&[(1, end, end)], vec![Position::default()], 64 << 20);
    let at = Position { segment: 1, offset: head };
    catalogue.recent.keep(Span { at, length }, || fixture::named(&[10, MESSAGE_BYTES_MAX, 10]));
    catalogue.close(Instant::now() + LONG);
    files.fail_once("replace");
    let (counts, taken) = (fixture::Counts::default(), Taken::default());
    ::metrics::with_local_recorder(&counts, || {
        let source = Source {
            files: Arc::new(files),
            folder: folder.path().to_owned(),
            log: "log".to_owned(),
            catalogue: Arc::new(catalogue),
        };
        let sink = sink(taken.clone());
        Delivery::new(source, (0, sink, Position::default()), LONG).run();
    });
    let taken = taken.0.lock().expect("no panics");
    let (first, second) = taken.split_at(taken.len() / 2);
    assert!(!first.is_empty() && first == second, "all of it came again");
    ["failures", "rows", "untold"].map(|it| counts.of(&format!("salver_log_sink_{it}_total")))
}

#[test]
fn what_comes_again_as_the_cursor_was_not_written_is_counted_once() {
    let counted_by = |events| counted(move |to| Box::new(CloudEvents::new(to, events)));
    assert_eq!(counted_by(Events::Rows), [1, 2, 1]);
    assert_eq!(counted_by(Events::Kserve), [1, 2, 2], "neither question nor answer");
    assert_eq!(counted(|to| Box::new(Messages::new(to))), [1, 2, 1]);
}
