use super::*;

use crate::fixture::{self, uri};

fn target() -> Target {
    let labels = [("canary".to_owned(), uri("https://h/wine.onnx?signature=hush"))].into();
    Target { labels, ..fixture::target("wine", uri("mlflow://h/wine@champion")) }
}

fn put(cache: &Path, uri: &Uri, version: u64, before: Option<u64>) {
    let (tree, before) = (Digest::of(version.to_string().as_bytes()), before.map(Version));
    let placed = Placed { uri, version: Version(version), tree, is_numbered: true, before };
    Book::write(cache, &target(), &placed).expect("written");
}

#[test]
fn what_was_placed_is_known_after_a_restart() {
    let (cache, target) = (tempfile::tempdir().expect("scratch"), target());
    let cache = cache.path();
    assert_eq!(Book::read(cache, &target), Book::default());
    put(cache, &target.source, 1, None);
    put(cache, &target.source, 2, Some(1));
    let book = Book::read(cache, &target);
    let one = book.known(Version(1)).expect("known");
    assert_eq!(one.tree(), Some(Digest::of(b"1")));
    assert!(one.is_of(&target.source) && !one.is_of(&uri("mlflow://h/wine@challenger")));
    assert_eq!((book.named(&target.source), book.before()), (Some(Version(2)), Some(Version(1))));
    // Another process begins with the version after that, and knows of none before it.
    put(cache, &target.source, 3, None);
    assert_eq!(Book::read(cache, &target).before(), Some(Version(2)));
    // The same again.
    put(cache, &target.source, 3, None);
    assert_eq!(Book::read(cache, &target).before(), Some(Version(2)));
}

#[test]
fn no_secret_of_an_address_is_written_down() {
    let (cache, target) = (tempfile::tempdir().expect("scratch"), target());
    put(cache.path(), &target.labels["canary"], 1, None);
    let text = fs::read_to_string(file(cache.path(), &target)).expect("written");
    assert!(text.contains("https://h/wine.onnx?..") && !text.contains("hush"), "{text}");
}

#[test]
fn a_book_does_not_grow_for_ever() {
    let (cache, target) = (tempfile::tempdir().expect("scratch"), target());
    let most = VERSIONS_MAX as u64;
    (1..=most + 2).for_each(|it| put(cache.path(), &target.source, it, None));
    let book = Book::read(cache.path(), &target);
    assert_eq!(book.versions.len(), VERSIONS_MAX);
    assert!(book.known(Version(2)).is_none() && book.known(Version(3)).is_some());
}

#[test]
fn what_cannot_be_read_is_nothing() {
    let (cache, target) = (tempfile::tempdir().expect("scratch"), target());
    put(cache.path(), &target.source, 1, None);
    for text in ["", "{", "{\"format\": 2}", "[]"] {
        fs::write(file(cache.path(), &target), text).expect("written");
        assert_eq!(Book::read(cache.path(), &target), Book::default(), "{text:?}");
    }
}
