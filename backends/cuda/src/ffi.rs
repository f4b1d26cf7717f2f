//! Calls into `libcuda.so.1`, the library of NVIDIA's driver.
//!
//! All unsafe code of this crate. Invariants: the library is never unloaded, so its functions stay valid for
//! the life of the process; what a function writes goes to memory of ours; memory of the host is not given back
//! to its owner while a copy of it may be under way.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::error::Error as _;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use crate::Driver;
use crate::error::CudaError;

/// Of a `CUresult`.
const SUCCESS: c_int = 0;

/// `CU_STREAM_NON_BLOCKING`: no part in the order of the stream that everybody has.
const NON_BLOCKING: c_uint = 1;

/// A place in a GPU's memory: `CUdeviceptr`.
pub type DeviceAddress = u64;

type Handle = *mut c_void;
type Init = unsafe extern "C" fn(c_uint) -> c_int;
type Number = unsafe extern "C" fn(*mut c_int) -> c_int;
type ByNumber = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Retain = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;
type Release = unsafe extern "C" fn(c_int) -> c_int;
type OfHandle = unsafe extern "C" fn(Handle) -> c_int;
type NewStream = unsafe extern "C" fn(*mut Handle, c_uint) -> c_int;
type CopyIn = unsafe extern "C" fn(DeviceAddress, *const c_void, usize, Handle) -> c_int;
type CopyOut = unsafe extern "C" fn(*mut c_void, DeviceAddress, usize, Handle) -> c_int;
type OpenShared = unsafe extern "C" fn(*mut DeviceAddress, ForeignHandle, c_uint) -> c_int;
type AtAddress = unsafe extern "C" fn(DeviceAddress) -> c_int;
type Range = unsafe extern "C" fn(*mut DeviceAddress, *mut usize, DeviceAddress) -> c_int;
type CopyInNow = unsafe extern "C" fn(DeviceAddress, *const c_void, usize) -> c_int;
type CopyOutNow = unsafe extern "C" fn(*mut c_void, DeviceAddress, usize) -> c_int;
type Words = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;

/// `CUipcMemHandle`: how another process names memory of its own. Passed by value.
#[derive(Clone, Copy)]
#[repr(C)]
struct ForeignHandle([u8; HANDLE_BYTES]);

/// Bytes of a `CUipcMemHandle`, which is also a `cudaIpcMemHandle_t`.
pub const HANDLE_BYTES: usize = 64;

