//! A store in memory that goes wrong as stores do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::store::{READS_MAX, Store};

/// What happens to a replica's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Weather {
    #[default]
    Fine,
    /// Nothing comes through.
    Cut,
    /// Calls have their effect and fail all the same.
    Lost,
    /// What is replaced comes out half; what is created does not come out at all.
    Torn,
    /// So many calls come through, and then nothing.
    Fading(u32),
    /// The next entry that is made gets no answer, and from then on nothing comes through.
    Leaving,
}

/// Clones share the entries, each with weather of its own.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    entries: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    pub(crate) weather: Rc<Cell<Weather>>,
}

impl Memory {
    /// The same entries, seen by another replica.
    pub(crate) fn other(&self) -> Memory {
        Memory { entries: Rc::clone(&self.entries), weather: Rc::default() }
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.entries.borrow_mut().insert(name.to_owned(), bytes.to_vec());
    }

    fn passes(&self) -> io::Result<()> {
        match self.weather.get() {
            Weather::Cut | Weather::Fading(0) => return Err(io::Error::other("cut")),
            Weather::Fading(calls) => self.weather.set(Weather::Fading(calls - 1)),
            Weather::Fine | Weather::Lost | Weather::Torn | Weather::Leaving => {}
        }
        Ok(())
    }

    fn answers<T>(&self, answer: T) -> io::Result<T> {
        match self.weather.get() {
            Weather::Lost => Err(io::Error::other("lost")),
            Weather::Fine
            | Weather::Cut
            | Weather::Torn
            | Weather::Fading(_)
            | Weather::Leaving => Ok(answer),
        }
    }
}

impl Store for Memory {
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        self.passes()?;
        if self.weather.get() == Weather::Torn {
            return Err(io::Error::other("torn"));
        }
        let mut entries = self.entries.borrow_mut();
        let new = !entries.contains_key(name);
        if new {
            entries.insert(name.to_owned(), bytes.to_vec());
        }
        if self.weather.get() == Weather::Leaving {
            self.weather.set(Weather::Cut);
            return Err(io::Error::other("lost"));
        }
        self.answers(new)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.passes()?;
        let torn = self.weather.get() == Weather::Torn;
        self.put(name, if torn { bytes.get(..bytes.len() / 2).unwrap_or(bytes) } else { bytes });
        self.answers(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.passes()?;
        Ok(self.entries.borrow().get(name).cloned())
    }

    fn read_all(&self, names: &[String]) -> Vec<io::Result<Option<Vec<u8>>>> {
        assert!(names.len() <= READS_MAX, "{} at once", names.len());
        names.iter().map(|it| self.read(it)).collect()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.passes()?;
        let folder = format!("{folder}/");
        let entries = self.entries.borrow();
        let inside = entries.keys().filter_map(|it| it.strip_prefix(&folder));
        let mut names: Vec<String> =
            inside.filter_map(|it| it.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.passes()?;
        self.entries.borrow_mut().remove(name);
        self.answers(())
    }
}

#[test]
fn memory_is_a_store() {
    let memory = Memory::default();
    crate::store::conformance(&memory, &memory.other(), "trial").expect("a store");
}

/// A store that puts one entry over another.
#[derive(Debug)]
struct Careless(Memory);

impl Store for Careless {
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        self.0.replace(name, bytes).map(|()| true)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.replace(name, bytes)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(name)
    }

    fn read_all(&self, names: &[String]) -> Vec<io::Result<Option<Vec<u8>>>> {
        self.0.read_all(names)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}

#[test]
fn a_store_that_makes_an_entry_twice_is_found_out() {
    let memory = Memory::default();
    let other = Careless(memory.other());
    let error =
        crate::store::conformance(&Careless(memory), &other, "trial").expect_err("careless");
    let says = "an entry that is there, created by another: true, expected false";
    assert_eq!(error.to_string(), says);
}
