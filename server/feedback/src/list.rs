//! Records that wait, packed: for what becomes of them on the way to the disk nothing else is needed.
//!
//! A record as a request holds it is several hundred bytes, most of them room for handles. Here it is a
//! head of a fixed size and a slot for each tensor that is logged; texts and values lie one after the
//! other in one piece of memory. A list goes to the writer and comes back empty with all its memory, so
//! that putting a record in takes nothing from the allocator.

use std::sync::Arc;
use std::time::SystemTime;

use backend_api::DType;
use bytes::Bytes;
use server_base::{Drawn, EventId, KeptTensor, Kind, Protocol, Reason, Route, Told, Trace};

use crate::parcel::{Parcel, Values};
use crate::rows::{duration, number};
use crate::schema::{Layout, Logged};
use crate::version::Version;

/// Records of one list: no list ever has to grow while others wait for the lock, unless by a record of
/// more tensors than a whole list has room for.
pub(crate) const LIST_RECORDS: usize = 256;

/// What the records of one list weigh, unless it is one alone: the writer takes lists as they are.
pub(crate) const LIST_WEIGHT_MAX: usize = 16 << 20;

/// Room for texts and values, 256 bytes for each record; 30 numbers and an answer of two are 128.
const LIST_BYTES: usize = 256 * LIST_RECORDS;

/// Tensors of one list.
pub(crate) const LIST_TENSORS: usize = 4 * LIST_RECORDS;

/// What an empty list holds.
pub(crate) const LIST_MEMORY: usize =
    LIST_BYTES + LIST_RECORDS * size_of::<Head>() + LIST_TENSORS * size_of::<Slot>();

/// See the module.
#[derive(Default)]
pub(crate) struct List {
    heads: Vec<Head>,
    slots: Vec<Slot>,
    /// Lengths of the axes of tensors that are logged with them.
    dims: Vec<usize>,
    links: Vec<Link>,
    values: Vec<u8>,
    /// What is too long to lie there.
    held: Vec<Bytes>,
    /// Whose records they are: one or few, unless many models are asked in turns.
    versions: Vec<Arc<Version>>,
    /// Who waits for which of them to be on the disk.
    told: Vec<(usize, Told)>,
    /// What they take of the budget.
    bytes: usize,
}

/// What every record has.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) event: EventId,
    pub(crate) time: SystemTime,
    /// What it takes of the budget.
    pub(crate) bytes: usize,
    rows: u32,
    pub(crate) latency_us: u32,
    pub(crate) queue_us: u32,
    pub(crate) infer_us: u32,
    pub(crate) batch_rows: u32,
    pub(crate) probability: f32,
    pub(crate) protocol: Protocol,
    pub(crate) route: Route,
    pub(crate) reason: Reason,
    pub(crate) failure: Option<Kind>,
    /// Are its texts and values among those that are held?
    is_held: bool,
    has_error: bool,
    has_link: bool,
    request_id: Place,
    error: Place,
    /// The first of its slots.
    slot: u32,
    link: u16,
    version: u16,
}

/// A line and a half of a cache, which one thread writes and another reads.
const _: () = assert!(size_of::<Head>() <= 96);

/// What not every record has.
struct Link {
    trace: Option<Trace>,
    pair: Option<EventId>,
    drawn: Option<Drawn>,
}

/// Where a text or value is: among the values, or which it is of those that are held.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    at: u32,
    len: u32,
}

/// A tensor that is logged. Without a type: the record has none in that place.
#[derive(Clone, Copy, Default)]
struct Slot {
    elements: usize,
    data: Place,
    dims: u32,
    rank: u8,
    dtype: Option<DType>,
}

impl List {
    pub(crate) fn with_room() -> List {
        List {
            heads: Vec::with_capacity(LIST_RECORDS),
            slots: Vec::with_capacity(LIST_TENSORS),
            values: Vec::with_capacity(LIST_BYTES),
            ..List::default()
        }
    }

    /// Can it be put in here? Into an empty list every record can.
    pub(crate) fn has_room(&self, parcel: &Parcel<'_>) -> bool {
        let weighs = self.bytes.saturating_add(parcel.bytes);
        self.heads.len() < LIST_RECORDS
            && (self.heads.is_empty() || weighs <= LIST_WEIGHT_MAX)
            && self.values.len() + parcel.packed() <= LIST_BYTES
            && (self.heads.is_empty() || self.slots.len() + parcel.tensors() <= LIST_TENSORS)
    }

    /// Puts a record in, of which nothing is needed any more then.
    pub(crate) fn put(&mut self, parcel: &mut Parcel<'_>, told: Option<Told>) {
        match std::mem::replace(&mut parcel.values, Values::Packed(0)) {
            Values::Packed(_) => self.fill(parcel, (told, false), List::pack),
            Values::Held(mut held) => {
                self.fill(parcel, (told, true), |list, _| list.hold(held.next()));
            }
        }
    }

