//! A region: so many bytes of a client's memory, under a name.

use bytes::Bytes;

use crate::error::RegionError;
use crate::gpu::Memory;
use crate::object::{Fault, Object};

/// Registered until its name is taken back, and longer for requests that use it.
#[derive(Debug)]
pub struct Region {
    name: String,
    place: Place,
    bytes: u64,
    /// What is kept from being given back as long as it is registered: the whole object.
    held: u64,
    source: Source,
}

/// What it is read from and written to.
#[derive(Debug)]
enum Source {
    System {
        object: Object,
        /// Where the region begins in it.
        start: u64,
    },
    Cuda(Memory),
}

/// Where a region lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a POSIX shared memory object.
    System {
        /// Its name, as the client gave it.
        key: String,
        /// Where the region begins in it.
        offset: u64,
    },
    /// On a GPU.
    Cuda {
        /// Its number, as CUDA counts.
        device: u32,
    },
}

impl Region {
    /// The caller has checked that the object reaches so far.
    pub(crate) fn system(
        name: String,
        (key, offset, bytes): (String, u64, u64),
        object: Object,
    ) -> Region {
        let (held, source) = (object.len(), Source::System { object, start: offset });
        Region { name, place: Place::System { key, offset }, bytes, held, source }
    }

    /// The caller has checked that the memory reaches so far.
    pub(crate) fn cuda(name: String, device: u32, (memory, bytes): (Memory, u64)) -> Region {
        let (held, source) = (memory.bytes(), Source::Cuda(memory));
        Region { name, place: Place::Cuda { device }, bytes, held, source }
    }

    /// What clients call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it lies.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How large it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Does it lie on a GPU?
    pub(crate) fn is_far(&self) -> bool {
        matches!(self.source, Source::Cuda(_))
    }

    /// A copy of so many bytes, which lie within the region.
    pub(crate) fn read(&self, offset: u64, bytes: usize) -> Result<Bytes, RegionError> {
        match &self.source {
            Source::System { object, start } => {
                let read = object.read(start + offset, bytes);
                read.map_err(|it| self.fault(it, (offset, bytes as u64), "read"))
            }
            Source::Cuda(memory) => {
                memory.read(offset, bytes).map_err(|why| self.failed("read", why))
            }
        }
    }

    /// Writes what fits the region.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        match &self.source {
            Source::System { object, start } => {
                let written = object.write(start + offset, data);
                written.map_err(|it| self.fault(it, (offset, data.len() as u64), "written"))
            }
            Source::Cuda(memory) => {
                memory.write(offset, data).map_err(|why| self.failed("written", why))
            }
        }
    }

    fn failed(&self, done: &'static str, why: String) -> RegionError {
        RegionError::Failed { region: self.name.clone(), done, why }
    }

    fn fault(&self, fault: Fault, (offset, bytes): (u64, u64), done: &'static str) -> RegionError {
        match fault {
            Fault::Shrunk => RegionError::Shrunk { region: self.name.clone(), offset, bytes },
            Fault::System(error) => self.failed(done, error.kind().to_string()),
        }
    }
}
