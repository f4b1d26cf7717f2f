use tempfile::TempDir;

use super::*;

fn open(folder: &TempDir) -> Files {
    let audit = Arc::new(Journal::new(folder.path(), "audit", 1 << 20));
    Files::open(Some(folder.path()), Some(audit)).expect("folders")
}

fn texts(folder: &TempDir, path: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join(path)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

const STATE: &str = "triggers/state.json";

#[test]
fn a_line_is_said_when_the_disk_has_what_it_is_about() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut files = open(&folder);
    let aside = folder.path().join("triggers/.state.json");
    fs::create_dir(&aside).expect("in the way");
    files.audit_rule("r", "muted", None, Moment(1));
    let known = || panic!("it is not written down");
    files.write(&Book::default(), &[], known).expect_err("in the way");
    assert_eq!(texts(&folder, "audit.jsonl").len(), 0);
    fs::remove_dir(&aside).expect("out of the way");
    for _ in 0..2 {
        let before = texts(&folder, "audit.jsonl");
        let known = || assert_eq!(texts(&folder, "audit.jsonl"), before, "lines come after it");
        files.write(&Book::default(), &[], known).expect("written");
        assert_eq!(texts(&folder, "audit.jsonl").len(), 1);
    }
    assert!(!texts(&folder, STATE).concat().contains("unsaid"));
}

/// By processes that were killed: before the first line, after some, and after the last.
#[test]
fn lines_that_a_process_did_not_come_to_say_are_said_once() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut files = open(&folder);
    for (at, result) in [(0, "muted"), (0, "unmuted"), (1, "muted")] {
        files.audit_rule("r", result, None, Moment(at));
    }
    files.audit_run(("r", "m", "key"), "run_failed", Moment(2));
    files.note(Place::DeadLetters, &json!({ "at": 3 }));
    files.replace(&Book::default(), &[]).expect("written");
    let state = fs::read(folder.path().join(STATE)).expect("there");
    let all: Vec<String> = files.unsaid.iter().map(|it| it.text.clone()).collect();
    for said in 0..=all.len() {
        for (path, lines) in [
            ("audit.jsonl", &all[..said.min(4)]),
            ("triggers/dead_letters.jsonl", &all[4..said.max(4)]),
        ] {
            let text: String = lines.iter().map(|it| format!("{it}\n")).collect();
            fs::write(folder.path().join(path), text).expect("written");
        }
        fs::write(folder.path().join(STATE), &state).expect("written");
        for _ in 0..2 {
            open(&folder).read().expect("read");
        }
        assert_eq!(texts(&folder, "audit.jsonl"), all[..4], "{said} were said");
        assert_eq!(texts(&folder, "triggers/dead_letters.jsonl"), all[4..], "{said} were said");
        assert!(!texts(&folder, STATE).concat().contains("unsaid"));
    }
}

#[test]
fn lines_that_wait_for_the_disk_are_bounded() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut files = open(&folder);
    for at in 0..UNSAID_MAX as u64 + 9 {
        files.audit_rule("r", "muted", None, Moment(at));
    }
    assert_eq!(files.unsaid.len(), UNSAID_MAX);
    assert!(files.unsaid[0].text.contains("\"at\":9,"), "{:?}", files.unsaid[0]);
}
