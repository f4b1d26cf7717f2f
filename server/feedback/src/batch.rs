//! Rows as Arrow messages, and back. A schema goes once into a segment, then record batches.

use std::io;

use arrow_array::RecordBatch;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, Schema};

/// Writes the batches of one version to one segment.
pub(crate) struct Encoder {
    stream: StreamWriter<Vec<u8>>,
}

impl Encoder {
    /// And the schema's message.
    pub(crate) fn new(schema: &Schema) -> Result<(Encoder, Vec<u8>), ArrowError> {
        // The usual 64 bytes would be most of a batch of few rows.
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), schema, options)?;
        let message = std::mem::take(stream.get_mut());
        Ok((Encoder { stream }, message))
    }

    /// The batch's message, behind what is in `out`, without a copy in between.
    pub(crate) fn encode(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        std::mem::swap(self.stream.get_mut(), out);
        let written = self.stream.write(batch);
        std::mem::swap(self.stream.get_mut(), out);
        written
    }
}

/// Reads one batch behind its schema. The bytes were checked by their sum, so an error is a fault of
/// whoever wrote them.
pub(crate) fn decode(schema: &[u8], batch: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut stream = StreamReader::try_new(io::Read::chain(schema, batch), None)?;
    let batch = stream.next().transpose()?;
    batch.ok_or_else(|| ArrowError::IpcError("a frame without a batch".to_owned()))
}
