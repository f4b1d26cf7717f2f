//! What a request takes out of memory that its client shares with the server, and puts into it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use server_base::{Kind, NamedTensor, limits};
use server_regions::{DriverWork, RegionError, RegionKind, Regions, Span};
use server_serving::{InferError, Servable, Trip};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::dispatch::Shared;

/// The parameter that names a region; the others begin alike.
pub(crate) const REGION: &str = "shared_memory_region";
pub(crate) const OFFSET: &str = "shared_memory_offset";
pub(crate) const BYTES: &str = "shared_memory_byte_size";

/// What a tensor's parameters say: where its elements are, or are to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At<'a> {
    pub(crate) region: &'a str,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl<'a> At<'a> {
    /// Out of the parameters of a tensor; nothing if there are none of these.
    pub(crate) fn new(
        tensor: &str,
        (region, offset, bytes): (Option<&'a str>, Option<u64>, Option<u64>),
    ) -> Result<Option<At<'a>>, InferError> {
        match (region, bytes) {
            (None, None) if offset.is_none() => Ok(None),
            (Some(region), Some(bytes)) => {
                Ok(Some(At { region, offset: offset.unwrap_or(0), bytes }))
            }
            (region, _) => {
                let missing = if region.is_none() { REGION } else { BYTES };
                Err(InferError::Invalid(format!("'{tensor}' lacks the parameter '{missing}'")))
            }
        }
    }
}

/// Clients' memory, as far as one request may use it.
pub(crate) struct Memory<'a> {
    /// None: the server takes none.
    regions: Option<&'a Regions>,
    /// Holds the request's share of the budget.
    trip: Option<&'a mut Trip>,
    /// Bytes that may still be read, and could be at first: as many as a body may have.
    left: usize,
    bytes_max: usize,
    copies: Copies,
}

/// Inputs that lie on GPUs, by their place among those that lie in their client's memory. The driver makes copies
/// of them, which nobody who serves others may wait for: see [`fetch`].
#[derive(Debug)]
pub(crate) struct Far {
    spans: Vec<Option<Span>>,
    until: Instant,
}

/// These copies, by the same places. Those of nearly all requests are none, which takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Copies(VecDeque<Option<Bytes>>);

