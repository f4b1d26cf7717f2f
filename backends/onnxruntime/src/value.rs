//! Calls into ONNX Runtime's C interface, on memory that we own.
//!
//! Every unsafe block of this engine stands in this file. Invariant: a
//! [`Value`] made from a tensor or a buffer borrows it, so the memory outlives the value; the
//! library never writes to an input and writes at most a prepared output's declared size.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::ffi::{CString, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use backend_api::{BackendError, Buffer, DType, Output, Shape, Tensor};
use ort::AsPointer as _;
use ort::error::ErrorCode;
use ort::memory::MemoryInfo;
use ort::session::{RunOptions, Session};
use ort::sys::{
    ONNXTensorElementDataType as Element, OrtAllocator, OrtMemoryInfo, OrtStatusPtr, OrtValue,
};

/// The host's memory, as the library wants it named.
pub(crate) struct Memory {
    info: MemoryInfo<'static>,
    allocator: NonNull<OrtAllocator>,
}

// SAFETY: the description is only read, and the default allocator is one object of the process that
// the library itself calls from all threads.
unsafe impl Send for Memory {}

impl Memory {
    pub(crate) fn host() -> Result<Memory, BackendError> {
        let mut allocator = ptr::null_mut();
        // SAFETY: writes one pointer to the library's default allocator, which lives as long as
        // the library ("Returned value should NOT be freed", onnxruntime_c_api.h).
        check(unsafe { (ort::api().GetAllocatorWithDefaultOptions)(&raw mut allocator) })?;
        let allocator = NonNull::new(allocator).ok_or_else(|| run_error("no default allocator"))?;
        Ok(Memory { info: MemoryInfo::default(), allocator })
    }

    pub(crate) fn info(&self) -> *const OrtMemoryInfo {
        self.info.ptr()
    }

    pub(crate) fn allocator(&self) -> *mut OrtAllocator {
        self.allocator.as_ptr()
    }
}

/// A tensor in the library's hands: over memory of ours (borrowed for `'a`) or over its own.
pub(crate) struct Value<'a> {
    raw: NonNull<OrtValue>,
    borrows: PhantomData<&'a [u8]>,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        // SAFETY: `raw` came from a creating call or from `Run`, is owned by this value alone and
        // is released once. Borrowed element memory is not freed by the library.
        unsafe { (ort::api().ReleaseValue)(self.raw.as_ptr()) }
    }
}

