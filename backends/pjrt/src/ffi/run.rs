//! One run of a program: inputs lent, outputs copied out, everything freed.
//!
//! No unsafe code of its own: what it hands to `Api::call` is proven at each call.

use std::ptr;

use backend_api::Tensor;

use super::{Client, Lies, Loaded};
use crate::functions::{
    BufferDestroy, BufferFromHost, Execute, Handle, IN_PLACE, Layout, RunOptions, ToHost, kind_of,
};
use crate::rows;

impl Loaded {
    /// Runs it on a device, by its place. Inputs must be aligned and of the program's number, types
    /// and shapes; each output goes to one of `to`, which has exactly its size.
    pub(crate) fn run(
        &self,
        place: usize,
        inputs: &[Tensor],
        to: &mut [&mut [u8]],
    ) -> Result<(), String> {
        let api = &self.client.api;
        let device = self.client.device(place)?;
        let lent = inputs.iter().map(|it| Lent::new((&self.client, device), it));
        let lent = lent.collect::<Result<Vec<Lent<'_>>, _>>()?;
        let outputs = self.outcomes.len();
        if to.len() != outputs {
            return Err(format!("{} outputs where the program has {outputs}", to.len()));
        }
        let handles: Vec<Handle> = lent.iter().map(|it| it.buffer).collect();
        let mut results = vec![ptr::null_mut(); outputs];
        let inputs = [handles.as_ptr()];
        let (outputs, options) = ([results.as_mut_ptr()], RunOptions::new());
        // One device; every list is as long as it is said to be and lives until the call is over.
        api.call(Execute {
            executable: self.loaded,
            options: &raw const options,
            inputs: inputs.as_ptr(),
            devices_len: 1,
            inputs_len: handles.len(),
            outputs: outputs.as_ptr(),
            // Each result says when it is there, and why it is not.
            done: ptr::null_mut(),
            device,
        })?;
        let results: Vec<Owned<'_>> =
            results.into_iter().map(|buffer| Owned { client: &self.client, buffer }).collect();
        let lies = self.lies.get_or_init(|| {
            let both = results.iter().zip(&self.outcomes);
            both.map(|(it, outcome)| self.client.lies(it.buffer, &outcome.rows)).collect()
        });
        for (((result, outcome), lies), to) in results.iter().zip(&self.outcomes).zip(lies).zip(to)
        {
            match lies {
                Lies::Rows if self.client.copy_here(result.buffer, to)? => {}
                Lies::Rows | Lies::Unsaid => self.client.copy(result.buffer, &outcome.rows, to)?,
                Lies::Otherwise(order) => {
                    // As it lies, which no plugin has to think about.
                    let mut from = vec![0; to.len()];
                    self.client.copy(result.buffer, order, &mut from)?;
                    rows::put(&from, &outcome.dims, order, to)?;
                }
            }
        }
        Ok(())
    }
}

impl Client {
    /// Has the plugin copy a result, with its axes in that order.
    fn copy(&self, source: Handle, order: &[i64], to: &mut [u8]) -> Result<(), String> {
        let (layout, to, len) = (Layout::new(order), to.as_mut_ptr(), to.len());
        let layout = &raw const layout;
        // The plugin refuses less memory than it needs, and has written when the event is over.
        let copy = ToHost { source, layout, to, len, ..ToHost::default() };
        self.api.wait(self.api.call(copy)?.event)
    }
}

/// A buffer of the plugin's.
struct Owned<'a> {
    client: &'a Client,
    buffer: Handle,
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        let _ = self.client.api.call(BufferDestroy { buffer: self.buffer });
    }
}

/// A buffer that may lie in memory of ours. Freed, it is not followed any more.
struct Lent<'a> {
    client: &'a Client,
    buffer: Handle,
    done: Handle,
    /// The memory.
    _tensor: &'a Tensor,
}

impl<'a> Lent<'a> {
    fn new((client, device): (&'a Client, Handle), tensor: &'a Tensor) -> Result<Lent<'a>, String> {
        let kind = kind_of(tensor.dtype()).ok_or("the type is not carried")?;
        let dims = tensor.shape().to_wire();
        // The elements are as many as type and shape say (an invariant of Tensor), are never
        // written, and live as long as the result.
        let lent = client.api.call(BufferFromHost {
            client: client.client,
            data: tensor.data().as_ptr(),
            kind,
            dims: dims.as_ptr(),
            rank: dims.len(),
            semantics: IN_PLACE,
            device,
            ..BufferFromHost::default()
        })?;
        Ok(Lent { client, buffer: lent.buffer, done: lent.done, _tensor: tensor })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let _ = self.client.api.call(BufferDestroy { buffer: self.buffer });
        let _ = self.client.api.wait(self.done);
    }
}
