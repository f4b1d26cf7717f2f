//! Calls into LiteRT's C interface, on memory that we own.
//!
//! Invariant: a compiled model follows addresses of ours only inside [`Compiled::run`], which gives it
//! new ones for every input and output before anything else.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use backend_api::Quantization;

use crate::delegate::{self, Delegate};
use crate::functions::{FreeText, Handle, joined, length};
use crate::functions::{RawLayout, RawOption, RawQuantization, RawType};
use crate::instance::Place;
use crate::library::{Api, Object, check, copied};
use crate::signature::{Port, Side};

/// The signature that is served: the first, which is the only one of nearly every file.
const SIGNATURE: usize = 0;

/// `kLiteRtHwAcceleratorCpu`
const CPU: c_int = 1;

unsafe extern "C" {
    /// The C library's: messages are to be freed by it.
    fn free(memory: *mut c_void);
}

/// The library and what all models share.
pub(crate) struct Environment {
    /// The library says nothing of calls from several threads: one at a time makes and frees
    /// models. Runs of different compiled models share nothing that is written.
    object: Mutex<Object>,
    api: Arc<Api>,
}

// SAFETY: the object is used under its lock; the functions are plain code.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

impl Environment {
    /// Opens the library. The error says which file and why.
    pub(crate) fn open(path: &Path) -> Result<Environment, String> {
        Environment::of(&Arc::new(Api::open(path)?), CPU)
    }

    /// Another one, whose models may have a delegate, which comes before the processor.
    pub(crate) fn delegating(&self) -> Result<Environment, String> {
        let environment = Environment::of(&self.api, 0)?;
        let object = environment.object.lock().unwrap_or_else(PoisonError::into_inner);
        delegate::register(&self.api, object.raw())?;
        drop(object);
        Ok(environment)
    }

    /// With those of the library's own accelerators.
    fn of(api: &Arc<Api>, accelerators: c_int) -> Result<Environment, String> {
        // No others are looked for. The library's own log cannot be had silent: version 2.1.4 exports none
        // of its functions, and heeds no option of an environment for it.
        let options = [RawOption::whole(24, accelerators.into())];
        let count = c_int::try_from(options.len()).unwrap_or(0);
        // SAFETY: as many options as it is told, copied by the call.
        let object = api.object(api.functions.DestroyEnvironment, |place| unsafe {
            (api.functions.CreateEnvironment)(count, options.as_ptr(), place)
        })?;
        Ok(Environment { object: Mutex::new(object), api: Arc::clone(api) })
    }

    /// Reads a file.
    pub(crate) fn read(self: &Arc<Environment>, path: &CStr) -> Result<Source, String> {
        let _alone = self.object.lock().unwrap_or_else(PoisonError::into_inner);
        let functions = &self.api.functions;
        // SAFETY: the path ends with a zero.
        let object = self.api.object(functions.DestroyModel, |place| unsafe {
            (functions.CreateModelFromFile)(path.as_ptr(), place)
        })?;
        Ok(Source { object, environment: Arc::clone(self) })
    }
}

/// A file in memory: the graph and its weights.
pub(crate) struct Source {
    object: Object,
    environment: Arc<Environment>,
}

// SAFETY: after it is read it is only read from, under the environment's lock where compiled.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

impl Source {
    /// What the file says of one side.
    pub(crate) fn ports(&self, side: Side) -> Result<Vec<Port>, String> {
        let functions = &self.object.api.functions;
        let (count, name, tensor) = match side {
            Side::Inputs => (
                functions.GetNumSignatureInputs,
                functions.GetSignatureInputName,
                functions.GetSignatureInputTensorByIndex,
            ),
            Side::Outputs => (
                functions.GetNumSignatureOutputs,
                functions.GetSignatureOutputName,
                functions.GetSignatureOutputTensorByIndex,
            ),
        };
        let (mut signature, mut ports) = (ptr::null_mut(), 0);
        // SAFETY: each call fills the place it is given; the signature belongs to the model.
        unsafe {
            let get = functions.GetModelSignature;
            check(get(self.object.raw(), SIGNATURE, &raw mut signature))?;
            check(count(signature, &raw mut ports))?;
        }
        let port = |index| {
            let (mut text, mut handle) = (ptr::null(), ptr::null_mut());
            // SAFETY: `index` is less than there are; the name ends with a zero and lives as long
            // as the model, the tensor too.
            unsafe {
                check(name(signature, index, &raw mut text))?;
                check(tensor(signature, index, &raw mut handle))?;
                self.describe(copied(text), handle)
            }
        };
        (0..ports).map(port).collect()
    }

