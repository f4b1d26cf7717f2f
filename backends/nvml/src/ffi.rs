//! Calls into `libnvidia-ml.so.1`, the library of NVIDIA's driver.
//!
//! All unsafe code of this crate. Invariants: the library is never unloaded, so its functions stay valid
//! for the life of the process; a handle is used for the calls of one [`Api::device`] and not kept;
//! whatever a function writes goes to memory of ours that is as large as it was told.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::error::Error as _;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

use crate::error::NvmlError;

/// Of an `nvmlReturn_t`.
pub(crate) const SUCCESS: c_int = 0;

/// Longest text that is asked for: the header's own limits are 80 and 96.
const TEXT_MAX: c_uint = 128;

type Handle = *mut c_void;
type Nullary = unsafe extern "C" fn() -> c_int;
type Words = unsafe extern "C" fn(c_int) -> *const c_char;
type Text = unsafe extern "C" fn(*mut c_char, c_uint) -> c_int;
type Count = unsafe extern "C" fn(*mut c_uint) -> c_int;
type ByIndex = unsafe extern "C" fn(c_uint, *mut Handle) -> c_int;
type DeviceText = unsafe extern "C" fn(Handle, *mut c_char, c_uint) -> c_int;
type DeviceMemory = unsafe extern "C" fn(Handle, *mut RawMemory) -> c_int;
type DevicePair = unsafe extern "C" fn(Handle, *mut c_int, *mut c_int) -> c_int;
type DeviceRates = unsafe extern "C" fn(Handle, *mut RawRates) -> c_int;
type DeviceNumber = unsafe extern "C" fn(Handle, *mut c_uint) -> c_int;
type DeviceSensor = unsafe extern "C" fn(Handle, c_uint, *mut c_uint) -> c_int;
type DeviceErrors = unsafe extern "C" fn(Handle, c_uint, c_uint, *mut c_ulonglong) -> c_int;

/// `nvmlMemory_t`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct RawMemory {
    pub(crate) total: c_ulonglong,
    pub(crate) free: c_ulonglong,
    pub(crate) used: c_ulonglong,
}

/// `nvmlUtilization_t`: percents of the last moments.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct RawRates {
    pub(crate) gpu: c_uint,
    pub(crate) memory: c_uint,
}

/// The opened library. Its functions may be called from any thread, which NVML promises.
pub(crate) struct Api {
    shutdown: Nullary,
    words: Words,
    driver: Text,
    count: Count,
    by_index: ByIndex,
    name: DeviceText,
    uuid: DeviceText,
    memory: DeviceMemory,
    capability: DevicePair,
    rates: DeviceRates,
    power: DeviceNumber,
    power_limit: DeviceNumber,
    temperature: DeviceSensor,
    ecc_errors: DeviceErrors,
    _library: ManuallyDrop<libloading::Library>,
}

impl Drop for Api {
    fn drop(&mut self) {
        // SAFETY: the library was initialised when this was made, and nobody has it any more.
        let _ = unsafe { (self.shutdown)() };
    }
}

impl Api {
    /// Opens the library and connects it to the driver.
    pub(crate) fn open(path: &OsStr) -> Result<Api, NvmlError> {
        let shown = path.display();
        let failed = |it: libloading::Error| {
            let cause = it.source().map_or_else(|| it.to_string(), ToString::to_string);
            NvmlError::Library { reason: format!("{shown}: {cause}") }
        };
        // SAFETY: runs the library's initialisers, which is the purpose. Whoever may put a file where
        // the system looks for libraries, or name one, may run code in this process anyway.
        let library = unsafe { libloading::Library::new(path) };
        let library = ManuallyDrop::new(library.map_err(failed)?);
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type is the one that NVML's header gives the function of that name, and
                // it is never used after the library, which stays.
                *unsafe { library.get(concat!($name, "\0")) }.map_err(failed)?
            };
        }
        let init: Nullary = function!("nvmlInit_v2");
        let api = Api {
            shutdown: function!("nvmlShutdown"),
            words: function!("nvmlErrorString"),
            driver: function!("nvmlSystemGetDriverVersion"),
            count: function!("nvmlDeviceGetCount_v2"),
            by_index: function!("nvmlDeviceGetHandleByIndex_v2"),
            name: function!("nvmlDeviceGetName"),
            uuid: function!("nvmlDeviceGetUUID"),
            memory: function!("nvmlDeviceGetMemoryInfo"),
            capability: function!("nvmlDeviceGetCudaComputeCapability"),
            rates: function!("nvmlDeviceGetUtilizationRates"),
            power: function!("nvmlDeviceGetPowerUsage"),
            power_limit: function!("nvmlDeviceGetEnforcedPowerLimit"),
            temperature: function!("nvmlDeviceGetTemperature"),
            ecc_errors: function!("nvmlDeviceGetTotalEccErrors"),
            _library: library,
        };
        // SAFETY: takes nothing. Each call is answered by one of `shutdown`.
        let status = unsafe { init() };
        if status == SUCCESS {
            return Ok(api);
        }
        let error = api.fault("nvmlInit", status);
        // What was not initialised must not be shut down.
        let _ = ManuallyDrop::new(api);
        Err(error)
    }

    /// The driver's version: `580.65.06`.
    pub(crate) fn driver(&self) -> Result<String, NvmlError> {
        // SAFETY: `text` gives the function memory of the length that it is told.
        let (text, status) = text(|place, length| unsafe { (self.driver)(place, length) });
        self.checked("nvmlSystemGetDriverVersion", status, text)
    }

    /// How many GPUs the driver has.
    pub(crate) fn count(&self) -> Result<u32, NvmlError> {
        let mut count = 0;
        // SAFETY: a number of ours, to be written.
        let status = unsafe { (self.count)(&raw mut count) };
        self.checked("nvmlDeviceGetCount", status, count)
    }

    /// A GPU, to be asked.
    pub(crate) fn device(&self, index: u32) -> Result<Device<'_>, NvmlError> {
        let mut handle = ptr::null_mut();
        // SAFETY: a handle of ours, to be written.
        let status = unsafe { (self.by_index)(index, &raw mut handle) };
        self.checked("nvmlDeviceGetHandleByIndex", status, Device { api: self, handle })
    }

    fn checked<T>(&self, call: &'static str, status: c_int, value: T) -> Result<T, NvmlError> {
        if status == SUCCESS { Ok(value) } else { Err(self.fault(call, status)) }
    }

    fn fault(&self, call: &'static str, code: c_int) -> NvmlError {
        // SAFETY: takes any number, and gives null or a text that lives as long as the library.
        let words = unsafe {
            let words = (self.words)(code);
            (!words.is_null()).then(|| CStr::from_ptr(words).to_string_lossy().into_owned())
        };
        NvmlError::Call { call, code, words: words.unwrap_or_else(|| "unknown error".to_owned()) }
    }
}

