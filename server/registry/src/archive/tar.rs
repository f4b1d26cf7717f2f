//! Reads tar archives: ustar, GNU's long names, and the path and size of pax.
//!
//! Ours, and small, because lengths in an archive are a stranger's: nothing here allocates by them.

use std::io::{self, Read};

use crate::error::RegistryError;
use crate::limits::PATH_BYTES_MAX;

const BLOCK: usize = 512;
/// Names and attributes of one entry. They hold a path and a few numbers.
const EXTRA_BYTES_MAX: u64 = 64 << 10;

/// An archive, read from front to back.
pub(super) struct Tar<R> {
    reader: R,
    /// Bytes left of the entry at hand, and of the filling behind it.
    left: u64,
    filling: u64,
}

/// An entry; its bytes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// Links, devices, sparse files.
    Other,
}

/// What comes before an entry and holds for it.
#[derive(Default)]
struct Extra {
    name: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

impl<R: Read> Tar<R> {
    pub(super) fn new(reader: R) -> Tar<R> {
        Tar { reader, left: 0, filling: 0 }
    }

    /// The next entry. What was not read of the last is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, RegistryError> {
        let mut extra = Extra::default();
        loop {
            self.skip()?;
            let mut header = [0; BLOCK];
            if !self.block(&mut header)? || header.iter().all(|it| *it == 0) {
                return Ok(None);
            }
            check_sum(&header)?;
            let size = number(&header[124..136])?;
            let kind = header[156];
            let size = match kind {
                b'L' | b'K' | b'x' | b'g' => size,
                _ => extra.size.unwrap_or(size),
            };
            self.left = size;
            self.filling = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
            match kind {
                b'L' => {
                    let text = self.text()?;
                    extra.name = Some(text.trim_end_matches('\0').to_owned());
                }
                b'x' => pax(self.text()?.as_bytes(), &mut extra)?,
                b'K' | b'g' => {} // where a link leads, and what holds for all: not needed
                _ => return Ok(Some(entry(&header, extra)?)),
            }
        }
    }

    /// Bytes of the entry at hand; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..most]).map_err(broken)?;
        if read == 0 {
            return Err(wrong("ends in the middle of a file"));
        }
        self.left -= read as u64;
        Ok(read)
    }

    /// Bytes left of the entry at hand.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    fn skip(&mut self) -> Result<(), RegistryError> {
        let most =
            self.left.checked_add(self.filling).ok_or_else(|| wrong("has a size past all"))?;
        let skipped = io::copy(&mut self.reader.by_ref().take(most), &mut io::sink());
        if skipped.map_err(broken)? != most {
            return Err(wrong("ends in the middle of a file"));
        }
        (self.left, self.filling) = (0, 0);
        Ok(())
    }

    /// The text of a small entry.
    fn text(&mut self) -> Result<String, RegistryError> {
        if self.left > EXTRA_BYTES_MAX {
            return Err(wrong("has a name or attributes of more than 64 KiB"));
        }
        let mut text = Vec::new();
        self.reader.by_ref().take(self.left).read_to_end(&mut text).map_err(broken)?;
        self.left -= text.len() as u64;
        String::from_utf8(text).map_err(|_| wrong("has a name that is not UTF-8"))
    }

    /// Fills a block; `false` at the end of the archive.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, RegistryError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.reader.read(&mut block[filled..]).map_err(broken)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(wrong("ends in the middle of a header")),
                read => filled += read,
            }
        }
        Ok(true)
    }
}

fn entry(header: &[u8; BLOCK], extra: Extra) -> Result<Entry, RegistryError> {
    let kind = match header[156] {
        _ if extra.sparse => Kind::Other,
        b'0' | b'\0' | b'7' => Kind::File,
        b'5' => Kind::Folder,
        _ => Kind::Other,
    };
    let name = match extra.name {
        Some(name) => name,
        None => {
            let (name, prefix) = (text(&header[..100])?, text(&header[345..500])?);
            // GNU keeps times where POSIX keeps the front of a long name.
            let posix = &header[257..263] == b"ustar\0";
            if posix && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
        }
    };
    if name.len() > PATH_BYTES_MAX {
        return Err(wrong("has a name that is too long"));
    }
    // Before POSIX, a folder was a file whose name ends so.
    let kind = if kind == Kind::File && name.ends_with('/') { Kind::Folder } else { kind };
    Ok(Entry { name, kind })
}

/// `<length> <key>=<value>\n`, again and again.
fn pax(mut text: &[u8], extra: &mut Extra) -> Result<(), RegistryError> {
    let faulty = || wrong("has faulty attributes");
    while !text.is_empty() {
        let space = text.iter().position(|it| *it == b' ').ok_or_else(faulty)?;
        let length = std::str::from_utf8(&text[..space]).ok().and_then(|it| it.parse().ok());
        let length: usize = length.ok_or_else(faulty)?;
        let record = text.get(space + 1..length).ok_or_else(faulty)?;
        let record = std::str::from_utf8(record).map_err(|_| faulty())?;
        let record = record.strip_suffix('\n').ok_or_else(faulty)?;
        match record.split_once('=').ok_or_else(faulty)? {
            ("path", value) => extra.name = Some(value.to_owned()),
            ("size", value) => extra.size = Some(value.parse().map_err(|_| faulty())?),
            (key, _) if key.starts_with("GNU.sparse") => extra.sparse = true,
            _ => {}
        }
        text = &text[length..];
    }
    Ok(())
}

/// Octal digits; or, for large numbers, big-endian bytes after a first bit that is set.
fn number(field: &[u8]) -> Result<u64, RegistryError> {
    let faulty = || wrong("has a number that is none");
    if field.first().is_some_and(|it| it & 0x80 != 0) {
        // The sum of a header has eight bytes, in which a large number has no room.
        let (high, low) = field.split_last_chunk::<8>().ok_or_else(faulty)?;
        let (mark, high) = high.split_first().ok_or_else(faulty)?;
        if *mark != 0x80 || high.iter().any(|it| *it != 0) {
            return Err(faulty());
        }
        return Ok(u64::from_be_bytes(*low));
    }
    let text = text(field)?;
    let text = text.trim_matches(' ');
    if text.is_empty() { Ok(0) } else { u64::from_str_radix(text, 8).map_err(|_| faulty()) }
}

fn text(field: &[u8]) -> Result<String, RegistryError> {
    let end = field.iter().position(|it| *it == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(&field[..end]);
    text.map(str::to_owned).map_err(|_| wrong("has a name that is not UTF-8"))
}

fn check_sum(header: &[u8; BLOCK]) -> Result<(), RegistryError> {
    let promised = number(&header[148..156])?;
    let rest = header.iter().enumerate();
    let sum: u64 =
        rest.map(|(n, byte)| if (148..156).contains(&n) { 32 } else { u64::from(*byte) }).sum();
    if sum == promised { Ok(()) } else { Err(wrong("has a header with a wrong sum")) }
}

fn wrong(why: &str) -> RegistryError {
    RegistryError::Answer(format!("an archive {why}"))
}

fn broken(error: io::Error) -> RegistryError {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return RegistryError::TooLarge("an archive unpacks to more than its limit".to_owned());
    }
    RegistryError::Answer(format!("an archive cannot be unpacked: {error}"))
}
