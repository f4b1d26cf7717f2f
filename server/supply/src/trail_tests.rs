use super::*;

use tempfile::TempDir;

/// A trail, and where it is written.
fn trail() -> (TempDir, Trail) {
    let folder = tempfile::tempdir().expect("scratch");
    let journal = Arc::new(Journal::new(folder.path(), "audit", 1 << 20));
    (folder, Trail::new(Some(journal)))
}

fn lines(folder: &TempDir) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap_or_default();
    text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect()
}

fn wine() -> (ModelName, Uri) {
    let uri = "mlflow://127.0.0.1:5000/wine@champion".parse().expect("an address");
    (ModelName::new("wine").expect("a name"), uri)
}

#[test]
fn what_changes_is_written_once() {
    let (folder, trail) = trail();
    let (model, uri) = wine();
    let at = (&model, &uri);
    let fail = |kind, reason| trail.failed(at, &Trouble { kind, reason, digests: None });
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    for (version, tree) in [(1, one), (1, one), (2, two), (1, one)] {
        trail.pulled(at, (Version(version), tree, version == 2));
    }
    fail(ErrorKind::Unavailable, "connection refused");
    fail(ErrorKind::Unavailable, "connection reset");
    fail(ErrorKind::Slow, "no answer");
    fail(ErrorKind::Policy, "a bomb");
    fail(ErrorKind::Policy, "a bomb");
    fail(ErrorKind::Policy, "another bomb");
    fail(ErrorKind::Unavailable, "connection refused");
    let told = |it: &Value| format!("{} {} {}", it["result"], it["version"], it["kind"]);
    let told: Vec<String> = lines(&folder).iter().map(told).collect();
    let expect = [
        r#""pulled" 1 null"#,
        r#""pulled" 2 null"#,
        r#""pulled" 1 null"#,
        r#""failed" null "unavailable""#,
        r#""failed" null "slow""#,
        r#""refused" null "policy""#,
        r#""refused" null "policy""#,
        r#""failed" null "unavailable""#,
    ];
    assert_eq!(told, expect);
}

#[test]
fn a_line_says_what_was_expected_and_what_came() {
    let (folder, trail) = trail();
    let (model, _) = wine();
    let uri: Uri = "https://h/m.onnx?sig=hush".parse().expect("an address");
    let (expected, got) = (Digest::of(b"1"), Digest::of(b"2"));
    let words = format!("m.onnx: {got} came where {expected} was promised");
    let error = RegistryError::Differs { words: words.clone(), expected, got };
    trail.failed((&model, &uri), &Trouble::of(&error, &words));
    let mut lines = lines(&folder);
    assert!(lines[0]["at"].as_u64() > Some(1_700_000_000_000));
    lines[0]["at"] = json!(5);
    let expect = json!({
        "at": 5, "event": "pull", "model": "wine", "source": "https://h/m.onnx?..", "by": "registry",
        "result": "refused", "kind": "corrupt", "reason": words,
        "expected": expected.to_string(), "digest": got.to_string(),
    });
    assert_eq!(lines, [expect]);
}

#[test]
fn without_a_log_nothing_is_kept() {
    let (model, uri) = wine();
    let trail = Trail::new(None);
    trail.pulled((&model, &uri), (Version(1), Digest::of(b"1"), true));
    assert!(trail.last.borrow().is_empty());
}