impl<'a> Value<'a> {
    /// Over the tensor's own memory, except strings, which the library keeps in a form of its own.
    pub(crate) fn input(memory: &'a Memory, tensor: &'a Tensor) -> Result<Value<'a>, BackendError> {
        if tensor.dtype() == DType::Bytes {
            return Value::strings(memory, tensor);
        }
        let data = tensor.data();
        // SAFETY: the bytes live for 'a, are aligned (the instance saw to it) and exactly as many
        // as type and shape say (an invariant of Tensor). The pointer is not written through: the
        // library does not reuse memory of graph inputs.
        unsafe {
            Value::over(
                memory,
                (tensor.dtype(), tensor.shape()),
                data.as_ptr().cast_mut(),
                data.len(),
            )
        }
    }

    /// Over prepared memory, which the run will write.
    fn output(
        memory: &'a Memory,
        (dtype, shape): (DType, &Shape),
        buffer: &'a mut Buffer,
    ) -> Result<Value<'a>, BackendError> {
        let bytes = buffer.as_mut_slice();
        // SAFETY: the buffer is borrowed mutably for 'a, starts on a cache line, and its length is
        // passed on, which the library holds against type and shape.
        unsafe { Value::over(memory, (dtype, shape), bytes.as_mut_ptr(), bytes.len()) }
    }

    /// # Safety
    /// `data` must stay valid for reads of `len` bytes for 'a, and for writes if the value is used
    /// as an output; it must be aligned for `dtype`.
    unsafe fn over(
        memory: &'a Memory,
        (dtype, shape): (DType, &Shape),
        data: *mut u8,
        len: usize,
    ) -> Result<Value<'a>, BackendError> {
        let dims = shape.to_wire();
        let mut raw = ptr::null_mut();
        // SAFETY: `dims` outlives the call, which copies it; `data` as promised by the caller. The
        // library refuses a length that is less than the shape needs.
        check(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                memory.info.ptr(),
                data.cast::<c_void>(),
                len,
                dims.as_ptr(),
                dims.len(),
                element(dtype),
                &raw mut raw,
            )
        })?;
        Value::owned(raw)
    }

    /// A copy of the tensor's strings.
    fn strings(memory: &'a Memory, tensor: &Tensor) -> Result<Value<'a>, BackendError> {
        let dims = tensor.shape().to_wire();
        let mut raw = ptr::null_mut();
        // SAFETY: `dims` outlives the call; the allocator lives as long as the library.
        check(unsafe {
            (ort::api().CreateTensorAsOrtValue)(
                memory.allocator.as_ptr(),
                dims.as_ptr(),
                dims.len(),
                element(DType::Bytes),
                &raw mut raw,
            )
        })?;
        let value = Value::owned(raw)?;
        for (index, string) in tensor.strings().enumerate() {
            let mut place: *mut c_char = ptr::null_mut();
            // SAFETY: the value is a string tensor of as many elements as the tensor has strings,
            // so `index` is inside; the call makes room for exactly `string.len()` bytes.
            check(unsafe {
                (ort::api().GetResizedStringTensorElementBuffer)(
                    value.raw.as_ptr(),
                    index,
                    string.len(),
                    &raw mut place,
                )
            })?;
            if !string.is_empty() {
                // SAFETY: `place` holds `string.len()` bytes, fresh from the call above, so it
                // does not overlap the source.
                unsafe {
                    ptr::copy_nonoverlapping(string.as_ptr(), place.cast::<u8>(), string.len())
                }
            }
        }
        Ok(value)
    }

    /// Takes over a value that a call has made; it holds memory of the library's.
    pub(crate) fn owned(raw: *mut OrtValue) -> Result<Value<'a>, BackendError> {
        let raw = NonNull::new(raw).ok_or_else(|| run_error("the library gave no value"))?;
        Ok(Value { raw, borrows: PhantomData })
    }

    pub(crate) fn raw(&self) -> *mut OrtValue {
        self.raw.as_ptr()
    }

    /// A copy of what the library made, in our memory.
    pub(crate) fn to_tensor(&self) -> Result<Tensor, BackendError> {
        let (dtype, shape) = self.type_and_shape()?;
        let invalid = |it: backend_api::TensorError| run_error(&it.to_string());
        let Some(size) = dtype.size() else {
            return Tensor::from_strings(shape.dims(), &self.read_strings(shape.elements())?)
                .map_err(invalid);
        };
        let mut buffer = Buffer::zeroed(shape.elements() * size);
        let mut data = ptr::null_mut();
        // SAFETY: the value is a tensor of numbers; the call only hands out its address.
        check(unsafe { (ort::api().GetTensorMutableData)(self.raw.as_ptr(), &raw mut data) })?;
        let len = buffer.as_slice().len();
        if len > 0 {
            // SAFETY: type and shape are the value's own, so it holds `len` bytes; the buffer is
            // ours and just as long.
            unsafe {
                ptr::copy_nonoverlapping(data.cast::<u8>(), buffer.as_mut_slice().as_mut_ptr(), len)
            }
        }
        Tensor::new(dtype, shape, buffer.freeze()).map_err(invalid)
    }

    fn read_strings(&self, elements: usize) -> Result<Vec<Vec<u8>>, BackendError> {
        let mut len = 0;
        // SAFETY: the value is a tensor of strings.
        check(unsafe { (ort::api().GetStringTensorDataLength)(self.raw.as_ptr(), &raw mut len) })?;
        let mut content = vec![0_u8; len];
        let mut offsets = vec![0_usize; elements];
        // SAFETY: both places are as long as the call is told; it writes no more.
        check(unsafe {
            (ort::api().GetStringTensorContent)(
                self.raw.as_ptr(),
                content.as_mut_ptr().cast::<c_void>(),
                len,
                offsets.as_mut_ptr(),
                elements,
            )
        })?;
        let ends = offsets.iter().skip(1).copied().chain([len]);
        let string = |(&start, end): (&usize, usize)| content.get(start..end).map(<[u8]>::to_vec);
        let strings = offsets.iter().zip(ends).map(string).collect::<Option<Vec<_>>>();
        strings.ok_or_else(|| run_error("the library's string offsets are out of order"))
    }

    fn type_and_shape(&self) -> Result<(DType, Shape), BackendError> {
        let mut info = ptr::null_mut();
        // SAFETY: the value is a tensor (others are refused at load); gives an owned description.
        check(unsafe { (ort::api().GetTensorTypeAndShape)(self.raw.as_ptr(), &raw mut info) })?;
        let mut kind = Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let mut rank = 0;
        let mut dims = Vec::new();
        // SAFETY: `info` is valid until released below; `dims` is as long as the call is told.
        let read = unsafe {
            check((ort::api().GetTensorElementType)(info, &raw mut kind))
                .and_then(|()| check((ort::api().GetDimensionsCount)(info, &raw mut rank)))
                .and_then(|()| {
                    dims.resize(rank, 0_i64);
                    check((ort::api().GetDimensions)(info, dims.as_mut_ptr(), rank))
                })
        };
        // SAFETY: owned by this function, released once.
        unsafe { (ort::api().ReleaseTensorTypeAndShapeInfo)(info) };
        read?;
        let dtype = DType::ALL.into_iter().find(|it| element(*it) == kind);
        let dtype =
            dtype.ok_or_else(|| run_error("an output has a type that no protocol carries"))?;
        Ok((dtype, Shape::from_wire(&dims).map_err(|it| run_error(&it.to_string()))?))
    }
}

