//! Byte strings one behind the other: each its length in four little-endian bytes, then its bytes.
//!
//! This is how BYTES tensors travel on the wire and also how they lie in a [`crate::Tensor`], so
//! that joining and splitting them by rows is a matter of copying and slicing, as for numbers.

use crate::error::TensorError;

const PREFIX: usize = size_of::<u32>();

/// Walks the elements of checked bytes (see [`check`]); stops at the first that is cut off.
pub fn iter(bytes: &[u8]) -> Iter<'_> {
    Iter { rest: bytes }
}

/// The elements of a BYTES tensor, in order.
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (prefix, rest) = self.rest.split_first_chunk::<PREFIX>()?;
        let (element, rest) = rest.split_at_checked(length(*prefix))?;
        self.rest = rest;
        Some(element)
    }
}

/// Appends one element. A string of 4 GiB or more does not exist on the wire.
pub fn push(into: &mut Vec<u8>, element: &[u8]) -> Result<(), TensorError> {
    let Ok(len) = u32::try_from(element.len()) else {
        return Err(TensorError::TooLarge { dims: vec![element.len()] });
    };
    into.extend_from_slice(&len.to_le_bytes());
    into.extend_from_slice(element);
    Ok(())
}

/// Checks that `bytes` hold exactly `elements` strings.
pub fn check(bytes: &[u8], elements: usize) -> Result<(), TensorError> {
    let end = end_of(bytes, elements)?;
    match bytes.len() - end {
        0 => Ok(()),
        extra => Err(TensorError::Trailing { extra, elements }),
    }
}

/// Where in `bytes` the first `elements` strings end.
pub(crate) fn end_of(bytes: &[u8], elements: usize) -> Result<usize, TensorError> {
    let mut rest = bytes;
    for index in 0..elements {
        let Some((prefix, tail)) = rest.split_first_chunk::<PREFIX>() else {
            return Err(TensorError::Truncated { index, claimed: PREFIX, left: rest.len() });
        };
        let claimed = length(*prefix);
        let Some((_, tail)) = tail.split_at_checked(claimed) else {
            return Err(TensorError::Truncated { index, claimed, left: tail.len() });
        };
        rest = tail;
    }
    Ok(bytes.len() - rest.len())
}

fn length(prefix: [u8; PREFIX]) -> usize {
    usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_case(bytes: &[u8], elements: usize, expect: Result<(), &str>) {
        let got = check(bytes, elements).map_err(|it| it.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{bytes:?}");
    }

    #[test]
    fn what_is_pushed_is_walked() {
        let mut bytes = Vec::new();
        for element in [&b"abc"[..], b"", b"\0\xff"] {
            push(&mut bytes, element).expect("short");
        }
        assert_eq!(iter(&bytes).collect::<Vec<_>>(), [&b"abc"[..], b"", b"\0\xff"]);
        check_case(&bytes, 3, Ok(()));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        check_case(b"", 0, Ok(()));
        check_case(b"\x01\0\0", 1, Err("byte string 0 claims 4 bytes, 3 are left"));
        check_case(
            b"\xff\xff\xff\xffab",
            1,
            Err("byte string 0 claims 4294967295 bytes, 2 are left"),
        );
        check_case(b"\x01\0\0\0ab", 1, Err("1 bytes are left behind the last of 1 byte strings"));
    }
}
