//! Where replicas meet.

use std::io;

/// Larger entries are refused: a record with all its decisions has some hundred kilobytes.
pub(crate) const ENTRY_BYTES_MAX: usize = 4 << 20;

/// Named entries in named folders (`folder/.../name`), seen by all replicas. Calls block.
///
/// What is asked of it: `create` gives an entry to exactly one of those who try, whole or not at all, and whoever
/// reads or lists after it has come back sees it. A call that fails may have had its effect.
pub trait Store {
    /// Makes an entry that is not there; `false`: it is there already, and stays as it is.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool>;

    /// Makes an entry or puts another in its place, whole.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// An entry's content, if it is there.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names in a folder, which need not exist.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Takes an entry away, if it is there.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// What every store does.
#[cfg(test)]
pub(crate) fn conformance(store: &dyn Store, other: &dyn Store) {
    let names = |folder: &str| {
        let mut names = store.list(folder).expect("listed");
        names.sort();
        names
    };
    assert_eq!(store.read("a/1").expect("read"), None);
    assert!(names("a").is_empty());
    store.remove("a/1").expect("nothing to remove");
    assert!(store.create("a/1", b"one").expect("created"));
    assert!(!other.create("a/1", b"two").expect("there already"));
    assert_eq!(other.read("a/1").expect("read").as_deref(), Some(&b"one"[..]));
    other.replace("a/1", b"three").expect("replaced");
    store.replace("a/b/2", b"four").expect("made");
    assert_eq!(store.read("a/1").expect("read").as_deref(), Some(&b"three"[..]));
    assert_eq!(names("a"), ["1", "b"]);
    assert_eq!(names("a/b"), ["2"]);
    other.remove("a/1").expect("removed");
    assert_eq!(names("a"), ["b"]);
    assert!(store.create("a/1", b"").expect("gone, so it can be made"));
    assert_eq!(other.read("a/1").expect("read").as_deref(), Some(&b""[..]));
}
