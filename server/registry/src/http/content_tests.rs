use super::*;
use http::HeaderValue;

/// `head` is a status and headers, `Name: value` with `;` between them.
#[track_caller]
fn check(head: &str, want: Want<'_>, expect: &str) {
    let (status, rest) = head.split_once(' ').unwrap_or((head, ""));
    let status = status.parse().expect("a status");
    let mut headers = HeaderMap::new();
    for line in rest.split("; ").filter(|it| !it.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header");
        let name = HeaderName::try_from(name).expect("a name");
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    let url = Url::parse("http://h/m.onnx?secret").expect("an address");
    match accept(status, &headers, &url, want) {
        Ok(found) => assert_eq!(format!("{} of {:?}", found.from, found.size), expect),
        Err(error) => {
            let words = format!("{:?}: {error}", error.kind());
            assert!(words.contains(expect), "{expect:?} is not in {words:?}");
            assert!(!words.contains("secret"));
        }
    }
}

const ANY: Want<'static> = Want { from: 0, size: None, validator: None, html: false };
const SIZED: Want<'static> = Want { size: Some(20), ..ANY };
const REST: Want<'static> =
    Want { from: 10, size: Some(20), validator: Some("\"a\""), html: false };

#[test]
fn whole_files() {
    check("200", ANY, "0 of None");
    check("200", SIZED, "0 of Some(20)");
    check("200 content-length: 20; etag: \"a\"", REST, "0 of Some(20)");
    check("200 content-length: 19", SIZED, "Answer: http://h/m.onnx: 19 bytes where 20");
    check("200 content-length: many", ANY, "Content-Length is \"many\"");
    check("200 etag: \"b\"", REST, "it changed: ETag \"b\" where \"a\" was seen");
}

#[test]
fn something_else() {
    check("200 content-type: text/html;charset", ANY, "a web page came instead");
    check("200 content-type: Text/HTML", ANY, "a web page came instead");
    check("200 content-type: text/html", Want { html: true, ..ANY }, "0 of None");
    check("200 content-encoding: gzip", ANY, "encoded as \"gzip\"");
    check("204", ANY, "Answer: http://h/m.onnx answers 204");
}

#[test]
fn rests() {
    check("206 content-range: bytes 10-19/20; etag: \"a\"", REST, "10 of Some(20)");
    check("206 content-range: bytes 10-19/20; content-length: 10", REST, "206 without an ETag");
    let known = Want { validator: None, ..REST };
    check("206 content-range: bytes 10-19/20; content-length: 10", known, "10 of Some(20)");
    check("206 content-range: bytes 10-19/20; etag: \"b\"", REST, "it changed");
    check("206 content-range: bytes 11-19/20", REST, "asked from 10");
    check("206 content-range: bytes 0-19/20", ANY, "asked from 0");
    check("206 content-range: bytes 10-18/20", REST, "asked from 10");
    check("206 content-range: bytes 10-19/*", REST, "206 with the range");
    check(
        "206 content-range: bytes 10-29/30; etag: \"a\"",
        REST,
        "30 bytes where 20 were declared",
    );
    check("206 content-range: bytes 10-19/20; content-length: 11", REST, "206 with Some(11)");
    check("206", REST, "206 with the range \"\"");
}

#[test]
fn refusals() {
    check("401", ANY, "Refused");
    check("403", ANY, "Refused");
    check("404", ANY, "NotFound");
    check("429", ANY, "Unavailable");
    check("503", ANY, "Unavailable");
    check("412", ANY, "Answer");
    check("302", ANY, "Answer");
}

#[test]
fn words_of_servers_are_kept_short_and_plain() {
    let said = |body: &str| words(body.as_bytes());
    assert_eq!(said(r#"{"error_code": "X", "message": "no such alias"}"#), "no such alias");
    assert_eq!(said(r#"{"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}"#), "unknown");
    assert_eq!(said("<html>oops</html>"), "");
    assert_eq!(said("{\"a\": 1}"), "");
    assert_eq!(said("down\x1b[31m\nfor now"), "down[31mfor now");
    assert_eq!(said(&"x".repeat(5000)).len(), 200);
}
