//! Settings of `salver monitor`, checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use server_base::ModelName;
use server_base::settings::Section;
use server_monitor::fleet::Bounds;
use tracing_subscriber::filter::Targets;

use crate::cli::{LogFormat, MonitorArgs};
use crate::commands::micros;
use crate::prediction_log::TRUTH_BYTES_MAX;
use crate::settings::{Number, number};

const PORT: Number = ("port", 0..=65_535);
/// Oftener, and listing would be all that it does; seldomer than a day, and alarms are of no use.
const INTERVAL_MS: Number = ("interval_ms", 10..=86_400_000);
/// Rows wait so long in memory.
const LATENESS_S: Number = ("lateness_s", 0..=86_400);
/// Less is no room for one piece of a file of some width.
const WAITING_BYTES_MAX: Number = ("waiting_bytes_max", 1 << 20..=usize::MAX >> 1);
const OBJECT_BYTES_MAX: Number = ("object_bytes_max", 1 << 20..=usize::MAX >> 1);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct FleetSettings {
    /// Folders, or an address.
    pub(crate) logs: Vec<String>,
    pub(crate) repository: Option<PathBuf>,
    pub(crate) models: BTreeMap<ModelName, PathBuf>,
    pub(crate) state: PathBuf,
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) interval: Duration,
    pub(crate) bounds: Bounds,
    /// Bytes of predictions that wait for labels.
    pub(crate) truth_bytes_max: usize,
    pub(crate) triggers: server_triggers::Config,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
}

impl FleetSettings {
    /// Puts flags and environment (`args`) over the text of a file. Every fault is told.
    pub(crate) fn new(args: MonitorArgs, file: Option<&str>) -> Result<FleetSettings, Vec<String>> {
        let table: toml::Table = match file.map(str::parse).transpose() {
            Ok(table) => table.unwrap_or_default(),
            Err(error) => return Err(vec![format!("{error}")]),
        };
        let mut root = Section::root(&table);
        let settings = read(args, &mut root);
        root.finish(settings)
    }
}

fn read(args: MonitorArgs, root: &mut Section<'_>) -> FleetSettings {
    let path = |it: &toml::Value| {
        it.as_str().map(PathBuf::from).ok_or(format!("{it} is no path in quotes"))
    };
    let address = |it: &toml::Value| {
        let parsed = it.as_str().and_then(|it| it.parse::<IpAddr>().ok());
        parsed.ok_or(format!("{it} is no IP address in quotes"))
    };
    let list = |it: &toml::Value| {
        let words = it.as_array().map(|it| it.iter().map(|it| it.as_str().map(str::to_owned)));
        words.and_then(Iterator::collect::<Option<Vec<String>>>).ok_or("expected a list of texts")
    };
    let in_file = root.with("log", list).unwrap_or_default();
    let logs = if args.logs.is_empty() { in_file } else { args.logs };
    if logs.len() > 1 && logs.iter().any(|it| it.contains("://")) {
        root.fault("log", "expected one address, or folders");
    }
    let repository = args.model_repository.or(root.with("model_repository", path));
    let in_file = root.with("model", list).unwrap_or_default();
    let models = if args.models.is_empty() { in_file } else { args.models };
    let models = models_of(&models, root);
    let state = args.state.or(root.with("state", path));
    let host = args.host.or(root.with("host", address));
    let port = number(args.port, root, PORT);
    let interval = number(args.interval_ms, root, INTERVAL_MS);
    let lateness = number(args.lateness_s, root, LATENESS_S);
    let from = args.from.or(root.text("from").map(str::to_owned));
    let from = from.and_then(|it| {
        let wrong =
            |_| root.fault("from", &format!("{it:?} is not 2026-11-21 or 2026-11-21T22:00"));
        micros(&it).map_err(wrong).ok()
    });
    let waiting = number(args.waiting_bytes_max, root, WAITING_BYTES_MAX);
    let object = number(args.object_bytes_max, root, OBJECT_BYTES_MAX);
    let truth = number(args.truth_bytes_max, root, TRUTH_BYTES_MAX);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log_format = args.log_format.or(root.choice("log_format", &formats));
    let log_level = args.log_level.or(root.text("log_level").map(str::to_owned));
    let log_level = log_level.unwrap_or_else(|| "info".to_owned());
    let triggers = server_triggers::Config::read(root);
    if let Err(error) = log_level.parse::<Targets>() {
        root.fault("log_level", &format!("{log_level:?}: {error}"));
    }
    needed(root, (!logs.is_empty(), state.is_some(), repository.is_some() || !models.is_empty()));
    FleetSettings {
        logs,
        repository,
        models,
        state: state.unwrap_or_default(),
        host: host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        port: port.unwrap_or(8002),
        interval: Duration::from_millis(interval.unwrap_or(10_000)),
        bounds: Bounds {
            lateness: Duration::from_secs(lateness.unwrap_or(300)),
            waiting_bytes_max: waiting.unwrap_or(256 << 20),
            object_bytes_max: object.unwrap_or(512 << 20) as u64,
            from,
        },
        truth_bytes_max: truth.unwrap_or(256 << 20),
        triggers,
        log_format: log_format.unwrap_or_default(),
        log_level,
    }
}

