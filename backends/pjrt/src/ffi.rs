//! Calls into a plugin's table of functions, on memory that we own.
//!
//! All unsafe code of this engine. Invariants: an object is owned by one value and freed once, by
//! the function for its kind, before the client that it belongs to; the plugin is never unloaded,
//! so its functions stay valid for the life of the process; memory of ours that the plugin was given
//! is not followed any more when [`Loaded::run`] returns.

#![expect(unsafe_code, reason = "the C interface; each block says why it is sound")]

mod describe;
mod run;

use std::error::Error as _;
use std::ffi::{c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::{Arc, OnceLock};

use backend_api::Device;

use crate::functions::{
    Args, BufferLayout, BufferSize, COMPILE_OPTIONS, Call, ClientCreate, ClientDestroy, Compile,
    DataPointer, Deserialize, Devices, ErrorDestroy, ErrorMessage, EventAwait, EventDestroy,
    ExecutableDestroy, GetExecutable, Handle, HoldBuffer, Layout, LoadedDestroy, NamedValue,
    OutputDims, OutputTypes, PlatformName, PlatformVersion, PluginInitialize, Program, RawApi,
    ReadyEvent, ReleaseBuffer, Serialize, known,
};
use crate::option::ClientOption;
use crate::place;

/// The opened plugin.
struct Api {
    table: *const RawApi,
    /// Its threads and static objects outlive every value of ours.
    _library: ManuallyDrop<libloading::Library>,
}

// SAFETY: the table is never written, and its functions may be called from any thread: that is what
// the header asks of plugins (PjRtClient is thread-safe).
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

impl Api {
    fn open(path: &Path) -> Result<Api, String> {
        let shown = path.display();
        let failed = |it: libloading::Error| match it.source() {
            Some(cause) => format!("plugin {shown}: {cause}"),
            None => format!("plugin {shown}: {it}"),
        };
        // SAFETY: runs the plugin's initialisers, which is the purpose. Whoever may put a file
        // where it was looked for, or name one, may run code in this process anyway.
        let library = unsafe { libloading::Library::new(path) };
        let library = ManuallyDrop::new(library.map_err(failed)?);
        // SAFETY: a function of that name takes nothing and gives a table that lives for ever.
        let table = unsafe {
            let get = library.get::<unsafe extern "C" fn() -> *const RawApi>("GetPjrtApi");
            get.map_err(failed)?()
        };
        if table.is_null() {
            return Err(format!("plugin {shown} has no table of functions"));
        }
        // SAFETY: the head of the table is the same in all versions.
        let (size, major, minor) = unsafe { ((*table).size, (*table).major, (*table).minor) };
        known(size, (major, minor)).map_err(|it| format!("plugin {shown} {it}"))?;
        let api = Api { table, _library: library };
        api.call(PluginInitialize::default()).map_err(|it| format!("plugin {shown}: {it}"))?;
        Ok(api)
    }

    fn version(&self) -> String {
        // SAFETY: the table lives for ever.
        let (major, minor) = unsafe { ((*self.table).major, (*self.table).minor) };
        format!("{major}.{minor}")
    }

    /// Calls the function that takes `body`, and gives it back as the function left it.
    ///
    /// What is passed is sound by what the callers say of the fields: they are null, or of an object
    /// that is alive, or point at memory of ours that is.
    fn call<T: Call>(&self, body: T) -> Result<T, String> {
        let mut args = Args::new(body);
        match self.raw(&mut args) {
            Some(error) if error.is_null() => Ok(args.body),
            Some(error) => Err(self.message(error)),
            None => Err(format!("the plugin lacks the function at place {}", T::PLACE)),
        }
    }

    /// `None` if the plugin leaves the function out.
    fn raw<T: Call>(&self, args: &mut Args<T>) -> Option<Handle> {
        type Function = Option<unsafe extern "C" fn(*mut c_void) -> Handle>;
        // SAFETY: the table is as long as the last place says (checked when it was opened), and
        // holds functions of one argument, or null. The structure is the one for this place, laid
        // out as the header says, and larger.
        unsafe {
            let functions = self.table.add(1).cast::<Function>();
            let function = (*functions.add(T::PLACE))?;
            Some(function(ptr::from_mut(args).cast()))
        }
    }

    /// The words of an error, which is freed.
    fn message(&self, error: Handle) -> String {
        let mut args = Args::new(ErrorMessage { error, ..ErrorMessage::default() });
        let _ = self.raw(&mut args);
        // SAFETY: the text lives as long as the error.
        let text = unsafe { copied(args.body.text, args.body.len) };
        let _ = self.raw(&mut Args::new(ErrorDestroy { error }));
        text
    }

    /// Waits for an event, and frees it. Null is an event that is over.
    fn wait(&self, event: Handle) -> Result<(), String> {
        if event.is_null() {
            return Ok(());
        }
        let waited = self.call(EventAwait { event }).map(|_| ());
        let _ = self.call(EventDestroy { event });
        waited
    }
}

/// # Safety
/// `text` must hold `len` bytes, or be null.
unsafe fn copied(text: *const c_char, len: usize) -> String {
    // SAFETY: as the caller promises.
    String::from_utf8_lossy(unsafe { list(text.cast::<u8>(), len) }).into_owned()
}

/// The elements of a list of the plugin's; none if there is no list.
///
/// # Safety
/// `list` must be null or hold `len` elements for as long as the result is used.
unsafe fn list<'a, T>(list: *const T, len: usize) -> &'a [T] {
    // SAFETY: as the caller promises.
    if list.is_null() { &[] } else { unsafe { slice::from_raw_parts(list, len) } }
}

/// A plugin's connection to its devices.
pub(crate) struct Client {
    api: Api,
    client: Handle,
    /// Those that this process may use, in the plugin's order, and what they are called.
    devices: Vec<(Handle, Device)>,
}

// SAFETY: the plugin's client may be used from any thread, see [`Api`]; the devices are its own.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.api.call(ClientDestroy { client: self.client });
    }
}

