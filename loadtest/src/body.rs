//! The body of an answer while it arrives.
//!
//! Used by `grpc` and `http1`. Invariant: never holds more than the largest message.

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};

use crate::limits::MESSAGE_BYTES_MAX;

/// The pieces of a body; copied only if there is more than one.
#[derive(Default)]
pub(crate) struct Parts {
    first: Bytes,
    all: Option<BytesMut>,
}

impl Parts {
    pub(crate) fn push(&mut self, part: Bytes) -> Result<()> {
        let length = self.all.as_ref().map_or(self.first.len(), |it| it.len()) + part.len();
        ensure!(length <= MESSAGE_BYTES_MAX, "an answer of more than {MESSAGE_BYTES_MAX} bytes");
        match &mut self.all {
            Some(all) => all.extend_from_slice(&part),
            None if self.first.is_empty() => self.first = part,
            None if part.is_empty() => {}
            None => {
                let mut all = BytesMut::from(&*self.first);
                all.extend_from_slice(&part);
                self.all = Some(all);
            }
        }
        Ok(())
    }

    pub(crate) fn join(self) -> Bytes {
        self.all.map_or(self.first, BytesMut::freeze)
    }
}
