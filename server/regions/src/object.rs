//! A POSIX shared memory object, kept open.
//!
//! It is read and written by calls to the system, into and out of memory of our own, never through a mapping: the
//! object is its client's, who may cut it short at any time, and a mapping of what is gone ends the process
//! (SIGBUS), where a call gives a short count. A copy cannot change while it is looked at, either.

use std::fs::File;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pread, pwrite};

/// Where the system keeps them.
const FOLDER: &str = "/dev/shm/";

/// Opened for as long as it is registered: what is done to its name does not matter any more.
#[derive(Debug)]
pub(crate) struct Object {
    file: File,
}

/// Why bytes were not read or written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are not all there any more.
    Shrunk,
    /// Anything else.
    System(Errno),
}

impl Object {
    /// Opens what is there and may be read and written; never makes one.
    pub(crate) fn open(name: &str) -> Result<Object, String> {
        // A name that is a link or a pipe leads elsewhere, or would let us wait for somebody.
        let flags =
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = rustix::fs::open(format!("{FOLDER}{name}"), flags, Mode::empty());
        let file = File::from(opened.map_err(|it| it.kind().to_string())?);
        let is_memory = file.metadata().is_ok_and(|it| it.is_file());
        if !is_memory {
            return Err("it is no shared memory object".to_owned());
        }
        Ok(Object { file })
    }

    /// Bytes that it has now.
    pub(crate) fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |it| it.len())
    }

    /// A copy of so many bytes.
    pub(crate) fn read(&self, offset: u64, bytes: usize) -> Result<Bytes, Fault> {
        let mut data = Vec::new();
        if bytes == 0 {
            return Ok(Bytes::new());
        }
        data.try_reserve_exact(bytes).map_err(|_| Fault::System(Errno::NOMEM))?;
        while data.len() < bytes {
            let at = offset + data.len() as u64;
            match pread(&self.file, spare_capacity(&mut data), at) {
                Ok(0) => return Err(Fault::Shrunk),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::System(error)),
            }
        }
        // Memory may have been given in larger pieces than asked for.
        data.truncate(bytes);
        Ok(data.into())
    }

    /// Writes over what is there; what is not there is not made.
    pub(crate) fn write(&self, offset: u64, mut data: &[u8]) -> Result<(), Fault> {
        if self.len() < offset + data.len() as u64 {
            return Err(Fault::Shrunk);
        }
        let mut at = offset;
        while !data.is_empty() {
            match pwrite(&self.file, data, at) {
                Ok(0) => return Err(Fault::System(Errno::IO)),
                Ok(written) => {
                    data = data.get(written..).unwrap_or_default();
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::System(error)),
            }
        }
        Ok(())
    }
}
