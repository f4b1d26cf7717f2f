//! A Parquet file that is read, where errors of the disk or the volume are told from what is wrong with the
//! file: Parquet's own errors are words.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;

/// See the module.
pub(crate) struct Input {
    file: File,
    bytes: u64,
    failed: Failed,
}

/// What the disk has said last, which nobody has asked for yet.
#[derive(Clone, Default)]
pub(crate) struct Failed(Arc<Mutex<Option<io::Error>>>);

impl Failed {
    /// What has failed. Of the kind `InvalidData`: what is in the file, which stays so.
    pub(crate) fn instead_of(
        &self,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> io::Error {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn keep<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let shown = io::Error::new(error.kind(), error.to_string());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            shown
        })
    }
}

impl Input {
    pub(crate) fn new(file: File) -> io::Result<(Input, Failed)> {
        let (bytes, failed) = (file.metadata()?.len(), Failed::default());
        Ok((Input { file, bytes, failed: failed.clone() }, failed))
    }

    fn at(&self, start: u64) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Input {
    type T = BufReader<Kept>;

    fn get_read(&self, start: u64) -> Result<BufReader<Kept>> {
        let file = self.failed.keep(self.at(start))?;
        Ok(BufReader::new(Kept { file, failed: self.failed.clone() }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        let file = self.failed.keep(self.at(start))?;
        self.failed.keep(file.take(length as u64).read_to_end(&mut bytes))?;
        if bytes.len() < length {
            let words = format!("{} bytes at {start}: expected {length}", bytes.len());
            return Err(ParquetError::EOF(words));
        }
        Ok(bytes.into())
    }
}

/// Reads on, and keeps the error.
pub(crate) struct Kept {
    file: File,
    failed: Failed,
}

impl Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.failed.keep(self.file.read(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogFile;

    #[test]
    fn a_disk_that_fails_is_no_torn_file() {
        let folder = tempfile::tempdir().expect("scratch");
        let path = folder.path().join("a");
        std::fs::write(&path, "no Parquet at all").expect("written");
        let kind = |file: io::Result<File>| {
            LogFile::open(file.expect("opened")).map(drop).expect_err("no Parquet").kind()
        };
        assert_eq!(kind(File::open(&path)), io::ErrorKind::InvalidData);
        // Opened to be written, it cannot be read.
        let written = File::options().append(true).open(&path);
        assert_ne!(kind(written), io::ErrorKind::InvalidData);
    }
}
