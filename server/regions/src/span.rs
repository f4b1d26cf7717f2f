//! A part of a region that a request reads or writes.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::RegionError;
use crate::metrics::refused;
use crate::region::Region;

/// Keeps its region, whatever becomes of the name. Invariant: it lies within the region.
#[derive(Clone, Debug)]
pub struct Span {
    region: Arc<Region>,
    offset: u64,
    bytes: u64,
}

impl Span {
    pub(crate) fn new(region: Arc<Region>, offset: u64, bytes: u64) -> Result<Span, RegionError> {
        let end = offset.checked_add(bytes);
        if end.is_none_or(|it| it > region.bytes()) {
            let (region, size) = (region.name().to_owned(), region.bytes());
            return Err(RegionError::Outside { region, offset, bytes, size });
        }
        Ok(Span { region, offset, bytes })
    }

    /// Name of the region.
    pub fn region(&self) -> &str {
        self.region.name()
    }

    /// Within the region.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Does it lie on a GPU? Then reading and writing take as long as the driver: see [`crate::Regions::aside`].
    pub fn is_far(&self) -> bool {
        self.region.is_far()
    }

    /// A copy of them as they are now. The caller has seen to it that there is memory for it.
    pub fn read(&self) -> Result<Bytes, RegionError> {
        // More than can be addressed cannot be there.
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        self.region.read(self.offset, bytes).map_err(refused)
    }

    /// Writes an output, if it fits.
    pub fn write(&self, output: &str, data: &[u8]) -> Result<(), RegionError> {
        let needed = data.len() as u64;
        if needed > self.bytes {
            let (output, given) = (output.to_owned(), self.bytes);
            return Err(refused(RegionError::TooSmall { output, given, needed }));
        }
        self.region.write(self.offset, data).map_err(refused)
    }
}
