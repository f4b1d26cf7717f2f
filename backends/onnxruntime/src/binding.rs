//! Memory of a session, and its binding to the session's inputs and outputs.
//!
//! Calls into ONNX Runtime's C interface, as in `value.rs`. Invariants: a [`Block`] keeps its [`Place`] alive, a
//! place keeps its session; what a binding holds on to keeps its place too; memory of the host that is shown as
//! bytes has been written before.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::ffi::CStr;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use backend_api::{BackendError, DType, Device, Shape};
use backend_cuda::{CudaError, Stream};
use ort::AsPointer as _;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{RunOptions, Session};
use ort::sys::{
    OrtAllocator, OrtDeviceMemoryType, OrtIoBinding, OrtMemoryInfo, OrtMemoryInfoDeviceType,
};

use crate::graphs::during_session;
use crate::model::Shared;
use crate::value::{Memory, Value, check, element, run_error};

/// Blocks lie side by side on cache lines where they are carried together.
const LINE: usize = 64;

/// A session, which is let go of while nothing is recorded: it gives memory back to the driver.
pub(crate) struct QuietSession {
    session: ManuallyDrop<Session>,
    device: Device,
}

impl QuietSession {
    pub(crate) fn new(session: Session, device: Device) -> QuietSession {
        QuietSession { session: ManuallyDrop::new(session), device }
    }
}

impl Deref for QuietSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for QuietSession {
    fn drop(&mut self) {
        let _unrecorded = during_session(&self.device);
        // SAFETY: dropped once, here, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.session) }
    }
}

/// Memory that a session reads or writes a tensor in: the host's, or its GPU's.
pub(crate) struct Place {
    allocator: NonNull<OrtAllocator>,
    is_host: bool,
    /// The allocator is the session's.
    _shared: Arc<Shared>,
}

// SAFETY: a session's allocators are those that the library itself calls from all its threads.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: made for this place alone and released once; whatever came from it is gone, since it keeps
        // the place alive.
        unsafe { (ort::api().ReleaseAllocator)(self.allocator.as_ptr()) }
    }
}

impl Place {
    /// Where each input is read: an operator that computes on the processor reads there.
    pub(crate) fn of_inputs(shared: &Arc<Shared>) -> Result<Vec<Arc<Place>>, BackendError> {
        let mut infos = vec![ptr::null(); shared.input_names.len()];
        // SAFETY: the list is as long as the call is told; what it gives is the session's own.
        check(unsafe {
            (ort::api().SessionGetMemoryInfoForInputs)(
                shared.session.ptr(),
                infos.as_mut_ptr(),
                infos.len(),
            )
        })?;
        infos.into_iter().map(|it| Place::at(shared, it)).collect()
    }

    /// Where each output is written.
    pub(crate) fn of_outputs(shared: &Arc<Shared>) -> Result<Vec<Arc<Place>>, BackendError> {
        let mut infos = vec![ptr::null(); shared.output_names.len()];
        // SAFETY: as above.
        check(unsafe {
            (ort::api().SessionGetMemoryInfoForOutputs)(
                shared.session.ptr(),
                infos.as_mut_ptr(),
                infos.len(),
            )
        })?;
        infos.into_iter().map(|it| Place::at(shared, it)).collect()
    }

