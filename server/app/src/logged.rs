//! What this server has logged, asked again of versions that are loaded.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use server_base::{ModelName, Version};
use server_feedback::source::{FolderSource, Missing, Source as _};
use server_feedback::{LogFile, Newest, Past, Wanted, rows_of_last};
use server_lifecycle::Requests;
use server_proof::Logged;

use crate::prediction_log::LogSettings;

/// Its Parquet files; nothing, if it keeps none on this machine.
pub(crate) fn requests(settings: Option<&LogSettings>) -> Option<Arc<dyn Requests>> {
    let folder = settings?.parquet_folder()?;
    Some(Arc::new(ParquetLog { folder }))
}

/// A request of the log, or why it cannot be asked again.
pub(crate) fn logged(past: Past) -> Result<Logged, String> {
    past.again()?;
    let inputs = past.inputs.unwrap_or_default();
    Ok(Logged { id: past.request_id, inputs, outputs: past.outputs })
}

struct ParquetLog {
    folder: PathBuf,
}

impl fmt::Debug for ParquetLog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("ParquetLog").field(&self.folder).finish()
    }
}

impl Requests for ParquetLog {
    fn newest(
        &self,
        (model, version): (&ModelName, Version),
        most: usize,
        take: &mut dyn FnMut(Result<Logged, String>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        let mut archive = FolderSource::new(vec![self.folder.clone()]);
        let (model, version) = (Some(model.to_string()), Some(version.0));
        let mut newest = Newest::new(&mut archive, &Wanted { model, version, time: None })?;
        while let Some(found) = newest.next(&mut archive)? {
            let file = match archive.fetch(&found.folder, &found.object) {
                Ok(file) => file,
                // It was old enough to be deleted.
                Err(Missing::Gone) => continue,
                Err(Missing::Away(error) | Missing::Refused(error)) => return Err(error),
            };
            let read = file.try_clone().and_then(|it| {
                let rows = rows_of_last(it, most)?;
                each(LogFile::open(file)?, rows, take)
            });
            match read {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => {}
                // It stays so, and nobody's version is the worse for it.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let file = found.path();
                    tracing::warn!(file, %error, "a file of the log cannot be read: it is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn each(
    file: LogFile,
    rows: usize,
    take: &mut dyn FnMut(Result<Logged, String>) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    for past in file.requests(rows)? {
        if take(logged(past?)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
