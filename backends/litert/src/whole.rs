//! Is a file whole? LiteRT follows every offset that stands in it: one that was cut off ends the process.
//!
//! Pure but for reading. What is looked at are the tables of the public schema that every model has, by their places in
//! it: that each, and what it points at, lies inside the file. Of an operator's own options only the table is looked at.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What the file bears behind its first four bytes.
const MAGIC: &[u8] = b"TFL3";

/// Fields of a table that point somewhere, by their numbers.
type Schema = &'static [(u64, Points)];

/// What a field points at.
#[derive(Clone, Copy)]
enum Points {
    /// Elements of so many bytes, or a text.
    Elements(u64),
    /// A table.
    Table(Schema),
    /// Elements that each point at a table.
    Tables(Schema),
    /// Where bytes behind all tables begin; the next field says how many there are.
    Behind,
}

use Points::{Behind, Elements, Table, Tables};

const MODEL: Schema = &[
    (1, Tables(&[(1, Elements(1))])),
    (2, Tables(GRAPH)),
    (3, Elements(1)),
    (4, Tables(&[(0, Elements(1)), (1, Behind)])),
    (5, Elements(4)),
    (6, Tables(&[(0, Elements(1))])),
    (7, Tables(&[(0, Tables(NAMED)), (1, Tables(NAMED)), (2, Elements(1))])),
];
const NAMED: Schema = &[(0, Elements(1))];
const GRAPH: Schema = &[
    (0, Tables(TENSOR)),
    (1, Elements(4)),
    (2, Elements(4)),
    (3, Tables(OPERATOR)),
    (4, Elements(1)),
];
const TENSOR: Schema = &[
    (0, Elements(4)),
    (3, Elements(1)),
    (4, Table(SCALES)),
    (6, Table(&[])),
    (7, Elements(4)),
    (9, Tables(&[])),
];
const SCALES: Schema =
    &[(0, Elements(4)), (1, Elements(4)), (2, Elements(4)), (3, Elements(8)), (5, Table(&[]))];
const OPERATOR: Schema = &[
    (1, Elements(4)),
    (2, Elements(4)),
    (4, Table(&[])),
    (5, Elements(1)),
    (7, Elements(1)),
    (8, Elements(4)),
    (9, Behind),
    (12, Table(&[])),
];

/// Why the file is none that can be followed, if so.
pub(crate) fn check(path: &Path) -> io::Result<Result<(), String>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    // Every table has four bytes at least: a file in which more are pointed at points at some again and again.
    let mut whole = Whole { file, len, tables_left: len / 4 };
    let checked = whole.model();
    match checked {
        Ok(()) => Ok(Ok(())),
        Err(Fault::Reading(error)) => Err(error),
        Err(Fault::Broken(reason)) => Ok(Err(format!("{reason} ({len} bytes)"))),
    }
}

/// Why a look ended.
enum Fault {
    /// The disk does not give what the file has.
    Reading(io::Error),
    /// The file points at what it has not.
    Broken(String),
}

struct Whole {
    file: File,
    len: u64,
    tables_left: u64,
}

impl Whole {
    fn model(&mut self) -> Result<(), Fault> {
        if self.bytes::<8>(0)?.get(4..) != Some(MAGIC) {
            return Err(Fault::Broken("it is no TensorFlow Lite file".to_owned()));
        }
        let root = u64::from(u32::from_le_bytes(self.bytes(0)?));
        self.table(root, MODEL)
    }

    fn table(&mut self, at: u64, schema: Schema) -> Result<(), Fault> {
        self.tables_left = self.tables_left.checked_sub(1).ok_or_else(|| broken("table", at))?;
        let back = i64::from(i32::from_le_bytes(self.bytes(at)?));
        let places = at.checked_add_signed(-back).ok_or_else(|| broken("table", at))?;
        let [low, high, size_low, size_high] = self.bytes(places)?;
        let (places_len, size) = (
            u16::from_le_bytes([low, high]).into(),
            u16::from_le_bytes([size_low, size_high]).into(),
        );
        // Of a table of zeros, as in a file that was copied by half into room of the right length.
        if back == 0 || places_len < 4 || size < 4 {
            return Err(Fault::Broken(format!("it is not whole: there is no table at byte {at}")));
        }
        self.inside(places, places_len, "table")?;
        self.inside(at, size, "table")?;
        for &(field, points) in schema {
            let place = |field: u64| 4 + 2 * field;
            if place(field) + 2 > places_len {
                continue;
            }
            let offset = u64::from(u16::from_le_bytes(self.bytes(places + place(field))?));
            if offset != 0 {
                self.field(at + offset, (places, places_len, place(field + 1)), at, points)?;
            }
        }
        Ok(())
    }

