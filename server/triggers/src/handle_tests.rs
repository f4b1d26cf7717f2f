use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::settings::Section;
use server_base::{FindingKind, ModelName, Version};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::driver::{Options, start};

/// Nothing in a test takes longer, on a machine that is busy either; whatever does is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Says only what it would tell.
const RULE: &str = "[target.t]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9\"\n[[trigger]]\n\
                    name = \"r\"\nmodel = \"m\"\ntarget = \"t\"\non = [\"drift\", \"performance\"]\n\
                    windows = 9\nalarms = 9\ndry_run = true\n";

fn triggers() -> (Triggers, TempDir) {
    let folder = tempfile::tempdir().expect("scratch");
    let table: toml::Table = RULE.parse().expect("TOML");
    let mut root = Section::root(&table);
    let config = Config::read(&mut root);
    let options = Options {
        config: root.finish(config).expect("no faults"),
        environment: Default::default(),
        folder: Some(folder.path().to_path_buf()),
        audit: None,
        served: Box::new(Vec::new),
    };
    (start(options).expect("a thread"), folder)
}

/// An alarm of each kind at the end of that hour.
fn alarms(hour: u64) -> Vec<Finding> {
    let at = |hour: u64| UNIX_EPOCH + Duration::from_secs(hour * 3600);
    let of = |kind| Finding {
        model: ModelName::new("m").expect("a name"),
        version: Version(1),
        kind,
        is_alarm: true,
        from: at(hour - 1),
        to: at(hour),
        rows: 10,
        subjects: Vec::new(),
        text: "worse".to_owned(),
        evidence: "{}".to_owned(),
    };
    [FindingKind::Drift, FindingKind::Performance].map(of).into()
}

/// Hours whose alarms are on the disk, kind by kind.
fn kept(folder: &Path) -> Vec<(Value, Value)> {
    let text = fs::read(folder.join("triggers/state.json")).unwrap_or_else(|_| b"null".into());
    let state: Value = serde_json::from_slice(&text).expect("JSON");
    let lanes = state["book"]["entries"][0][1]["lanes"].as_array().cloned().unwrap_or_default();
    lanes.into_iter().map(|it| (it["cause"].clone(), it["to"].clone())).collect()
}

fn expect(hour: u64) -> Vec<(Value, Value)> {
    ["drift", "performance"].map(|it| (it.into(), json!(Moment(hour * 3_600_000)))).into()
}

/// A process may be killed as soon as whoever told goes on.
#[test]
fn what_was_told_is_on_the_disk() {
    let (triggers, folder) = triggers();
    for hour in 1..=3 {
        assert!(triggers.tell(&alarms(hour), PATIENCE));
        assert_eq!(kept(folder.path()), expect(hour));
    }
}

#[test]
fn all_who_tell_at_once_are_answered() {
    let (triggers, folder) = triggers();
    let tell = |hour| {
        let (taken, answer) = sync_channel(1);
        let ask = Ask::Found { findings: alarms(hour), taken };
        triggers.asks.try_send(ask).expect("room");
        answer
    };
    let answers: Vec<_> = (1..=64).map(tell).collect();
    for it in answers {
        assert!(it.recv_timeout(PATIENCE).expect("an answer"));
    }
    assert_eq!(kept(folder.path()), expect(64));
}

#[test]
fn a_disk_that_refuses_holds_up_nobody_and_is_tried_again() {
    let (triggers, folder) = triggers();
    let aside = folder.path().join("triggers/.state.json");
    fs::create_dir(&aside).expect("in the way");
    assert!(!triggers.tell(&alarms(1), PATIENCE), "it is not on the disk");
    assert_eq!(kept(folder.path()), []);
    fs::remove_dir(&aside).expect("out of the way");
    let begun = Instant::now();
    while kept(folder.path()).is_empty() && begun.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(kept(folder.path()), expect(1));
    assert!(triggers.tell(&alarms(1), PATIENCE), "whoever tells it again may forget it");
}

#[test]
fn who_tells_goes_on_whatever_becomes_of_triggers() {
    let (triggers, folder) = triggers();
    triggers.stop(Instant::now() + PATIENCE);
    let (asks, inbox) = mpsc::channel(2);
    let slow = Triggers { asks };
    let begun = Instant::now();
    assert!(!triggers.tell(&alarms(1), PATIENCE), "it is to be told again");
    assert_eq!(kept(folder.path()), [], "they had ended");
    assert!(!slow.tell(&alarms(1), Duration::ZERO));
    assert_eq!(inbox.len(), 1, "it is taken later");
    drop(inbox);
    assert!(!slow.tell(&alarms(2), PATIENCE));
    assert!(begun.elapsed() < PATIENCE);
}
