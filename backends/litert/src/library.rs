//! The opened library: its functions, and objects of its own.
//!
//! Invariants: an [`Object`] is owned by one value and freed once, by the function for its kind; the
//! library is never unloaded, so its functions stay valid for the life of the process.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::functions::{
    FreeText, Handle, ONLY_AFTER, ONLY_BEFORE, RawLayout, RawOption, RawQuantization, RawType,
    Status, meaning,
};

macro_rules! table {
    ($($name:ident: ($($argument:tt)*) $(-> $result:ty)?;)*) => {
        /// Every function that is used.
        #[allow(non_snake_case, reason = "names as in the headers")]
        pub(crate) struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($argument)*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            /// `library` must be LiteRT's C interface, version 2.1.
            unsafe fn of(library: &libloading::Library) -> Result<Functions, libloading::Error> {
                // SAFETY: the types are those of that version's headers.
                unsafe {
                    Ok(Functions { $($name: *library.get(concat!("LiteRt", stringify!($name)))?,)* })
                }
            }
        }
    };
}

crate::functions::functions!(table);

/// The opened library.
pub(crate) struct Api {
    pub(crate) functions: Functions,
    /// Its threads and static objects outlive every value of ours.
    library: ManuallyDrop<libloading::Library>,
}

impl Api {
    pub(crate) fn open(path: &Path) -> Result<Api, String> {
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
        // SAFETY: only asks whether the name is there; the address is never used.
        let has = |name: &str| unsafe { library.get::<*const c_void>(name).is_ok() };
        if has("LiteRtCreateModelFromFile") && (!has(ONLY_BEFORE) || has(ONLY_AFTER)) {
            return Err(format!(
                "library {shown} is of another version than 2.1, whose functions take other \
                 arguments: `make litert` fetches 2.1.4"
            ));
        }
        // SAFETY: a library with all these names is LiteRT's, of that version: checked above.
        let functions = unsafe { Functions::of(&library) };
        Ok(Api { functions: functions.map_err(failed)?, library })
    }

    /// Something else that it exports, which few models need.
    ///
    /// # Safety
    /// `T` must be what the headers of version 2.1 say of the name: a pointer to it.
    pub(crate) unsafe fn symbol<T: Copy>(&self, name: &str) -> Result<T, String> {
        // SAFETY: as the caller promises.
        let found = unsafe { self.library.get::<T>(name) };
        found.map(|it| *it).map_err(|_| format!("LiteRT's library does not export {name}"))
    }

    /// What a creating call leaves at the place that it is given; `free` belongs to its kind.
    pub(crate) fn object(
        self: &Arc<Api>,
        free: unsafe extern "C" fn(Handle),
        create: impl FnOnce(*mut Handle) -> Status,
    ) -> Result<Object, String> {
        let mut raw = ptr::null_mut();
        check(create(&raw mut raw))?;
        let raw = NonNull::new(raw).ok_or_else(|| "LiteRT gave no object".to_owned())?;
        Ok(Object { api: Arc::clone(self), raw, free })
    }
}

pub(crate) fn check(status: Status) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(meaning(status)) }
}

/// Something of the library's.
pub(crate) struct Object {
    pub(crate) api: Arc<Api>,
    raw: NonNull<c_void>,
    free: unsafe extern "C" fn(Handle),
}

impl Object {
    pub(crate) fn raw(&self) -> Handle {
        self.raw.as_ptr()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: owned by this value alone, freed once, by the function of its kind.
        unsafe { (self.free)(self.raw.as_ptr()) }
    }
}

/// A copy of a string of the library's; empty for null.
///
/// # Safety
/// `raw` must be null or end with a zero.
pub(crate) unsafe fn copied(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}
