//! The prediction log's sink to Kafka, by librdkafka; and below, the way back.
//!
//! Rows count as delivered when all in-sync replicas have them (`acks=all`), and the broker leaves out
//! what the client sends twice (`enable.idempotence`). What fails is called back, its producer dropped,
//! and comes again under the same ids by a new one. The sink's own thread waits; nobody else does.

#[cfg(feature = "fleet")]
mod stream;

use std::env;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, Producer as _, ProducerContext, ThreadedProducer,
};
#[cfg(all(feature = "truth", feature = "parquet"))]
use server_feedback::LABELS_TOPIC_SUFFIX;
use server_feedback::{Message, Messages, Produce, Sink, WAITING_BYTES_MAX, WAITING_MAX};
#[cfg(feature = "fleet")]
use server_monitor::fleet::Stream;

/// The form of its address.
pub(crate) const FORM: &str = "kafka://BROKER[:PORT][,BROKER..]/TOPIC";

const SCHEME: &str = "kafka://";

/// As brokers listen.
const PORT: u16 = 9_092;

/// Longest name of a topic, as brokers have it.
const TOPIC_BYTES_MAX: usize = 249;

/// Variables of the environment begin so.
const PREFIX: &str = "SALVER_LOG_KAFKA_";

/// What else is said of librdkafka, in its own words with underscores: how brokers are reached and who
/// we are. A list, so that nothing can be said that would make the sink promise what it does not keep.
const SETTINGS: [&str; 11] = [
    "SECURITY_PROTOCOL",
    "SASL_MECHANISM",
    "SASL_USERNAME",
    "SASL_PASSWORD",
    "SSL_CA_LOCATION",
    "SSL_CERTIFICATE_LOCATION",
    "SSL_KEY_LOCATION",
    "SSL_KEY_PASSWORD",
    "SSL_ENDPOINT_IDENTIFICATION_ALGORITHM",
    "CLIENT_ID",
    "COMPRESSION_TYPE",
];

/// How long rows may take until all replicas have them, and who says otherwise.
const TIMEOUT: &str = "MESSAGE_TIMEOUT_MS";
const TIMEOUT_MS: u64 = 30_000;
const TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;

/// A topic, and who is asked for it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// With ports, separated by commas.
    brokers: String,
    name: String,
}

impl Topic {
    /// `None`: it is no address of Kafka's.
    pub(crate) fn parse(word: &str) -> Option<Result<Topic, String>> {
        let wrong = |why: &str| Err(format!("{word:?}: {why}, expected {FORM}"));
        let rest = word.strip_prefix(SCHEME)?;
        // An address with a password is not to be repeated.
        if rest.contains('@') {
            return Some(Err(format!(
                "credentials belong into the environment ({PREFIX}SASL_USERNAME, ..), not into an address"
            )));
        }
        let Some((brokers, name)) = rest.split_once('/') else { return Some(wrong("no topic")) };
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        if name.is_empty() || name.len() > TOPIC_BYTES_MAX || [".", ".."].contains(&name) {
            return Some(wrong("no name of a topic"));
        }
        if !name.chars().all(is_plain) {
            return Some(wrong("a topic has letters, digits, '.', '_' and '-'"));
        }
        let brokers: Option<Vec<String>> = brokers.split(',').map(broker).collect();
        let Some(brokers) = brokers else { return Some(wrong("no HOST:PORT")) };
        Some(Ok(Topic { brokers: brokers.join(","), name: name.to_owned() }))
    }

    /// Makes the sink. A setting that cannot be is found out here.
    pub(crate) fn sink(&self) -> io::Result<Box<dyn Sink>> {
        let producer = Producer::new(self, variables()).map_err(io::Error::other)?;
        Ok(Box::new(Messages::new(producer)))
    }

    /// The topic of labels, beside it.
    #[cfg(all(feature = "truth", feature = "parquet"))]
    pub(crate) fn beside(&self) -> io::Result<Topic> {
        let name = format!("{}{LABELS_TOPIC_SUFFIX}", self.name);
        let bytes = name.len();
        if bytes > TOPIC_BYTES_MAX {
            let words =
                format!("topic {name:?} has {bytes} bytes, at most {TOPIC_BYTES_MAX} can be");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        Ok(Topic { brokers: self.brokers.clone(), name })
    }

    /// Makes what sends labels, to that topic.
    #[cfg(all(feature = "truth", feature = "parquet"))]
    pub(crate) fn labels(&self) -> io::Result<impl Produce + use<>> {
        Producer::new(&self.beside()?, variables()).map_err(io::Error::other)
    }

    /// Makes what reads it. A setting that cannot be is found out here.
    #[cfg(feature = "fleet")]
    pub(crate) fn stream(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(stream::Reader::new(self, variables()).map_err(io::Error::other)?))
    }
}

/// The environment: text only, since whatever we look for is one.
fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// With its port; an address of IPv6 is in brackets.
fn broker(text: &str) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|it| *it > 0)?)
        }
        Some(_) | None => (text, PORT),
    };
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |it: char| it.is_ascii_alphanumeric() || ".-_".contains(it);
            !host.is_empty() && host.chars().all(plain)
        }
    };
    is_host.then(|| format!("{host}:{port}"))
}