/// What no monitor can do without.
fn needed(root: &mut Section<'_>, (log, state, models): (bool, bool, bool)) {
    for (key, is_there, what) in [
        ("log", log, "the folder, the object store or the topic that replicas log to"),
        ("state", state, "a folder in which it is kept what was read"),
        ("model_repository", models, "the folder that holds the models, or a --model"),
    ] {
        if !is_there {
            root.fault(key, &format!("is not set: name {what}"));
        }
    }
}

/// Folders by the names of their models.
fn models_of(words: &[String], root: &mut Section<'_>) -> BTreeMap<ModelName, PathBuf> {
    let mut models = BTreeMap::new();
    for word in words {
        let parts = word.split_once('=').filter(|it| !it.1.is_empty() && !it.1.contains("://"));
        let Some((name, folder)) = parts else {
            root.fault("model", &format!("{word:?} is not NAME=DIR"));
            continue;
        };
        match ModelName::new(name) {
            Ok(name) => {
                if models.insert(name, PathBuf::from(folder)).is_some() {
                    root.fault("model", &format!("{word:?}: a second folder of that name"));
                }
            }
            Err(error) => root.fault("model", &format!("{word:?}: {error}")),
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str) -> Result<FleetSettings, Vec<String>> {
        FleetSettings::new(MonitorArgs::default(), Some(file))
    }

    #[test]
    fn a_file_says_everything() {
        let file = "log = ['s3://logs/salver']\nmodel = ['m=/models/m']\nstate = '/state'\nport = 1\n\
                    interval_ms = 50\nlateness_s = 7\nfrom = '2000-02-29'\nwaiting_bytes_max = 1048576\n\
                    object_bytes_max = 2097152\nhost = '127.0.0.1'\nlog_level = 'warn'\n";
        let settings = settings(file).expect("settings");
        assert_eq!((settings.logs[0].as_str(), settings.port), ("s3://logs/salver", 1));
        assert_eq!(settings.bounds.from, Some(951_782_400_000_000));
        assert_eq!(settings.bounds.lateness, Duration::from_secs(7));
        assert_eq!((settings.models.len(), settings.interval.as_millis()), (1, 50));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let faults = settings("").expect_err("nothing is set");
        assert_eq!(faults.len(), 3, "{faults:?}");
        let fixed = "log = ['x']\nmodel_repository = 'm'\nstate = 's'\n";
        for (line, expect) in [
            ("model = ['m=s3://x']", "model: \"m=s3://x\" is not NAME=DIR"),
            ("model = ['m=a', 'm=b']", "model: \"m=b\": a second folder of that name"),
            ("from = 'yesterday'", "from: \"yesterday\" is not 2026-11-21 or 2026-11-21T22:00"),
            ("interval_ms = 1", "interval_ms: 1 is not a whole number from 10 to 86400000"),
        ] {
            let faults = settings(&format!("{fixed}{line}\n")).expect_err(line);
            assert_eq!(faults, [expect]);
        }
        let two = "log = ['s3://a', 'b']\nmodel_repository = 'm'\nstate = 's'\n";
        assert_eq!(settings(two).expect_err("two"), ["log: expected one address, or folders"]);
        settings(&format!("{fixed}http_port = 1\n")).expect_err("a key of servers");
    }
}