/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`: the one flag that there is.
const LAZY_PEER_ACCESS: c_uint = 1;

/// The opened library. CUDA promises that its functions may be called from any thread.
pub(crate) struct Api {
    init: Init,
    version: Number,
    count: Number,
    device: ByNumber,
    retain: Retain,
    release: Release,
    set_current: OfHandle,
    new_stream: NewStream,
    end_stream: OfHandle,
    wait: OfHandle,
    copy_in: CopyIn,
    copy_out: CopyOut,
    open_shared: OpenShared,
    close_shared: AtAddress,
    range: Range,
    copy_in_now: CopyInNow,
    copy_out_now: CopyOutNow,
    words: Words,
    _library: ManuallyDrop<libloading::Library>,
}

impl Api {
    pub(crate) fn open(path: &OsStr) -> Result<Api, CudaError> {
        let shown = path.display();
        let failed = |it: libloading::Error| {
            let cause = it.source().map_or_else(|| it.to_string(), ToString::to_string);
            CudaError::Library { reason: format!("{shown}: {cause}") }
        };
        // SAFETY: runs the library's initialisers, which is the purpose. Whoever may put a file where
        // the system looks for libraries may run code in this process anyway.
        let library = unsafe { libloading::Library::new(path) };
        let library = ManuallyDrop::new(library.map_err(failed)?);
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type is the one that CUDA's header gives the function of that name, and
                // it is never used after the library, which stays.
                *unsafe { library.get(concat!($name, "\0")) }.map_err(failed)?
            };
        }
        Ok(Api {
            init: function!("cuInit"),
            version: function!("cuDriverGetVersion"),
            count: function!("cuDeviceGetCount"),
            device: function!("cuDeviceGet"),
            retain: function!("cuDevicePrimaryCtxRetain"),
            release: function!("cuDevicePrimaryCtxRelease_v2"),
            set_current: function!("cuCtxSetCurrent"),
            new_stream: function!("cuStreamCreate"),
            end_stream: function!("cuStreamDestroy_v2"),
            wait: function!("cuStreamSynchronize"),
            copy_in: function!("cuMemcpyHtoDAsync_v2"),
            copy_out: function!("cuMemcpyDtoHAsync_v2"),
            open_shared: function!("cuIpcOpenMemHandle_v2"),
            close_shared: function!("cuIpcCloseMemHandle"),
            range: function!("cuMemGetAddressRange_v2"),
            copy_in_now: function!("cuMemcpyHtoD_v2"),
            copy_out_now: function!("cuMemcpyDtoH_v2"),
            words: function!("cuGetErrorName"),
            _library: library,
        })
    }

    pub(crate) fn init(&self) -> Result<(), CudaError> {
        // SAFETY: takes no flags; may be called as often as one likes.
        self.check("cuInit", unsafe { (self.init)(0) })
    }

    pub(crate) fn version(&self) -> Result<i32, CudaError> {
        let mut version = 0;
        // SAFETY: a number of ours, to be written.
        self.check("cuDriverGetVersion", unsafe { (self.version)(&raw mut version) })?;
        Ok(version)
    }

    pub(crate) fn count(&self) -> Result<u32, CudaError> {
        let mut count = 0;
        // SAFETY: a number of ours, to be written.
        self.check("cuDeviceGetCount", unsafe { (self.count)(&raw mut count) })?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaError> {
        if code == SUCCESS {
            return Ok(());
        }
        let mut words = ptr::null();
        // SAFETY: gives a text that lives as long as the library, or leaves null where it knows none.
        let words = unsafe {
            (self.words)(code, &raw mut words);
            (!words.is_null()).then(|| CStr::from_ptr(words).to_string_lossy().into_owned())
        };
        let words = words.unwrap_or_else(|| "unknown error".to_owned());
        Err(CudaError::Call { call, code, words })
    }
}

/// A queue of copies, which run beside what is computed on the same GPU.
pub struct Stream {
    driver: Arc<Driver>,
    device: c_int,
    context: Handle,
    handle: Handle,
}

// SAFETY: CUDA's handles are not bound to a thread; each call makes the context the thread's own first.
unsafe impl Send for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        let api = &self.driver.api;
        // SAFETY: both handles are this stream's own and released once, the context last.
        unsafe {
            (api.set_current)(self.context);
            (api.end_stream)(self.handle);
            (api.release)(self.device);
        }
    }
}

impl Stream {
    pub(crate) fn new(driver: Arc<Driver>, number: u32) -> Result<Stream, CudaError> {
        let api = &driver.api;
        let number = c_int::try_from(number).unwrap_or(c_int::MAX); // less than the count
        let (mut device, mut context, mut handle) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: a number of ours, to be written.
        api.check("cuDeviceGet", unsafe { (api.device)(&raw mut device, number) })?;
        // SAFETY: a handle of ours, to be written. Each is answered by one `release`.
        let status = unsafe { (api.retain)(&raw mut context, device) };
        api.check("cuDevicePrimaryCtxRetain", status)?;
        // SAFETY: the context was just retained; a handle of ours, to be written.
        let made = unsafe {
            api.check("cuCtxSetCurrent", (api.set_current)(context)).and_then(|()| {
                api.check("cuStreamCreate", (api.new_stream)(&raw mut handle, NON_BLOCKING))
            })
        };
        if let Err(error) = made {
            // SAFETY: retained above, and nobody has it.
            unsafe { (api.release)(device) };
            return Err(error);
        }
        Ok(Stream { driver, device, context, handle })
    }

    /// Copies to the GPU, and waits until all is there. Fast from memory that is pinned.
    ///
    /// # Safety
    /// Each address begins as many bytes of memory on this stream's GPU as are copied there, which
    /// nothing else uses until the call is over.
    pub unsafe fn upload<'a>(
        &mut self,
        copies: impl Iterator<Item = (DeviceAddress, &'a [u8])>,
    ) -> Result<(), CudaError> {
        let copy = |(to, from): (DeviceAddress, &[u8])| {
            // SAFETY: the source is borrowed until `all` has waited; the rest is the caller's promise.
            unsafe { (self.driver.api.copy_in)(to, from.as_ptr().cast(), from.len(), self.handle) }
        };
        self.all("cuMemcpyHtoDAsync", copies.map(copy))
    }

    /// Copies from the GPU, and waits until all is here.
    ///
    /// # Safety
    /// Each address begins as many bytes of memory on this stream's GPU as are copied from there,
    /// which nothing writes until the call is over.
    pub unsafe fn download<'a>(
        &mut self,
        copies: impl Iterator<Item = (&'a mut [u8], DeviceAddress)>,
    ) -> Result<(), CudaError> {
        let copy = |(to, from): (&mut [u8], DeviceAddress)| {
            // SAFETY: the target is borrowed until `all` has waited; the rest is the caller's promise.
            unsafe {
                (self.driver.api.copy_out)(to.as_mut_ptr().cast(), from, to.len(), self.handle)
            }
        };
        self.all("cuMemcpyDtoHAsync", copies.map(copy))
    }

    /// Queues the copies, then waits: also for those before one that was refused.
    fn all(
        &self,
        call: &'static str,
        mut copies: impl Iterator<Item = c_int>,
    ) -> Result<(), CudaError> {
        let api = &self.driver.api;
        // SAFETY: the context is retained as long as this stream lives.
        api.check("cuCtxSetCurrent", unsafe { (api.set_current)(self.context) })?;
        let queued = copies.try_for_each(|it| api.check(call, it));
        // SAFETY: the stream is this one's own.
        let done = api.check("cuStreamSynchronize", unsafe { (api.wait)(self.handle) });
        queued.and(done)
    }
}

/// Memory of another process on a GPU, open for as long as this lives.
///
/// Whoever owns it must not give it back meanwhile: CUDA says that what happens then is undefined, and no caller
/// can find it out before.
pub struct Shared {
    driver: Arc<Driver>,
    device: c_int,
    context: Handle,
    address: DeviceAddress,
    bytes: u64,
}

// SAFETY: CUDA's handles are not bound to a thread; each call makes the context the thread's own first.
unsafe impl Send for Shared {}
// SAFETY: nothing of it changes, and CUDA's functions may be called from several threads at once.
unsafe impl Sync for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        let api = &self.driver.api;
        // SAFETY: the address was opened and the context retained by this value alone; each is given
        // back once, the context last.
        unsafe {
            (api.set_current)(self.context);
            (api.close_shared)(self.address);
            (api.release)(self.device);
        }
    }
}

impl Shared {
    pub(crate) fn open(
        driver: Arc<Driver>,
        number: u32,
        handle: [u8; HANDLE_BYTES],
    ) -> Result<Shared, CudaError> {
        let api = &driver.api;
        let number = c_int::try_from(number).unwrap_or(c_int::MAX); // less than the count
        let (mut device, mut context, mut address) = (0, ptr::null_mut(), 0);
        // SAFETY: a number of ours, to be written.
        api.check("cuDeviceGet", unsafe { (api.device)(&raw mut device, number) })?;
        // SAFETY: a handle of ours, to be written. Each is answered by one `release`.
        let status = unsafe { (api.retain)(&raw mut context, device) };
        api.check("cuDevicePrimaryCtxRetain", status)?;
        // SAFETY: the context was just retained; an address of ours, to be written. A handle that is
        // none is an error of CUDA's.
        let opened = unsafe {
            api.check("cuCtxSetCurrent", (api.set_current)(context)).and_then(|()| {
                let status =
                    (api.open_shared)(&raw mut address, ForeignHandle(handle), LAZY_PEER_ACCESS);
                api.check("cuIpcOpenMemHandle", status)
            })
        };
        if let Err(error) = opened {
            // SAFETY: retained above, and nobody has it.
            unsafe { (api.release)(device) };
            return Err(error);
        }
        // From here on dropping it gives everything back.
        let mut shared = Shared { driver, device, context, address, bytes: 0 };
        shared.bytes = shared.measured()?;
        Ok(shared)
    }

    /// From the address to the end of what its owner asked for.
    fn measured(&self) -> Result<u64, CudaError> {
        let api = &self.driver.api;
        let (mut base, mut bytes) = (0, 0);
        // SAFETY: two numbers of ours, to be written; the address was opened in the current context.
        let status = unsafe { (api.range)(&raw mut base, &raw mut bytes, self.address) };
        api.check("cuMemGetAddressRange", status)?;
        let end = base.saturating_add(bytes as u64);
        Ok(end.saturating_sub(self.address))
    }

    /// How large it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies to the host, and waits until all is here.
    ///
    /// # Panics
    /// If the memory does not reach so far.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), CudaError> {
        let (api, from) = (&self.driver.api, self.address_of(offset, into.len()));
        // SAFETY: the context is retained as long as this lives.
        api.check("cuCtxSetCurrent", unsafe { (api.set_current)(self.context) })?;
        // SAFETY: the target is borrowed until the call is over, which is when the bytes are there; the
        // source lies within what was opened.
        let status = unsafe { (api.copy_out_now)(into.as_mut_ptr().cast(), from, into.len()) };
        api.check("cuMemcpyDtoH", status)
    }

    /// Copies from the host, and waits until all is there.
    ///
    /// # Panics
    /// If the memory does not reach so far.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), CudaError> {
        let (api, to) = (&self.driver.api, self.address_of(offset, from.len()));
        // SAFETY: the context is retained as long as this lives.
        api.check("cuCtxSetCurrent", unsafe { (api.set_current)(self.context) })?;
        // SAFETY: the source is borrowed until the call is over, by when CUDA has taken its bytes; the
        // target lies within what was opened.
        let status = unsafe { (api.copy_in_now)(to, from.as_ptr().cast(), from.len()) };
        api.check("cuMemcpyHtoD", status)?;
        // The call may end when the bytes are on their way. They went by the stream that has no handle.
        // SAFETY: that stream is always there.
        api.check("cuStreamSynchronize", unsafe { (api.wait)(ptr::null_mut()) })
    }

    fn address_of(&self, offset: u64, bytes: usize) -> DeviceAddress {
        let end = offset.checked_add(bytes as u64);
        let fits = end.is_some_and(|it| it <= self.bytes);
        assert!(fits, "{offset} + {bytes} of {} bytes", self.bytes);
        self.address + offset
    }
}
