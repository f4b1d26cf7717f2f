//! The prediction log's settings, and the log made of them.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use server_base::Findings;
use server_base::settings::Section;
#[cfg(feature = "parquet")]
use server_feedback::ParquetSink;
use server_feedback::{JsonLines, Keep, Key, Log, Options, Sink};
use server_frontend::{Monitors, Truth};

use crate::built;
use crate::cli::LogArgs;
use crate::kafka::{self, Topic};
use crate::label_log::{self, LabelLog};
use crate::log_sinks::{FORMS, Remote};
use crate::log_stores;
use crate::settings::{Number, number};
use crate::{monitors, process, truth};

/// A secret that is shorter can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// Less is no room for one large request.
const QUEUE_BYTES_MAX: Number = ("log_queue_bytes_max", 1 << 20..=usize::MAX >> 1);
/// Less is no room for the columns of a few models.
const DISK_BYTES_MAX: Number = ("log_disk_bytes_max", 1 << 20..=usize::MAX >> 1);
/// Less is no room for the rows of one large request.
pub(crate) const TRUTH_BYTES_MAX: Number = ("truth_bytes_max", 1 << 20..=usize::MAX >> 1);
const ROLL_MS: Number = ("log_roll_ms", 10..=86_400_000);
const RETENTION_S: Number = ("log_retention_s", 1..=usize::MAX >> 1);
const RETENTION_BYTES: Number = ("log_retention_bytes", 1..=usize::MAX >> 1);
const LABEL_RETENTION_S: Number = ("label_retention_s", 1..=usize::MAX >> 1);
const LABEL_RETENTION_BYTES: Number = ("label_retention_bytes", 1..=usize::MAX >> 1);

/// A sink that ships with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkName {
    /// Files under the folder.
    #[cfg(feature = "parquet")]
    Parquet,
    /// Lines of JSON.
    Stdout,
    /// Messages.
    Kafka(Topic),
    /// Elsewhere.
    Remote(Remote),
}

impl SinkName {
    fn parse(word: &str) -> Result<SinkName, String> {
        if let Some(topic) = Topic::parse(word) {
            return topic.map(SinkName::Kafka);
        }
        match (word, Remote::parse(word)) {
            #[cfg(feature = "parquet")]
            ("parquet", _) => Ok(SinkName::Parquet),
            #[cfg(not(feature = "parquet"))]
            ("parquet", _) => Err(format!(
                "parquet, which is the default: {}; expected one of stdout, {FORMS}",
                built::PARQUET.missing()
            )),
            ("stdout", _) => Ok(SinkName::Stdout),
            (_, Some(remote)) => remote.map(SinkName::Remote),
            (_, None) => {
                let forms = format!("{}, {FORMS}, {}", log_stores::FORMS, kafka::FORM);
                Err(format!("{word:?} is none of parquet, stdout, {forms}"))
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "parquet")]
            SinkName::Parquet => "parquet",
            SinkName::Stdout => "stdout",
            SinkName::Kafka(_) => "kafka",
            SinkName::Remote(remote) => remote.name(),
        }
    }
}

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where the log lies.
    pub folder: PathBuf,
    /// Where rows go from there.
    pub sinks: Vec<SinkName>,
    /// Bytes of records in memory.
    pub queue_bytes_max: usize,
    /// Bytes of segments on the disk.
    pub disk_bytes_max: usize,
    /// How long rows may wait for others.
    pub roll: Duration,
    /// Which Parquet files are kept.
    pub keep: Keep,
    /// Is it watched here?
    pub monitor: bool,
    /// Which labels are.
    pub keep_labels: truth::Keep,
    /// What values are hashed with.
    pub key_file: Option<PathBuf>,
    /// Bytes of predictions that wait for labels.
    pub truth_bytes_max: usize,
}