    /// # Safety
    /// `tensor` must be one of the model's.
    unsafe fn describe(&self, name: String, tensor: Handle) -> Result<Port, String> {
        let functions = &self.object.api.functions;
        let (mut ranked, mut kind) = (RawType::default(), 0);
        let mut raw = RawQuantization { scale: 0.0, zero_point: 0 };
        // SAFETY: the caller's tensor; each call fills the place it is given.
        let quantized = unsafe {
            let has_rank = (functions.GetRankedTensorType)(tensor, &raw mut ranked);
            check(has_rank).map_err(|it| format!("tensor '{name}' has no known shape: {it}"))?;
            check((functions.GetQuantizationTypeId)(tensor, &raw mut kind))?;
            kind == 1 && (functions.GetPerTensorQuantization)(tensor, &raw mut raw) == 0
        };
        let quantization =
            quantized.then_some(Quantization { scale: raw.scale, zero_point: raw.zero_point });
        let lengths = ranked.layout.lengths().to_vec();
        Ok(Port { name, element: ranked.element, lengths, quantization })
    }

    /// Makes it ready to run on so many threads, with a delegate if the environment is one for them.
    pub(crate) fn compile(
        self: &Arc<Source>,
        threads: usize,
        delegate: Option<&Delegate>,
    ) -> Result<Compiled, String> {
        let api = &self.object.api;
        let functions = &api.functions;
        let environment = self.environment.object.lock().unwrap_or_else(PoisonError::into_inner);
        let create = functions.CreateOptions;
        // SAFETY: takes nothing.
        let options = api.object(functions.DestroyOptions, |place| unsafe { create(place) })?;
        // SAFETY: the options are alive.
        check(unsafe { (functions.SetOptionsHardwareAccelerators)(options.raw(), CPU) })?;
        add(&options, c"xnnpack", format!("num_threads = {threads}\n"))?;
        // Errors into a text that can be asked for, rather than to standard error.
        add(&options, c"runtime_options_string", "error_reporter_mode = 2\n".to_owned())?;
        let create = functions.CreateCompiledModel;
        let (model, options) = (self.object.raw(), options.raw());
        let compile = || {
            // SAFETY: all three are alive; the library copies what it needs of the options. The model
            // lives as long as the result: it is kept beside it.
            let compiled = api.object(functions.DestroyCompiledModel, |place| unsafe {
                create(environment.raw(), model, options, place)
            });
            // There is no object yet that could be asked for the words.
            compiled.map_err(|it| format!("{it}: an operator that LiteRT lacks, or else what its lines on standard error say"))
        };
        let (object, is_idle) = match delegate {
            Some(delegate) => delegate.during(compile)?,
            None => (compile()?, false),
        };
        drop(environment);
        let object = ManuallyDrop::new(object);
        Ok(Compiled { object, source: Arc::clone(self), is_idle })
    }
}

/// Adds options that the library reads as TOML.
fn add(options: &Object, name: &CStr, text: String) -> Result<(), String> {
    let text = CString::new(text).map_err(|it| it.to_string())?.into_raw();
    let release: FreeText = free_text;
    // SAFETY: the name ends with a zero and is static, the text belongs to the result, which frees
    // it with the function that knows how it was made.
    let opaque =
        options.api.object(options.api.functions.DestroyOpaqueOptions, |place| unsafe {
            (options.api.functions.CreateOpaqueOptions)(name.as_ptr(), text.cast(), release, place)
        })?;
    let opaque = ManuallyDrop::new(opaque);
    // SAFETY: both are alive; from here on the second belongs to the first.
    check(unsafe { (options.api.functions.AddOpaqueOptions)(options.raw(), opaque.raw()) })
}

/// # Safety
/// `text` must come from [`CString::into_raw`], and be freed by this alone.
unsafe extern "C" fn free_text(text: *mut c_void) {
    // SAFETY: as the caller promises.
    drop(unsafe { CString::from_raw(text.cast::<c_char>()) });
}

/// A model that is ready to run, for one caller at a time: it has its scratch and its threads.
pub(crate) struct Compiled {
    object: ManuallyDrop<Object>,
    source: Arc<Source>,
    /// Has it a delegate that took no operator?
    pub(crate) is_idle: bool,
}

// SAFETY: bound to no thread, and used by one at a time: what changes it takes it mutably.
unsafe impl Send for Compiled {}

