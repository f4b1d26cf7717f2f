//! Whether a picture is well-formed, for tests.

/// Checks that tags nest and that no text contains a raw `<` or `&`. Returns the texts.
///
/// # Panics
/// If they do not, or if one does.
#[track_caller]
pub fn texts(svg: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let (text, tail) = rest.split_at(at);
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
        for (position, _) in text.match_indices('&') {
            assert!(
                entities.iter().any(|it| text[position..].starts_with(it)),
                "raw & in {text:?}"
            );
        }
        if open.last() == Some(&"text") {
            texts.push(text.to_owned());
        }
        let end = tail.find('>').expect("a tag ends");
        let tag = &tail[1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in {tag:?}");
        let name = tag.trim_start_matches('/').split_whitespace().next().expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closing {tag:?}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &tail[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "open at the end: {open:?}");
    texts
}
