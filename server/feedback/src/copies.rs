//! Memory for what is copied out of requests and too long for a list.
//!
//! Each copy for itself would be taken by a thread that answers and freed by the log's, which is what
//! allocators are slowest at. So those of many records lie in one piece, which is gone with the last of them.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// Of one piece, which is what up to sixteen records of more than 4 KiB have copied of them. What a thread has
/// begun stays with it, so this is little.
const PIECE_BYTES: usize = 64 << 10;

/// What is longer has memory of its own: at most a quarter of a piece is left empty.
const SHARED_BYTES_MAX: usize = PIECE_BYTES / 4;

thread_local! {
    static PIECE: RefCell<BytesMut> = RefCell::default();
}

/// Those bytes, in memory that nothing else than the log has.
pub(crate) fn copied(data: &[u8]) -> Bytes {
    if data.len() > SHARED_BYTES_MAX {
        return Bytes::copy_from_slice(data);
    }
    PIECE.with_borrow_mut(|piece| {
        if piece.capacity() < data.len() {
            *piece = BytesMut::with_capacity(PIECE_BYTES);
        }
        piece.extend_from_slice(data);
        piece.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_share_a_piece_and_are_what_was_copied() {
        let data: Vec<Vec<u8>> = (0..200_u8).map(|it| vec![it; 1 + 13 * usize::from(it)]).collect();
        let copies: Vec<Bytes> = data.iter().map(|it| copied(it)).collect();
        assert!(copies.iter().zip(&data).all(|(copy, data)| copy == data));
        let end = |it: &Bytes| it.as_ptr().wrapping_add(it.len());
        let beside = copies.windows(2).filter(|it| end(&it[0]) == it[1].as_ptr()).count();
        // 258,900 bytes are four pieces or five.
        assert!((190..199).contains(&beside), "{beside} of 199 begin where another ends");
        assert!(!copies[1].is_unique(), "its piece has others in it");
    }

    #[test]
    fn long_ones_have_memory_of_their_own() {
        let copy = copied(&vec![1; SHARED_BYTES_MAX + 1]);
        assert!(copy.is_unique() && copy.len() == SHARED_BYTES_MAX + 1);
        assert_eq!(copied(&[]).len(), 0);
    }
}