/// A GPU, for the time of a few calls.
pub(crate) struct Device<'a> {
    api: &'a Api,
    handle: Handle,
}

impl Device<'_> {
    pub(crate) fn name(&self) -> Result<String, NvmlError> {
        // SAFETY: the handle is the library's own; the memory is of the length that it is told.
        let (text, status) = text(|at, length| unsafe { (self.api.name)(self.handle, at, length) });
        self.api.checked("nvmlDeviceGetName", status, text)
    }

    pub(crate) fn uuid(&self) -> Result<String, NvmlError> {
        // SAFETY: as above.
        let (text, status) = text(|at, length| unsafe { (self.api.uuid)(self.handle, at, length) });
        self.api.checked("nvmlDeviceGetUUID", status, text)
    }

    pub(crate) fn memory(&self) -> Result<RawMemory, NvmlError> {
        let mut memory = RawMemory::default();
        // SAFETY: the handle is the library's own; the structure is laid out as its header says.
        let status = unsafe { (self.api.memory)(self.handle, &raw mut memory) };
        self.api.checked("nvmlDeviceGetMemoryInfo", status, memory)
    }

    pub(crate) fn capability(&self) -> Result<(i32, i32), NvmlError> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the handle is the library's own; two numbers of ours, to be written.
        let status = unsafe { (self.api.capability)(self.handle, &raw mut major, &raw mut minor) };
        self.api.checked("nvmlDeviceGetCudaComputeCapability", status, (major, minor))
    }

    pub(crate) fn rates(&self) -> Result<RawRates, NvmlError> {
        let mut rates = RawRates::default();
        // SAFETY: as for the memory.
        let status = unsafe { (self.api.rates)(self.handle, &raw mut rates) };
        self.api.checked("nvmlDeviceGetUtilizationRates", status, rates)
    }

    /// In milliwatts.
    pub(crate) fn power(&self) -> Result<u32, NvmlError> {
        self.number("nvmlDeviceGetPowerUsage", self.api.power)
    }

    /// In milliwatts.
    pub(crate) fn power_limit(&self) -> Result<u32, NvmlError> {
        self.number("nvmlDeviceGetEnforcedPowerLimit", self.api.power_limit)
    }

    /// Of the chip, in degrees Celsius.
    pub(crate) fn temperature(&self) -> Result<u32, NvmlError> {
        const CHIP: c_uint = 0;
        let mut degrees = 0;
        // SAFETY: the handle is the library's own; a number of ours, to be written.
        let status = unsafe { (self.api.temperature)(self.handle, CHIP, &raw mut degrees) };
        self.api.checked("nvmlDeviceGetTemperature", status, degrees)
    }

    /// Errors of the memory since the driver was loaded that could not be corrected.
    pub(crate) fn ecc_errors(&self) -> Result<u64, NvmlError> {
        const UNCORRECTED: c_uint = 1;
        const VOLATILE: c_uint = 0;
        let mut errors = 0;
        // SAFETY: as above.
        let status =
            unsafe { (self.api.ecc_errors)(self.handle, UNCORRECTED, VOLATILE, &raw mut errors) };
        self.api.checked("nvmlDeviceGetTotalEccErrors", status, errors)
    }

    fn number(&self, call: &'static str, function: DeviceNumber) -> Result<u32, NvmlError> {
        let mut number = 0;
        // SAFETY: the handle is the library's own; a number of ours, to be written.
        let status = unsafe { function(self.handle, &raw mut number) };
        self.api.checked(call, status, number)
    }
}

/// What a function writes that takes a place and its length.
fn text(write: impl FnOnce(*mut c_char, c_uint) -> c_int) -> (String, c_int) {
    let mut bytes = [0_u8; TEXT_MAX as usize];
    let status = write(bytes.as_mut_ptr().cast(), TEXT_MAX);
    // Cut off at the end of the memory if it should not end before.
    let text = CStr::from_bytes_until_nul(&bytes).map(CStr::to_bytes).unwrap_or(&bytes);
    (String::from_utf8_lossy(text).into_owned(), status)
}
