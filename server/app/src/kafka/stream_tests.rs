//! Against librdkafka's own mock of a cluster, which speaks the protocol over the loopback. It does not know
//! where times are, and takes away what is old when a partition has 5 MiB.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey;
use rdkafka::types::RDKafkaRespErr;
use server_feedback::{Message as Sent, Produce as _};

use super::super::Producer;
use super::*;

const TOPIC: &str = "rows";

struct House {
    cluster: MockCluster<'static, DefaultProducerContext>,
    topic: Topic,
    reader: Reader,
}

impl House {
    fn new(partitions: i32) -> House {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(TOPIC, partitions, 1).expect("a topic");
        let word = format!("kafka://{}/{TOPIC}", cluster.bootstrap_servers());
        let topic = Topic::parse(&word).expect("ours").expect("an address");
        let reader = Reader::new(&topic, std::iter::empty()).expect("settings");
        House { cluster, topic, reader }
    }

    /// Messages of so many bytes, each of a key of its own.
    fn produce(&self, count: usize, bytes: usize) {
        let mut producer = Producer::new(&self.topic, std::iter::empty()).expect("settings");
        let message = |n: usize| Sent {
            key: n.to_string(),
            value: vec![b'x'; bytes],
            headers: vec![("ce_type", "kind".to_owned()), (COLUMNS, "columns".to_owned())],
            time_ms: 1_795_300_000_000,
        };
        producer.produce(&(0..count).map(message).collect::<Vec<_>>()).expect("taken");
    }

    /// Reads to the end, from there: the offsets of each partition.
    fn read(&mut self, from: &Offsets) -> io::Result<BTreeMap<i32, Vec<i64>>> {
        let there = self.reader.partitions()?;
        let left = |it: (&i32, &Range<i64>)| it.1.end - from.get(it.0).unwrap_or(&it.1.start);
        let mut left: i64 = there.iter().map(left).sum();
        self.reader.seek(from)?;
        let mut read = BTreeMap::<i32, Vec<i64>>::new();
        while left > 0 {
            left -= i64::from(self.reader.next(&mut |it| {
                assert_eq!((it.kind, it.source), (Some("kind"), None));
                assert_eq!((it.columns, it.time), (Some("columns"), Some(1_795_300_000_000_000)));
                read.entry(it.partition).or_default().push(it.offset);
            })?);
        }
        Ok(read)
    }
}

fn begin(there: &BTreeMap<i32, Range<i64>>) -> Offsets {
    there.iter().map(|(partition, range)| (*partition, range.start)).collect()
}

#[test]
fn a_topic_is_read_from_where_one_says() {
    let mut house = House::new(3);
    house.produce(300, 10);
    let there = house.reader.partitions().expect("there");
    assert_eq!(there.len(), 3);
    assert_eq!(there.values().map(|it| it.end - it.start).sum::<i64>(), 300);
    let read = house.read(&begin(&there)).expect("all");
    for (partition, range) in &there {
        assert_eq!(read[partition], range.clone().collect::<Vec<_>>());
    }
    let middle: Offsets = there.iter().map(|it| (*it.0, it.1.end / 2)).collect();
    house.produce(30, 10);
    let read = house.read(&middle).expect("the rest");
    assert!(read.iter().all(|it| it.1.first() == middle.get(it.0)), "{read:?}");
    assert_eq!(
        house.reader.since(0).expect("an answer"),
        Offsets::new(),
        "this broker is no clock"
    );
}

#[test]
fn what_is_read_to_its_end_says_where_that_is() {
    let mut house = House::new(3);
    house.produce(60, 10);
    let there = house.reader.partitions().expect("there");
    let ends: Offsets = there.iter().map(|it| (*it.0, it.1.end)).collect();
    // Twice: what was true of an earlier place is not told of a later one.
    for _ in 0..2 {
        house.reader.seek(&begin(&there)).expect("it is told to");
        assert_eq!(*house.reader.ended(), Offsets::new());
        let mut next = begin(&there);
        while *house.reader.ended() != ends {
            house
                .reader
                .next(&mut |it| {
                    next.insert(it.partition, it.offset + 1);
                })
                .expect("well");
            let ended = house.reader.ended();
            assert!(ended.iter().all(|it| next.get(it.0) == Some(it.1)), "{ended:?} {next:?}");
        }
    }
}

#[test]
fn what_was_taken_away_is_not_passed_over() {
    let mut house = House::new(1);
    // 5 MiB are kept.
    for _ in 0..4 {
        house.produce(40, 50_000);
    }
    let there = house.reader.partitions().expect("there");
    assert!(there[&0].start > 0, "{there:?}");
    house.read(&Offsets::from([(0, 0)])).expect_err("it is not there");
    let read = house.read(&begin(&there)).expect("what is there");
    assert_eq!(read[&0].len() as i64, there[&0].end - there[&0].start);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let mut house = House::new(1);
    house
        .cluster
        .topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        .expect("set");
    let error = house.reader.partitions().expect_err("not there");
    assert!(error.to_string().starts_with("topic \"rows\": "), "{error}");
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "which somebody may wait for");
}

#[test]
fn a_broker_that_is_away_is_asked_again() {
    let mut house = House::new(2);
    house.produce(20, 10);
    let there = house.reader.partitions().expect("there");
    house.reader.timeout = Duration::from_millis(300);
    house.cluster.broker_down(1).expect("down");
    house.reader.partitions().expect_err("nobody is there");
    house.reader.seek(&begin(&there)).expect("it is told to");
    let error = (0..).find_map(|_| house.reader.next(&mut |_| panic!("from whom")).err());
    assert_eq!(error.expect("some day").kind(), io::ErrorKind::TimedOut);
    house.cluster.broker_up(1).expect("up");
    house.reader.timeout = Duration::from_secs(20);
    let read = house.read(&begin(&there)).expect("all");
    assert_eq!(read.values().map(Vec::len).sum::<usize>(), 20);
    // What passes is waited for.
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2];
    house.cluster.request_errors(RDKafkaApiKey::Fetch, &errors);
    assert_eq!(house.read(&begin(&there)).expect("all").values().map(Vec::len).sum::<usize>(), 20);
}

#[test]
fn settings_are_those_of_the_sink() {
    let topic = Topic { brokers: "127.0.0.1:1".to_owned(), name: "t".to_owned() };
    let made = |name: &str, value: &str| {
        Reader::new(&topic, std::iter::once((name.to_owned(), value.to_owned())))
    };
    let reader = made("SALVER_LOG_KAFKA_SASL_USERNAME", "me").expect("settings");
    assert_eq!(reader.config.get("sasl.username"), Some("me"));
    assert_eq!(reader.config.get("enable.auto.commit"), Some("false"));
    made("SALVER_LOG_KAFKA_COMPRESSION_TYPE", "lz4").expect("of the sink alone");
    let error = made("SALVER_LOG_KAFKA_SECURITY_PROTOCOL", "magic").err().expect("refused");
    assert!(error.starts_with("Kafka's security.protocol: Invalid value"), "{error}");
}
