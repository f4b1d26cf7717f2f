//! Calls into a delegate's library, and LiteRT's calls to us for it.
//!
//! Invariants: a delegate is freed once, by the function that its library has for it, when LiteRT gives
//! up the compiled model, after that model's operators (LiteRT sees to that); its library is never
//! unloaded. While a model is compiled, what it wants lies in a place of the thread: LiteRT calls back on
//! the thread that compiles.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::cell::RefCell;
use std::error::Error as _;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::functions::{Handle, Status};
use crate::library::{Api, check, copied};

/// Bytes of a library's own words that are kept.
const WORDS_MAX: usize = 2048;

/// `kLiteRtStatusErrorRuntimeFailure`
const FAILED: Status = 3;

/// `tflite_plugin_create_delegate`
type Create = unsafe extern "C" fn(
    *const *const c_char,
    *const *const c_char,
    usize,
    Option<unsafe extern "C" fn(*const c_char)>,
) -> *mut RawDelegate;
/// `tflite_plugin_destroy_delegate`
type Destroy = unsafe extern "C" fn(*mut RawDelegate);

/// `TfLiteDelegate`: older libraries have one without its last field.
#[repr(C)]
struct RawDelegate {
    data: Handle,
    prepare: Option<unsafe extern "C" fn(*mut RawContext, *mut RawDelegate) -> c_int>,
    copy_from: Handle,
    copy_to: Handle,
    free: Handle,
    flags: i64,
    builder: Handle,
}

/// The head of `TfLiteContext`.
#[repr(C)]
struct RawContext {
    tensors: usize,
    plan: Option<unsafe extern "C" fn(*mut RawContext, *mut *mut c_int) -> c_int>,
}

/// The opened library.
pub(super) struct Plugin {
    path: PathBuf,
    create: Create,
    destroy: Destroy,
    /// Its threads and static objects outlive every value of ours.
    _library: ManuallyDrop<libloading::Library>,
}

impl Plugin {
    pub(super) fn open(path: &Path) -> Result<Plugin, String> {
        let shown = path.display();
        let failed = |it: libloading::Error| match it.source() {
            Some(cause) => format!("delegate {shown}: {cause}"),
            None => format!("delegate {shown}: {it}"),
        };
        // SAFETY: runs the library's initialisers, which is the purpose: the model's settings name it,
        // and whoever writes those may have the server load what lies on the machine.
        let library = unsafe { libloading::Library::new(path) };
        let library = ManuallyDrop::new(library.map_err(failed)?);
        // SAFETY: functions of these names are what the header of external delegates says.
        let (create, destroy) = unsafe {
            let create = library.get::<Create>("tflite_plugin_create_delegate");
            let destroy = library.get::<Destroy>("tflite_plugin_destroy_delegate");
            (*create.map_err(failed)?, *destroy.map_err(failed)?)
        };
        Ok(Plugin { path: path.to_path_buf(), create, destroy, _library: library })
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Makes a delegate, and tells it so. Whatever the library says of it is kept.
    fn delegate(self: &Arc<Plugin>, options: &[(CString, CString)]) -> Option<Box<Relay>> {
        let names: Vec<*const c_char> = options.iter().map(|(name, _)| name.as_ptr()).collect();
        let values: Vec<*const c_char> = options.iter().map(|(_, value)| value.as_ptr()).collect();
        // SAFETY: as many names and values as it is told; all end with a zero and live until the call
        // is over.
        let made =
            unsafe { (self.create)(names.as_ptr(), values.as_ptr(), names.len(), Some(report)) };
        let made = NonNull::new(made).or_else(|| {
            say("it gave no delegate", true);
            None
        })?;
        // Owned from here on: freed with the relay, whatever happens.
        let plugin = Arc::clone(self);
        // SAFETY: the library's own, alive until it is freed. What is read of it every version has.
        let (prepares, flags) =
            unsafe { ((*made.as_ptr()).prepare.is_some(), (*made.as_ptr()).flags) };
        let relay = Box::new(Relay { raw: RawDelegate::relaying(flags), made, plugin });
        if prepares {
            return Some(relay);
        }
        say("it gave a delegate of another interface, without Prepare", true);
        None
    }
}

impl RawDelegate {
    /// Nothing is to be copied for it: the tensors that it takes over name the library's own.
    fn relaying(flags: i64) -> RawDelegate {
        let none = ptr::null_mut();
        let prepare = Some(prepare as _);
        RawDelegate {
            data: none,
            prepare,
            copy_from: none,
            copy_to: none,
            free: none,
            flags,
            builder: none,
        }
    }
}

/// What LiteRT is given: a delegate as large as it expects, which hands on to the library's.
#[repr(C)]
struct Relay {
    raw: RawDelegate,
    made: NonNull<RawDelegate>,
    plugin: Arc<Plugin>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        // SAFETY: the library's own, freed once.
        unsafe { (self.plugin.destroy)(self.made.as_ptr()) }
    }
}