impl<'a> Memory<'a> {
    pub(crate) fn of(shared: &'a Shared, trip: &'a mut Trip, copies: Copies) -> Memory<'a> {
        let (regions, bytes_max) = (shared.regions.as_deref(), shared.options.request_bytes_max);
        Memory { regions, trip: Some(trip), left: bytes_max, bytes_max, copies }
    }

    #[cfg(test)]
    pub(crate) fn off() -> Memory<'a> {
        Memory { regions: None, trip: None, left: 0, bytes_max: 0, copies: Copies::default() }
    }

    #[cfg(test)]
    pub(crate) fn over(regions: &'a Regions, bytes_max: usize) -> Memory<'a> {
        Memory { regions: Some(regions), left: bytes_max, bytes_max, ..Memory::off() }
    }

    /// Which inputs lie on GPUs, if some do that have not been copied yet; their copies are charged to the request.
    /// `inputs` are all that lie in their client's memory. `Far` is to be fetched within the request's time.
    pub(crate) fn far<'n>(
        &mut self,
        inputs: impl Iterator<Item = Result<At<'n>, InferError>>,
        (servable, timeout): (Option<&Servable>, Option<Duration>),
    ) -> Result<Option<Far>, InferError> {
        let Some(regions) = self.regions.filter(|it| it.allows_gpus()) else { return Ok(None) };
        if !self.copies.0.is_empty() {
            return Ok(None);
        }
        let (mut spans, mut bytes) = (Vec::new(), 0_u64);
        for at in inputs {
            let At { region, offset, bytes: more } = at?;
            let span = regions.span(region, offset, more).map_err(|it| failed(&it))?;
            bytes = bytes.saturating_add(span.bytes());
            spans.push(Some(span).filter(Span::is_far));
        }
        if spans.iter().all(Option::is_none) {
            return Ok(None);
        }
        let bytes_max = self.bytes_max;
        let bytes = usize::try_from(bytes).ok().filter(|it| *it <= bytes_max);
        let bytes = bytes.ok_or(InferError::TooLarge { bytes_max })?;
        let mut arrived = Instant::now();
        if let Some(trip) = self.trip.as_deref_mut() {
            trip.reads(bytes)?;
            arrived = trip.arrived();
        }
        let usual = servable.map_or(limits::REQUEST_TIMEOUT_MAX, |it| it.plan().timeout);
        let timeout = timeout.unwrap_or(usual).min(limits::REQUEST_TIMEOUT_MAX);
        Ok(Some(Far { spans, until: arrived + timeout }))
    }

    /// Refuses a parameter that means something only where there are regions. Ignoring it would be worse.
    pub(crate) fn serves(&self, parameter: &str, tensor: &str) -> Result<&'a Regions, InferError> {
        self.regions.ok_or_else(|| {
            InferError::Unimplemented(format!(
                "parameter '{parameter}' of '{tensor}' asks for an extension that is not served: the server \
                 takes no memory of clients (--allow-client-shm)"
            ))
        })
    }

    /// An input that lies there has no elements anywhere else.
    pub(crate) fn only(&self, tensor: &str, has_others: bool) -> Result<(), InferError> {
        self.serves(REGION, tensor)?;
        if has_others {
            let text = format!("input '{tensor}' has both '{REGION}' and elements of its own");
            return Err(InferError::Invalid(text));
        }
        Ok(())
    }

    /// A copy of an input's elements, charged to the request.
    pub(crate) fn input(&mut self, tensor: &str, at: At<'_>) -> Result<Bytes, InferError> {
        let span = self.output(tensor, at)?;
        let bytes_max = self.bytes_max;
        let bytes = usize::try_from(span.bytes()).ok().filter(|it| *it <= self.left);
        let bytes = bytes.ok_or(InferError::TooLarge { bytes_max })?;
        let left = self.left - bytes;
        let read = self.bytes_max - left;
        self.trip.as_deref_mut().map_or(Ok(()), |it| it.reads(read))?;
        self.left = left;
        match self.copies.0.pop_front().flatten() {
            Some(copy) if copy.len() == bytes => Ok(copy),
            // Between two looks its name was given to something else.
            Some(_) => Err(moved(tensor)),
            None if span.is_far() => Err(moved(tensor)),
            None => span.read().map_err(|it| failed(&it)),
        }
    }

    /// Where an output goes.
    pub(crate) fn output(&self, tensor: &str, at: At<'_>) -> Result<Span, InferError> {
        let regions = self.serves(REGION, tensor)?;
        regions.span(at.region, at.offset, at.bytes).map_err(|it| failed(&it))
    }
}

/// The outputs that go into clients' memory, by their place among those that are asked for. Those of nearly all
/// requests are none, which takes no memory.
#[derive(Default)]
pub(crate) struct Targets(Vec<Option<Span>>);

impl Targets {
    /// The output at that place goes there; call it for one place after the other.
    pub(crate) fn push(&mut self, place: usize, span: Span) {
        self.0.resize(place, None);
        self.0.push(Some(span));
    }

    /// Where the output at that place goes.
    pub(crate) fn at(&self, place: usize) -> Option<&Span> {
        self.0.get(place)?.as_ref()
    }

    /// Is one of them on a GPU?
    pub(crate) fn are_far(&self) -> bool {
        self.0.iter().flatten().any(Span::is_far)
    }

    /// Puts them there, but for those that go to a GPU.
    pub(crate) fn write(&self, outputs: &[NamedTensor<'_>]) -> Result<(), InferError> {
        for (output, span) in self.taken(outputs).filter(|it| !it.1.is_far()) {
            span.write(&output.name, output.tensor.data()).map_err(|it| failed(&it))?;
        }
        Ok(())
    }

    /// Has the driver put those there that go to a GPU, within the request's time.
    pub(crate) async fn carry(
        &self,
        shared: &Shared,
        outputs: &[NamedTensor<'_>],
        until: Instant,
    ) -> Result<(), InferError> {
        let far = self.taken(outputs).filter(|it| it.1.is_far());
        let owned = |(output, span): (&NamedTensor<'_>, &Span)| {
            (output.name.to_string(), output.tensor.data().clone(), span.clone())
        };
        let far: Vec<(String, Bytes, Span)> = far.map(owned).collect();
        let write =
            move || far.iter().try_for_each(|(output, data, span)| span.write(output, data));
        let written = aside(shared, (DriverWork::Copies, until), write).await?;
        written.map_err(|it| failed(&it))
    }

    fn taken<'o>(
        &'o self,
        outputs: &'o [NamedTensor<'o>],
    ) -> impl Iterator<Item = (&'o NamedTensor<'o>, &'o Span)> {
        outputs.iter().zip(&self.0).filter_map(|(output, span)| Some((output, span.as_ref()?)))
    }
}