impl LogSettings {
    /// Takes from the file what the arguments leave open. `None`: no log is kept.
    pub(crate) fn new(args: LogArgs, root: &mut Section<'_>) -> Option<LogSettings> {
        let path = |it: &toml::Value| {
            it.as_str().map(PathBuf::from).ok_or(format!("{it} is no path in quotes"))
        };
        let folder = args.log_dir.or(root.with("log_dir", path));
        let sinks = args.log_sinks.or(root.text("log_sinks").map(str::to_owned));
        let queue = number(args.log_queue_bytes_max, root, QUEUE_BYTES_MAX);
        let disk = number(args.log_disk_bytes_max, root, DISK_BYTES_MAX);
        let roll = number(args.log_roll_ms, root, ROLL_MS);
        let keep = Keep {
            age: number(args.log_retention_s, root, RETENTION_S).map(Duration::from_secs),
            bytes: number(args.log_retention_bytes, root, RETENTION_BYTES),
        };
        let monitor = args.log_monitor.or(root.boolean("log_monitor"));
        let keep_labels = truth::Keep {
            age: number(args.label_retention_s, root, LABEL_RETENTION_S).map(Duration::from_secs),
            bytes: number(args.label_retention_bytes, root, LABEL_RETENTION_BYTES),
        };
        let key_file = args.log_key_file.or(root.with("log_key_file", path));
        let truth = number(args.truth_bytes_max, root, TRUTH_BYTES_MAX);
        let retention =
            [(RETENTION_S.0, keep.age.is_some()), (RETENTION_BYTES.0, keep.bytes.is_some())];
        built::PARQUET.check(retention, root);
        built::DRIFT.check([("log_monitor", monitor == Some(true))], root);
        let labels = [
            (LABEL_RETENTION_S.0, keep_labels.age.is_some()),
            (LABEL_RETENTION_BYTES.0, keep_labels.bytes.is_some()),
            (TRUTH_BYTES_MAX.0, truth.is_some()),
        ];
        built::TRUTH.check(labels, root);
        let idle = [
            ("log_sinks", sinks.is_some()),
            ("log_key_file", key_file.is_some()),
            retention[0],
            retention[1],
            labels[0],
            labels[1],
        ];
        for (key, _) in idle.into_iter().filter(|it| it.1 && folder.is_none()) {
            root.fault(key, "nothing is logged without log_dir");
        }
        let sinks = sinks.or(folder.as_ref().map(|_| "parquet".to_owned()));
        let sinks = sinks.map_or(Ok(Vec::new()), |it| sinks_of(&it));
        let sinks = sinks.map_err(|it| root.fault("log_sinks", &it)).unwrap_or_default();
        Some(LogSettings {
            folder: folder?,
            sinks,
            queue_bytes_max: queue.unwrap_or(64 << 20),
            disk_bytes_max: disk.unwrap_or(1 << 30),
            roll: Duration::from_millis(roll.unwrap_or(60_000)),
            keep,
            monitor: monitor.unwrap_or(true),
            keep_labels,
            key_file,
            truth_bytes_max: truth.unwrap_or(256 << 20),
        })
    }

    /// Where its Parquet files lie on this machine, if it keeps any.
    #[cfg(feature = "parquet")]
    pub(crate) fn parquet_folder(&self) -> Option<PathBuf> {
        self.sinks.contains(&SinkName::Parquet).then(|| self.folder.join("parquet"))
    }

    /// Starts the log, and what watches it. The text is the log's name.
    pub(crate) fn start(
        &self,
        findings: Arc<dyn Findings>,
    ) -> anyhow::Result<(Arc<Log>, Option<Arc<Monitors>>, String)> {
        let watched = self.folder.join("monitor");
        let monitors = self.monitor.then(|| monitors::open(&watched, findings));
        let monitors = monitors.transpose()?.flatten();
        let key = self.key_file.as_deref().map(key).transpose()?;
        let options = Options {
            folder: self.folder.join("wal"),
            queue_bytes_max: self.queue_bytes_max,
            disk_bytes_max: self.disk_bytes_max as u64,
            roll: self.roll,
            host: process::host(),
            key,
            give_way: server_serving::give_way,
        };
        let name = OnceCell::new();
        let make = |log: &str| {
            name.get_or_init(|| log.to_owned());
            let sinks = self.sinks.iter().map(|it| self.sink(it, log));
            sinks.chain(monitors.iter().map(monitors::sink)).collect()
        };
        let started = Log::start(options, &make);
        let log = started.with_context(|| format!("prediction log {}", self.folder.display()))?;
        Ok((log, monitors, name.into_inner().unwrap_or_default()))
    }

