//! Against librdkafka's own mock of a cluster, which speaks the protocol over the loopback.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;

const TOPIC: &str = "rows";
const PARTITIONS: i32 = 3;

/// A cluster of one broker, and a producer that asks it.
struct House {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: Producer,
}

impl House {
    fn new() -> House {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(TOPIC, PARTITIONS, 1).expect("a topic");
        let word = format!("kafka://{}/{TOPIC}", cluster.bootstrap_servers());
        let topic = Topic::parse(&word).expect("ours").expect("an address");
        let producer = Producer::new(&topic, std::iter::empty()).expect("settings");
        House { cluster, producer }
    }

    fn fails(&self, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(RDKafkaApiKey::Produce, errors);
    }

    /// Everything that is there: keys and ids, by partition.
    fn consumed(&self) -> BTreeMap<i32, Vec<(String, String)>> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "tests")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(TOPIC, partition, Offset::Beginning).expect("there");
        }
        consumer.assign(&all).expect("assigned");
        let (mut ended, mut consumed) = (BTreeSet::new(), BTreeMap::<i32, Vec<_>>::new());
        while ended.len() < PARTITIONS as usize {
            match consumer.poll(Duration::from_secs(20)).expect("in time") {
                Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
                Err(error) => panic!("{error}"),
                Ok(it) => {
                    let text = |it: &[u8]| String::from_utf8(it.to_vec()).expect("text");
                    let id = it.headers().expect("headers").get(0).value.expect("an id");
                    let pair = (text(it.key().expect("a key")), text(id));
                    assert_eq!(it.payload(), Some(format!("{{\"id\":{}}}", pair.1).as_bytes()));
                    assert_eq!(it.timestamp().to_millis(), Some(1_795_300_000_000));
                    consumed.entry(it.partition()).or_default().push(pair);
                }
            }
        }
        consumed
    }
}

/// Messages of so many ids from there on, of five keys in turn.
fn messages(ids: std::ops::Range<usize>) -> Vec<Message> {
    let message = |id: usize| Message {
        key: format!("request {}", id % 5),
        value: format!("{{\"id\":{id}}}").into_bytes(),
        headers: vec![("ce_id", id.to_string())],
        time_ms: 1_795_300_000_000,
    };
    ids.map(message).collect()
}

/// Every id is there, each key is in one partition, and of each key the ids come in their order, if
/// those that came before are left out.
#[track_caller]
fn check(consumed: &BTreeMap<i32, Vec<(String, String)>>, ids: usize) {
    let mut seen: BTreeMap<&str, (i32, Vec<usize>)> = BTreeMap::new();
    for (partition, pairs) in consumed {
        for (key, id) in pairs {
            let (place, known) = seen.entry(key).or_insert((*partition, Vec::new()));
            assert_eq!(place, partition, "{key} is in two partitions");
            let id = id.parse().expect("a number");
            if !known.contains(&id) {
                known.push(id);
            }
        }
    }
    for (key, (_, known)) in &seen {
        assert!(known.is_sorted(), "{key}: {known:?}");
    }
    let all: BTreeSet<usize> = seen.into_values().flat_map(|it| it.1).collect();
    assert_eq!(all, (0..ids).collect());
}

fn count(consumed: &BTreeMap<i32, Vec<(String, String)>>) -> usize {
    consumed.values().map(Vec::len).sum()
}

#[test]
fn messages_are_there_once_when_they_are_said_to_be() {
    let mut house = House::new();
    house.producer.produce(&messages(0..1_000)).expect("taken");
    house.producer.produce(&messages(1_000..1_010)).expect("taken");
    let consumed = house.consumed();
    check(&consumed, 1_010);
    assert_eq!(count(&consumed), 1_010);
}

#[test]
fn what_passes_is_tried_again_without_a_second_copy() {
    let mut house = House::new();
    house.fails(&[
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    ]);
    house.producer.produce(&messages(0..100)).expect("taken after all");
    let consumed = house.consumed();
    check(&consumed, 100);
    assert_eq!(count(&consumed), 100);
}

#[test]
fn what_is_refused_says_so_and_comes_again() {
    let mut house = House::new();
    house.fails(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 3]);
    let refused = house.producer.produce(&messages(0..50)).expect_err("refused").to_string();
    assert!(refused.contains("Topic authorization failed"), "{refused}");
    house.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    house.producer.produce(&messages(0..50)).expect("taken");
    check(&house.consumed(), 50);
}

#[test]
fn a_broker_that_is_gone_is_given_up_in_time_and_asked_again() {
    let mut house = House::new();
    house.producer.produce(&messages(0..10)).expect("taken");
    house.cluster.broker_down(1).expect("down");
    house.producer.timeout = Duration::from_millis(200);
    for _ in 0..2 {
        let error = house.producer.produce(&messages(10..30)).expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().starts_with("the time is up after 0 messages: "), "{error}");
    }
    house.cluster.broker_up(1).expect("up");
    house.producer.timeout = Duration::from_secs(20);
    house.producer.produce(&messages(10..30)).expect("taken");
    let consumed = house.consumed();
    check(&consumed, 30);
    assert_eq!(count(&consumed), 30, "what was called back did not come late");
}

