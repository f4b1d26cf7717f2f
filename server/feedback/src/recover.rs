//! What an earlier process left: segments whose ends may be torn, and cursors.

use std::io;
use std::path::Path;

use crate::catalogue::Position;
use crate::files::Files;
use crate::frame::good_bytes;
use crate::segment::number;

/// A segment is read whole to be checked. Ours are far smaller; a file beyond it is none of ours.
const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Number, good bytes and bytes of each.
    pub(crate) segments: Vec<(u64, u64, u64)>,
    /// Bytes behind the good ones.
    pub(crate) cut: u64,
}

impl Found {
    /// Looks at every segment in the folder. Files with other names are left alone.
    pub(crate) fn look(files: &dyn Files, folder: &Path) -> io::Result<Found> {
        let mut found = Found::default();
        for path in files.list(folder)? {
            let Some(number) = number(&path) else { continue };
            let size = files.len(&path)?;
            let bytes =
                files.read(&path, 0, usize::try_from(size.min(SEGMENT_BYTES_MAX)).unwrap_or(0))?;
            let good = good_bytes(&bytes, number) as u64;
            if good < size {
                let cut = size - good;
                tracing::warn!(number, good, cut, "the end of a segment is torn and left out");
                found.cut += cut;
            }
            found.segments.push((number, good, size));
        }
        found.segments.sort_unstable();
        Ok(found)
    }

    /// Larger than that of any.
    pub(crate) fn next(&self) -> u64 {
        self.segments.last().map_or(1, |(number, ..)| number.saturating_add(1))
    }
}

/// How far a sink has come, as a line of text with its own check sum.
pub(crate) fn cursor_text(position: Position) -> String {
    let text = format!("{} {}", position.segment, position.offset);
    format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes()))
}

/// Nothing if it is not whole: the sink then begins anew, and what it has already comes again.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<Position> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_whitespace();
    let (segment, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let position = Position { segment, offset };
    (cursor_text(position) == text).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_is_not_whole_is_none() {
        let position = Position { segment: 12, offset: 345 };
        let text = cursor_text(position);
        assert_eq!(parse_cursor(text.as_bytes()), Some(position));
        for cut in 0..text.len() {
            assert_eq!(parse_cursor(&text.as_bytes()[..cut]), None, "{cut}");
        }
        for place in 0..text.len() {
            let mut flipped = text.clone().into_bytes();
            flipped[place] ^= 1;
            assert_eq!(parse_cursor(&flipped), None, "{place}");
        }
    }
}