    /// Starts what holds labels against predictions.
    pub(crate) fn truth(&self, findings: Arc<dyn Findings>) -> anyhow::Result<Option<Arc<Truth>>> {
        truth::start(&self.folder, (self.truth_bytes_max, self.keep_labels), findings)
    }

    /// Starts what writes labels beside the predictions of the log of that name.
    pub(crate) fn labels(&self, log: &str) -> anyhow::Result<LabelLog> {
        label_log::start(self, log)
    }

    // Only Parquet files go by the log's name.
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "as above"))]
    fn sink(&self, name: &SinkName, log: &str) -> io::Result<Box<dyn Sink>> {
        Ok(match name {
            #[cfg(feature = "parquet")]
            SinkName::Parquet => {
                Box::new(ParquetSink::keeping(self.folder.join("parquet"), log, self.keep)?)
            }
            SinkName::Kafka(topic) => topic.sink()?,
            SinkName::Remote(remote) => remote.sink(&self.folder)?,
            SinkName::Stdout => Box::new(JsonLines::new(io::stdout())),
        })
    }
}

fn sinks_of(list: &str) -> Result<Vec<SinkName>, String> {
    let mut sinks: Vec<SinkName> = Vec::new();
    for word in words(list) {
        let sink = SinkName::parse(&word)?;
        // How far a sink has come is kept under its name.
        if sinks.iter().any(|it| it.name() == sink.name()) {
            return Err(format!("{word:?}: a second sink called {}", sink.name()));
        }
        sinks.push(sink);
    }
    Ok(sinks)
}

/// The sinks of a list. Several brokers of Kafka are one address, which ends with its topic.
fn words(list: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in list.split(',').map(str::trim) {
        let is_open =
            |it: &&mut String| it.strip_prefix("kafka://").is_some_and(|it| !it.contains('/'));
        match words.last_mut().filter(is_open) {
            Some(last) => *last = format!("{last},{word}"),
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// The error names the file, never what is in it.
fn key(path: &Path) -> anyhow::Result<Key> {
    let secret = fs::read(path).with_context(|| format!("log key file {}", path.display()))?;
    let secret = secret.trim_ascii();
    let bytes = secret.len();
    anyhow::ensure!(
        bytes >= KEY_BYTES_MIN,
        "log key file {} holds {bytes} bytes, expected at least {KEY_BYTES_MIN}",
        path.display()
    );
    Ok(Key::new(secret))
}

#[cfg(all(test, feature = "registries", feature = "parquet"))]
mod tests {
    use super::*;

    #[test]
    fn sinks_go_by_name() {
        assert_eq!(sinks_of("stdout, parquet"), Ok(vec![SinkName::Stdout, SinkName::Parquet]));
        let unknown = sinks_of("kafka").expect_err("it is not there");
        assert!(unknown.starts_with("\"kafka\" is none of parquet, stdout, s3://"), "{unknown}");
        let twice = "\"s3://b/c\": a second sink called s3".to_owned();
        assert_eq!(sinks_of("s3://a/b,stdout,s3://b/c"), Err(twice));
        let brokers = ["parquet", "kafka://a,b:1/t", "stdout"];
        assert_eq!(words("parquet, kafka://a, b:1/t,stdout"), brokers);
        sinks_of("").expect_err("rows have to go somewhere");
    }
}