    /// Memory of the host that the GPU of that number may read and write by itself.
    pub(crate) fn pinned(shared: &Arc<Shared>, number: u32) -> Result<Arc<Place>, BackendError> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let info = MemoryInfo::new(
            AllocationDevice::CUDA_PINNED,
            number,
            AllocatorType::Device,
            MemoryType::CPUOutput,
        );
        let info = info.map_err(|it| run_error(&it.to_string()))?;
        Place::at(shared, info.ptr())
    }

    fn at(shared: &Arc<Shared>, info: *const OrtMemoryInfo) -> Result<Arc<Place>, BackendError> {
        let mut allocator = ptr::null_mut();
        let mut device = OrtMemoryInfoDeviceType::OrtMemoryInfoDeviceType_CPU;
        // SAFETY: the description is valid for these calls, which copy what they need of it.
        let kind = unsafe {
            check((ort::api().CreateAllocator)(shared.session.ptr(), info, &raw mut allocator))?;
            (ort::api().MemoryInfoGetDeviceType)(info, &raw mut device);
            (ort::api().MemoryInfoGetDeviceMemType)(info)
        };
        let allocator = NonNull::new(allocator).ok_or_else(|| run_error("no allocator"))?;
        let is_host = device == OrtMemoryInfoDeviceType::OrtMemoryInfoDeviceType_CPU
            || kind == OrtDeviceMemoryType::OrtDeviceMemoryType_HOST_ACCESSIBLE;
        Ok(Arc::new(Place { allocator, is_host, _shared: Arc::clone(shared) }))
    }

    /// Can the processor read and write there?
    pub(crate) fn is_host(&self) -> bool {
        self.is_host
    }

    /// Memory of the host, taken for a GPU's: what is carried there goes through a driver of a test's own.
    #[cfg(test)]
    pub(crate) fn far(shared: &Arc<Shared>) -> Result<Arc<Place>, BackendError> {
        let near = Place::at(shared, MemoryInfo::default().ptr())?;
        let mut far = Arc::into_inner(near).ok_or_else(|| run_error("it is shared"))?;
        far.is_host = false;
        Ok(Arc::new(far))
    }
}

/// A tensor's memory in a place, for as long as this lives at the same address.
pub(crate) struct Block {
    // Before the place, which gave its memory.
    value: Value<'static>,
    data: NonNull<u8>,
    len: usize,
    place: Arc<Place>,
}

// SAFETY: the memory has one owner, and the library binds neither it nor the value to a thread.
unsafe impl Send for Block {}

impl Block {
    /// A tensor of numbers, zeros where the processor can write.
    pub(crate) fn new(
        place: &Arc<Place>,
        dtype: DType,
        shape: &Shape,
    ) -> Result<Block, BackendError> {
        let size = dtype.size().ok_or_else(|| run_error("strings have no place of their own"))?;
        let (dims, len) = (shape.to_wire(), shape.elements() * size);
        let (mut raw, mut data) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: `dims` outlives the call; the allocator lives as long as the place.
        check(unsafe {
            (ort::api().CreateTensorAsOrtValue)(
                place.allocator.as_ptr(),
                dims.as_ptr(),
                dims.len(),
                element(dtype),
                &raw mut raw,
            )
        })?;
        let value = Value::owned(raw)?;
        // SAFETY: a tensor of numbers; the call only hands out its address.
        check(unsafe { (ort::api().GetTensorMutableData)(value.raw(), &raw mut data) })?;
        let data = match NonNull::new(data.cast::<u8>()) {
            Some(data) => data,
            None if len == 0 => NonNull::dangling(),
            None => return Err(run_error("a tensor without memory")),
        };
        if place.is_host {
            // SAFETY: the tensor has `len` bytes, which the processor may write.
            unsafe { ptr::write_bytes(data.as_ptr(), 0, len) }
        }
        Ok(Block { value, data, len, place: Arc::clone(place) })
    }

    /// Its bytes, where the processor can reach them.
    pub(crate) fn bytes(&mut self) -> Option<&mut [u8]> {
        // SAFETY: `len` bytes of this block's own that were written when it was made; nobody else has
        // them while it is borrowed, for a run borrows all blocks that it uses.
        self.is_host()
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) })
    }

    pub(crate) fn is_host(&self) -> bool {
        self.place.is_host
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What it takes of memory in which blocks lie side by side.
    pub(crate) fn stride(&self) -> usize {
        if self.is_host() { 0 } else { self.len.next_multiple_of(LINE) }
    }
}

/// Carries to the blocks that lie on the GPU what lies in `stage`, by their strides.
pub(crate) fn upload(
    stream: &mut Stream,
    blocks: &mut [Block],
    mut stage: &[u8],
) -> Result<(), CudaError> {
    let far = blocks.iter().filter(|it| it.stride() > 0);
    let copies = far.map(|block| {
        let (here, rest) = stage.split_at(block.stride());
        stage = rest;
        (block.data.as_ptr() as u64, here.get(..block.len).unwrap_or(here))
    });
    // SAFETY: each address begins a block's memory, as long as what is copied and borrowed mutably.
    unsafe { stream.upload(copies) }
}

