//! A topic read for `salver monitor`: all partitions, from offsets that it keeps itself. Nobody else reads in
//! its place, so there is no group whose members would have to agree, and nothing is committed to brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use server_feedback::COLUMNS;
use server_monitor::fleet::{Message, Offsets, Stream};

use super::{Topic, settings, unusable};

/// A topic has some; each is an entry of the cursor.
const PARTITIONS_MAX: usize = 4_096;

/// How long a message is waited for at a time: whoever wants to stop waits as long.
const MOMENT: Duration = Duration::from_millis(100);

/// What lies here before it is asked for, of all partitions together: what is read at once, twice.
const QUEUED_KIB: &str = "16384";

/// Of one answer: what is read at once. A message may be longer, and comes alone then.
const FETCH_BYTES: &str = "8388608";

/// Of one answer with a message that is longer than any of ours, by somebody else. Longer still, and the
/// partition cannot be read.
const ANSWER_BYTES_MAX: &str = "67108864";

/// See the module.
pub(super) struct Reader {
    topic: String,
    config: ClientConfig,
    timeout: Duration,
    open: Option<BaseConsumer<Quiet>>,
    /// Partitions that were read to their end since they were assigned, and where that was.
    ended: Offsets,
    /// So long no message has come, while one was waited for.
    silent: Duration,
    /// What was last wrong with a connection.
    trouble: Option<String>,
}