/// Runs the session once. Prepared outputs are written in place and give `None`; the others come
/// back as values of the library's.
pub(crate) fn run(
    (session, options): (&Session, Option<&RunOptions>),
    (input_names, inputs): (&[CString], &[Value<'_>]),
    (output_names, outputs, memory): (&[CString], &mut [Output], &Memory),
) -> Result<Vec<Option<Value<'static>>>, BackendError> {
    let mut prepared: Vec<Option<Value<'_>>> = Vec::with_capacity(outputs.len());
    for output in outputs {
        prepared.push(match output {
            Output::Prepared { dtype, shape, buffer } => {
                Some(Value::output(memory, (*dtype, &*shape), buffer)?)
            }
            Output::Open(_) => None,
        });
    }
    let input_names: Vec<*const c_char> = input_names.iter().map(|it| it.as_ptr()).collect();
    let output_names: Vec<*const c_char> = output_names.iter().map(|it| it.as_ptr()).collect();
    let inputs: Vec<*const OrtValue> =
        inputs.iter().map(|it| it.raw.as_ptr().cast_const()).collect();
    let mut results: Vec<*mut OrtValue> = prepared
        .iter()
        .map(|it| it.as_ref().map_or(ptr::null_mut(), |it| it.raw.as_ptr()))
        .collect();
    // SAFETY: all four lists live through the call and are as long as it is told. The session is
    // shared by threads: its authors say that `Run` may be called so (github.com/microsoft/
    // onnxruntime, issue 114, which `ort` also cites for `Session: Sync`); on a GPU it is called so
    // only where that was asked for. A null entry of `results` is replaced by a new value, which the caller owns.
    let status = unsafe {
        (ort::api().Run)(
            session.ptr().cast_mut(),
            options.map_or(ptr::null(), |it| it.ptr()),
            input_names.as_ptr(),
            inputs.as_ptr(),
            inputs.len(),
            output_names.as_ptr(),
            output_names.len(),
            results.as_mut_ptr(),
        )
    };
    let own = |(prepared, raw): (&Option<Value<'_>>, *mut OrtValue)| match prepared {
        Some(_) => None,
        None => NonNull::new(raw).map(|raw| Value { raw, borrows: PhantomData }),
    };
    // Taken before the status is looked at, so that nothing leaks after a failed run.
    let brought = prepared.iter().zip(results).map(own).collect();
    check(status)?;
    Ok(brought)
}

pub(crate) fn element(dtype: DType) -> Element {
    match dtype {
        DType::Bool => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        DType::Uint8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        DType::Uint16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        DType::Uint32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        DType::Uint64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        DType::Int8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        DType::Int16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        DType::Int32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        DType::Int64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        DType::Fp16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        DType::Bf16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        DType::Fp32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        DType::Fp64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        DType::Bytes => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    }
}

/// The one place where a status becomes an error.
pub(crate) fn check(status: OrtStatusPtr) -> Result<(), BackendError> {
    // SAFETY: the status comes straight from the library and is consumed here.
    let result = unsafe { ort::Error::<()>::result_from_status(status) };
    result.map_err(|it| {
        let reason = it.message().to_owned();
        let input_at_fault = it.code() == ErrorCode::InvalidArgument;
        if input_at_fault { BackendError::Input { reason } } else { BackendError::Run { reason } }
    })
}

pub(crate) fn run_error(reason: &str) -> BackendError {
    BackendError::Run { reason: reason.to_owned() }
}