impl Client {
    /// Opens the plugin and its devices. The error says which file and why.
    pub(crate) fn open(path: &Path, options: &[ClientOption]) -> Result<Client, String> {
        let api = Api::open(path)?;
        let named = |it: String| format!("plugin {}: {it}", path.display());
        let options: Vec<NamedValue> = options.iter().map(ClientOption::raw).collect();
        let (options, options_len) = (options.as_ptr(), options.len());
        // What they point at lives until the call is over.
        let told = ClientCreate { options, options_len, ..ClientCreate::default() };
        let client = api.call(told).map_err(|it| named(it + place::wants(path)))?.client;
        let mut opened = Client { api, client, devices: Vec::new() };
        let devices = opened.addressable().map_err(named)?.to_vec();
        let (_, platform, _) = opened.versions().map_err(named)?;
        let names = place::names(&platform, devices.len()).map_err(named)?;
        opened.devices = devices.into_iter().zip(names).collect();
        if opened.devices.is_empty() {
            return Err(named("it has no device".to_owned()));
        }
        Ok(opened)
    }

    /// Version of the interface, and what the plugin says of itself: platform and its version.
    pub(crate) fn versions(&self) -> Result<(String, String, String), String> {
        let name = PlatformName { client: self.client, ..PlatformName::default() };
        let version = PlatformVersion { client: self.client, ..PlatformVersion::default() };
        let (name, version) = (self.api.call(name)?, self.api.call(version)?);
        // SAFETY: both texts live as long as the client.
        let texts = unsafe { (copied(name.text, name.len), copied(version.text, version.len)) };
        Ok((self.api.version(), texts.0, texts.1))
    }

    /// What the devices are called, in the plugin's order.
    pub(crate) fn devices(&self) -> Vec<Device> {
        self.devices.iter().map(|(_, name)| name.clone()).collect()
    }

    /// The device at a place of that list.
    fn device(&self, place: usize) -> Result<Handle, String> {
        let known = self.devices.get(place).map(|(device, _)| *device);
        known.ok_or_else(|| format!("there is no device number {place}"))
    }

    fn addressable(&self) -> Result<&[Handle], String> {
        let found = self.api.call(Devices { client: self.client, ..Devices::default() })?;
        // SAFETY: the list lives as long as the client.
        Ok(unsafe { list(found.devices, found.len) })
    }

    /// How a result lies whose axes are to lie in that order, the one that varies fastest first.
    fn lies(&self, buffer: Handle, rows: &[i64]) -> Lies {
        let asked = BufferLayout { buffer, ..BufferLayout::default() };
        let layout = self.api.call(asked).map(|it| it.layout);
        let Some(layout) = layout.ok().filter(Layout::names_axes) else { return Lies::Unsaid };
        // SAFETY: the list lives as long as the buffer.
        let order = unsafe { list(layout.order, layout.order_len) };
        match (order == rows, layout.is_plain()) {
            (true, true) => Lies::Rows,
            (true, false) => Lies::Unsaid,
            (false, _) => Lies::Otherwise(order.to_vec()),
        }
    }

    /// Copies a result that lies in the host's own memory; `false` if it does not, or not as it should.
    ///
    /// A copy that the plugin makes has to be waited for, which costs a small program more than the
    /// copy.
    fn copy_here(&self, buffer: Handle, to: &mut [u8]) -> Result<bool, String> {
        let api = &self.api;
        if !matches!(self.devices.first(), Some((_, Device::Cpu | Device::CpuPart(_)))) {
            return Ok(false);
        }
        api.wait(api.call(ReadyEvent { buffer, event: ptr::null_mut() })?.event)?;
        if api.call(BufferSize { buffer, len: 0 })?.len != to.len() {
            return Ok(false);
        }
        // Held, so that its address holds.
        api.call(HoldBuffer { buffer })?;
        let found = api.call(DataPointer { buffer, data: ptr::null() }).ok().map(|it| it.data);
        let found = found.filter(|it| !it.is_null());
        if let Some(data) = found {
            // SAFETY: the buffer is ready and held, of that size, and in memory of this process: that
            // is what the plugin's platform says.
            to.copy_from_slice(unsafe { list(data, to.len()) });
        }
        api.call(ReleaseBuffer { buffer })?;
        Ok(found.is_some())
    }

