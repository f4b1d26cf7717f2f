//! Memory that engines read and write in place.

use bytemuck::{Pod, Zeroable};
use bytes::Bytes;

/// One cache line; the unit in which buffers grow.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes that start on a cache line, so that any element type and any vector load is aligned.
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zero bytes. Large buffers come zeroed from the system and cost nothing until touched.
    pub fn zeroed(len: usize) -> Buffer {
        Buffer { lines: bytemuck::zeroed_vec(len.div_ceil(size_of::<Line>())), len }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.lines);
        bytes.get(..self.len).unwrap_or(bytes) // the lines cover `len` bytes
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let len = self.len;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.lines);
        bytes.split_at_mut(len).0
    }

    /// Shares the memory from here on: slices of the result keep it alive, nothing is copied.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_line_and_has_the_asked_length() {
        for len in [0, 1, 63, 64, 65, 4096] {
            let mut buffer = Buffer::zeroed(len);
            assert_eq!(buffer.as_slice().len(), len);
            assert_eq!(buffer.as_mut_slice().len(), len);
            assert_eq!(buffer.as_slice().as_ptr().align_offset(64), 0);
        }
    }

    #[test]
    fn freezing_copies_nothing() {
        let mut buffer = Buffer::zeroed(100);
        buffer.as_mut_slice()[99] = 7;
        let at = buffer.as_slice().as_ptr();
        let bytes = buffer.freeze();
        assert_eq!((bytes.as_ptr(), bytes[99]), (at, 7));
    }
}
