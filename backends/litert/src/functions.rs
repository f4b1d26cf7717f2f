//! What LiteRT's C headers (`litert/c/*.h`) say: functions, structures, numbers of types.
//!
//! Written by hand from version 2.1.4. The interface is not stable from one minor version to the
//! next, and a library does not tell its version: `ffi.rs` tells it by what it exports.

use std::ffi::{c_int, c_void};

use backend_api::DType;

/// `LiteRtStatus`; 0 is success.
pub(crate) type Status = c_int;

/// Any of the library's objects; only ever seen through a pointer.
pub(crate) type Handle = *mut c_void;

/// `LITERT_TENSOR_MAX_RANK`
const RANK_MAX: usize = 8;

/// `LiteRtLayout`; lengths below 0 vary.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct RawLayout {
    /// Seven bits of rank, and one that says whether there are strides.
    pub(crate) bits: u32,
    pub(crate) dims: [i32; RANK_MAX],
    pub(crate) strides: [u32; RANK_MAX],
}

impl RawLayout {
    /// The lengths; none where the rank is beyond what the structure holds.
    pub(crate) fn lengths(&self) -> &[i32] {
        self.dims.get(..(self.bits & 0x7f) as usize).unwrap_or_default()
    }
}

/// `LiteRtRankedTensorType`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct RawType {
    pub(crate) element: c_int,
    pub(crate) layout: RawLayout,
}

impl RawType {
    /// The type of a tensor of that shape.
    pub(crate) fn new(dtype: DType, lengths: &[usize]) -> Result<RawType, String> {
        let element = element_of(dtype).ok_or("the type is not carried")?;
        let mut layout = RawLayout::default();
        if lengths.len() > RANK_MAX {
            return Err(format!("{} axes, LiteRT knows {RANK_MAX}", lengths.len()));
        }
        layout.bits = u32::try_from(lengths.len()).unwrap_or(0);
        for (to, &from) in layout.dims.iter_mut().zip(lengths) {
            *to = length(from)?;
        }
        Ok(RawType { element, layout })
    }
}

/// A length as the library has it.
pub(crate) fn length(length: usize) -> Result<c_int, String> {
    c_int::try_from(length).map_err(|_| format!("an axis of {length} is too long"))
}

/// `LiteRtQuantizationPerTensor`
#[repr(C)]
pub(crate) struct RawQuantization {
    pub(crate) scale: f32,
    pub(crate) zero_point: i64,
}

/// `LiteRtEnvOption` with a whole number in it.
#[repr(C)]
pub(crate) struct RawOption {
    tag: c_int,
    reserved: c_int,
    kind: c_int,
    value: i64,
}

impl RawOption {
    /// `kLiteRtAnyTypeInt` is 2.
    pub(crate) fn whole(tag: c_int, value: i64) -> RawOption {
        RawOption { tag, reserved: 0, kind: 2, value }
    }
}

// The sizes that the headers assert.
const _: () = assert!(size_of::<RawLayout>() == 68 && size_of::<RawType>() == 72);
const _: () = assert!(size_of::<RawQuantization>() == 16 && size_of::<RawOption>() == 24);

/// Frees the text of an option.
pub(crate) type FreeText = unsafe extern "C" fn(*mut c_void);