    /// Compiles a StableHLO program, to be run on any of the devices.
    pub(crate) fn compile(self: &Arc<Client>, code: &[u8]) -> Result<Loaded, String> {
        let (format, options) = (c"mlir", COMPILE_OPTIONS);
        let program = Args::new(Program {
            code: code.as_ptr(),
            code_len: code.len(),
            format: format.as_ptr(),
            format_len: format.count_bytes(),
        });
        // All that is pointed at lives until the call is over, and it is copied by it.
        let compiled = self.api.call(Compile {
            client: self.client,
            program: &raw const program,
            options: options.as_ptr(),
            options_len: options.len(),
            executable: ptr::null_mut(),
        })?;
        Loaded::new(self, compiled.executable)
    }

    /// Takes in what [`Loaded::serialize`] gave, of this very plugin on such a machine.
    pub(crate) fn deserialize(self: &Arc<Client>, bytes: &[u8]) -> Result<Loaded, String> {
        let (client, len) = (self.client, bytes.len());
        let given = Deserialize { client, bytes: bytes.as_ptr(), len, ..Deserialize::default() };
        Loaded::new(self, self.api.call(given)?.loaded)
    }
}

/// How a result lies in its device's memory.
enum Lies {
    /// Row after row.
    Rows,
    /// With its axes in this order, the one that varies fastest first.
    Otherwise(Vec<i64>),
    /// The device knows, and is to hand it out row after row.
    Unsaid,
}

/// A result of a program.
struct Outcome {
    dims: Vec<i64>,
    /// Its axes, the last first: results are handed out row after row.
    rows: Vec<i64>,
}

impl Outcome {
    fn new(dims: Vec<i64>) -> Outcome {
        let rows = (0..dims.len() as i64).rev().collect();
        Outcome { dims, rows }
    }
}

/// A program that is ready to run.
pub(crate) struct Loaded {
    client: Arc<Client>,
    loaded: Handle,
    outcomes: Vec<Outcome>,
    /// How each lies. Seen at the first run.
    lies: OnceLock<Vec<Lies>>,
}

// SAFETY: it is only run and read, which may be done from several threads, see [`Api`].
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = self.client.api.call(LoadedDestroy { executable: self.loaded });
    }
}

impl Loaded {
    fn new(client: &Arc<Client>, loaded: Handle) -> Result<Loaded, String> {
        let (client, outcomes) = (Arc::clone(client), Vec::new());
        let mut made = Loaded { client, loaded, outcomes, lies: OnceLock::new() };
        made.outcomes = made.outputs()?.into_iter().map(|it| Outcome::new(it.1)).collect();
        Ok(made)
    }

    /// Asks the executable behind it.
    fn executable<T>(
        &self,
        ask: impl FnOnce(&Api, Handle) -> Result<T, String>,
    ) -> Result<T, String> {
        let api = &self.client.api;
        let asked = GetExecutable { loaded: self.loaded, ..GetExecutable::default() };
        let executable = api.call(asked)?.executable;
        let answer = ask(api, executable);
        let _ = api.call(ExecutableDestroy { executable });
        answer
    }

    /// Types (as the plugin numbers them) and lengths of the outputs.
    pub(crate) fn outputs(&self) -> Result<Vec<(c_int, Vec<i64>)>, String> {
        self.executable(|api, executable| {
            let kinds = api.call(OutputTypes { executable, ..OutputTypes::default() })?;
            let shapes = api.call(OutputDims { executable, ..OutputDims::default() })?;
            // SAFETY: the lists live as long as the executable; the lengths of all outputs stand
            // one behind the other, as many as their ranks add up to.
            unsafe {
                let ranks = list(shapes.ranks, shapes.len);
                let mut dims = list(shapes.dims, ranks.iter().sum());
                let kinds = list(kinds.kinds, kinds.len);
                let output = |(&kind, &rank): (&c_int, &usize)| {
                    let (own, others) = dims.split_at(rank.min(dims.len()));
                    dims = others;
                    (kind, own.to_vec())
                };
                Ok(kinds.iter().zip(ranks).map(output).collect())
            }
        })
    }

    /// As bytes, for a file.
    pub(crate) fn serialize(&self) -> Result<Vec<u8>, String> {
        self.executable(|api, executable| {
            let given = api.call(Serialize { executable, ..Serialize::default() })?;
            // SAFETY: the bytes live until their owner is freed, once, by its own function.
            unsafe {
                let bytes = list(given.bytes, given.len).to_vec();
                if let Some(free) = given.free {
                    free(given.owner);
                }
                Ok(bytes)
            }
        })
    }
}
