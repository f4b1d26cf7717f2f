//! Calls into OpenVINO's C interface, on memory that we own.
//!
//! All unsafe code of this engine. Invariants: an [`Object`] is owned by one value and freed once,
//! by the function for its kind; the library is never unloaded, so its functions stay valid for
//! the life of the process; a request follows addresses of ours only inside [`Request::run`].

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::error::Error as _;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use backend_api::{Axis, Buffer, DType, Output, Shape, Tensor};

use crate::functions::{Handle, RawDim, RawPartialShape, RawShape, RawVersion, Status};
use crate::functions::{dtype_of, element_of};
use crate::signature::{Port, Side};

/// `ov_status_e::INVALID_C_PARAM`, which comes without a message.
const INVALID_PARAMETER: Status = -14;

/// The oldest version whose numbers for element types are those of `functions.rs`.
const OLDEST: (u32, u32) = (2025, 1);

/// Settings of the device plugin: keys and values.
pub(crate) type Settings = [(&'static CStr, CString); 5];

macro_rules! table {
    ($($name:ident: ($($argument:tt)*) $(-> $result:ty)?;)*) => {
        /// Every function that is used.
        struct Functions {
            $($name: unsafe extern "C" fn($($argument)*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            /// `library` must be OpenVINO's C interface.
            unsafe fn of(library: &libloading::Library) -> Result<Functions, libloading::Error> {
                // SAFETY: the types are those of the headers.
                unsafe { Ok(Functions { $($name: *library.get(concat!("ov_", stringify!($name)))?,)* }) }
            }
        }
    };
}

crate::functions::functions!(table);

/// The opened library.
struct Api {
    functions: Functions,
    /// Its threads and static objects outlive every value of ours: unloading would pull the code
    /// from under them.
    _library: ManuallyDrop<libloading::Library>,
}

impl Api {
    fn open(path: &Path) -> Result<Api, String> {
        let shown = path.display();
        // The error itself says no more than that there is one.
        let failed = |it: libloading::Error| match it.source() {
            Some(cause) => format!("library {shown}: {cause}"),
            None => format!("library {shown}: {it}"),
        };
        // SAFETY: runs the library's initialisers, which is the purpose. Whoever may put a file
        // where it was looked for, or name one, may run code in this process anyway.
        let library = unsafe { libloading::Library::new(path) };
        let library = ManuallyDrop::new(library.map_err(failed)?);
        // SAFETY: a library with all these names is OpenVINO's. Of one that is too old no function
        // is called but the first, which never changed.
        let functions = unsafe { Functions::of(&library) };
        let api = Api { functions: functions.map_err(failed)?, _library: library };
        let version = api.version();
        let mut numbers = version.split(['.', '-']).map(|it| it.parse::<u32>().unwrap_or(0));
        let (year, release) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if (year, release) < OLDEST {
            let (year, release) = OLDEST;
            return Err(format!(
                "library {shown} is version {version:?}, needed is {year}.{release} or newer"
            ));
        }
        Ok(api)
    }

    fn version(&self) -> String {
        let mut version = RawVersion { build: ptr::null(), description: ptr::null() };
        // SAFETY: fills two strings, or leaves null; they are copied before they are freed, once.
        unsafe {
            (self.functions.get_openvino_version)(&raw mut version);
            let build = text(version.build);
            (self.functions.version_free)(&raw mut version);
            build
        }
    }

    /// The one place where a status becomes an error; the text is for people.
    fn check(&self, status: Status) -> Result<(), String> {
        match status {
            0 => return Ok(()),
            INVALID_PARAMETER => return Err("OpenVINO refused a parameter".to_owned()),
            _ => {}
        }
        // SAFETY: gives a copy of the last message of any thread, or null; freed once.
        let message = unsafe {
            let raw = (self.functions.get_last_err_msg)();
            let message = text(raw);
            (self.functions.free)(raw);
            message
        };
        // Without the places in OpenVINO's source where it passed by.
        let place = |it: &str| it.starts_with("Exception from ") || it.starts_with("Check 'false'");
        let lines = message.lines().map(str::trim);
        let telling: Vec<&str> = lines.filter(|it| !it.is_empty() && !place(it)).collect();
        Err(format!("{} (status {status})", telling.join(" ")))
    }

    /// What a creating call leaves at the place that it is given; `free` belongs to its kind.
    fn object(
        self: &Arc<Api>,
        free: unsafe extern "C" fn(Handle),
        create: impl FnOnce(*mut Handle) -> Status,
    ) -> Result<Object, String> {
        let mut raw = ptr::null_mut();
        self.check(create(&raw mut raw))?;
        let raw = NonNull::new(raw).ok_or_else(|| "OpenVINO gave no object".to_owned())?;
        Ok(Object { api: Arc::clone(self), raw, free })
    }
}

/// A copy of a string of the library's; empty for null.
///
/// # Safety
/// `raw` must be null or end with a zero.
unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

/// Something of the library's. It holds what it needs of others by itself (the C objects are
/// `shared_ptr`s to C++ ones), so the order in which they are freed does not matter.
struct Object {
    api: Arc<Api>,
    raw: NonNull<c_void>,
    free: unsafe extern "C" fn(Handle),
}

impl Object {
    fn raw(&self) -> Handle {
        self.raw.as_ptr()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: owned by this value alone, freed once, by the function of its kind.
        unsafe { (self.free)(self.raw.as_ptr()) }
    }
}

/// The library and its device plugins.
pub(crate) struct Core(Object);

// SAFETY: only `core_read_model` and `core_compile_model` are called on it: "These methods are
// thread safe" (an author, github.com/openvinotoolkit/openvino, issue 27366).
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    /// Opens the library. The error says which file and why.
    pub(crate) fn open(path: &Path) -> Result<Core, String> {
        let api = Arc::new(Api::open(path)?);
        // SAFETY: takes nothing.
        let core = api
            .object(api.functions.core_free, |place| unsafe { (api.functions.core_create)(place) });
        Ok(Core(core?))
    }

    /// Reads a file and compiles it for the processor.
    pub(crate) fn compile(&self, path: &CStr, settings: &Settings) -> Result<Compiled, String> {
        let api = &self.0.api;
        let functions = &api.functions;
        // SAFETY: both strings end with a zero; the second is not used for this format.
        let model = api.object(functions.model_free, |place| unsafe {
            (functions.core_read_model)(self.0.raw(), path.as_ptr(), c"".as_ptr(), place)
        })?;
        let [a, b, c, d, e] = settings.each_ref().map(|(key, it)| (key.as_ptr(), it.as_ptr()));
        // SAFETY: behind the place follow as many strings as the argument before it says, all of
        // which end with a zero.
        let compiled = api.object(functions.compiled_model_free, |place| unsafe {
            let (core, model, strings) = (self.0.raw(), model.raw(), 2 * settings.len());
            let compile = functions.core_compile_model;
            #[rustfmt::skip]
            let status = compile(
                core, model, c"CPU".as_ptr(), strings, place,
                a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1, e.0, e.1,
            );
            status
        })?;
        Ok(Compiled(compiled))
    }
}

/// A model that is ready to run: weights once, scratch for as many streams as it was told.
pub(crate) struct Compiled(Object);

// SAFETY: its ports are read and requests made of it, by methods that only read it and that the
// authors call thread-safe (github.com/intel/openvino-rs, issue 180). Requests of one compiled model
// that run at a time take one stream's scratch each, under a lock of the library's.
unsafe impl Send for Compiled {}
// SAFETY: as above.
unsafe impl Sync for Compiled {}

impl Compiled {
    /// What the library believes the model takes or gives.
    pub(crate) fn ports(&self, side: Side) -> Result<Vec<Port>, String> {
        let functions = &self.0.api.functions;
        let (size, port) = match side {
            Side::Inputs => {
                (functions.compiled_model_inputs_size, functions.compiled_model_input_by_index)
            }
            Side::Outputs => {
                (functions.compiled_model_outputs_size, functions.compiled_model_output_by_index)
            }
        };
        let mut count = 0;
        // SAFETY: writes one number.
        self.0.api.check(unsafe { size(self.0.raw(), &raw mut count) })?;
        let object = |index| {
            // SAFETY: `index` is less than there are.
            let create = |place| unsafe { port(self.0.raw(), index, place) };
            self.0.api.object(functions.output_const_port_free, create)
        };
        (0..count).map(|index| describe(&object(index)?)).collect()
    }

    /// A place to run it in, for one thread.
    pub(crate) fn request(self: &Arc<Compiled>, outputs: usize) -> Result<Request, String> {
        let functions = &self.0.api.functions;
        // SAFETY: the model is alive.
        let request = self.0.api.object(functions.infer_request_free, |place| unsafe {
            (functions.compiled_model_create_infer_request)(self.0.raw(), place)
        })?;
        Ok(Request { compiled: Arc::clone(self), request, lent: vec![false; outputs] })
    }
}

fn describe(port: &Object) -> Result<Port, String> {
    let functions = &port.api.functions;
    let mut element = 0;
    let mut shape = RawPartialShape { rank: RawDim { min: 0, max: 0 }, dims: ptr::null_mut() };
    // SAFETY: each call fills the place it is given.
    unsafe {
        port.api.check((functions.port_get_element_type)(port.raw(), &raw mut element))?;
        port.api.check((functions.port_get_partial_shape)(port.raw(), &raw mut shape))?;
    }
    let axis = |it: &RawDim| match usize::try_from(it.max) {
        Ok(length) if it.min == it.max => Axis::Fixed(length),
        Ok(_) | Err(_) => Axis::Unknown,
    };
    // SAFETY: a shape of known rank has that many lengths; they are copied before it is freed.
    let dims = unsafe { elements(shape.dims, shape.rank.max) };
    let axes = (shape.rank.min == shape.rank.max).then(|| dims.iter().map(axis).collect());
    // SAFETY: filled above, freed once.
    unsafe { (functions.partial_shape_free)(&raw mut shape) };
    Ok(Port { element, axes })
}

/// One run at a time.
pub(crate) struct Request {
    compiled: Arc<Compiled>,
    request: Object,
    /// Which outputs still point at memory of ours, given in an earlier run.
    lent: Vec<bool>,
}

// SAFETY: bound to no thread, and used by one at a time: running takes it mutably.
unsafe impl Send for Request {}

impl Request {
    /// Runs on the calling thread. Inputs must be aligned; inputs and outputs must have the ports'
    /// number and types.
    pub(crate) fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), String> {
        let kept = |(output, lent): (&Output, &bool)| *lent && matches!(output, Output::Open(_));
        if outputs.iter().zip(&self.lent).any(kept) {
            // Nothing takes memory back from a request; a new one has only its own.
            *self = self.compiled.request(outputs.len())?;
        }
        let api = &self.request.api;
        let functions = &api.functions;
        for (index, input) in inputs.iter().enumerate() {
            let data = input.data().as_ptr().cast_mut();
            // SAFETY: the elements live until this function ends, are aligned, and exactly as many
            // as type and shape say (an invariant of Tensor). They are not written through this
            // pointer: the plugin shares an input's memory only where nothing modifies it
            // (`change_default_ptr` in its infer_request.cpp) and copies it otherwise.
            let tensor = unsafe { over(api, (input.dtype(), input.shape()), data) }?;
            // SAFETY: both are alive; the request shares the tensor from here on.
            api.check(unsafe {
                let set = functions.infer_request_set_input_tensor_by_index;
                set(self.request.raw(), index, tensor.raw())
            })?;
        }
        for (index, (output, lent)) in outputs.iter_mut().zip(&mut self.lent).enumerate() {
            let Output::Prepared { dtype, shape, buffer } = output else { continue };
            let data = buffer.as_mut_slice().as_mut_ptr();
            // SAFETY: the buffer is borrowed mutably until this function ends, starts on a cache
            // line and has the bytes that type and shape say (it is made by `Output::prepare`).
            let tensor = unsafe { over(api, (*dtype, &*shape), data) }?;
            *lent = true;
            // SAFETY: as for the inputs. The library holds type and shape against the model's.
            api.check(unsafe {
                let set = functions.infer_request_set_output_tensor_by_index;
                set(self.request.raw(), index, tensor.raw())
            })?;
        }
        // SAFETY: every tensor that the request has is either its own or was set above and is
        // alive. It returns when the run is over. Later the request still knows our addresses, but
        // does not follow them before they are replaced, above.
        api.check(unsafe { (functions.infer_request_infer)(self.request.raw()) })?;
        for (index, output) in outputs.iter_mut().enumerate() {
            if let Output::Open(place) = output {
                *place = Some(self.brought(index)?);
            }
        }
        Ok(())
    }

    /// A copy of an output that the library made room for.
    fn brought(&self, index: usize) -> Result<Tensor, String> {
        let api = &self.request.api;
        let functions = &api.functions;
        // SAFETY: the request is alive and `index` less than it has outputs.
        let tensor = api.object(functions.tensor_free, |place| unsafe {
            let get = functions.infer_request_get_output_tensor_by_index;
            get(self.request.raw(), index, place)
        })?;
        let (mut element, mut data) = (0, ptr::null_mut());
        let mut shape = RawShape { rank: 0, dims: ptr::null_mut() };
        // SAFETY: each call fills the place it is given; the shape's lengths are copied before
        // they are freed, once.
        let dims = unsafe {
            api.check((functions.tensor_get_element_type)(tensor.raw(), &raw mut element))?;
            api.check((functions.tensor_data)(tensor.raw(), &raw mut data))?;
            api.check((functions.tensor_get_shape)(tensor.raw(), &raw mut shape))?;
            let dims = elements(shape.dims, shape.rank).to_vec();
            (functions.shape_free)(&raw mut shape);
            dims
        };
        let dtype = dtype_of(element).ok_or("an output has a type that is not carried")?;
        let shape = Shape::from_wire(&dims).map_err(|it| it.to_string())?;
        let len = shape.elements() * dtype.size().ok_or("an output holds strings")?;
        let mut buffer = Buffer::zeroed(len);
        if len > 0 {
            let to = buffer.as_mut_slice().as_mut_ptr();
            // SAFETY: type and shape are the tensor's own, so it holds `len` bytes; the buffer is
            // ours and just as long.
            unsafe { ptr::copy_nonoverlapping(data.cast::<u8>(), to, len) }
        }
        Tensor::new(dtype, shape, buffer.freeze()).map_err(|it| it.to_string())
    }
}

/// A tensor over memory of ours, which stays ours. Freed, it may live on in a request.
///
/// # Safety
/// `data` must be aligned for the type and hold as many elements as the shape says, until the last
/// run that the tensor is used in; they are written if it is used as an output.
unsafe fn over(
    api: &Arc<Api>,
    (dtype, shape): (DType, &Shape),
    data: *mut u8,
) -> Result<Object, String> {
    let element = element_of(dtype).ok_or("the type is not carried")?;
    let mut dims = shape.to_wire();
    let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX); // at most a few axes: see Shape
    // SAFETY: the lengths outlive the call, which copies them; `data` as the caller promises.
    api.object(api.functions.tensor_free, |place| unsafe {
        let shape = RawShape { rank, dims: dims.as_mut_ptr() };
        (api.functions.tensor_create_from_host_ptr)(element, shape, data.cast(), place)
    })
}

/// The elements of a list of the library's; none if there is no list.
///
/// # Safety
/// `list` must be null or hold `len` elements for as long as the result is used.
unsafe fn elements<'a, T>(list: *const T, len: i64) -> &'a [T] {
    match usize::try_from(len) {
        // SAFETY: as the caller promises.
        Ok(len) if !list.is_null() => unsafe { slice::from_raw_parts(list, len) },
        Ok(_) | Err(_) => &[],
    }
}
