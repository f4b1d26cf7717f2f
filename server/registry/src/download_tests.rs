use super::*;
use std::time::Duration;

use tokio::time::advance;

/// Pieces as (seconds since the last, bytes); which of them is refused, if any.
async fn check(pieces: &[(u64, u64)], refused: Option<usize>) {
    let limits = Limits::default();
    let mut pace = Pace { since: Instant::now(), bytes: 0 };
    let mut found = None;
    for (n, (seconds, bytes)) in pieces.iter().enumerate() {
        advance(Duration::from_secs(*seconds)).await;
        if pace.came(*bytes, &limits, "m").is_err() {
            found = Some(n);
            break;
        }
    }
    assert_eq!(found, refused, "{pieces:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dripped_is_refused_after_a_minute() {
    check(&[(25, 1), (25, 1), (25, 1)], Some(2)).await;
    check(&[(25, 1), (25, 1), (9, 1)], None).await;
    check(&[(59, 1 << 20), (1, 0), (59, 0), (1, 0)], Some(3)).await;
    check(&[(60, 64 << 10), (60, 64 << 10), (60, 64 << 10)], None).await;
    check(&[(60, (64 << 10) - 1)], Some(0)).await;
}

#[test]
fn a_download_is_named_by_its_content_or_by_its_origin() {
    let file = |at: &str, validator: Option<&str>| Remote {
        path: crate::path::RelativePath::new("m").expect("a name"),
        size: None,
        digest: None,
        validator: validator.map(str::to_owned),
        form: crate::source::Form::Plain,
        at: at.to_owned(),
    };
    let digest = Digest::of(b"m");
    let plain = file("a", None);
    assert_eq!(key(&plain, Some(digest), "x"), digest.hex());
    assert_eq!(key(&plain, None, "x"), key(&file("a", None), None, "x"));
    for other in [
        key(&file("b", None), None, "x"),
        key(&file("a", Some("e")), None, "x"),
        key(&plain, None, "y"),
    ] {
        assert_ne!(other, key(&plain, None, "x"));
    }
}

fn refuses(_: &File) -> std::io::Result<()> {
    Err(std::io::Error::other("no disk"))
}

fn takes(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Writes enough for the disk to be asked early; what is left of it then, and whether that went well.
async fn written(root: &Path, note: &str, sync: fn(&File) -> std::io::Result<()>) -> (u64, bool) {
    let (path, note) = (root.join("partial"), root.join(note));
    let file = File::create(&path).expect("made");
    let lock = Flock::wait(&root.join("lock"), Duration::ZERO).await.expect("free");
    let (hasher, validator) = (Hasher::new(), Some("e".to_owned()));
    let partial =
        Partial { path: path.clone(), file, hasher, bytes: 0, note, validator, _lock: lock };
    let (send, receive) = mpsc::channel(2);
    for piece in [vec![1; 8 << 20], vec![2; 1]] {
        send.try_send(Bytes::from(piece)).expect("room");
    }
    drop(send);
    let work = move || partial.write(receive, EarlySync::by(sync));
    let went_well = thread::run("test/write", work).await.is_ok();
    (fs::metadata(&path).expect("there").len(), went_well)
}

#[tokio::test]
async fn nothing_is_gone_on_with_that_the_disk_did_not_take() {
    let root = tempfile::tempdir().expect("scratch");
    let whole = (8 << 20) + 1;
    assert_eq!(written(root.path(), "note", takes).await, (whole, true));
    assert_eq!(written(root.path(), "note", refuses).await, (0, false));
    let note: Note =
        serde_json::from_slice(&fs::read(root.path().join("note")).expect("read")).expect("whole");
    assert_eq!(note.bytes, 0);
    // The note cannot be written, and that is known before what the disk says.
    assert_eq!(written(root.path(), "none/note", refuses).await, (0, false));
    assert_eq!(written(root.path(), "none/note", takes).await, (whole, false), "all is there");
}
