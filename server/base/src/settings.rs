//! Reading a TOML file key by key, collecting every fault instead of stopping at the first.
//!
//! The raw table goes in, checked values come out; each fault names its key, the value and what
//! was expected. Keys that nobody read are faults too, so a typing error is never ignored.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::{Table, Value};

/// One table of a file. Read every key it may have, then call [`Section::finish`].
pub struct Section<'a> {
    path: String,
    table: &'a Table,
    known: BTreeSet<&'static str>,
    faults: Vec<String>,
}

impl<'a> Section<'a> {
    /// The file's top table.
    pub fn root(table: &'a Table) -> Section<'a> {
        Section { path: String::new(), table, known: BTreeSet::new(), faults: Vec::new() }
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        let value = self.value(key)?;
        let number = value.as_integer().and_then(|it| usize::try_from(it).ok());
        let number = number.filter(|it| range.contains(it));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            self.fault(key, &format!("{value} is not a whole number from {low} to {high}"));
        }
        number
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let value = self.value(key)?;
        if value.as_str().is_none() {
            self.fault(key, &format!("{value} is not a text in quotes"));
        }
        value.as_str()
    }

    /// True or false.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        if value.as_bool().is_none() {
            self.fault(key, &format!("{value} is neither true nor false"));
        }
        value.as_bool()
    }

    /// One of a few words.
    pub fn choice<T: Clone>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(key)?;
        let found = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(key, &format!("{value} is none of {}", words.join(", ")));
        }
        found.map(|(_, it)| it.clone())
    }

    /// Any value, read by `parse`, whose error says what was expected.
    pub fn with<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a Value) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(self.value(key)?);
        parsed.map_err(|it| self.fault(key, &it.to_string())).ok()
    }

    /// A table inside this one; missing is the same as empty.
    pub fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let value = self.value(key)?;
        let Some(table) = value.as_table() else {
            self.fault(key, &format!("{value} is not a table"));
            return None;
        };
        let path = self.full(key);
        let mut inner = Section { path, table, known: BTreeSet::new(), faults: Vec::new() };
        let read = read(&mut inner);
        self.faults.extend(inner.into_faults());
        Some(read)
    }

    /// Is anything said about it?
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Records a fault of a value that was readable but is not allowed.
    pub fn fault(&mut self, key: &str, what: &str) {
        self.faults.push(format!("{}: {what}", self.full(key)));
    }

    /// `value` if there was no fault, else all of them.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<String>> {
        let faults = self.into_faults();
        if faults.is_empty() { Ok(value) } else { Err(faults) }
    }

    fn into_faults(mut self) -> Vec<String> {
        let strangers: Vec<String> =
            self.table.keys().filter(|it| !self.known.contains(it.as_str())).cloned().collect();
        for key in strangers {
            let known: Vec<&str> = self.known.iter().copied().collect();
            self.fault(&key, &format!("unknown key; known are {}", known.join(", ")));
        }
        self.faults
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.insert(key);
        self.table.get(key)
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_with_its_key() {
        let table: Table =
            "port = 99999\nhots = \"x\"\nmode = \"fast\"\n[inner]\nflag = 1\nsize = 3"
                .parse()
                .expect("TOML");
        let mut section = Section::root(&table);
        section.integer("port", 1..=65_535);
        section.text("host");
        section.choice("mode", &[("slow", 1)]);
        section.section("inner", |it| (it.boolean("flag"), it.integer("size", 0..=9)));
        let faults = section.finish(()).expect_err("faults");
        assert_eq!(
            faults,
            [
                "port: 99999 is not a whole number from 1 to 65535",
                "mode: \"fast\" is none of slow",
                "inner.flag: 1 is neither true nor false",
                "hots: unknown key; known are host, inner, mode, port",
            ]
        );
    }
}
