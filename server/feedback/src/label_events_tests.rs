use super::*;
use crate::cloudevents::Event;
use crate::event_batch::BATCH_EVENTS_MAX;

/// Keeps what it takes; fails after so many, and then again after as many.
#[derive(Default)]
struct Kept {
    posts: Vec<Event>,
    messages: Vec<Vec<Message>>,
    fails_after: Option<usize>,
    bytes_max: Option<usize>,
    since: usize,
}

impl Kept {
    fn take(&mut self) -> io::Result<()> {
        if self.fails_after == Some(self.since) {
            self.since = 0;
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.since += 1;
        Ok(())
    }
}

impl Post for Kept {
    fn post(&mut self, event: &Event) -> io::Result<()> {
        if self.bytes_max.is_some_and(|it| event.body.len() > it) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.take()?;
        self.posts.push(event.clone());
        Ok(())
    }
}

impl Produce for Kept {
    fn produce(&mut self, messages: &[Message]) -> io::Result<()> {
        self.take()?;
        self.messages.push(messages.to_vec());
        Ok(())
    }
}

fn model() -> ModelName {
    ModelName::new("a b").expect("a name")
}

fn row(n: usize, value: LabelValue) -> LabelRow {
    LabelRow {
        label_id: format!("replica-{n}"),
        inference_id: format!("é\"{n}"),
        row_index: 3,
        value,
        label_time: (n > 0).then_some(1_700_000_000_000_000),
        recorded_time: 1_795_300_000_000_007,
    }
}

fn rows(count: usize) -> Vec<LabelRow> {
    (0..count).map(|it| row(it, LabelValue::Number(0.5))).collect()
}

fn ids(posts: &[Event]) -> Vec<String> {
    let events = posts.iter().flat_map(|it| {
        let batch: Vec<serde_json::Value> = serde_json::from_slice(&it.body).expect("a batch");
        batch
    });
    events.map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_label_is_an_event() {
    let mut sink = LabelEvents::new(Kept::default());
    let rows = [
        row(0, LabelValue::Bool(true)),
        row(1, LabelValue::Number(0.1)),
        row(2, LabelValue::Text("red\n".to_owned())),
    ];
    sink.put(&model(), "x-1", &rows).expect("put");
    let [event] = sink.to.posts.as_slice() else { panic!("one post") };
    assert_eq!(event.headers[0].1, "application/cloudevents-batch+json; charset=utf-8");
    let events: serde_json::Value = serde_json::from_slice(&event.body).expect("JSON");
    let expect = serde_json::json!({
        "specversion": "1.0",
        "type": "dev.salver.inference.label.v1",
        "source": "/models/a%20b",
        "id": "replica-0",
        "subject": "é\"0",
        "time": "2026-11-21T22:26:40.000007Z",
        "datacontenttype": "application/json",
        "data": {
            "model": "a b",
            "label_id": "replica-0",
            "inference_id": "é\"0",
            "row_index": 3,
            "label": true,
            "label_time": null,
            "recorded_time": "2026-11-21T22:26:40.000007Z",
        },
    });
    assert_eq!(events[0], expect);
    assert_eq!(events[1]["data"]["label"], 0.1);
    assert_eq!(events[1]["data"]["label_time"], "2023-11-14T22:13:20.000000Z");
    assert_eq!(events[2]["data"]["label"], "red\n");
}

#[test]
fn a_label_is_a_message_keyed_by_its_request() {
    let mut sink = LabelMessages::new(Kept::default());
    sink.put(&model(), &[row(0, LabelValue::Number(2.0))]).expect("put");
    let [messages] = sink.to.messages.as_slice() else { panic!("one call") };
    let [message] = messages.as_slice() else { panic!("one message") };
    assert_eq!((message.key.as_str(), message.time_ms), ("é\"0", 1_795_300_000_000));
    let value: serde_json::Value = serde_json::from_slice(&message.value).expect("JSON");
    assert_eq!((&value["label"], &value["model"]), (&2.into(), &"a b".into()));
    let header = |name| message.headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    assert_eq!(header("ce_id"), Some("replica-0"));
    assert_eq!(header("ce_type"), Some(LABEL));
    assert_eq!(header("ce_source"), Some("/models/a%20b"));
    assert_eq!(header("ce_subject"), Some("é\"0"));
}

/// A receiver that fails after every second post takes all of them, each once, in their order.
#[test]
fn what_was_taken_is_not_posted_again() {
    let mut sink = LabelEvents::new(Kept { fails_after: Some(2), ..Kept::default() });
    let rows = rows(4 * BATCH_EVENTS_MAX + 7);
    let taken: Vec<Option<usize>> = (0..3).map(|_| sink.put(&model(), "x-1", &rows).ok()).collect();
    assert_eq!(taken, [None, None, Some(rows.len())]);
    let expect: Vec<String> = rows.iter().map(|it| it.label_id.clone()).collect();
    assert_eq!(ids(&sink.to.posts), expect);
}

/// Whichever attempt it was that left some out.
#[test]
fn what_is_too_large_for_the_receiver_is_not_taken() {
    let mut rows = rows(2 * BATCH_EVENTS_MAX);
    for place in [0, 1, BATCH_EVENTS_MAX] {
        rows[place].value = LabelValue::Text("x".repeat(1_000));
    }
    let to = Kept { bytes_max: Some(1_000), ..Kept::default() };
    let mut sink = LabelEvents::new(to);
    assert_eq!(sink.put(&model(), "x-1", &rows).expect("taken"), rows.len() - 3);
    let posts = sink.to.posts.len();
    let expect = ids(&std::mem::take(&mut sink.to.posts));
    assert_eq!(expect.len(), rows.len() - 3);
    // It fails once, in the second batch.
    (sink.to.fails_after, sink.to.since) = (Some(posts - 1), 0);
    sink.put(&model(), "x-1", &rows).expect_err("its last post");
    sink.to.posts.clear();
    assert_eq!(sink.put(&model(), "x-1", &rows).expect("taken"), rows.len() - 3);
    assert!(sink.to.posts.len() < posts);
}

/// What failed of one model says nothing of another's that begins at the same place, and is not forgotten
/// over that.
#[test]
fn another_model_is_posted_as_a_whole() {
    let mut sink = LabelEvents::new(Kept { fails_after: Some(1), ..Kept::default() });
    let rows = rows(2 * BATCH_EVENTS_MAX);
    sink.put(&model(), "x-1", &rows).expect_err("its second post");
    sink.to.fails_after = None;
    sink.put(&ModelName::new("other").expect("a name"), "x-1", &rows).expect("taken");
    assert_eq!(sink.to.posts.len(), 3);
    sink.put(&model(), "x-1", &rows).expect("the rest is taken");
    let expect: Vec<String> =
        rows.iter().skip(BATCH_EVENTS_MAX).map(|it| it.label_id.clone()).collect();
    assert_eq!(ids(&sink.to.posts[3..]), expect);
    assert!(sink.done.is_empty());
}

#[test]
fn more_than_the_producer_takes_goes_in_parts() {
    let mut sink = LabelMessages::new(Kept::default());
    let rows = rows(25_000);
    sink.put(&model(), &rows).expect("put");
    let calls: Vec<usize> = sink.to.messages.iter().map(Vec::len).collect();
    assert!(calls.iter().all(|it| *it <= crate::WAITING_MAX), "{calls:?}");
    let all = sink.to.messages.concat();
    let ids: Vec<&str> = all.iter().map(|it| it.headers[2].1.as_str()).collect();
    assert!(ids.into_iter().eq(rows.iter().map(|it| it.label_id.as_str())));
}
