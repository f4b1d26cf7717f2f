//! Where predictions come from: between the requests and the prediction log.
//!
//! What a request offers to the log is seen on its way there: the answer alone, by a handle, or as a
//! copy if it is small. Whoever answers requests waits for a few instructions, and wakes nobody.

use std::sync::{Arc, Mutex, PoisonError};

use backend_api::Tensor;
use server_base::{
    KeptTensor, LogConfig, ModelName, PredictionLog, Reason, Record, Route, Subject, Told,
    VersionLog,
};
use smallvec::SmallVec;

use crate::form::Form;
use crate::metrics;
use crate::truth::{Truth, micros};

/// Answers that wait for the thread, which looks twenty times a second.
const SEEN_MAX: usize = 65_536;

/// Bytes of these.
const BYTES_MAX: usize = 32 << 20;

/// A tensor that is no longer is copied: it may be a slice of a batch, all of which it would keep.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// An answer on its way to the book.
pub(crate) struct Seen {
    pub(crate) model: ModelName,
    pub(crate) form: Arc<Form>,
    pub(crate) id: SmallVec<[u8; 40]>,
    pub(crate) time_us: i64,
    pub(crate) rows: usize,
    pub(crate) tensor: Tensor,
}

/// Answers that wait.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    seen: Vec<Seen>,
    bytes: usize,
}

impl Pending {
    fn put(&self, seen: Seen) {
        let bytes = seen.tensor.data().len() + size_of::<Seen>();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.seen.len() < SEEN_MAX && waiting.bytes + bytes <= BYTES_MAX {
            waiting.bytes += bytes;
            waiting.seen.push(seen);
            return;
        }
        drop(waiting);
        metrics::forgotten("predictions", "queue", seen.rows as u64);
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting).seen
    }
}

/// A log that is looked at.
#[derive(Debug)]
struct Tapped {
    truth: Arc<Truth>,
    log: Arc<dyn PredictionLog>,
}

/// The log, with everything that goes there seen.
pub fn over(truth: &Arc<Truth>, log: Arc<dyn PredictionLog>) -> Arc<dyn PredictionLog> {
    Arc::new(Tapped { truth: Arc::clone(truth), log })
}

impl PredictionLog for Tapped {
    fn open(&self, subject: Subject) -> Result<Arc<dyn VersionLog>, String> {
        let Some(config) = subject.truth.clone() else {
            self.truth.close(&subject.model, subject.version);
            return self.log.open(subject);
        };
        // First the log's own faults: a model whose name is no folder's is one of them.
        let log = self.log.open(subject.clone())?;
        let form = self.truth.open(&subject, &config)?;
        Ok(Arc::new(TappedVersion {
            truth: Arc::clone(&self.truth),
            model: subject.model,
            form,
            log,
        }))
    }
}

/// The same of one version.
struct TappedVersion {
    truth: Arc<Truth>,
    model: ModelName,
    form: Arc<Form>,
    log: Arc<dyn VersionLog>,
}

impl VersionLog for TappedVersion {
    fn config(&self) -> &LogConfig {
        self.log.config()
    }

    fn offer(&self, record: &Record) {
        self.see(record);
        self.log.offer(record);
    }

    fn commit(&self, record: &Record, told: Told) {
        self.see(record);
        self.log.commit(record, told);
    }
}

impl TappedVersion {
    /// One that failed has no answer, what was asked before has been seen, and what a rule alone has logged
    /// comes more often than it should.
    fn see(&self, record: &Record) {
        if record.route == Route::Replay || record.reason != Reason::Uniform {
            return;
        }
        let tensor = record.outputs.get(self.form.place);
        let Some(tensor) = tensor.and_then(slim) else { return };
        self.truth.pending.put(Seen {
            model: self.model.clone(),
            form: Arc::clone(&self.form),
            id: id(record),
            time_us: micros(record.time),
            rows: record.rows,
            tensor,
        });
    }
}

/// As in the log's column `request_id`; a copy's is that of the request it was made of.
fn id(record: &Record) -> SmallVec<[u8; 40]> {
    if !record.request_id.is_empty() {
        return record.request_id.clone();
    }
    let event = record.pair.unwrap_or(record.event);
    SmallVec::from_slice(event.to_string().as_bytes())
}

fn slim(tensor: KeptTensor<'_>) -> Option<Tensor> {
    let held = tensor.held.filter(|_| tensor.data.len() > COPIED_BYTES_MAX);
    KeptTensor { held, ..tensor }.tensor()
}
