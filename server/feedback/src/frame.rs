//! How a segment lies on the disk: a head, then frames, each with its length and a check sum.
//!
//! ```text
//! head   "SALVLOG" 1 · number u64 · crc32 of both
//! frame  length u32 · crc32 u32 · kind u8 · index u32 · subject u32 · content
//! kind 1 a version that rows are of:  version u64 · length of its name u16 · name · Arrow schema
//! kind 2 rows of a version:           hour u32 · rows u32 · Arrow record batch
//! ```
//!
//! All numbers are little-endian. The length and the check sum are of what follows them. The index is
//! the frame's place in its segment, so that a frame which is whole but not where it belongs is found
//! too. Schema and record batches are messages of an Arrow IPC stream. Pure.

use server_base::{ModelName, Version};

/// What every segment begins with; the last byte is the form's number.
const MAGIC: &[u8; 8] = b"SALVLOG\x01";

/// Of a segment.
pub(crate) const HEAD_BYTES: usize = 20;

/// Of a frame, in front of what the check sum is of.
pub(crate) const PREFIX_BYTES: usize = 8;

/// Kind, index and subject.
const FIXED_BYTES: usize = 9;

/// No frame is longer: a length beyond it is none. A frame is one group of records, which are a few
/// MiB, or one record with tensors of the largest request.
pub(crate) const FRAME_BYTES_MAX: usize = (1 << 31) - 1;

const SUBJECT: u8 = 1;
const ROWS: u8 = 2;

/// A frame that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) index: u32,
    /// Number of the version in its segment.
    pub(crate) subject: u32,
    pub(crate) body: Body<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Subject { model: ModelName, version: Version, schema: &'a [u8] },
    Rows { hour: u32, rows: u32, batch: &'a [u8] },
}

/// What lies at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A frame, and how many bytes it takes.
    Frame(Frame<'a>, usize),
    /// The beginning of one that takes so many bytes.
    Part(usize),
    /// Nothing: the bytes end here.
    End,
    /// Something that is no frame.
    Bad,
}

/// The head of the segment of that number.
pub(crate) fn head(number: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&number.to_le_bytes());
    let sum = crc32fast::hash(&head[..16]);
    head[16..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Is it the head of the segment of that number?
pub(crate) fn is_head(bytes: &[u8], number: u64) -> bool {
    bytes.get(..HEAD_BYTES) == Some(&head(number))
}

impl Frame<'_> {
    /// As it lies on the disk, into an empty buffer. `None`: it is too long.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Option<()> {
        match &self.body {
            Body::Subject { model, version, schema } => {
                begin(out, SUBJECT, (self.index, self.subject));
                let name = model.as_str().as_bytes();
                out.extend_from_slice(&version.0.to_le_bytes());
                out.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
                out.extend_from_slice(name);
                out.extend_from_slice(schema);
            }
            Body::Rows { hour, rows, batch } => {
                begin_rows(out, (self.index, self.subject), (*hour, *rows));
                out.extend_from_slice(batch);
            }
        }
        seal(out)
    }
}

/// The front of a frame of rows, into an empty buffer. The batch follows, and then [`seal`].
pub(crate) fn begin_rows(
    out: &mut Vec<u8>,
    (index, subject): (u32, u32),
    (hour, rows): (u32, u32),
) {
    begin(out, ROWS, (index, subject));
    out.extend_from_slice(&hour.to_le_bytes());
    out.extend_from_slice(&rows.to_le_bytes());
}

fn begin(out: &mut Vec<u8>, kind: u8, (index, subject): (u32, u32)) {
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    out.push(kind);
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&subject.to_le_bytes());
}

/// Length and check sum of the frame in the buffer, which is there up to its end. `None`: it is too long.
pub(crate) fn seal(frame: &mut [u8]) -> Option<()> {
    let (prefix, content) = frame.split_at_mut_checked(PREFIX_BYTES)?;
    let length = u32::try_from(content.len()).ok().filter(|it| fits(*it))?;
    let sum = crc32fast::hash(content);
    let (at_length, at_sum) = prefix.split_at_mut_checked(4)?;
    at_length.copy_from_slice(&length.to_le_bytes());
    at_sum.copy_from_slice(&sum.to_le_bytes());
    Some(())
}

fn fits(length: u32) -> bool {
    (FIXED_BYTES..=FRAME_BYTES_MAX).contains(&(length as usize))
}

/// Reads the frame at the front, which must be the one of that index.
pub(crate) fn decode(bytes: &[u8], index: u32) -> Found<'_> {
    if bytes.is_empty() {
        return Found::End;
    }
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Found::Part(PREFIX_BYTES);
    };
    let length = u32::from_le_bytes(*length);
    if !fits(length) {
        return Found::Bad;
    }
    let whole = PREFIX_BYTES + length as usize;
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Found::Part(whole) };
    let Some(content) = rest.get(..length as usize) else { return Found::Part(whole) };
    if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
        return Found::Bad;
    }
    match frame(content) {
        Some(frame) if frame.index == index => Found::Frame(frame, whole),
        Some(_) | None => Found::Bad,
    }
}

fn frame(mut content: &[u8]) -> Option<Frame<'_>> {
    let kind = *content.split_off_first()?;
    let index = u32::from_le_bytes(take(&mut content)?);
    let subject = u32::from_le_bytes(take(&mut content)?);
    let body = match kind {
        SUBJECT => {
            let version = Version(u64::from_le_bytes(take(&mut content)?));
            let name = usize::from(u16::from_le_bytes(take(&mut content)?));
            let (name, schema) = content.split_at_checked(name)?;
            let model = ModelName::new(std::str::from_utf8(name).ok()?).ok()?;
            Body::Subject { model, version, schema }
        }
        ROWS => {
            let hour = u32::from_le_bytes(take(&mut content)?);
            let rows = u32::from_le_bytes(take(&mut content)?);
            Body::Rows { hour, rows, batch: content }
        }
        _ => return None,
    };
    Some(Frame { index, subject, body })
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

/// How many bytes of a segment, its head included, are good.
pub(crate) fn good_bytes(bytes: &[u8], number: u64) -> usize {
    if !is_head(bytes, number) {
        return 0;
    }
    let (mut good, mut index) = (HEAD_BYTES, 0);
    while let Found::Frame(_, length) = decode(bytes.get(good..).unwrap_or_default(), index) {
        good += length;
        index += 1;
    }
    good
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
