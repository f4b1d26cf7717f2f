use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::settings::Section;
use server_base::{FindingKind, Journal, ModelName, Version};
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

fn options(folder: &Path) -> Options {
    let table: toml::Table = RULE.parse().expect("TOML");
    let mut root = Section::root(&table);
    let config = Config::read(&mut root);
    Options {
        config: root.finish(config).expect("no faults"),
        environment: Default::default(),
        folder: Some(folder.to_path_buf()),
        audit: None,
        served: Box::new(Vec::new),
    }
}

fn triggers() -> (Triggers, TempDir) {
    let folder = tempfile::tempdir().expect("scratch");
    (start(options(folder.path())).expect("a thread"), folder)
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
    let slow = Triggers::new(asks);
    let begun = Instant::now();
    assert!(!triggers.tell(&alarms(1), PATIENCE), "it is to be told again");
    assert_eq!(kept(folder.path()), [], "they had ended");
    assert!(!slow.tell(&alarms(1), Duration::ZERO));
    assert_eq!(inbox.len(), 1, "it is taken later");
    drop(inbox);
    assert!(!slow.tell(&alarms(2), PATIENCE));
    assert!(begun.elapsed() < PATIENCE);
}

/// Lines are synced one by one, here never: nobody has opened the other end.
#[test]
fn who_tells_does_not_wait_for_lines_of_the_audit() {
    let folder = tempfile::tempdir().expect("scratch");
    let lines = folder.path().join("audit.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&lines).status().expect("a program");
    assert!(made.success());
    let audit = Some(Arc::new(Journal::new(folder.path(), "audit", 1 << 20)));
    // It looks for nothing that is asked before both are there, and writes both down together.
    let (go, gate) = sync_channel::<()>(0);
    let served = Box::new(move || {
        let _ = gate.recv();
        Vec::new()
    });
    let triggers = start(Options { audit, served, ..options(folder.path()) }).expect("a thread");
    let (taken, answer) = sync_channel(1);
    let (reply, _muted) = oneshot::channel();
    triggers.asks.try_send(Ask::Found { findings: alarms(1), taken }).expect("room");
    let mute = Ask::Mute { rule: "r".to_owned(), until: None, reply };
    triggers.asks.try_send(mute).expect("room");
    drop(go);
    let answer = answer.recv_timeout(PATIENCE);
    let said = fs::read_to_string(&lines).expect("the other end");
    assert_eq!(answer, Ok(true));
    assert!(said.contains("unmuted"), "{said}");
    assert_eq!(kept(folder.path()), expect(1));
}

/// There may be hundreds, whom one thread tells of one after the other.
#[test]
fn a_slow_disk_is_waited_for_by_one_who_tells_and_not_by_the_next() {
    let (asks, mut inbox) = mpsc::channel(2 * TOLD_MAX);
    let slow = Triggers::new(asks);
    assert!(!slow.tell(&alarms(1), Duration::ZERO), "it has taken too long");
    let begun = Instant::now();
    for hour in 2..=3 {
        assert!(!slow.clone().tell(&alarms(hour), PATIENCE));
    }
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(inbox.len(), 3, "all are told");
    (0..TOLD_MAX).for_each(|_| assert!(!slow.tell(&alarms(3), PATIENCE)));
    assert_eq!(inbox.len(), TOLD_MAX, "until it has enough of them");
    // A while after that one waits again.
    *slow.behind() = Instant::now().checked_sub(BEHIND);
    let thread = std::thread::spawn(move || slow.tell(&alarms(4), PATIENCE));
    while let Some(ask) = inbox.blocking_recv() {
        let Ask::Found { taken, .. } = ask else { panic!("nothing else is asked") };
        let _ = taken.try_send(true);
    }
    assert!(thread.join().expect("it ends"));
}