/// Its answers come too late: whether it took the messages is not known, so they come again.
#[test]
fn a_broker_that_hangs_costs_copies_and_nothing_else() {
    let mut house = House::new();
    house.producer.produce(&messages(0..10)).expect("taken");
    house.producer.timeout = Duration::from_millis(500);
    house.cluster.broker_round_trip_time(1, Duration::from_secs(3_600)).expect("slow");
    house.producer.produce(&messages(10..30)).expect_err("no answer in time");
    house.cluster.broker_round_trip_time(1, Duration::ZERO).expect("fast");
    house.producer.timeout = Duration::from_secs(20);
    house.producer.produce(&messages(10..30)).expect("taken");
    check(&house.consumed(), 30);
}

#[test]
fn an_address_names_brokers_and_a_topic() {
    let found = |word: &str| Topic::parse(word).map(|it| it.map(|it| (it.brokers, it.name)));
    let good = |brokers: &str, name: &str| Some(Ok((brokers.to_owned(), name.to_owned())));
    for (word, expect) in [
        ("parquet", None),
        ("kafka://a/t", good("a:9092", "t")),
        (
            "kafka://a:1,b.c,[::1]:2,[::1]/a-b_c.d",
            good("a:1,b.c:9092,[::1]:2,[::1]:9092", "a-b_c.d"),
        ),
    ] {
        assert_eq!(found(word), expect, "{word}");
    }
    for (word, why) in [
        ("kafka://", "no topic"),
        ("kafka://a", "no topic"),
        ("kafka://a/", "no name of a topic"),
        ("kafka://a/..", "no name of a topic"),
        ("kafka://a/b/c", "a topic has letters, digits, '.', '_' and '-'"),
        ("kafka://a/t?acks=0", "a topic has letters, digits, '.', '_' and '-'"),
        ("kafka:///t", "no HOST:PORT"),
        ("kafka://a:0/t", "no HOST:PORT"),
        ("kafka://a:70000/t", "no HOST:PORT"),
        ("kafka://a,,b/t", "no HOST:PORT"),
        ("kafka://[x]/t", "no HOST:PORT"),
    ] {
        let expect = format!("{word:?}: {why}, expected {FORM}");
        assert_eq!(found(word), Some(Err(expect)), "{word}");
    }
    let secret = found("kafka://me:hush@a/t").expect("ours").expect_err("refused");
    assert!(secret.starts_with("credentials belong") && !secret.contains("hush"), "{secret}");
}

/// Beside that of predictions, whose names may be too long for that.
#[test]
#[cfg(all(feature = "truth", feature = "parquet"))]
fn labels_have_a_topic_of_their_own() {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("rows.labels", 1, 1).expect("a topic");
    let topic = |name: &str| {
        let word = format!("kafka://{}/{name}", cluster.bootstrap_servers());
        Topic::parse(&word).expect("ours").expect("an address")
    };
    topic("rows").labels().expect("settings").produce(&messages(0..7)).expect("taken");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "tests")
        .create()
        .expect("a consumer");
    let (first, end) =
        consumer.fetch_watermarks("rows.labels", 0, Duration::from_secs(20)).expect("there");
    assert_eq!((first, end), (0, 7));
    let long = topic(&"x".repeat(TOPIC_BYTES_MAX)).labels().map(drop).expect_err("too long");
    assert!(long.to_string().contains("has 256 bytes, at most 249 can be"), "{long}");
}

#[test]
fn the_environment_says_how_brokers_are_reached_and_nothing_else() {
    let made = |variables: &[(&str, &str)]| {
        let topic = Topic { brokers: "127.0.0.1:1".to_owned(), name: "t".to_owned() };
        let owned = |(name, it): &(&str, &str)| ((*name).to_owned(), (*it).to_owned());
        Producer::new(&topic, variables.iter().map(owned))
    };
    let sasl = [
        ("PATH", "/bin"),
        ("SALVER_LOG_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"),
        ("SALVER_LOG_KAFKA_SASL_MECHANISM", "PLAIN"),
        ("SALVER_LOG_KAFKA_SASL_USERNAME", "me"),
        ("SALVER_LOG_KAFKA_SASL_PASSWORD", "hush"),
        ("SALVER_LOG_KAFKA_MESSAGE_TIMEOUT_MS", "9000"),
        ("SALVER_LOG_KAFKA_CLIENT_ID", ""),
    ];
    let producer = made(&sasl).expect("settings");
    let value = |name: &str| producer.config.get(name);
    assert_eq!(value("sasl.password"), Some("hush"));
    assert_eq!((value("acks"), value("enable.idempotence")), (Some("all"), Some("true")));
    assert_eq!((value("client.id"), value("socket.timeout.ms")), (None, Some("3000")));
    assert_eq!(producer.timeout, Duration::from_secs(9));
    for (name, it, expect) in [
        (
            "ACKS",
            "0",
            "SALVER_LOG_KAFKA_ACKS: ACKS is none of MESSAGE_TIMEOUT_MS, SECURITY_PROTOCOL",
        ),
        (
            "MESSAGE_TIMEOUT_MS",
            "soon",
            "SALVER_LOG_KAFKA_MESSAGE_TIMEOUT_MS is no number from 1000",
        ),
        ("MESSAGE_TIMEOUT_MS", "0", "SALVER_LOG_KAFKA_MESSAGE_TIMEOUT_MS is no number from 1000"),
        ("SECURITY_PROTOCOL", "magic", "Kafka's security.protocol: Invalid value \"magic\""),
    ] {
        let error = made(&[(&format!("SALVER_LOG_KAFKA_{name}"), it)]).err().expect("refused");
        assert!(error.starts_with(expect), "{error}");
    }
}
