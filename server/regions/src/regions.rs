//! All regions by name.
//!
//! Requests look a name up in a table that does not change; who registers or unregisters replaces the table. So a
//! request never waits, and keeps what it has found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::error::RegionError;
use crate::gpu::{Gpus, Ticket};
use crate::key::{self, NAME_BYTES_MAX};
use crate::metrics::{self, refused};
use crate::object::Object;
use crate::region::{Place, Region};
use crate::span::Span;

const NOT_ALLOWED: &str = "the server was started without --allow-client-cuda-shm";

type Table = BTreeMap<String, Arc<Region>>;

/// What may be registered at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Each is an open file; clients have one or two for each of their connections.
    pub regions_max: usize,
    /// Memory that an object takes is not given back while it is registered, also when its client has died: so
    /// much of it at most, and so much of the GPUs' memory. The size of whole objects counts, once for each name.
    pub bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        // A thousand descriptors beside the eight thousand of connections; and four times what all
        // requests may take, for clients keep several tensors ready.
        Limits { regions_max: 1_024, bytes_max: 4 << 30 }
    }
}

/// What a GPU's driver is called for; each kind of work has a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverWork {
    /// Memory is opened: [`Regions::register_cuda`].
    Opens,
    /// Spans on GPUs are read and written.
    Copies,
}

/// What memory is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// POSIX shared memory objects.
    System,
    /// Memory of NVIDIA's GPUs.
    Cuda,
}

impl RegionKind {
    fn label(self) -> &'static str {
        match self {
            RegionKind::System => "system",
            RegionKind::Cuda => "cuda",
        }
    }

    /// In front of "shared memory region".
    fn words(self) -> &'static str {
        match self {
            RegionKind::System => "system ",
            RegionKind::Cuda => "cuda ",
        }
    }

    fn of(region: &Region) -> RegionKind {
        match region.place() {
            Place::System { .. } => RegionKind::System,
            Place::Cuda { .. } => RegionKind::Cuda,
        }
    }
}

/// Regions of all clients: names are common to all of them, as in Triton.
pub struct Regions {
    table: ArcSwap<Table>,
    limits: Limits,
    /// None: memory of GPUs may not be shared.
    gpus: Option<Gpus>,
    /// Who changes the table.
    turn: Mutex<()>,
}

impl Regions {
    /// Without any.
    pub fn new(limits: Limits) -> Regions {
        let table = ArcSwap::from_pointee(Table::new());
        let regions = Regions { table, limits, gpus: None, turn: Mutex::new(()) };
        regions.show(&Table::new());
        regions
    }

    /// Those of GPUs, too.
    pub fn with_gpus(self, gpus: Option<Gpus>) -> Regions {
        Regions { gpus, ..self }
    }

    /// May memory of GPUs be shared, if it can be?
    pub fn allows_gpus(&self) -> bool {
        self.gpus.is_some()
    }

    /// Has a thread of the driver's do what may take as long as the driver, in turn. If the ticket is dropped before
    /// it has begun, it is withdrawn, and nothing of it is kept.
    pub fn aside(
        &self,
        work: DriverWork,
        errand: impl FnOnce() + Send + 'static,
    ) -> Result<Ticket, RegionError> {
        let not_allowed = || RegionError::NoGpu { why: NOT_ALLOWED.to_owned() };
        let gpus = self.gpus.as_ref().ok_or_else(not_allowed);
        gpus.and_then(|it| it.aside(work, errand)).map_err(refused)
    }

    /// Why memory of GPUs cannot be registered; `None`: it can.
    pub fn gpus_lack(&self) -> Option<String> {
        self.gpus.as_ref().map_or(Some(NOT_ALLOWED.to_owned()), Gpus::lack)
    }

    /// Makes `bytes` of an object, from `offset` on, known under a name.
    pub fn register_system(
        &self,
        name: &str,
        key: &str,
        (offset, bytes): (u64, u64),
    ) -> Result<(), RegionError> {
        let made = || {
            let region = || name.to_owned();
            let object =
                key::object(key).map_err(|why| RegionError::Key { region: region(), why })?;
            let object = Object::open(object)
                .map_err(|why| RegionError::Object { region: region(), why })?;
            let (end, size) = (offset.checked_add(bytes), object.len());
            if bytes == 0 || end.is_none_or(|it| it > size) {
                let why = format!(
                    "offset {offset} and byte_size {bytes} are not at least one byte within the object's {size}"
                );
                return Err(RegionError::Size { region: region(), why });
            }
            Ok(Region::system(region(), (key.to_owned(), offset, bytes), object))
        };
        self.register(name, made)
    }

    /// Makes the first `bytes` of memory on a GPU known under a name. The handle is what another process was given
    /// for it. Takes as long as the driver, so it is for [`Regions::aside`].
    pub fn register_cuda(
        &self,
        name: &str,
        (device, handle): (i64, &[u8]),
        bytes: u64,
    ) -> Result<(), RegionError> {
        self.register(name, || {
            let not_allowed = || RegionError::NoGpu { why: NOT_ALLOWED.to_owned() };
            let gpus = self.gpus.as_ref().ok_or_else(not_allowed)?;
            let (number, memory) = gpus.memory(name, (device, handle), bytes)?;
            Ok(Region::cuda(name.to_owned(), number, (memory, bytes)))
        })
    }