/// How brokers are reached, and how long they may take. An error says which setting cannot be, and never its
/// value, which may be a secret.
fn settings(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(ClientConfig, u64), String> {
    let mut config = ClientConfig::new();
    let mut timeout_ms = TIMEOUT_MS;
    let ours = |(name, value): (String, String)| {
        Some((name.strip_prefix(PREFIX)?.to_owned(), value)).filter(|it| !it.1.is_empty())
    };
    for (name, value) in variables.filter_map(ours) {
        if name == TIMEOUT {
            let range = TIMEOUTS_MS;
            let number = value.parse().ok().filter(|it| range.contains(it));
            let (least, most) = (range.start(), range.end());
            timeout_ms = number
                .ok_or_else(|| format!("{PREFIX}{name} is no number from {least} to {most}"))?;
        } else if SETTINGS.contains(&name.as_str()) {
            config.set(name.to_ascii_lowercase().replace('_', "."), value);
        } else {
            let known = SETTINGS.join(", ");
            return Err(format!("{PREFIX}{name}: {name} is none of {TIMEOUT}, {known}"));
        }
    }
    Ok((config, timeout_ms))
}

/// Keeps a connection as long as all goes well.
struct Producer {
    topic: String,
    config: ClientConfig,
    timeout: Duration,
    open: Option<ThreadedProducer<Reports>>,
}

impl Producer {
    /// An error says which setting cannot be, and never its value, which may be a secret.
    fn new(
        topic: &Topic,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Producer, String> {
        let (mut config, timeout_ms) = settings(variables)?;
        let timeout = Duration::from_millis(timeout_ms);
        // A request that got lost is to be tried again within the time that there is.
        let attempt_ms = (timeout_ms / 3).to_string();
        let bytes_max = 2 * WAITING_BYTES_MAX / 1_024;
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // All of them fail at once, by our clock: one alone would let later ones overtake it.
            ("message.timeout.ms", "0"),
            ("socket.timeout.ms", &attempt_ms),
            ("request.timeout.ms", &attempt_ms),
            // One flush, and the frames around it.
            ("queue.buffering.max.messages", &WAITING_MAX.to_string()),
            ("queue.buffering.max.kbytes", &bytes_max.to_string()),
            // As Java's client does, so that all producers agree on a key's partition.
            ("partitioner", "murmur2_random"),
        ] {
            config.set(name, value);
        }
        // What cannot work at all is said now, by a client that knows nobody and so waits for nobody. The
        // real one is made by the sink's own thread, so that its threads give way as that one does.
        let alone = BaseProducer::from_config_and_context(&config, Reports::default());
        alone.map(drop).map_err(|it| unusable(&it))?;
        config.set("bootstrap.servers", topic.brokers.as_str());
        Ok(Producer { topic: topic.name.clone(), config, timeout, open: None })
    }

    fn open(&mut self) -> io::Result<&ThreadedProducer<Reports>> {
        let opened = match self.open.take() {
            Some(open) => open,
            None => {
                let made =
                    ThreadedProducer::from_config_and_context(&self.config, Reports::default());
                made.map_err(|error| io::Error::other(unusable(&error)))?
            }
        };
        Ok(self.open.insert(opened))
    }

    fn all(&mut self, messages: &[Message]) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        let topic = self.topic.clone();
        let producer = self.open()?;
        let reports = producer.client().context();
        *reports.lock() = State::default();
        for message in messages {
            // There is room for all of them: none is left of those before.
            producer.send(record(&topic, message)).map_err(|it| io::Error::other(it.0))?;
        }
        reports.wait(|it| it.taken == messages.len(), deadline)
    }
}

impl Produce for Producer {
    fn produce(&mut self, messages: &[Message]) -> io::Result<()> {
        let produced = self.all(messages);
        if produced.is_err() {
            // With it goes what it has not sent: it comes again, and must not come late as well.
            self.open = None;
        }
        produced
    }
}

fn record<'a>(topic: &'a str, message: &'a Message) -> BaseRecord<'a, str, [u8]> {
    let headers = OwnedHeaders::new_with_capacity(message.headers.len());
    let headers = message.headers.iter().fold(headers, |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_bytes()) })
    });
    let record = BaseRecord::to(topic).key(message.key.as_str()).payload(message.value.as_slice());
    record.headers(headers).timestamp(message.time_ms)
}

/// Which setting cannot be. What librdkafka says of one may quote it, so that of secrets is not told.
fn unusable(error: &KafkaError) -> String {
    let KafkaError::ClientConfig(_, why, name, _) = error else { return format!("Kafka: {error}") };
    if name.contains("password") {
        return format!("Kafka's {name} cannot be used");
    }
    format!("Kafka's {name}: {why}")
}

/// What the client says of messages and connections, on its own thread.
#[derive(Default)]
struct Reports {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Messages that all in-sync replicas have.
    taken: usize,
    /// Why one was refused for good.
    refused: Option<String>,
    /// What was last wrong with a connection.
    trouble: Option<String>,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, done: impl Fn(&State) -> bool, deadline: Instant) -> io::Result<()> {
        let mut state = self.lock();
        loop {
            if let Some(why) = &state.refused {
                return Err(io::Error::other(why.clone()));
            }
            if done(&state) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let taken = state.taken;
                let why = state.trouble.as_deref().unwrap_or("no answer");
                let words = format!("the time is up after {taken} messages: {why}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl ClientContext for Reports {
    /// Each attempt to connect says something; what matters is in the errors of flushes.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, words: &str) {
        tracing::debug!(facility, words, "librdkafka");
    }

    fn error(&self, _: KafkaError, reason: &str) {
        self.lock().trouble = Some(reason.to_owned());
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut state = self.lock();
        match result {
            Ok(_) => state.taken += 1,
            Err((error, _)) => {
                state.refused.get_or_insert_with(|| error.to_string());
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
#[path = "kafka_tests.rs"]
mod tests;