/// Has the driver copy inputs to the host.
pub(crate) async fn fetch(shared: &Shared, far: Far) -> Result<Copies, InferError> {
    let Far { spans, until } = far;
    let read = move || {
        let copies = spans.iter().map(|it| it.as_ref().map(Span::read).transpose());
        copies.collect::<Result<VecDeque<_>, _>>()
    };
    let copies = aside(shared, (DriverWork::Copies, until), read).await?;
    copies.map(Copies).map_err(|it| failed(&it))
}

/// What a thread of the driver's comes to, if it does so in time. If not, the errand is given up.
async fn aside<T: Send + 'static>(
    shared: &Shared,
    (work, until): (DriverWork, Instant),
    errand: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InferError> {
    let asked = Instant::now();
    let (told, done) = oneshot::channel();
    let errand = move || drop(told.send(errand())); // nobody may wait any more
    let _ticket = served(shared)?.aside(work, errand).map_err(|it| failed(&it))?;
    match timeout_at(until.into(), done).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(InferError::Dropped),
        Err(_) => Err(InferError::Expired { waited: asked.elapsed() }),
    }
}

/// The regions, for who registers and unregisters them.
pub(crate) fn served(shared: &Shared) -> Result<&Regions, InferError> {
    shared.regions.as_deref().ok_or_else(|| {
        let text =
            "memory of clients is not served: the server was started without --allow-client-shm";
        InferError::Unimplemented(text.to_owned())
    })
}

/// Why memory of a GPU was not registered.
pub(crate) enum Failed {
    Region(RegionError),
    Infer(InferError),
}

/// Registers memory of a GPU: device, handle, size. The driver may take its time, the first time above all, so a
/// thread of its own waits for it, for one at a time.
pub(crate) async fn register_cuda(
    shared: &Arc<Shared>,
    name: String,
    (device, handle, bytes): (i64, Vec<u8>, u64),
) -> Result<(), Failed> {
    let with = Arc::clone(shared);
    let register = move || {
        let regions = with.regions.as_deref();
        regions.map(|it| it.register_cuda(&name, (device, &handle), bytes))
    };
    let until = Instant::now() + limits::REQUEST_TIMEOUT_MAX;
    match aside(shared, (DriverWork::Opens, until), register).await {
        Ok(Some(done)) => done.map_err(Failed::Region),
        Ok(None) => Err(Failed::Infer(InferError::Dropped)),
        Err(error) => Err(Failed::Infer(error)),
    }
}

/// Takes names of GPUs' memory back, and answers when the driver has closed it: until then its client must not give
/// it back. Where requests still use it, that is later, when they have ended.
pub(crate) async fn unregister_cuda(shared: &Shared, name: Option<&str>) -> Result<(), InferError> {
    let regions = served(shared)?;
    regions.unregister(RegionKind::Cuda, name);
    // Also where the name was gone before: who asked then may not have had the patience.
    if regions.gpus_lack().is_some() {
        return Ok(());
    }
    let until = Instant::now() + limits::REQUEST_TIMEOUT_MAX;
    aside(shared, (DriverWork::Opens, until), || ()).await
}

fn moved(tensor: &str) -> InferError {
    let text = format!("the memory of input '{tensor}' was registered anew while it was read");
    InferError::Memory { kind: Kind::Invalid, text }
}

fn failed(error: &RegionError) -> InferError {
    InferError::Memory { kind: error.kind(), text: error.to_string() }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