/// LiteRT shows the graph.
///
/// # Safety
/// `relay` must be the head of a [`Relay`] that is alive, `context` the interpreter's.
unsafe extern "C" fn prepare(context: *mut RawContext, relay: *mut RawDelegate) -> c_int {
    // SAFETY: as the caller promises; the library's delegate lives as long as the relay, and has the
    // function (checked when it was made).
    unsafe {
        let made = (*relay.cast::<Relay>()).made.as_ptr();
        let Some(prepare) = (*made).prepare else { return 1 };
        let before = plan(context);
        let status = prepare(context, made);
        if status == 0 && before.is_some() && before == plan(context) {
            TOLD.with_borrow_mut(|it| it.is_idle = true);
        }
        status
    }
}

/// The operators that are to run, in order.
///
/// # Safety
/// `context` must be the interpreter's, while it shows the graph to a delegate.
unsafe fn plan(context: *mut RawContext) -> Option<Vec<c_int>> {
    let mut list: *mut c_int = ptr::null_mut();
    // SAFETY: as the caller promises. A list begins with its length, and is valid until the next call.
    unsafe {
        let status = (*context).plan?(context, &raw mut list);
        let len = usize::try_from(*list.as_ref().filter(|_| status == 0)?).ok()?;
        Some(std::slice::from_raw_parts(list.add(1), len).to_vec())
    }
}

/// What was heard while a model was compiled.
#[derive(Default)]
pub(super) struct Told {
    pub(super) words: String,
    pub(super) is_idle: bool,
}

/// A delegate that is to be made while a model is compiled.
pub(super) struct Wanted {
    plugin: Arc<Plugin>,
    options: Vec<(CString, CString)>,
}

thread_local! {
    static WANTED: RefCell<Option<Wanted>> = const { RefCell::new(None) };
    static TOLD: RefCell<Told> = const { RefCell::new(Told { words: String::new(), is_idle: false }) };
}

impl Wanted {
    pub(super) fn new(plugin: Arc<Plugin>, options: Vec<(CString, CString)>) -> Wanted {
        Wanted { plugin, options }
    }

    /// Puts it where LiteRT's call back finds it.
    pub(super) fn during<T>(self, compile: impl FnOnce() -> T) -> (T, Told) {
        TOLD.take();
        WANTED.set(Some(self));
        let compiled = compile();
        WANTED.take();
        (compiled, TOLD.take())
    }
}

/// Keeps words; `last`: only if there are none yet.
fn say(words: &str, last: bool) {
    TOLD.with_borrow_mut(|it| {
        if last && !it.words.is_empty() {
            return;
        }
        let apart = if it.words.is_empty() { "" } else { "; " };
        let room = WORDS_MAX.saturating_sub(it.words.len() + apart.len());
        let words: String = words.trim().chars().take(room / 4).collect();
        if !words.is_empty() {
            it.words.extend([apart, &words]);
        }
    });
}

/// # Safety
/// `text` must be null or end with a zero.
unsafe extern "C" fn report(text: *const c_char) {
    // SAFETY: as the caller promises.
    say(&unsafe { copied(text) }, false);
}

/// `LiteRtAcceleratorDef`, as far as a version of 1 is read.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawDefinition {
    version: c_int,
    name: Handle,
    api_version: Handle,
    hardware: Handle,
    compiles: Handle,
    create: Handle,
    destroy: Handle,
}

