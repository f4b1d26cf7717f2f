//! Delegates: libraries that the user brings, which compute some of a model's operators elsewhere.
//!
//! Their interface is TensorFlow Lite's for external delegates: two functions that a library exports,
//! such as `libedgetpu.so.1`. LiteRT knows none of it, but takes accelerators: one of ours makes and
//! frees the model's delegate (`delegate/ffi.rs`). The operators that it leaves are XNNPACK's.

mod ffi;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{DelegateOptions, Device, DeviceWish, Library, Options};

pub(crate) use self::ffi::register;
use self::ffi::{Plugin, Wanted};

/// Google's library for Edge TPUs.
pub const EDGETPU: Library = Library { stem: "libedgetpu.so", home: "edgetpu" };

/// What the system's loader finds, where none was put beside the server.
pub const EDGETPU_OF_SYSTEM: &str = "libedgetpu.so.1";

/// What makes an Edge TPU available, for errors.
const EDGETPU_FIX: &str = "needed are libedgetpu.so.1 (Debian's libedgetpu1-std, from Google's Coral \
                           repository, or [litert] delegate = \"FILE\"), an Edge TPU, and a file that \
                           edgetpu_compiler has compiled for it; `salver devices` shows what is here";

/// A library, and what it is told.
pub(crate) struct Delegate {
    plugin: Arc<Plugin>,
    /// Names and values.
    options: Vec<(CString, CString)>,
    device: Device,
}

impl Delegate {
    /// The one that a model wants, if it wants one.
    pub(crate) fn wanted(options: &Options, edgetpu: &Path) -> Result<Option<Delegate>, String> {
        let is_edgetpu = options.device == DeviceWish::On(Device::EdgeTpu);
        let named = options.delegate.clone();
        let found =
            is_edgetpu.then(|| DelegateOptions { library: edgetpu.into(), ..Default::default() });
        let Some(DelegateOptions { library, options: pairs }) = named.or(found) else {
            return Ok(None);
        };
        // Without a path of its own there are only options: for the library that was found.
        let library = if library == PathBuf::new() { edgetpu.to_path_buf() } else { library };
        let device = if is_edgetpu { Device::EdgeTpu } else { Device::Cpu };
        let text = |it: String| CString::new(it).map_err(|it| format!("delegate option: {it}"));
        let pair = |(name, value)| Ok((text(name)?, text(value)?));
        let options = pairs.into_iter().map(pair).collect::<Result<_, String>>()?;
        let fixed = |it| fixed(it, &device);
        let plugin = Arc::new(Plugin::open(&library).map_err(fixed)?);
        Ok(Some(Delegate { plugin, options, device }))
    }

    /// Where the model is then said to compute.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Lets a model be compiled with it. Gives also whether it took none of the operators.
    pub(crate) fn during<T>(
        &self,
        compile: impl FnOnce() -> Result<T, String>,
    ) -> Result<(T, bool), String> {
        let wanted = Wanted::new(Arc::clone(&self.plugin), self.options.clone());
        let (compiled, told) = wanted.during(compile);
        match compiled {
            Ok(compiled) => Ok((compiled, told.is_idle)),
            Err(reason) => {
                let words = if told.words.is_empty() { reason } else { told.words };
                let shown = self.plugin.shown();
                Err(fixed(format!("delegate {shown}: {words}"), &self.device))
            }
        }
    }

    /// Refuses a delegate that does nothing of what was asked for, or says it.
    pub(crate) fn check(&self, is_idle: bool) -> Result<(), String> {
        let shown = self.plugin.shown();
        if !is_idle {
            return Ok(());
        }
        let words = format!("delegate {shown}: it takes no operator of the model");
        if self.device == Device::Cpu {
            tracing::warn!(library = shown, "{words}: the processor computes all of it");
            return Ok(());
        }
        Err(fixed(words, &self.device))
    }
}

/// With what to do, where that is known.
fn fixed(words: String, device: &Device) -> String {
    if *device == Device::EdgeTpu {
        format!("device {device}: {words}; {EDGETPU_FIX}")
    } else {
        words
    }
}