    /// Opening what is to be registered may take its time, so nobody else waits for it.
    fn register(
        &self,
        name: &str,
        made: impl FnOnce() -> Result<Region, RegionError>,
    ) -> Result<(), RegionError> {
        let region = checked(name)
            .and_then(|()| self.takes(&self.table.load(), name))
            .and_then(|()| made())
            .map_err(refused)?;
        let (kind, bytes, held) = (RegionKind::of(&region).label(), region.bytes(), region.held());
        // A panic in here leaves the table as it was.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        self.takes(&table, name).and_then(|()| self.holds(&table, &region)).map_err(refused)?;
        table.insert(name.to_owned(), Arc::new(region));
        self.publish(table);
        tracing::info!(region = name, kind, bytes, held, "shared memory registered");
        Ok(())
    }

    /// Is there room for one more, under that name?
    fn takes(&self, table: &Table, name: &str) -> Result<(), RegionError> {
        if table.contains_key(name) {
            return Err(RegionError::Exists { region: name.to_owned() });
        }
        let most = self.limits.regions_max;
        if table.len() >= most {
            let (region, limit) = (name.to_owned(), format!("{most} regions"));
            return Err(RegionError::Full { region, limit });
        }
        Ok(())
    }

    /// And for what it keeps?
    fn holds(&self, table: &Table, more: &Region) -> Result<(), RegionError> {
        let most = self.limits.bytes_max;
        let alike = |it: &&Arc<Region>| RegionKind::of(it) == RegionKind::of(more);
        let held =
            table.values().filter(alike).map(|it| it.held()).fold(more.held(), u64::saturating_add);
        if held > most {
            let (region, limit) = (more.name().to_owned(), format!("{most} bytes"));
            return Err(RegionError::Full { region, limit });
        }
        Ok(())
    }

    /// Takes a name back; all of that kind, if none is named. One that is not there is no mistake: clients clean
    /// up before they begin. Requests that use the region go on. Memory of a GPU is closed aside
    /// ([`DriverWork::Opens`]), before anything that is asked of that thread from now on.
    pub fn unregister(&self, kind: RegionKind, name: Option<&str>) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        let goes =
            |it: &Region| RegionKind::of(it) == kind && name.is_none_or(|name| it.name() == name);
        let mut gone = 0;
        table.retain(|_, it| {
            let goes = goes(it);
            gone += usize::from(goes);
            !goes
        });
        if gone > 0 {
            let name = name.unwrap_or("(all)");
            tracing::info!(region = name, kind = kind.label(), gone, "shared memory unregistered");
            self.publish(table);
        }
    }

    /// Those of a kind; the one of that name, if one is named.
    pub fn status(
        &self,
        kind: RegionKind,
        name: Option<&str>,
    ) -> Result<Vec<Arc<Region>>, RegionError> {
        let table = self.table.load();
        let of_kind = |it: &&Arc<Region>| RegionKind::of(it) == kind;
        let Some(name) = name else { return Ok(table.values().filter(of_kind).cloned().collect()) };
        match table.get(name).filter(of_kind) {
            Some(it) => Ok(vec![Arc::clone(it)]),
            None => {
                let (of, region) = (kind.words(), name.to_owned());
                Err(refused(RegionError::Unknown { of, region }))
            }
        }
    }

    /// What a request reads or writes.
    pub fn span(&self, region: &str, offset: u64, bytes: u64) -> Result<Span, RegionError> {
        let found = self.table.load().get(region).cloned();
        let unknown = || RegionError::Unknown { of: "", region: region.to_owned() };
        found.ok_or_else(unknown).and_then(|it| Span::new(it, offset, bytes)).map_err(refused)
    }

    fn publish(&self, table: Table) {
        self.show(&table);
        self.table.store(Arc::new(table));
    }

    fn show(&self, table: &Table) {
        for kind in [RegionKind::System, RegionKind::Cuda] {
            let of_kind = || table.values().filter(|it| RegionKind::of(it) == kind);
            let held = of_kind().map(|it| it.held()).fold(0, u64::saturating_add);
            metrics::show(kind.label(), of_kind().count(), held);
        }
    }
}

/// A name goes into logs, answers and errors.
fn checked(name: &str) -> Result<(), RegionError> {
    let why = match name.len() {
        0 => "it is empty".to_owned(),
        1..=NAME_BYTES_MAX if !name.chars().any(char::is_control) => return Ok(()),
        1..=NAME_BYTES_MAX => "it has control characters".to_owned(),
        bytes => format!("it has {bytes} bytes, at most {NAME_BYTES_MAX} may be"),
    };
    Err(RegionError::Name { why })
}

#[cfg(test)]
#[path = "regions_tests.rs"]
mod tests;