/// Carries to `stage` what the blocks hold that lie on the GPU, by their strides.
pub(crate) fn download<'a>(
    stream: &mut Stream,
    blocks: impl Iterator<Item = &'a mut Block>,
    mut stage: &mut [u8],
) -> Result<(), CudaError> {
    let far = blocks.filter(|it| it.stride() > 0);
    let copies = far.map(|block| {
        let (here, rest) = mem::take(&mut stage).split_at_mut(block.stride());
        stage = rest;
        (here.split_at_mut(block.len).0, block.data.as_ptr() as u64)
    });
    // SAFETY: as above; the run that wrote the blocks is over.
    unsafe { stream.download(copies) }
}

/// A session's inputs and outputs, bound to memory.
pub(crate) struct Binding {
    raw: NonNull<OrtIoBinding>,
    /// Of the blocks whose memory it shares.
    places: Vec<Arc<Place>>,
    shared: Arc<Shared>,
}

// SAFETY: has one owner; the library does not bind it to a thread.
unsafe impl Send for Binding {}

impl Drop for Binding {
    fn drop(&mut self) {
        // SAFETY: owned by this value alone and released once, before the session and the places.
        unsafe { (ort::api().ReleaseIoBinding)(self.raw.as_ptr()) }
    }
}

impl Binding {
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Binding, BackendError> {
        let mut raw = ptr::null_mut();
        // SAFETY: the session outlives the binding, which keeps it.
        check(unsafe {
            (ort::api().CreateIoBinding)(shared.session.ptr().cast_mut(), &raw mut raw)
        })?;
        let raw = NonNull::new(raw).ok_or_else(|| run_error("no binding"))?;
        Ok(Binding { raw, places: Vec::new(), shared: Arc::clone(shared) })
    }

    /// The input is read there. Nothing is copied, since the block lies where the session reads it.
    pub(crate) fn input(&mut self, name: &CStr, block: &Block) -> Result<(), BackendError> {
        self.places.push(Arc::clone(&block.place));
        // SAFETY: name and value live through the call, which keeps a share of the value's memory.
        check(unsafe {
            (ort::api().BindInput)(self.raw.as_ptr(), name.as_ptr(), block.value.raw())
        })
    }

    /// The output is written there.
    pub(crate) fn output(&mut self, name: &CStr, block: &Block) -> Result<(), BackendError> {
        self.places.push(Arc::clone(&block.place));
        // SAFETY: as above.
        check(unsafe {
            (ort::api().BindOutput)(self.raw.as_ptr(), name.as_ptr(), block.value.raw())
        })
    }

    /// The next run finds memory of the host for the output; what the last one brought is let go.
    pub(crate) fn open(&mut self, name: &CStr, host: &Memory) -> Result<(), BackendError> {
        // SAFETY: name and description live through the call.
        check(unsafe {
            (ort::api().BindOutputToDevice)(self.raw.as_ptr(), name.as_ptr(), host.info())
        })
    }

    /// Runs the session once on what is bound.
    pub(crate) fn run(&mut self, options: Option<&RunOptions>) -> Result<(), BackendError> {
        let options = options.map_or(ptr::null(), |it| it.ptr());
        // SAFETY: all memory that is bound lives as long as the binding, and is used by this run alone,
        // for the binding is borrowed. That `Run` may be called by several threads: see `value::run`.
        check(unsafe {
            (ort::api().RunWithBinding)(
                self.shared.session.ptr().cast_mut(),
                options,
                self.raw.as_ptr(),
            )
        })
    }

    /// What the last run gave, in the order in which the outputs were bound.
    pub(crate) fn outputs(&self, host: &Memory) -> Result<Vec<Value<'static>>, BackendError> {
        let (mut list, mut count) = (ptr::null_mut(), 0);
        // SAFETY: two places of ours; the allocator lives as long as the library.
        check(unsafe {
            (ort::api().GetBoundOutputValues)(
                self.raw.as_ptr(),
                host.allocator(),
                &raw mut list,
                &raw mut count,
            )
        })?;
        // SAFETY: the call gave a list of so many values, each of which is ours from here on.
        let values = (0..count).map(|it| Value::owned(unsafe { *list.add(it) }));
        let values: Vec<_> = values.collect();
        if !list.is_null() {
            // SAFETY: the list, not the values, came from this allocator and is not used any more.
            check(unsafe { (ort::api().AllocatorFree)(host.allocator(), list.cast()) })?;
        }
        values.into_iter().collect()
    }
}
