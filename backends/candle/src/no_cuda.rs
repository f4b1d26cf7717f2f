//! Stands in for `cuda.rs` in a build whose candle computes on the processor alone.

use backend_api::BackendError;
use candle_core::Device;

use crate::unsupported;

/// Does this build know GPUs?
pub(crate) const IS_BUILT: bool = false;

/// For `salver devices`.
pub(crate) fn describe() -> String {
    "device cuda: not in this build, `make candle-cuda` makes one".to_owned()
}

/// Not reached: nothing is placed on a GPU here.
pub(crate) fn open(number: u32) -> Result<Device, BackendError> {
    Err(unsupported(format!("device cuda:{number}: not in this build")))
}