/// Each attempt to connect says something; what matters is in the errors of rounds.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, words: &str) {
        tracing::debug!(facility, words, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Quiet {}

impl Reader {
    /// An error says which setting cannot be, and never its value, which may be a secret.
    pub(super) fn new(
        topic: &Topic,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Reader, String> {
        let (mut config, timeout_ms) = settings(variables)?;
        // Of who produces alone.
        config.remove("compression.type");
        for (name, value) in [
            // The client will have one; nothing is committed to it.
            ("group.id", "salver-monitor"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // What is not there any more is to be known, not passed over.
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            // The last offset may be no message, and then nothing else tells that it was reached.
            ("enable.partition.eof", "true"),
            // Between rounds nobody asks for messages, for as long as intervals may be.
            ("max.poll.interval.ms", "86400000"),
            ("queued.max.messages.kbytes", QUEUED_KIB),
            ("fetch.max.bytes", FETCH_BYTES),
            ("receive.message.max.bytes", ANSWER_BYTES_MAX),
            ("socket.timeout.ms", &(timeout_ms / 3).to_string()),
        ] {
            config.set(name, value);
        }
        // What cannot work at all is said now, by a client that knows nobody.
        let alone = BaseConsumer::from_config_and_context(&config, Quiet);
        alone.map(drop).map_err(|it| unusable(&it))?;
        config.set("bootstrap.servers", topic.brokers.as_str());
        let timeout = Duration::from_millis(timeout_ms);
        let topic = topic.name.clone();
        Ok(Reader {
            topic,
            config,
            timeout,
            open: None,
            ended: Offsets::new(),
            silent: Duration::ZERO,
            trouble: None,
        })
    }

    fn open(&mut self) -> io::Result<&BaseConsumer<Quiet>> {
        let opened = match self.open.take() {
            Some(open) => open,
            None => {
                let made = BaseConsumer::from_config_and_context(&self.config, Quiet);
                made.map_err(|error| io::Error::other(unusable(&error)))?
            }
        };
        Ok(self.open.insert(opened))
    }

    /// Numbers of partitions.
    fn numbers(&mut self) -> io::Result<Vec<i32>> {
        let (name, timeout) = (self.topic.clone(), self.timeout);
        let failed = |why: String| io::Error::other(format!("topic {name:?}: {why}"));
        let missing =
            |why: &str| io::Error::new(io::ErrorKind::NotFound, format!("topic {name:?}: {why}"));
        let found = self.open()?.fetch_metadata(Some(&name), timeout);
        let found = found.map_err(|it| failed(it.to_string()))?;
        let Some(topic) = found.topics().iter().find(|it| it.name() == name) else {
            return Err(missing("it is not there"));
        };
        match topic.error().map(RDKafkaErrorCode::from) {
            Some(
                error
                @ (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic),
            ) => return Err(missing(&error.to_string())),
            Some(error) => return Err(failed(error.to_string())),
            None => {}
        }
        match topic.partitions().len() {
            0 => Err(missing("it has no partitions: it is not there")),
            1..=PARTITIONS_MAX => Ok(topic.partitions().iter().map(|it| it.id()).collect()),
            all => Err(failed(format!("{all} partitions are more than {PARTITIONS_MAX}"))),
        }
    }

    /// Offsets of those partitions at a time, or at an end. One that is not known is left out.
    fn offsets(&mut self, numbers: &[i32], at: Offset) -> io::Result<Offsets> {
        let (name, timeout) = (self.topic.clone(), self.timeout);
        let failed = |it: KafkaError| io::Error::other(format!("topic {name:?}: {it}"));
        let mut wanted = TopicPartitionList::with_capacity(numbers.len());
        for number in numbers {
            wanted.add_partition_offset(&name, *number, at).map_err(failed)?;
        }
        let found = self.open()?.offsets_for_times(wanted, timeout).map_err(failed)?;
        let mut offsets = Offsets::new();
        for it in found.elements() {
            it.error().map_err(failed)?;
            if let Offset::Offset(offset) = it.offset() {
                offsets.insert(it.partition(), offset);
            }
        }
        Ok(offsets)
    }

    /// These have been read to their end: the client stands there, past what is no message too. It has told
    /// so of what is assigned now, so that it knows nothing of an earlier place any more.
    fn end(&mut self, reached: &BTreeSet<i32>) -> io::Result<()> {
        let position = self.open()?.position().map_err(io::Error::other)?;
        for it in position.elements() {
            if let Offset::Offset(offset) = it.offset()
                && reached.contains(&it.partition())
            {
                self.ended.insert(it.partition(), offset);
            }
        }
        Ok(())
    }

    /// False: for now. An error: for too long.
    fn nothing(&mut self, since: Instant) -> io::Result<bool> {
        // While nobody asks nothing can come: another stream may be read meanwhile.
        self.silent += since.elapsed();
        if self.silent < self.timeout {
            return Ok(false);
        }
        self.silent = Duration::ZERO;
        let why = self.trouble.take().unwrap_or_else(|| "no answer".to_owned());
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no message in time: {why}")))
    }
}

impl Stream for Reader {
    fn name(&self) -> &str {
        &self.topic
    }

    fn partitions(&mut self) -> io::Result<BTreeMap<i32, Range<i64>>> {
        let numbers = self.numbers()?;
        let ends = self.offsets(&numbers, Offset::End)?;
        let mut there = BTreeMap::new();
        for (partition, first) in self.offsets(&numbers, Offset::Beginning)? {
            // It was asked for first, and may have been passed since.
            let end = ends.get(&partition).map_or(first, |it| first.max(*it));
            there.insert(partition, first..end);
        }
        if there.len() < numbers.len() {
            return Err(io::Error::other("not every partition says what it holds"));
        }
        self.silent = Duration::ZERO;
        Ok(there)
    }

    fn since(&mut self, time: i64) -> io::Result<Offsets> {
        let numbers = self.numbers()?;
        self.offsets(&numbers, Offset::Offset(time.div_euclid(1_000).max(0)))
    }

    fn seek(&mut self, to: &Offsets) -> io::Result<()> {
        let mut all = TopicPartitionList::with_capacity(to.len());
        for (partition, offset) in to {
            let added = all.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
            added.map_err(io::Error::other)?;
        }
        self.ended.clear();
        self.open()?.assign(&all).map_err(io::Error::other)
    }

    fn next(&mut self, take: &mut dyn FnMut(&Message<'_>)) -> io::Result<bool> {
        let mut reached = BTreeSet::new();
        let begin = Instant::now();
        let consumer = self.open()?;
        let mut came = consumer.poll(MOMENT);
        // Many may end together, and are looked at together.
        while let Some(Err(KafkaError::PartitionEOF(partition))) = came {
            reached.insert(partition);
            came = consumer.poll(Duration::ZERO);
        }
        let came = came.map(|it| it.map(|it| told(&it, take)));
        if !reached.is_empty() {
            self.end(&reached)?;
        }
        match came {
            Some(Ok(())) => {
                self.silent = Duration::ZERO;
                Ok(true)
            }
            Some(Err(error)) if is_final(&error) => Err(io::Error::other(error.to_string())),
            Some(Err(error)) => {
                self.trouble = Some(error.to_string());
                self.nothing(begin)
            }
            None => self.nothing(begin),
        }
    }

    fn ended(&self) -> &Offsets {
        &self.ended
    }
}

/// Waiting changes nothing: where reading goes on has to be looked at anew.
fn is_final(error: &KafkaError) -> bool {
    let known = [
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownPartition,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::OffsetOutOfRange,
        RDKafkaErrorCode::AutoOffsetReset,
    ];
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code().is_some_and(|it| known.contains(&it))
}

fn told(message: &BorrowedMessage<'_>, take: &mut dyn FnMut(&Message<'_>)) {
    let header = |name: &str| {
        let all = message.headers()?;
        let value = all.iter().find(|it| it.key == name)?.value?;
        std::str::from_utf8(value).ok()
    };
    take(&Message {
        partition: message.partition(),
        offset: message.offset(),
        time: message.timestamp().to_millis().map(|it| it.saturating_mul(1_000)),
        kind: header("ce_type"),
        source: header("ce_source"),
        columns: header(COLUMNS),
        value: message.payload().unwrap_or_default(),
    });
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