impl Drop for Compiled {
    fn drop(&mut self) {
        let environment = &self.source.environment.object;
        let _alone = environment.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: dropped here alone, and not used after it.
        unsafe { ManuallyDrop::drop(&mut self.object) }
    }
}

impl Compiled {
    /// Gives an input another shape, which holds from the next run on.
    pub(crate) fn resize(&mut self, input: usize, lengths: &[usize]) -> Result<(), String> {
        let lengths = lengths.iter().map(|&it| length(it)).collect::<Result<Vec<c_int>, _>>()?;
        let resize = self.object.api.functions.CompiledModelResizeInputTensorNonStrict;
        // SAFETY: as many lengths as it is told; an input that is not there is an error.
        let status =
            unsafe { resize(self.object.raw(), SIGNATURE, input, lengths.as_ptr(), lengths.len()) };
        check(status).map_err(|it| self.reason(it))
    }

    /// Shapes of the outputs: of the last run, or (`planned`, before the first) of the next one.
    pub(crate) fn shapes(
        &mut self,
        outputs: usize,
        planned: bool,
    ) -> Result<Vec<Vec<usize>>, String> {
        let mut layouts = vec![RawLayout::default(); outputs];
        let get = self.object.api.functions.GetCompiledModelOutputTensorLayouts;
        // SAFETY: room for as many layouts as it is told.
        let status =
            unsafe { get(self.object.raw(), SIGNATURE, outputs, layouts.as_mut_ptr(), planned) };
        check(status).map_err(|it| self.reason(it))?;
        let length = |it: &i32| usize::try_from(*it).map_err(|_| format!("an axis of {it}"));
        layouts.iter().map(|it| it.lengths().iter().map(length).collect()).collect()
    }

    /// Runs on the calling thread, and on those that it was compiled for.
    ///
    /// Inputs must have the model's types and the shapes that they were resized to, and 64 bytes
    /// more memory than they fill: the library loads whole vectors. Too small an output is an error.
    pub(crate) fn run(
        &mut self,
        inputs: &mut [Place<'_>],
        outputs: &mut [Place<'_>],
    ) -> Result<(), String> {
        let (inputs, outputs) = (lend(&self.object.api, inputs)?, lend(&self.object.api, outputs)?);
        let handles = |it: &[Object]| it.iter().map(Object::raw).collect::<Vec<Handle>>();
        let (mut given, mut taken) = (handles(&inputs), handles(&outputs));
        let run = self.object.api.functions.RunCompiledModel;
        // SAFETY: the memory behind every buffer is borrowed mutably until this function ends,
        // starts on a cache line (a [`Buffer`] does) and is as large as the buffer says. The library
        // takes these for all inputs and outputs, holds their sizes against what the model needs,
        // and only then computes. It returns when the run is over.
        let status = unsafe {
            run(
                self.object.raw(),
                SIGNATURE,
                given.len(),
                given.as_mut_ptr(),
                taken.len(),
                taken.as_mut_ptr(),
            )
        };
        check(status).map_err(|it| self.reason(it))
    }

    /// The library's own words, where it left some.
    fn reason(&self, status: String) -> String {
        let functions = &self.object.api.functions;
        let mut raw = ptr::null_mut();
        // SAFETY: gives a copy that ends with a zero, or leaves null; freed once, as it wants it.
        let text = unsafe {
            let asked = (functions.CompiledModelGetErrorMessages)(self.object.raw(), &raw mut raw);
            let text = if asked == 0 { copied(raw) } else { String::new() };
            free(raw.cast());
            (functions.CompiledModelClearErrors)(self.object.raw());
            text
        };
        joined(&text, status)
    }
}

/// Buffers over memory of ours, which stays ours.
fn lend(api: &Arc<Api>, places: &mut [Place<'_>]) -> Result<Vec<Object>, String> {
    let mut lent = Vec::with_capacity(places.len());
    for place in places {
        let ranked = RawType::new(place.dtype, place.lengths)?;
        let memory = place.memory.as_mut_slice();
        let create = api.functions.CreateTensorBufferFromHostMemory;
        let (data, len) = (memory.as_mut_ptr(), memory.len());
        // SAFETY: `len` bytes from `data` on are ours. Nothing is to be freed by the library, and
        // the caller keeps the memory until the run that the buffer is for is over.
        let buffer = api.object(api.functions.DestroyTensorBuffer, |place| unsafe {
            create(&raw const ranked, data.cast(), len, None, place)
        })?;
        lent.push(buffer);
    }
    Ok(lent)
}
