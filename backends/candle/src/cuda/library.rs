//! The libraries of NVIDIA's that candle's code calls.
//!
//! `make candle-cuda` leaves them out of what the program is linked with, so that it starts without them: the
//! system looks for each of their functions when it is first called, among all libraries that were opened for
//! everybody to see. So they are opened like that before candle is asked for a GPU. Where the program was
//! linked with them they are there from the start.

#![expect(unsafe_code, reason = "libraries are opened; each block says why it is sound")]

use std::error::Error as _;
use std::ffi::c_void;
use std::mem::ManuallyDrop;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};

/// A function of each, and its file. The versions are those of CUDA 13, which is pinned (`backends/fetch.py`).
const LIBRARIES: [(&str, &str); 3] = [
    ("cuInit", "libcuda.so.1"),
    ("cublasCreate_v2", "libcublas.so.13"),
    ("curandCreateGenerator", "libcurand.so.10"),
];

/// Opens those that are not there yet. They stay.
pub(super) fn open() -> Result<(), String> {
    LIBRARIES.iter().try_for_each(|(function, file)| {
        if is_there(function) {
            return Ok(());
        }
        // SAFETY: runs the library's initialisers, which is the purpose. Whoever may put a file where the
        // system looks for libraries may run code in this process anyway.
        let opened = unsafe { Library::open(Some(*file), RTLD_LAZY | RTLD_GLOBAL) };
        let failed = |it: libloading::Error| {
            let cause = it.source().map_or_else(|| it.to_string(), ToString::to_string);
            if cause.contains(*file) { cause } else { format!("{file}: {cause}") }
        };
        let _stays = ManuallyDrop::new(opened.map_err(failed)?);
        if is_there(function) { Ok(()) } else { Err(format!("{file} has no function {function}")) }
    })
}

/// Would the system find the function?
fn is_there(function: &str) -> bool {
    // SAFETY: the address is only looked for; the program itself is never unloaded.
    unsafe { Library::this().get::<*const c_void>(function) }.is_ok()
}
