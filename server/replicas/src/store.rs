//! Where replicas meet.

use std::sync::Arc;
use std::{fmt, io};

/// Larger entries are refused: a record with all its decisions has some hundred kilobytes.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// Entries that are read at once at most: in memory, and as open connections.
pub const READS_MAX: usize = 32;

/// Named entries in named folders (`folder/.../name`), seen by all replicas. Calls block.
///
/// What is asked of it: `create` gives an entry to exactly one of those who try, whole or not at all, and whoever
/// reads or lists after it has come back sees it. A call that fails may have had its effect.
pub trait Store: fmt::Debug {
    /// Makes an entry that is not there; `false`: it is there already, and stays as it is.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool>;

    /// Makes an entry or puts another in its place, whole.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// An entry's content, if it is there.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// The same of several, at most [`READS_MAX`], in their order: at once, where each is waited for.
    fn read_all(&self, names: &[String]) -> Vec<io::Result<Option<Vec<u8>>>>;

    /// The names in a folder, which need not exist.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Takes an entry away, if it is there.
    fn remove(&self, name: &str) -> io::Result<()>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        (**self).create(name, bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).replace(name, bytes)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(name)
    }

    fn read_all(&self, names: &[String]) -> Vec<io::Result<Option<Vec<u8>>>> {
        (**self).read_all(names)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        (**self).list(folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }
}

/// Tries all that is asked of a store, by two handles of it, in a folder that nobody else uses and that is empty
/// before and after. The error says what it does otherwise: a store that makes an entry twice would have two
/// decide.
pub fn conformance(store: &dyn Store, other: &dyn Store, folder: &str) -> io::Result<()> {
    let at = |name: &str| format!("{folder}/{name}");
    let (one, below) = (at("1"), at("b/2"));
    let read = |store: &dyn Store, name: &str| -> io::Result<Option<String>> {
        let bytes = store.read(name)?;
        Ok(bytes.map(|it| String::from_utf8_lossy(&it).into_owned()))
    };
    let list = |store: &dyn Store, folder: &str| -> io::Result<Vec<String>> {
        let mut names = store.list(folder)?;
        names.sort();
        Ok(names)
    };
    let text = |it: &str| Some(it.to_owned());
    // What an attempt before this one has left.
    store.remove(&one)?;
    store.remove(&below)?;
    expect("an entry that is not there, read", &read(store, &one)?, &None)?;
    expect("a folder that is not there, listed", &list(store, folder)?, &Vec::new())?;
    expect("an entry that is not there, created", &store.create(&one, b"one")?, &true)?;
    expect("an entry that is there, created by another", &other.create(&one, b"two")?, &false)?;
    expect("an entry, read by another", &read(other, &one)?, &text("one"))?;
    other.replace(&one, b"three")?;
    store.replace(&below, b"four")?;
    expect("an entry that another replaced, read", &read(store, &one)?, &text("three"))?;
    expect("a folder, listed by another", &list(other, folder)?, &vec!["1".into(), "b".into()])?;
    expect("a folder in it, listed", &list(store, &at("b"))?, &vec!["2".into()])?;
    let several = [one.clone(), at("c"), below.clone()];
    let several: io::Result<Vec<_>> = other.read_all(&several).into_iter().collect();
    let bytes = |it: &str| Some(it.as_bytes().to_vec());
    expect("several entries, read", &several?, &vec![bytes("three"), None, bytes("four")])?;
    other.remove(&one)?;
    expect("a folder without what was removed, listed", &list(store, folder)?, &vec!["b".into()])?;
    expect("an entry that was removed, created", &store.create(&one, b"")?, &true)?;
    expect("an empty entry, read by another", &read(other, &one)?, &text(""))?;
    store.remove(&one)?;
    store.remove(&below)
}

fn expect<T: PartialEq + fmt::Debug>(what: &str, got: &T, expected: &T) -> io::Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("{what}: {got:?}, expected {expected:?}")))
}
