//! What PJRT's C header (`xla/pjrt/c/pjrt_c_api.h`) says: the table of functions, and their arguments.
//!
//! Written by hand from version 0.81. Tables and arguments only grow at their ends within version
//! 0, so the places below hold for every plugin. Every function takes one structure, which begins
//! with its own size; a plugin refuses one that is smaller than its own and takes a larger one. So
//! all of ours are made larger by zeros: [`Args`].

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use backend_api::DType;

/// Any of the plugin's objects, and any pointer that is left null.
pub(crate) type Handle = *mut c_void;

/// Bytes of zeros behind what we know of a structure: newer plugins read some of them as fields
/// that are not set. The largest structures have grown by 32 bytes in thirty versions.
const TAIL_BYTES: usize = 256;

/// The versions whose table is known to be laid out like this.
const MAJOR: c_int = 0;
/// The oldest of them.
const OLDEST_MINOR: c_int = 54;

/// The head of `PJRT_Api`.
#[repr(C)]
pub(crate) struct RawApi {
    pub(crate) size: usize,
    extension: Handle,
    version_size: usize,
    version_extension: Handle,
    pub(crate) major: c_int,
    pub(crate) minor: c_int,
}

/// The arguments of a function: what every structure begins with, what it holds, and zeros.
#[repr(C)]
pub(crate) struct Args<T> {
    size: usize,
    extension: Handle,
    pub(crate) body: T,
    tail: [u8; TAIL_BYTES],
}

impl<T> Args<T> {
    pub(crate) fn new(body: T) -> Args<T> {
        let tail = [0; TAIL_BYTES];
        Args { size: size_of::<Args<T>>(), extension: ptr::null_mut(), body, tail }
    }
}

/// A function of the table: its place, and what it takes.
pub(crate) trait Call {
    /// Place among the functions.
    const PLACE: usize;
}

/// Structures of arguments, each with its function's place in the table. Null and zero until set.
macro_rules! calls {
    ($($name:ident at $place:literal { $($field:ident: $kind:ty),* $(,)? })*) => {
        $(
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub(crate) struct $name {
                $(pub(crate) $field: $kind,)*
            }

            impl Call for $name {
                const PLACE: usize = $place;
            }

            impl Default for $name {
                fn default() -> $name {
                    $name { $($field: Zero::ZERO,)* }
                }
            }
        )*
    };
}

/// What a field is before it is set.
pub(crate) trait Zero {
    const ZERO: Self;
}

impl<T> Zero for *mut T {
    const ZERO: *mut T = ptr::null_mut();
}

impl<T> Zero for *const T {
    const ZERO: *const T = ptr::null();
}

impl Zero for usize {
    const ZERO: usize = 0;
}

impl Zero for i64 {
    const ZERO: i64 = 0;
}

impl Zero for c_int {
    const ZERO: c_int = 0;
}

impl Zero for bool {
    const ZERO: bool = false;
}

impl Zero for Option<unsafe extern "C" fn(Handle)> {
    const ZERO: Option<unsafe extern "C" fn(Handle)> = None;
}

