//! Which of CUDA's errors are the end of more than one call.
//!
//! After these CUDA gives the same error to every call, until the process ends or, for some, until the context
//! is made anew. Engines pass its errors on as words: what counts is a number or a name in them.

/// By number, and as the runtime (`cudaError_t`) and the driver (`CUresult`) call it.
const LASTING: [(u32, &str, &str); 17] = [
    (46, "cudaErrorDevicesUnavailable", "CUDA_ERROR_DEVICE_UNAVAILABLE"),
    (100, "cudaErrorNoDevice", "CUDA_ERROR_NO_DEVICE"),
    (101, "cudaErrorInvalidDevice", "CUDA_ERROR_INVALID_DEVICE"),
    (214, "cudaErrorECCUncorrectable", "CUDA_ERROR_ECC_UNCORRECTABLE"),
    (220, "cudaErrorNvlinkUncorrectable", "CUDA_ERROR_NVLINK_UNCORRECTABLE"),
    (226, "cudaErrorContained", "CUDA_ERROR_CONTAINED"),
    (700, "cudaErrorIllegalAddress", "CUDA_ERROR_ILLEGAL_ADDRESS"),
    (702, "cudaErrorLaunchTimeout", "CUDA_ERROR_LAUNCH_TIMEOUT"),
    (709, "cudaErrorContextIsDestroyed", "CUDA_ERROR_CONTEXT_IS_DESTROYED"),
    (710, "cudaErrorAssert", "CUDA_ERROR_ASSERT"),
    (714, "cudaErrorHardwareStackError", "CUDA_ERROR_HARDWARE_STACK_ERROR"),
    (715, "cudaErrorIllegalInstruction", "CUDA_ERROR_ILLEGAL_INSTRUCTION"),
    (716, "cudaErrorMisalignedAddress", "CUDA_ERROR_MISALIGNED_ADDRESS"),
    (717, "cudaErrorInvalidAddressSpace", "CUDA_ERROR_INVALID_ADDRESS_SPACE"),
    (718, "cudaErrorInvalidPc", "CUDA_ERROR_INVALID_PC"),
    (719, "cudaErrorLaunchFailure", "CUDA_ERROR_LAUNCH_FAILED"),
    (999, "cudaErrorUnknown", "CUDA_ERROR_UNKNOWN"),
];

/// Does CUDA's error of that number last?
pub fn lasts(number: u32) -> bool {
    LASTING.iter().any(|it| it.0 == number)
}

/// Is one of them named, as a whole word?
pub fn names_lasting(reason: &str) -> bool {
    let mut words = reason.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    words.any(|word| LASTING.iter().any(|it| it.1 == word || it.2 == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words() {
        let check =
            |reason: &str, expect: bool| assert_eq!(names_lasting(reason), expect, "{reason}");
        check("CUDA error cudaErrorIllegalAddress:an illegal memory access was encountered", true);
        check("cudaErrorInvalidDevice: invalid device ordinal", true);
        check("Cuda Runtime (CUDA_ERROR_ILLEGAL_ADDRESS)", true);
        check("DriverError(CUDA_ERROR_LAUNCH_FAILED, \"unspecified launch failure\")", true);
        check("INTERNAL: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered", true);
        check("cudaErrorInvalidDeviceFunction: invalid device function", false);
        check("CUDA error cudaErrorMemoryAllocation:out of memory", false);
        check("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", false);
        check("DriverError(CUDA_ERROR_INVALID_VALUE, \"invalid argument\")", false);
        check("CUDA error cudaErrorInvalidConfiguration:invalid configuration argument", false);
        assert!(lasts(700) && !lasts(2), "by number");
    }
}
