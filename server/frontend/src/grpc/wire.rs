//! The fields of a protobuf message, one after another, as they lie in memory.
//!
//! # Source
//! Protocol Buffers, "Encoding".

/// One field.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// What stands in it, by wire type.
pub(super) enum Value<'a> {
    Varint(u64),
    /// A length and so many bytes.
    Bytes(&'a [u8]),
    /// Four or eight bytes.
    Fixed,
}

/// Gives `None` in place of what is malformed or a group, and ends there.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let key = varint(&mut self.rest)?;
        let number = key >> 3;
        if number == 0 || key > u64::from(u32::MAX) {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                let (value, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Value::Bytes(value)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some(Field { number, value })
    }

    fn skip(&mut self, bytes: usize) -> Option<Value<'a>> {
        self.rest = self.rest.get(bytes..)?;
        Some(Value::Fixed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A number of up to 64 bits. `None`: cut off, or of more bits.
#[inline]
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    // Keys, and most lengths, are one byte.
    if let [byte @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
