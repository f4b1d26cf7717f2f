//! Which errors of a run are the end of more than that run.
//!
//! ONNX Runtime has no code for it, only words: `CUDA failure 700: an illegal memory access was encountered ;
//! GPU=0 ; ...`. It says in the same words that a request's shape was more than a kernel takes or the memory
//! holds, after which the next request may do well. So what counts is which error it was: those after which CUDA
//! gives the same one to every call (`backend_cuda`). Where cuBLAS or cuDNN meets such an error first, the next run's copy meets it too.

/// How ONNX Runtime begins to say which of CUDA's errors it was; the number follows.
const FAILURE: &str = "CUDA failure ";

/// Does the GPU do no more, by the reason that a run gives?
pub(crate) fn is_lost(reason: &str) -> bool {
    let number = |rest: &str| {
        let digits = rest.split(|it: char| !it.is_ascii_digit()).next();
        digits.and_then(|it| it.parse::<u32>().ok())
    };
    let mut numbers =
        reason.match_indices(FAILURE).filter_map(|(at, it)| number(reason.get(at + it.len()..)?));
    numbers.any(backend_cuda::lasts) || backend_cuda::names_lasting(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ONNX Runtime writes it.
    fn failure(library: &str, what: &str) -> String {
        format!(
            "Non-zero status code returned while running Conv node. Name:'c1' Status Message: {library} failure \
             {what} ; GPU=0 ; hostname=h700 ; file=/onnxruntime/core/providers/cuda/cuda_call.cc ; line=719 ; \
             expr=cudaStreamSynchronize(static_cast<cudaStream_t>(stream_)); "
        )
    }

    #[test]
    fn only_what_lasts_is_the_end() {
        let check = |library: &str, what: &str, expect: bool| {
            let reason = failure(library, what);
            assert_eq!(is_lost(&reason), expect, "{reason}");
        };
        check("CUDA", "700: an illegal memory access was encountered", true);
        check("CUDA", "702: the launch timed out and was terminated", true);
        check("CUDA", "710: device-side assert triggered", true);
        check("CUDA", "714: hardware stack error", true);
        check("CUDA", "715: an illegal instruction was encountered", true);
        check("CUDA", "716: misaligned address", true);
        check("CUDA", "717: operation not supported on global/shared address space", true);
        check("CUDA", "718: invalid program counter", true);
        check("CUDA", "719: unspecified launch failure", true);
        check("CUDA", "999: unknown error", true);
        check("CUDA", "46: CUDA-capable device(s) is/are busy or unavailable", true);
        check("CUDA", "100: no CUDA-capable device is detected", true);
        check("CUDA", "101: invalid device ordinal", true);
        check("CUDA", "214: uncorrectable ECC error encountered", true);
        // These depend on the request.
        check("CUDA", "2: out of memory", false);
        check("CUDA", "9: invalid configuration argument", false);
        check("CUDA", "1: invalid argument", false);
        check("CUDA", "98: invalid device function", false);
        check("CUDA", "701: too many resources requested for launch", false);
        check("CUBLAS", "3: CUBLAS_STATUS_ALLOC_FAILED", false);
        check("CUBLAS", "7: CUBLAS_STATUS_INVALID_VALUE", false);
        check("CUBLAS", "14: CUBLAS_STATUS_INTERNAL_ERROR", false);
        check("CUDNN", "3: CUDNN_STATUS_BAD_PARAM", false);
        check("CUDNN", "9: CUDNN_STATUS_NOT_SUPPORTED", false);
        check("CUDNN", "2: CUDNN_STATUS_ALLOC_FAILED", false);
    }

    #[test]
    fn what_is_no_error_of_cuda_is_none() {
        let check = |reason: &str, expect: bool| assert_eq!(is_lost(reason), expect, "{reason}");
        // TensorRT's own words.
        check("Cuda Runtime (CUDA_ERROR_ILLEGAL_ADDRESS)", true);
        check("CUDA failure ", false);
        check("CUDA failure 99999999999999999999: ?", false);
        check(
            "Non-zero status code returned while running Gather node: 700 is out of bounds",
            false,
        );
        check("Failed to allocate memory for requested buffer of size 8589934592", false);
    }
}
