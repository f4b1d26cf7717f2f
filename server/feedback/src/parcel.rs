//! A record on its way into a list, looked at beforehand: what goes in, how much that is and where it
//! will lie. What takes time is done here, so not under the queue's lock.

use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use server_base::{Record, Unlogged};

use crate::copies::copied;
use crate::version::Version;
use crate::weight::Weight;

/// Texts and values of one record that are copied under the lock: it is held for less than a microsecond
/// by that, even if the memory is in no cache.
pub(crate) const PACKED_BYTES_MAX: usize = 4 << 10;

/// See the module.
pub(crate) struct Parcel<'a> {
    pub(crate) record: &'a Record,
    pub(crate) version: &'a Arc<Version>,
    /// As far as it is logged.
    pub(crate) error: Option<&'a str>,
    /// What it takes of the budget.
    pub(crate) bytes: usize,
    pub(crate) values: Values,
    weight: Weight,
}

/// Where texts and values are to lie.
pub(crate) enum Values {
    /// In the list, so many bytes.
    Packed(usize),
    /// There by handles only: these, in the order in which they are put in.
    Held(IntoIter<Bytes>),
}

impl<'a> Parcel<'a> {
    pub(crate) fn new(
        record: &'a Record,
        version: &'a Arc<Version>,
    ) -> Result<Parcel<'a>, Unlogged> {
        let form = &version.form;
        let (weight, error) = (Weight::of(record, form), form.error(record));
        let packed = weight.values + record.request_id.len() + error.map_or(0, str::len);
        let (bytes, values) = (weight.charge()?, Values::Packed(packed));
        Ok(Parcel { record, version, error, bytes, values, weight })
    }

    /// Is it too long to be copied under the lock? Then it is held before.
    pub(crate) fn is_long(&self) -> bool {
        self.packed() > PACKED_BYTES_MAX
    }

    /// Takes hold of texts and values. For one that has its place within the bounds: it may copy much.
    pub(crate) fn hold(&mut self) {
        let Parcel { record, version, error, .. } = self;
        let texts = [Some(&record.request_id[..]), error.map(str::as_bytes)];
        let mut held: Vec<Bytes> = texts.into_iter().flatten().map(copied).collect();
        for (side, (tensors, logged)) in version.form.sides(record).into_iter().enumerate() {
            let tensors = logged.iter().filter_map(|it| tensors.get(it.place));
            held.extend(tensors.map(|it| self.weight.kept(it, side)));
        }
        self.values = Values::Held(held.into_iter());
    }

    /// Bytes that it takes of the list's room for values.
    pub(crate) fn packed(&self) -> usize {
        match self.values {
            Values::Packed(bytes) => bytes,
            Values::Held(_) => 0,
        }
    }

    /// Slots that it takes.
    pub(crate) fn tensors(&self) -> usize {
        let columns = &self.version.form.columns;
        columns.inputs.len() + columns.outputs.len()
    }
}