calls! {
    ErrorDestroy at 0 { error: Handle }
    ErrorMessage at 1 { error: Handle, text: *const c_char, len: usize }
    PluginInitialize at 3 {}
    EventDestroy at 5 { event: Handle }
    EventAwait at 8 { event: Handle }
    ClientCreate at 10 {
        options: *const NamedValue, options_len: usize, get: Handle, get_argument: Handle, put: Handle,
        put_argument: Handle, client: Handle, try_get: Handle, try_get_argument: Handle,
    }
    ClientDestroy at 11 { client: Handle }
    PlatformName at 12 { client: Handle, text: *const c_char, len: usize }
    PlatformVersion at 14 { client: Handle, text: *const c_char, len: usize }
    Devices at 16 { client: Handle, devices: *const Handle, len: usize }
    Compile at 20 {
        client: Handle, program: *const Args<Program>, options: *const u8, options_len: usize,
        executable: Handle,
    }
    BufferFromHost at 22 {
        client: Handle, data: *const u8, kind: c_int, dims: *const i64, rank: usize,
        strides: *const i64, strides_len: usize, semantics: c_int, device: Handle, memory: Handle,
        layout: Handle, done: Handle, buffer: Handle,
    }
    DescriptionId at 23 { description: Handle, id: c_int }
    ProcessIndex at 24 { description: Handle, index: c_int }
    DescriptionAttributes at 25 { description: Handle, len: usize, attributes: *const NamedValue }
    DescriptionKind at 26 { description: Handle, text: *const c_char, len: usize }
    DescriptionText at 27 { description: Handle, text: *const c_char, len: usize }
    DeviceDescription at 29 { device: Handle, description: Handle }
    HardwareId at 31 { device: Handle, id: c_int }
    DeviceMemories at 32 { device: Handle, memories: *const Handle, len: usize }
    MemoryStats at 34 {
        device: Handle, in_use: i64, peak: i64, peak_is_set: bool, allocations: i64,
        allocations_is_set: bool, largest: i64, largest_is_set: bool, limit: i64,
        limit_is_set: bool,
    }
    MemoryKind at 36 { memory: Handle, text: *const c_char, len: usize }
    ExecutableDestroy at 40 { executable: Handle }
    Serialize at 49 {
        executable: Handle, bytes: *const u8, len: usize, owner: Handle,
        free: Option<unsafe extern "C" fn(Handle)>,
    }
    LoadedDestroy at 50 { executable: Handle }
    GetExecutable at 51 { loaded: Handle, executable: Handle }
    Execute at 55 {
        executable: Handle, options: *const Args<RunOptions>, inputs: *const *const Handle,
        devices_len: usize, inputs_len: usize, outputs: *const *mut Handle, done: *mut Handle,
        device: Handle,
    }
    Deserialize at 56 {
        client: Handle, bytes: *const u8, len: usize, loaded: Handle, options: *const u8,
        options_len: usize,
    }
    BufferDestroy at 58 { buffer: Handle }
    BufferLayout at 63 { buffer: Handle, layout: Layout }
    BufferSize at 64 { buffer: Handle, len: usize }
    ToHost at 70 { source: Handle, layout: *const Layout, to: *mut u8, len: usize, event: Handle }
    ReadyEvent at 72 { buffer: Handle, event: Handle }
    HoldBuffer at 74 { buffer: Handle }
    ReleaseBuffer at 75 { buffer: Handle }
    DataPointer at 76 { buffer: Handle, data: *const u8 }
    OutputTypes at 90 { executable: Handle, kinds: *const c_int, len: usize }
    OutputDims at 91 { executable: Handle, len: usize, dims: *const i64, ranks: *const usize }
}

/// The place of the last function that is used: a table that ends before it is too old.
const LAST_PLACE: usize = OutputDims::PLACE;

/// Is a table of that size and version laid out as we know it? The words follow a plugin's name.
pub(crate) fn known(size: usize, (major, minor): (c_int, c_int)) -> Result<(), String> {
    let needed = size_of::<RawApi>() + (LAST_PLACE + 1) * size_of::<Handle>();
    if major == MAJOR && minor >= OLDEST_MINOR && size >= needed {
        return Ok(());
    }
    Err(format!(
        "speaks version {major}.{minor} of PJRT's interface, needed is {MAJOR}.{OLDEST_MINOR} or a \
         newer one of {MAJOR}: take a plugin of another release"
    ))
}

/// `PJRT_Program`, without its head
#[repr(C)]
pub(crate) struct Program {
    pub(crate) code: *const u8,
    pub(crate) code_len: usize,
    pub(crate) format: *const c_char,
    pub(crate) format_len: usize,
}

/// `PJRT_Buffer_MemoryLayout`, of the kind that names axes in the order in which they vary.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    size: usize,
    extension: Handle,
    tiled_size: usize,
    tiled_extension: Handle,
    pub(crate) order: *const i64,
    pub(crate) order_len: usize,
    tile_dims: *const i64,
    tile_ranks: *const usize,
    tiles_len: usize,
    kind: c_int,
}

impl Layout {
    /// Points at `order`, which names the axis that varies fastest first.
    pub(crate) fn new(order: &[i64]) -> Layout {
        let size = size_of::<Layout>();
        // What the kind holds ends where the kind is said.
        let tiled_size =
            std::mem::offset_of!(Layout, kind) - std::mem::offset_of!(Layout, tiled_size);
        let (order, order_len) = (order.as_ptr(), order.len());
        Layout { size, tiled_size, order, order_len, ..Layout::ZERO }
    }