/// Adds our accelerator to an environment that has none, and behind it the processor's.
pub(crate) fn register(api: &Api, environment: Handle) -> Result<(), String> {
    // SAFETY: the header says so: a pointer to a definition.
    let processor = unsafe {
        api.symbol::<*const *const RawDefinition>("LiteRtStaticLinkedAcceleratorCpuDef")?
    };
    // SAFETY: set when the library was opened, never changed; null where it was built without.
    let processor = unsafe { processor.as_ref().and_then(|it| it.as_ref()) };
    let processor = processor.filter(|it| it.version == 1);
    let processor = processor.ok_or("LiteRT's library has no accelerator for the processor")?;
    let none = ptr::null_mut();
    let ours = RawDefinition {
        version: 1,
        name: name as *const () as Handle,
        api_version: none,
        hardware: hardware as *const () as Handle,
        // Not set, so it is applied to every model of the environment.
        compiles: none,
        create: create as *const () as Handle,
        destroy: destroy as *const () as Handle,
    };
    add(api, environment, &ours)?;
    add(api, environment, processor)
}

fn add(api: &Api, environment: Handle, definition: &RawDefinition) -> Result<(), String> {
    type Make = unsafe extern "C" fn(*mut Handle) -> Status;
    type Set = unsafe extern "C" fn(Handle, Handle) -> Status;
    type SetTwo = unsafe extern "C" fn(Handle, Handle, Handle) -> Status;
    type Register = unsafe extern "C" fn(Handle, Handle, Handle, Handle) -> Status;
    // SAFETY: these are the functions' types in the headers of version 2.1, where functions are handed
    // over as addresses. The environment is alive, and owns the accelerator from the last call on, also
    // if that fails. The functions that are handed over live as long as the process.
    unsafe {
        let make = api.symbol::<Make>("LiteRtCreateAccelerator")?;
        let register = api.symbol::<Register>("LiteRtRegisterAccelerator")?;
        let pair = api.symbol::<SetTwo>("LiteRtSetDelegateFunction")?;
        let prefix = "LiteRtSet";
        let one = |name| api.symbol::<Set>(&format!("{prefix}{name}"));
        let each = [
            (one("AcceleratorGetName")?, definition.name),
            (one("AcceleratorGetVersion")?, definition.api_version),
            (one("AcceleratorGetHardwareSupport")?, definition.hardware),
            (one("IsAcceleratorDelegateResponsibleForJitCompilation")?, definition.compiles),
        ];
        let mut accelerator = ptr::null_mut();
        check(make(&raw mut accelerator))?;
        // These fail on a null accelerator alone.
        for (set, function) in each {
            check(set(accelerator, function))?;
        }
        check(pair(accelerator, definition.create, definition.destroy))?;
        check(register(environment, accelerator, ptr::null_mut(), ptr::null_mut()))
    }
}

/// # Safety
/// `place` must take a pointer.
unsafe extern "C" fn name(_accelerator: Handle, place: *mut *const c_char) -> Status {
    const NAME: &CStr = c"ExternalDelegate";
    // SAFETY: as the caller promises.
    unsafe { *place = NAME.as_ptr() };
    0
}

/// # Safety
/// `place` must take a number.
unsafe extern "C" fn hardware(_accelerator: Handle, place: *mut c_int) -> Status {
    // SAFETY: as the caller promises.
    unsafe { *place = 0 };
    0
}

/// LiteRT compiles a model, and wants its delegate; null where there is to be none.
///
/// # Safety
/// `place` must take a pointer.
unsafe extern "C" fn create(
    _context: Handle,
    _environment: Handle,
    _accelerator: Handle,
    _options: Handle,
    place: *mut Handle,
) -> Status {
    let Some(Wanted { plugin, options }) = WANTED.take() else { return 0 };
    let Some(relay) = plugin.delegate(&options) else { return FAILED };
    // SAFETY: as the caller promises. LiteRT's own wrapper is the delegate's address.
    unsafe { *place = Box::into_raw(relay).cast() };
    0
}

/// # Safety
/// `relay` must come from [`create`], and not be used any more.
unsafe extern "C" fn destroy(_context: Handle, relay: Handle) {
    if !relay.is_null() {
        // SAFETY: as the caller promises.
        drop(unsafe { Box::from_raw(relay.cast::<Relay>()) });
    }
}