    /// `keep` is called for every text and value, in the order in which they are held.
    #[inline]
    fn fill(
        &mut self,
        parcel: &Parcel<'_>,
        (told, is_held): (Option<Told>, bool),
        mut keep: impl FnMut(&mut List, &[u8]) -> Place,
    ) {
        let Parcel { record, version, error, bytes, .. } = parcel;
        let has_link = record.trace.is_some() || record.pair.is_some() || record.drawn.is_some();
        let head = Head {
            event: record.event,
            time: record.time,
            bytes: *bytes,
            rows: number(record.rows),
            latency_us: duration(record.latency),
            queue_us: duration(record.timing.queue),
            infer_us: duration(record.timing.compute_infer),
            batch_rows: number(record.timing.batch_rows),
            probability: record.probability,
            protocol: record.protocol,
            route: record.route,
            reason: record.reason,
            failure: record.failure.as_ref().map(|it| it.0),
            is_held,
            has_error: error.is_some(),
            has_link,
            request_id: keep(self, &record.request_id),
            error: error.map_or_else(Place::default, |it| keep(self, it.as_bytes())),
            slot: number(self.slots.len()),
            link: small(self.links.len()),
            version: self.version(version),
        };
        if has_link {
            let (trace, pair, drawn) = (record.trace, record.pair, record.drawn.clone());
            self.links.push(Link { trace, pair, drawn });
        }
        for (tensors, logged) in version.form.sides(record) {
            for it in logged {
                let slot = match tensors.get(it.place) {
                    Some(tensor) => {
                        let data = keep(self, tensor.data);
                        self.slot(it, tensor, data)
                    }
                    None => Slot::default(),
                };
                self.slots.push(slot);
            }
        }
        if let Some(told) = told {
            self.told.push((self.heads.len(), told));
        }
        self.heads.push(head);
        self.bytes += *bytes;
    }

    fn slot(&mut self, logged: &Logged, tensor: KeptTensor<'_>, data: Place) -> Slot {
        let mut slot = Slot {
            elements: tensor.elements,
            data,
            dims: number(self.dims.len()),
            rank: 0,
            dtype: Some(tensor.dtype),
        };
        if logged.layout == Layout::Whole {
            self.dims.extend_from_slice(tensor.dims);
            slot.rank = u8::try_from(tensor.dims.len()).unwrap_or(u8::MAX);
        }
        slot
    }

    fn pack(&mut self, data: &[u8]) -> Place {
        if data.is_empty() {
            return Place::default();
        }
        let place = Place { at: number(self.values.len()), len: number(data.len()) };
        self.values.extend_from_slice(data);
        place
    }

    fn hold(&mut self, data: Option<Bytes>) -> Place {
        let place = Place { at: number(self.held.len()), len: 0 };
        self.held.extend(data);
        place
    }

    /// Its place among the versions.
    fn version(&mut self, version: &Arc<Version>) -> u16 {
        let known = self.versions.iter().rposition(|it| Arc::ptr_eq(it, version));
        let place = known.unwrap_or_else(|| {
            self.versions.push(Arc::clone(version));
            self.versions.len() - 1
        });
        small(place)
    }

    /// How many records.
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// What they take of the budget.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who waits, each with the place of the record; nobody waits any more in here.
    pub(crate) fn take_told(&mut self) -> Vec<(usize, Told)> {
        std::mem::take(&mut self.told)
    }

    /// In the order in which they were put in.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.heads.iter().filter_map(|head| {
            let version = self.versions.get(usize::from(head.version))?;
            Some(Entry { list: self, head, version })
        })
    }

    /// Forgets them, and keeps as much memory as it had at first.
    pub(crate) fn clear(&mut self) {
        let List { heads, slots, dims, links, values, held, versions, told, bytes } = self;
        heads.clear();
        slots.clear();
        slots.shrink_to(LIST_TENSORS);
        values.clear();
        dims.clear();
        dims.shrink_to(LIST_TENSORS);
        links.clear();
        held.clear();
        held.shrink_to(LIST_TENSORS);
        versions.clear();
        told.clear();
        *bytes = 0;
    }
}

/// A number of records of one list.
fn small(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// A record in a list.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    list: &'a List,
    pub(crate) head: &'a Head,
    pub(crate) version: &'a Arc<Version>,
}

/// A tensor in a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View<'a> {
    pub(crate) dtype: DType,
    pub(crate) elements: usize,
    /// Lengths of the axes; empty where they are not logged.
    pub(crate) dims: &'a [usize],
    pub(crate) data: &'a [u8],
}

impl<'a> Entry<'a> {
    /// No more than can be counted there: what it weighs is bounded.
    pub(crate) fn rows(&self) -> usize {
        self.head.rows as usize
    }

    /// The caller's name for the request.
    pub(crate) fn request_id(&self) -> &'a [u8] {
        self.value(self.head.request_id)
    }

    /// Why there is no answer, as far as that is logged.
    pub(crate) fn error(&self) -> Option<&'a str> {
        let text = self.head.has_error.then(|| self.value(self.head.error))?;
        // It was a text when it was put in.
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn trace(&self) -> Option<Trace> {
        self.link()?.trace
    }

    pub(crate) fn pair(&self) -> Option<EventId> {
        self.link()?.pair
    }

    /// How likely it was that the model's traffic chose the version, if it did.
    pub(crate) fn drawn(&self) -> Option<&'a Drawn> {
        self.link()?.drawn.as_ref()
    }

    fn link(&self) -> Option<&'a Link> {
        self.list.links.get(usize::from(self.head.link)).filter(|_| self.head.has_link)
    }

    /// The tensor of that number among those that are logged: inputs, then outputs.
    pub(crate) fn tensor(&self, number: usize) -> Option<View<'a>> {
        let slot = self.list.slots.get(self.head.slot as usize + number)?;
        let (dtype, dims) = (slot.dtype?, self.list.dims.get(slot.dims as usize..)?);
        let dims = dims.get(..usize::from(slot.rank))?;
        Some(View { dtype, elements: slot.elements, dims, data: self.value(slot.data) })
    }

    fn value(&self, Place { at, len }: Place) -> &'a [u8] {
        let (at, len) = (at as usize, len as usize);
        if self.head.is_held {
            return self.list.held.get(at).map(|it| &it[..]).unwrap_or_default();
        }
        self.list.values.get(at..at + len).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
