//! Why CUDA's driver does not serve, and what would make it.

/// What went wrong, in words for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// The library is not there, or is another one.
    #[error("{reason}")]
    Library {
        /// Which file, and why not.
        reason: String,
    },
    /// The driver is older than what was built against it.
    #[error("the driver is for CUDA {}, at least {} is needed", shown(*found), shown(*needed))]
    Old {
        /// As `cuDriverGetVersion` counts: 12040 is 12.4.
        found: i32,
        /// The same.
        needed: i32,
    },
    /// There is a driver, and no GPU for this process.
    #[error("the driver shows no GPU to this process")]
    NoDevice,
    /// A GPU of a number that none has.
    #[error("there is no GPU {wanted}, the driver shows {count}")]
    Absent {
        /// As CUDA counts.
        wanted: u32,
        /// How many there are.
        count: u32,
    },
    /// A function gave an error.
    #[error("CUDA error: {call}: {words} ({code})")]
    Call {
        /// Its name.
        call: &'static str,
        /// A `CUresult`.
        code: i32,
        /// CUDA's own name for it.
        words: String,
    },
}

/// Values of `CUresult`.
pub(crate) const NO_DEVICE: i32 = 100;
const SYSTEM_DRIVER_MISMATCH: i32 = 803;

impl CudaError {
    /// What an operator can do.
    pub fn fix(&self) -> &'static str {
        match self {
            CudaError::Library { .. } => {
                "NVIDIA's driver, which brings libcuda.so.1; in a container also the NVIDIA Container \
                 Toolkit, --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility"
            }
            CudaError::Old { .. } => "a newer driver of NVIDIA",
            CudaError::NoDevice | CudaError::Absent { .. } => {
                "look at `nvidia-smi`, CUDA_VISIBLE_DEVICES, and what the container was given (--gpus)"
            }
            CudaError::Call { code: SYSTEM_DRIVER_MISMATCH, .. } => {
                "the driver was updated under the kernel's feet: load its module anew, or restart the machine"
            }
            CudaError::Call { .. } => "`nvidia-smi` and `dmesg | grep Xid` say more",
        }
    }
}

/// `12.4`
fn shown(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
