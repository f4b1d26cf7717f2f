//! Memory of NVIDIA's GPUs, which a client has asked for and another process may open (CUDA IPC).
//!
//! Copies are CUDA's own. Unlike an object of the system's, a client's memory on a GPU must stay until it is
//! unregistered: what comes of a copy out of memory that was given back is not defined. Nor is how long a call to
//! the driver takes: two threads do them all (`desk`), one what copies, the other what opens and closes, which may
//! take seconds.

mod desk;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use backend_cuda::{CudaError, Driver, HANDLE_BYTES, Shared};
use bytes::Bytes;

pub use desk::Ticket;

use crate::error::RegionError;
use crate::regions::DriverWork;
use desk::{Desk, WAITING_MAX};

/// The driver, or why there is none.
pub struct Gpus {
    opened: Result<Arc<Opened>, String>,
}

/// The driver, and who calls it.
struct Opened {
    driver: Arc<Driver>,
    opens: Desk,
    copies: Desk,
    closing: Closing,
}

/// To be closed before anything else is opened: so there are never more of them than were open at a time.
type Closing = Arc<Mutex<Vec<Shared>>>;

impl Opened {
    fn start(driver: Arc<Driver>) -> io::Result<Opened> {
        let closing = Closing::default();
        let left = Arc::clone(&closing);
        let close = move || {
            let all = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
            drop(all);
        };
        let (opens, copies) = (Desk::start("cuda/open", close)?, Desk::start("cuda/copy", || ())?);
        Ok(Opened { driver, opens, copies, closing })
    }

    /// Leaves it to the thread. That wakes by an errand of nothing; where there is no room for one, it is awake.
    fn close(&self, memory: Shared) {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        drop(self.opens.ask(|| ()));
    }
}

impl Gpus {
    /// Opens the library at `path`, or the system's.
    pub fn open(library: Option<&Path>) -> Gpus {
        let lack = |it: CudaError| format!("{it}; what would help: {}", it.fix());
        let opened = Driver::open(library).map_err(lack).and_then(|it| {
            Opened::start(it).map_err(|it| format!("there is no thread to call its driver: {it}"))
        });
        Gpus { opened: opened.map(Arc::new) }
    }

    /// Why nothing can be registered, and what would help.
    pub fn lack(&self) -> Option<String> {
        self.opened.as_ref().err().cloned()
    }

    /// See [`crate::Regions::aside`].
    pub(crate) fn aside(
        &self,
        work: DriverWork,
        errand: impl FnOnce() + Send + 'static,
    ) -> Result<Ticket, RegionError> {
        let opened = self.opened.as_ref().map_err(|it| RegionError::NoGpu { why: it.clone() })?;
        let desk = match work {
            DriverWork::Opens => &opened.opens,
            DriverWork::Copies => &opened.copies,
        };
        desk.ask(errand).ok_or(RegionError::Busy { waiting: WAITING_MAX })
    }

    /// Opens what the handle is for, at least so many bytes.
    pub(crate) fn memory(
        &self,
        region: &str,
        (device, handle): (i64, &[u8]),
        bytes: u64,
    ) -> Result<(u32, Memory), RegionError> {
        let named = || region.to_owned();
        let opened = self.opened.as_ref().map_err(|it| RegionError::NoGpu { why: it.clone() })?;
        let object = |why: String| RegionError::Object { region: named(), why };
        let number =
            u32::try_from(device).map_err(|_| object(format!("there is no GPU {device}")))?;
        let handle: [u8; HANDLE_BYTES] = handle.try_into().map_err(|_| {
            object(format!("raw_handle has {} bytes, expected {HANDLE_BYTES}", handle.len()))
        })?;
        let shared = opened.driver.shared(number, handle);
        let shared = shared.map_err(|it| object(it.to_string()))?;
        let size = shared.bytes();
        if bytes == 0 || bytes > size {
            let why =
                format!("byte_size {bytes} is not at least one byte within the memory's {size}");
            return Err(RegionError::Size { region: named(), why });
        }
        let memory = Memory { shared: Some(shared), bytes: size, opened: Arc::clone(opened) };
        Ok((number, memory))
    }
}

/// Open for as long as it is registered.
pub(crate) struct Memory {
    /// Always there, until it is dropped.
    shared: Option<Shared>,
    bytes: u64,
    opened: Arc<Opened>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.take().into_iter().for_each(|it| self.opened.close(it));
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    /// All of what was opened, which stays as long as it is open: more than a region may be of.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes as long as the driver.
    pub(crate) fn read(&self, offset: u64, bytes: usize) -> Result<Bytes, String> {
        let mut data = vec![0; bytes];
        self.shared()?.read(offset, &mut data).map_err(|it| it.to_string())?;
        Ok(data.into())
    }

    /// Takes as long as the driver.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<(), String> {
        self.shared()?.write(offset, data).map_err(|it| it.to_string())
    }

    fn shared(&self) -> Result<&Shared, String> {
        self.shared.as_ref().ok_or_else(|| "it is closed".to_owned()) // never
    }
}

#[cfg(test)]
#[path = "gpu_tests.rs"]
mod tests;
