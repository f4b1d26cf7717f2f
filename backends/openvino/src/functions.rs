//! What OpenVINO's C headers (`openvino/c/*.h`) say: functions, structures, numbers of types.
//!
//! Written by hand from version 2026.4; unchanged since 2025.1. `ffi.rs` makes a table of it.

use std::ffi::{c_char, c_int, c_void};

use backend_api::DType;

/// `ov_status_e`; 0 is success.
pub(crate) type Status = c_int;

/// Any of the library's objects; only ever seen through a pointer.
pub(crate) type Handle = *mut c_void;

/// `ov_shape_t`
#[repr(C)]
pub(crate) struct RawShape {
    pub(crate) rank: i64,
    pub(crate) dims: *mut i64,
}

/// `ov_dimension_t`, also `ov_rank_t`; the largest length is -1 where there is none.
#[repr(C)]
pub(crate) struct RawDim {
    pub(crate) min: i64,
    pub(crate) max: i64,
}

/// `ov_partial_shape_t`
#[repr(C)]
pub(crate) struct RawPartialShape {
    pub(crate) rank: RawDim,
    pub(crate) dims: *mut RawDim,
}

/// `ov_version_t`
#[repr(C)]
pub(crate) struct RawVersion {
    pub(crate) build: *const c_char,
    pub(crate) description: *const c_char,
}

/// Hands every function that is used, without its `ov_`, to another macro.
macro_rules! functions {
    ($table:ident) => {
        $table! {
            get_openvino_version: (*mut RawVersion) -> Status;
            version_free: (*mut RawVersion);
            get_last_err_msg: () -> *const c_char;
            free: (*const c_char);
            core_create: (*mut Handle) -> Status;
            core_free: (Handle);
            core_read_model: (Handle, *const c_char, *const c_char, *mut Handle) -> Status;
            core_compile_model:
                (Handle, Handle, *const c_char, usize, *mut Handle, ...) -> Status;
            model_free: (Handle);
            compiled_model_inputs_size: (Handle, *mut usize) -> Status;
            compiled_model_outputs_size: (Handle, *mut usize) -> Status;
            compiled_model_input_by_index: (Handle, usize, *mut Handle) -> Status;
            compiled_model_output_by_index: (Handle, usize, *mut Handle) -> Status;
            compiled_model_create_infer_request: (Handle, *mut Handle) -> Status;
            compiled_model_free: (Handle);
            port_get_element_type: (Handle, *mut c_int) -> Status;
            port_get_partial_shape: (Handle, *mut RawPartialShape) -> Status;
            partial_shape_free: (*mut RawPartialShape);
            output_const_port_free: (Handle);
            tensor_create_from_host_ptr: (c_int, RawShape, *mut c_void, *mut Handle) -> Status;
            tensor_get_element_type: (Handle, *mut c_int) -> Status;
            tensor_get_shape: (Handle, *mut RawShape) -> Status;
            tensor_data: (Handle, *mut *mut c_void) -> Status;
            tensor_free: (Handle);
            shape_free: (*mut RawShape) -> Status;
            infer_request_set_input_tensor_by_index: (Handle, usize, Handle) -> Status;
            infer_request_set_output_tensor_by_index: (Handle, usize, Handle) -> Status;
            infer_request_get_output_tensor_by_index: (Handle, usize, *mut Handle) -> Status;
            infer_request_infer: (Handle) -> Status;
            infer_request_free: (Handle);
        }
    };
}
pub(crate) use functions;

/// `ov_element_type_e`, as far as the engine carries the types.
const ELEMENTS: [(c_int, DType); 10] = [
    (1, DType::Bool),
    (2, DType::Bf16),
    (3, DType::Fp16),
    (4, DType::Fp32),
    (7, DType::Int8),
    (8, DType::Int16),
    (9, DType::Int32),
    (10, DType::Int64),
    (16, DType::Uint8),
    (17, DType::Uint16),
];

/// The library's number for a type.
pub(crate) fn element_of(dtype: DType) -> Option<c_int> {
    ELEMENTS.iter().find(|(_, it)| *it == dtype).map(|(element, _)| *element)
}

/// The type behind a number of the library's.
pub(crate) fn dtype_of(element: c_int) -> Option<DType> {
    ELEMENTS.iter().find(|(it, _)| *it == element).map(|(_, dtype)| *dtype)
}
