//! Does a library have the interface that `ort` wants? Asked before it is handed over, for `ort` would panic.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

use std::error::Error as _;
use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::path::Path;

use ort::sys::{ORT_API_VERSION, OrtApiBase};

/// The error says which file and why.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let failed = |it: libloading::Error| match it.source() {
        Some(cause) => format!("library {shown}: {cause}"),
        None => format!("library {shown}: {it}"),
    };
    // SAFETY: runs the library's initialisers, which is the purpose. Whoever may put a file where it was
    // looked for, or name one, may run code in this process anyway.
    let library = unsafe { libloading::Library::new(path) };
    // Its static objects outlive every value of ours.
    let library = ManuallyDrop::new(library.map_err(failed)?);
    // SAFETY: a function of that name takes nothing and gives a table that lives for ever, or null.
    let base = unsafe {
        let get = library.get::<unsafe extern "system" fn() -> *const OrtApiBase>("OrtGetApiBase");
        get.map_err(failed)?().as_ref()
    };
    let base = base.ok_or_else(|| format!("library {shown} has no table of functions"))?;
    // SAFETY: the table's two functions are the same in all versions; the text lives for ever, or is null.
    let (api, version) = unsafe { ((base.GetApi)(ORT_API_VERSION), (base.GetVersionString)()) };
    if !api.is_null() {
        return Ok(());
    }
    let version = if version.is_null() {
        "unknown".into()
    } else {
        // SAFETY: as above; it ends with a zero.
        unsafe { CStr::from_ptr(version) }.to_string_lossy()
    };
    Err(format!("library {shown} is version {version:?}, needed is 1.{ORT_API_VERSION} or newer"))
}
