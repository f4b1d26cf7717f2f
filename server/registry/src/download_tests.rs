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
