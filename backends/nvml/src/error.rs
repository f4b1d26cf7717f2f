//! Why NVML says nothing, and what would make it.

/// What went wrong, in words for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NvmlError {
    /// The library is not there, or is another one.
    #[error("{reason}")]
    Library {
        /// Which file, and why not.
        reason: String,
    },
    /// A function gave an error.
    #[error("{call}: {words} (NVML error {code})")]
    Call {
        /// Its name.
        call: &'static str,
        /// An `nvmlReturn_t`.
        code: i32,
        /// NVML's own words for it.
        words: String,
    },
}

/// Values of `nvmlReturn_t`.
const NOT_SUPPORTED: i32 = 3;
const NO_PERMISSION: i32 = 4;
const DRIVER_NOT_LOADED: i32 = 9;
const GPU_IS_LOST: i32 = 15;
const LIB_RM_VERSION_MISMATCH: i32 = 18;

impl NvmlError {
    /// Is the library missing, as on every machine without NVIDIA's driver?
    pub fn is_absent(&self) -> bool {
        matches!(self, NvmlError::Library { .. })
    }

    /// Does the GPU just not have what was asked for?
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, NvmlError::Call { code: NOT_SUPPORTED, .. })
    }

    /// May only whoever asks not know it?
    pub fn is_of_the_asker(&self) -> bool {
        matches!(self, NvmlError::Call { code: NO_PERMISSION, .. })
    }

    /// What an operator can do.
    pub fn fix(&self) -> &'static str {
        match self {
            NvmlError::Library { .. } => {
                "NVIDIA's driver, which brings libnvidia-ml.so.1; in a container also the NVIDIA Container \
                 Toolkit, --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility; or --nvml-library FILE"
            }
            NvmlError::Call { code: DRIVER_NOT_LOADED, .. } => {
                "load the driver: `modprobe nvidia` as root, and `dmesg` says why if it does not load"
            }
            NvmlError::Call { code: NO_PERMISSION, .. } => {
                "let this user open /dev/nvidiactl and /dev/nvidia*"
            }
            NvmlError::Call { code: LIB_RM_VERSION_MISMATCH, .. } => {
                "the driver was updated under the kernel's feet: load its module anew, or restart the machine"
            }
            NvmlError::Call { code: GPU_IS_LOST, .. } => {
                "the GPU has fallen off the bus: `dmesg | grep Xid` says why; reset it, or restart the machine"
            }
            NvmlError::Call { .. } => "`nvidia-smi` and `dmesg | grep -i nvidia` say more",
        }
    }
}