/// Hands every function that is used, without its `LiteRt`, to another macro.
macro_rules! functions {
    ($table:ident) => {
        $table! {
            CreateEnvironment: (c_int, *const RawOption, *mut Handle) -> Status;
            DestroyEnvironment: (Handle);
            CreateModelFromFile: (*const c_char, *mut Handle) -> Status;
            DestroyModel: (Handle);
            GetModelSignature: (Handle, usize, *mut Handle) -> Status;
            GetNumSignatureInputs: (Handle, *mut usize) -> Status;
            GetNumSignatureOutputs: (Handle, *mut usize) -> Status;
            GetSignatureInputName: (Handle, usize, *mut *const c_char) -> Status;
            GetSignatureOutputName: (Handle, usize, *mut *const c_char) -> Status;
            GetSignatureInputTensorByIndex: (Handle, usize, *mut Handle) -> Status;
            GetSignatureOutputTensorByIndex: (Handle, usize, *mut Handle) -> Status;
            GetRankedTensorType: (Handle, *mut RawType) -> Status;
            GetQuantizationTypeId: (Handle, *mut c_int) -> Status;
            GetPerTensorQuantization: (Handle, *mut RawQuantization) -> Status;
            CreateOptions: (*mut Handle) -> Status;
            DestroyOptions: (Handle);
            SetOptionsHardwareAccelerators: (Handle, c_int) -> Status;
            CreateOpaqueOptions: (*const c_char, *mut c_void, FreeText, *mut Handle) -> Status;
            DestroyOpaqueOptions: (Handle);
            AddOpaqueOptions: (Handle, Handle) -> Status;
            CreateCompiledModel: (Handle, Handle, Handle, *mut Handle) -> Status;
            DestroyCompiledModel: (Handle);
            CompiledModelResizeInputTensorNonStrict:
                (Handle, usize, usize, *const c_int, usize) -> Status;
            GetCompiledModelOutputTensorLayouts:
                (Handle, usize, usize, *mut RawLayout, bool) -> Status;
            CreateTensorBufferFromHostMemory:
                (*const RawType, *mut c_void, usize, Option<FreeText>, *mut Handle) -> Status;
            DestroyTensorBuffer: (Handle);
            RunCompiledModel:
                (Handle, usize, usize, *mut Handle, usize, *mut Handle) -> Status;
            CompiledModelGetErrorMessages: (Handle, *mut *mut c_char) -> Status;
            CompiledModelClearErrors: (Handle) -> Status;
        }
    };
}
pub(crate) use functions;

/// A function that versions after 2.1 no longer have.
pub(crate) const ONLY_BEFORE: &str = "LiteRtGetNumLayoutElements";
/// One that versions after 2.1 have.
pub(crate) const ONLY_AFTER: &str = "LiteRtCreateModelFromFd";

/// `LiteRtElementType`, as far as the engine carries the types.
const ELEMENTS: [(c_int, DType); 13] = [
    (1, DType::Fp32),
    (2, DType::Int32),
    (3, DType::Uint8),
    (4, DType::Int64),
    (6, DType::Bool),
    (7, DType::Int16),
    (9, DType::Int8),
    (10, DType::Fp16),
    (11, DType::Fp64),
    (13, DType::Uint64),
    (16, DType::Uint32),
    (17, DType::Uint16),
    (19, DType::Bf16),
];

/// The library's number for a type.
fn element_of(dtype: DType) -> Option<c_int> {
    ELEMENTS.iter().find(|(_, it)| *it == dtype).map(|(element, _)| *element)
}

/// The type behind a number of the library's.
pub(crate) fn dtype_of(element: c_int) -> Option<DType> {
    ELEMENTS.iter().find(|(it, _)| *it == element).map(|(_, dtype)| *dtype)
}

/// What a status means, where the library left no words.
pub(crate) fn meaning(status: Status) -> String {
    let known = [
        (1, "an argument is not valid"),
        (2, "there is not enough memory"),
        (3, "it failed at run time"),
        (5, "something in it is not supported"),
        (500, "it is no such file"),
        (501, "it is no valid TensorFlow Lite file"),
        (504, "it could not be compiled"),
    ];
    match known.iter().find(|(it, _)| *it == status) {
        Some((_, words)) => format!("{words} (LiteRT's status {status})"),
        None => format!("LiteRT's status {status}"),
    }
}

/// The library's own words on one line, or what the status says where it left none.
pub(crate) fn joined(text: &str, status: String) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    if lines.is_empty() { status } else { lines.join("; ") }
}
