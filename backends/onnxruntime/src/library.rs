//! Where the shared library is, and what it says.

use std::path::Path;
use std::sync::Arc;

use backend_api::Library;
use ort::logging::{LogLevel, LoggerFunction};

/// The file.
pub const LIBRARY: Library = Library { stem: "libonnxruntime.so", home: "onnxruntime" };

/// The version, from the file's name; the library itself only tells its build.
pub(crate) fn version(path: &Path) -> String {
    let version = LIBRARY.version(path);
    if version.is_empty() { "unknown".to_owned() } else { version }
}

/// Passes the library's own messages on to our log.
pub(crate) fn logger() -> LoggerFunction {
    Arc::new(|level, category: &str, _id: &str, _location: &str, message: &str| match level {
        LogLevel::Fatal | LogLevel::Error => {
            tracing::error!(target: "onnxruntime", category, "{message}")
        }
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, "{message}"),
        LogLevel::Info | LogLevel::Verbose => {
            tracing::debug!(target: "onnxruntime", category, "{message}");
        }
    })
}
