//! What a request takes out of memory that its client shares with the server, and puts into it.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use server_base::NamedTensor;
use server_regions::{RegionError, Regions, Span};
use server_serving::{InferError, Trip};
use tokio::sync::{Semaphore, oneshot};

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
}

impl<'a> Memory<'a> {
    pub(crate) fn of(shared: &'a Shared, trip: &'a mut Trip) -> Memory<'a> {
        let bytes_max = shared.options.request_bytes_max;
        Memory { regions: shared.regions.as_deref(), trip: Some(trip), left: bytes_max, bytes_max }
    }

    #[cfg(test)]
    pub(crate) fn off() -> Memory<'a> {
        Memory { regions: None, trip: None, left: 0, bytes_max: 0 }
    }

    #[cfg(test)]
    pub(crate) fn over(regions: &'a Regions, bytes_max: usize) -> Memory<'a> {
        Memory { regions: Some(regions), trip: None, left: bytes_max, bytes_max }
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
        span.read().map_err(|it| failed(&it))
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

    /// Puts them there.
    pub(crate) fn write(&self, outputs: &[NamedTensor<'_>]) -> Result<(), InferError> {
        for (output, target) in outputs.iter().zip(&self.0) {
            if let Some(span) = target {
                span.write(&output.name, output.tensor.data()).map_err(|it| failed(&it))?;
            }
        }
        Ok(())
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
/// thread waits for it; one at a time.
pub(crate) async fn register_cuda(
    shared: &Arc<Shared>,
    name: String,
    (device, handle, bytes): (i64, Vec<u8>, u64),
) -> Result<(), Failed> {
    static ONE: Semaphore = Semaphore::const_new(1);
    served(shared).map_err(Failed::Infer)?;
    // Never closed. Whoever waits holds one of the places that all requests share.
    let _turn = ONE.acquire().await;
    let (told, done) = oneshot::channel();
    let with = Arc::clone(shared);
    let register = move || {
        let regions = with.regions.as_deref();
        let done = regions.map(|it| it.register_cuda(&name, (device, &handle), bytes));
        let _ = told.send(done); // nobody may wait any more
    };
    let started = thread::Builder::new().name("cuda".to_owned()).spawn(register);
    started.map_err(|_| Failed::Infer(InferError::Dropped))?;
    match done.await {
        Ok(Some(done)) => done.map_err(Failed::Region),
        Ok(None) | Err(_) => Err(Failed::Infer(InferError::Dropped)),
    }
}

fn failed(error: &RegionError) -> InferError {
    InferError::Memory { kind: error.kind(), text: error.to_string() }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
