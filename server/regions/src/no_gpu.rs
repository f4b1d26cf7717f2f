//! In builds without CUDA: nothing of a GPU can be opened.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;

use crate::error::RegionError;
use crate::regions::DriverWork;

const LACK: &str = "this build is without NVIDIA's driver, which `--features nvml` adds";

/// Never any.
pub struct Gpus;

impl Gpus {
    /// Opens nothing.
    pub fn open(_: Option<&Path>) -> Gpus {
        Gpus
    }

    /// That it is not built.
    pub fn lack(&self) -> Option<String> {
        Some(LACK.to_owned())
    }

    pub(crate) fn aside(
        &self,
        _: DriverWork,
        _: impl FnOnce() + Send + 'static,
    ) -> Result<Ticket, RegionError> {
        Err(RegionError::NoGpu { why: LACK.to_owned() })
    }

    pub(crate) fn memory(
        &self,
        _: &str,
        _: (i64, &[u8]),
        _: u64,
    ) -> Result<(u32, Memory), RegionError> {
        Err(RegionError::NoGpu { why: LACK.to_owned() })
    }
}

/// For an errand, which is never taken.
#[derive(Debug)]
pub struct Ticket;

/// There is no value of this type.
#[derive(Debug)]
pub(crate) struct Memory(Infallible);

impl Memory {
    pub(crate) fn bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn read(&self, _: u64, _: usize) -> Result<Bytes, String> {
        match self.0 {}
    }

    pub(crate) fn write(&self, _: u64, _: &[u8]) -> Result<(), String> {
        match self.0 {}
    }
}