    /// Is it of the kind that names them?
    pub(crate) fn names_axes(&self) -> bool {
        self.kind == 0
    }

    /// Does the order of the axes say it all?
    pub(crate) fn is_plain(&self) -> bool {
        self.names_axes() && self.tiles_len == 0
    }
}

impl Zero for Layout {
    const ZERO: Layout = Layout {
        size: 0,
        extension: ptr::null_mut(),
        tiled_size: 0,
        tiled_extension: ptr::null_mut(),
        order: ptr::null(),
        order_len: 0,
        tile_dims: ptr::null(),
        tile_ranks: ptr::null(),
        tiles_len: 0,
        kind: 0,
    };
}

/// `PJRT_ExecuteOptions`, without its head; all of it null.
#[repr(C)]
pub(crate) struct RunOptions {
    unused: [usize; 12],
}

impl RunOptions {
    pub(crate) fn new() -> Args<RunOptions> {
        Args::new(RunOptions { unused: [0; 12] })
    }
}

/// What a `PJRT_NamedValue` holds, by its kind: 0 to 4 in this order.
#[repr(C)]
pub(crate) union RawValue {
    pub(crate) text: *const c_char,
    pub(crate) whole: i64,
    pub(crate) list: *const i64,
    pub(crate) float: f32,
    pub(crate) flag: bool,
}

/// `PJRT_NamedValue`
#[repr(C)]
pub(crate) struct NamedValue {
    size: usize,
    extension: Handle,
    pub(crate) name: *const c_char,
    pub(crate) name_len: usize,
    pub(crate) kind: c_int,
    pub(crate) value: RawValue,
    pub(crate) len: usize,
}

impl NamedValue {
    /// Points at `name`, and at what `value` points at.
    pub(crate) fn new(name: &str, kind: c_int, value: RawValue, len: usize) -> NamedValue {
        let (size, extension) = (size_of::<NamedValue>(), ptr::null_mut());
        let (name, name_len) = (name.as_ptr().cast::<c_char>(), name.len());
        NamedValue { size, extension, name, name_len, kind, value, len }
    }
}

/// `PJRT_HostBufferSemantics_kImmutableZeroCopy`: our memory may be used in place.
pub(crate) const IN_PLACE: c_int = 2;

/// A serialised `CompileOptionsProto`: one replica, one partition, for any one device.
pub(crate) const COMPILE_OPTIONS: &[u8] = &[
    0x1a, 0x0f, // executable_build_options:
    0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, // device_ordinal = -1
    0x20, 0x01, 0x28, 0x01, // num_replicas = 1, num_partitions = 1
    0x20, 0x01, // compile_portable_executable: which device, each run says
];

/// `PJRT_Buffer_Type`: all types but BYTES, which XLA does not know.
const KINDS: [(c_int, DType); 13] = [
    (1, DType::Bool),
    (2, DType::Int8),
    (3, DType::Int16),
    (4, DType::Int32),
    (5, DType::Int64),
    (6, DType::Uint8),
    (7, DType::Uint16),
    (8, DType::Uint32),
    (9, DType::Uint64),
    (10, DType::Fp16),
    (11, DType::Fp32),
    (12, DType::Fp64),
    (13, DType::Bf16),
];

/// The plugin's number for a type.
pub(crate) fn kind_of(dtype: DType) -> Option<c_int> {
    KINDS.iter().find(|(_, it)| *it == dtype).map(|(kind, _)| *kind)
}

/// The type behind a number of the plugin's.
pub(crate) fn dtype_of(kind: c_int) -> Option<DType> {
    KINDS.iter().find(|(it, _)| *it == kind).map(|(_, dtype)| *dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_interface_is_refused_in_words() {
        known(4096, (0, 81)).expect("the one that was tried");
        known(4096, (0, 200)).expect("tables only grow");
        for (size, version, shown) in
            [(4096, (1, 0), "1.0"), (4096, (0, 12), "0.12"), (64, (0, 81), "0.81")]
        {
            let words = known(size, version).expect_err("refused");
            assert!(words.contains(&format!("version {shown} of PJRT's interface")), "{words}");
        }
    }
}