    /// `next`: where the places of fields stand, how long they are, and which of them is the next field's.
    fn field(
        &mut self,
        field: u64,
        (places, places_len, next): (u64, u64, u64),
        table: u64,
        points: Points,
    ) -> Result<(), Fault> {
        if let Behind = points {
            let begins = u64::from_le_bytes(self.bytes(field)?);
            if begins <= 1 || next + 2 > places_len {
                return Ok(()); // it is not used
            }
            let offset = u64::from(u16::from_le_bytes(self.bytes(places + next)?));
            let count =
                if offset == 0 { 0 } else { u64::from_le_bytes(self.bytes(table + offset)?) };
            return self.inside(begins, count, "weight");
        }
        let at = field + u64::from(u32::from_le_bytes(self.bytes(field)?));
        match points {
            Table(schema) => self.table(at, schema),
            Elements(size) => {
                let count = u64::from(u32::from_le_bytes(self.bytes(at)?));
                self.inside(at + 4, count * size, "list")
            }
            Tables(schema) => {
                let count = u64::from(u32::from_le_bytes(self.bytes(at)?));
                self.inside(at + 4, count * 4, "list")?;
                for n in 0..count {
                    let element = at + 4 + 4 * n;
                    let to = u64::from(u32::from_le_bytes(self.bytes(element)?));
                    self.table(element + to, schema)?;
                }
                Ok(())
            }
            Behind => Ok(()), // not reached: see above
        }
    }

    /// Has the file so many bytes from there on?
    fn inside(&self, at: u64, len: u64, what: &str) -> Result<(), Fault> {
        let ends = at.checked_add(len);
        if ends.is_some_and(|it| it <= self.len) { Ok(()) } else { Err(broken(what, at)) }
    }

    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], Fault> {
        self.inside(at, N as u64, "table")?;
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at).map_err(Fault::Reading)?;
        Ok(bytes)
    }
}

fn broken(what: &str, at: u64) -> Fault {
    Fault::Broken(format!("it is not whole: a {what} at byte {at} does not end in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::path::PathBuf;

    fn fixtures() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let files = fs::read_dir(folder).expect("there").map(|it| it.expect("a file").path());
        files.filter(|it| it.extension().is_some_and(|it| it == "tflite")).collect()
    }

    #[test]
    fn good_files_are_whole_and_their_beginnings_are_not() {
        let scratch = tempfile::tempdir().expect("scratch");
        let cut = scratch.path().join("model.tflite");
        for path in fixtures() {
            check(&path).expect("readable").expect("whole");
            let bytes = fs::read(&path).expect("readable");
            for len in (0..bytes.len() - 8).step_by(1 + bytes.len() / 97) {
                fs::write(&cut, &bytes[..len]).expect("write");
                let found = check(&cut).expect("readable");
                assert!(found.is_err(), "{} of {} bytes of {path:?}", len, bytes.len());
            }
        }
    }

    #[test]
    fn what_is_not_a_model_is_said() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("model.tflite");
        let says = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("write");
            check(&path).expect("readable").expect_err("broken")
        };
        assert_eq!(says(b"PK\x03\x04, another format"), "it is no TensorFlow Lite file (20 bytes)");
        let empty = says(b"");
        assert!(empty.starts_with("it is not whole"), "{empty}");
        let beyond = says(b"\xff\xff\xff\x7fTFL3");
        assert!(beyond.starts_with("it is not whole: a table at byte 2147483647"), "{beyond}");
        check(&scratch.path().join("nothing")).expect_err("not there");
    }
}
