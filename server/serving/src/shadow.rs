//! Copies of requests for another version, whose answers are compared with the served ones and never
//! returned.
//!
//! Nobody waits for a shadow: a copy that finds its lane busy, or too many copies under way, is left
//! out and counted. Both answers are put aside when they come; a thread of the shadow's own compares
//! them, so that no instance does.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{fmt, io, thread};

use backend_api::Tensor;
use crossbeam_channel::{Receiver, Sender, bounded};
use server_base::{Kind, VersionChoice};

use crate::compare::{CLASSES, Difference, compare};
use crate::copies::{CopyMetrics, LeftOut};
use crate::dispute::Dispute;
use crate::error::InferError;
use crate::reply::Answer;
use crate::servable::Servable;

/// Copies under way at a time. They hold their share of the budget for requests, so there are few.
const UNDER_WAY_MAX: usize = 64;

/// Copies that may wait for the shadow's instances: one batch of them, no queue.
const QUEUED_MAX: usize = 8;

/// Pairs that wait to be compared.
const PAIRS_MAX: usize = 256;

/// Pairs that keep their requests for the log while they wait to be compared. Their callers have been answered, so
/// what they hold of the budget for requests is kept from others.
const DISPUTES_MAX: usize = 16;

/// What was learned of pairs of answers. Grows only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Compared.
    pub compared: u64,
    /// Of these: another class, label or text.
    pub flips: u64,
    /// Of these: the shadow's held what is no number, and the served one did not.
    pub nonfinite: u64,
    /// Of these: were to be logged for what they disagree on, and were let go for lack of room.
    pub unlogged: u64,
    /// The served version answered and the shadow failed.
    pub failed: u64,
    /// Left out, because there was no room.
    pub left_out: u64,
    /// Of these, by why: at the places of [`LeftOut::ALL`].
    pub left_out_for: [u64; LeftOut::ALL.len()],
    /// Pairs with numbers, the mean of their mean differences, and the sum of squares around it.
    pub moments: (u64, f64, f64),
    /// The largest difference of any two numbers.
    pub max: f64,
    /// The same as `moments` of how much more of the rows are of each class.
    pub classes: [(u64, f64, f64); CLASSES],
}

/// A version that is shadowed by another.
pub struct Shadow {
    servable: Arc<Servable>,
    /// Of 10 000 requests.
    share: u64,
    /// Of which requests that is.
    of: Of,
    turn: AtomicU64,
    under_way: AtomicUsize,
    left_out: [AtomicU64; LeftOut::ALL.len()],
    failed: AtomicU64,
    pairs: Arc<Mutex<Pairs>>,
    compared: Sender<Both>,
    metrics: Arc<CopyMetrics>,
}

/// Which requests may be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// All that the served version gets.
    All,
    /// Those that name no version.
    Unnamed,
}

impl Shadow {
    /// Of so many in 10 000 requests copies go to `servable`. Starts the thread that compares, which
    /// ends with the last of them.
    pub fn start(servable: Arc<Servable>, share: u64) -> io::Result<Arc<Shadow>> {
        Shadow::of((servable, Of::All), share)
    }

    /// The same of requests that name no version, from whichever version answers them.
    pub fn start_standing(servable: Arc<Servable>, share: u64) -> io::Result<Arc<Shadow>> {
        Shadow::of((servable, Of::Unnamed), share)
    }

    fn of((servable, of): (Arc<Servable>, Of), share: u64) -> io::Result<Arc<Shadow>> {
        let (compared, pairs) = bounded(PAIRS_MAX);
        let sum = Arc::new(Mutex::new(Pairs::default()));
        let metrics = Arc::new(CopyMetrics::new(&servable));
        let name = format!("shadow/{}", servable.model());
        let into = (Arc::clone(&sum), Arc::clone(&metrics));
        thread::Builder::new().name(name).spawn(move || compare_all(&pairs, (&into.0, &into.1)))?;
        Ok(Arc::new(Shadow {
            servable,
            share,
            of,
            turn: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            left_out: Default::default(),
            failed: AtomicU64::new(0),
            pairs: sum,
            compared,
            metrics,
        }))
    }

    /// The version that the copies go to.
    pub fn servable(&self) -> &Arc<Servable> {
        &self.servable
    }

    /// Of so many in 10 000 requests there are copies.
    pub fn share(&self) -> u64 {
        self.share
    }

    /// What has been learned so far.
    pub fn pairs(&self) -> Pairs {
        let count = |it: &AtomicU64| it.load(Ordering::Relaxed);
        let left_out_for = self.left_out.each_ref().map(count);
        let left_out = left_out_for.iter().sum();
        Pairs { left_out, left_out_for, failed: count(&self.failed), ..*lock(&self.pairs) }
    }

    /// A pair to be, if this request is one that is copied and there is room for it.
    pub(crate) fn pair(self: &Arc<Shadow>, choice: &VersionChoice) -> Option<Arc<Pair>> {
        if self.of == Of::Unnamed && *choice != VersionChoice::Any {
            return None;
        }
        // Multiples of a number without a factor of 2 or 5 visit all places: exactly this share, evenly.
        let turn = self.turn.fetch_add(6_181, Ordering::Relaxed) % 10_000;
        if turn >= self.share {
            return None;
        }
        if self.servable.queued() >= QUEUED_MAX {
            self.leave_out(LeftOut::Busy);
            return None;
        }
        if !self.set_out() {
            self.leave_out(LeftOut::UnderWay);
            return None;
        }
        let shadow = Arc::clone(self);
        Some(Arc::new(Pair { shadow, served: Mutex::default(), dispute: OnceLock::new() }))
    }

    /// One more is under way, until its [`Pair`] is dropped; or there are as many as may be, and nothing is taken.
    fn set_out(&self) -> bool {
        let more = |it: usize| (it < UNDER_WAY_MAX).then_some(it + 1);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn leave_out(&self, why: LeftOut) {
        self.metrics.left_out(why);
        if let Some(count) = self.left_out.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Shadow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of 10000 to {:?}", self.share, self.servable)
    }
}

/// Two answers to one request, of which one or none has come.
pub(crate) struct Pair {
    shadow: Arc<Shadow>,
    served: Mutex<Come>,
    /// Who logs what disagrees.
    dispute: OnceLock<Arc<Dispute>>,
}

/// Two answers that wait to be compared.
struct Both {
    served: Vec<Tensor>,
    shadow: Vec<Tensor>,
    rows: Rows,
}

/// What becomes of both rows if the answers disagree.
enum Rows {
    /// Nobody wants them.
    Unwanted,
    Kept(Arc<Dispute>),
    /// Too many others waited.
    LetGo,
}

#[derive(Debug, Default)]
enum Come {
    #[default]
    None,
    Served(Vec<Tensor>),
    Shadow(Option<Vec<Tensor>>),
    Over,
}

impl Pair {
    /// The served version has answered, or failed: then there is nothing to compare with.
    pub(crate) fn served(&self, result: &Result<Answer, InferError>) {
        let outputs = result.as_ref().ok().map(|it| it.outputs.clone());
        let mut come = self.lock();
        *come = match (std::mem::take(&mut *come), outputs) {
            (Come::None, Some(outputs)) => Come::Served(outputs),
            (Come::Shadow(shadow), Some(outputs)) => {
                self.both(outputs, shadow);
                Come::Over
            }
            (Come::None | Come::Served(_) | Come::Shadow(_) | Come::Over, _) => Come::Over,
        };
    }

    /// The shadow has answered, or failed.
    pub(crate) fn shadowed(&self, result: Result<Answer, InferError>) {
        let outputs = match result {
            Ok(answer) => Some(answer.outputs),
            Err(error) if error.kind() == Kind::Internal && error != InferError::Dropped => None,
            // Its time was up, or its version is going: nothing is learned of the version.
            Err(_) => return self.left_out(LeftOut::Unanswered),
        };
        let mut come = self.lock();
        *come = match std::mem::take(&mut *come) {
            Come::None => Come::Shadow(outputs),
            Come::Served(served) => {
                self.both(served, outputs);
                Come::Over
            }
            Come::Shadow(_) | Come::Over => Come::Over,
        };
    }

    /// Nobody of whom anything is still to come will say so.
    pub(crate) fn left_out(&self, why: LeftOut) {
        let before = std::mem::replace(&mut *self.lock(), Come::Over);
        if !matches!(before, Come::Over) {
            self.shadow.leave_out(why);
        }
    }

    pub(crate) fn shadow(&self) -> &Arc<Servable> {
        &self.shadow.servable
    }

    /// How likely it was that its request is copied.
    pub(crate) fn probability(&self) -> f32 {
        self.shadow.share.min(10_000) as f32 / 10_000.0
    }

    /// Both rows are to be logged if the answers disagree.
    pub(crate) fn disputed(&self, dispute: Arc<Dispute>) {
        // It is said once: the pair is made for one push.
        let _ = self.dispute.set(dispute);
    }

    fn both(&self, served: Vec<Tensor>, shadow: Option<Vec<Tensor>>) {
        let Some(shadow) = shadow else {
            self.shadow.metrics.failed();
            self.shadow.failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let rows = match self.dispute.get() {
            None => Rows::Unwanted,
            Some(_) if self.shadow.compared.len() >= DISPUTES_MAX => Rows::LetGo,
            Some(dispute) => Rows::Kept(Arc::clone(dispute)),
        };
        let both = Both { served, shadow, rows };
        if self.shadow.compared.try_send(both).is_err() {
            self.shadow.leave_out(LeftOut::Uncompared);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Come> {
        lock(&self.served)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.shadow.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn compare_all(pairs: &Receiver<Both>, (into, metrics): (&Mutex<Pairs>, &CopyMetrics)) {
    crate::priority::give_way();
    for Both { served, shadow, rows } in pairs {
        let seen = compare(&served, &shadow);
        let disagree = seen.flipped || seen.nonfinite;
        let mut unlogged = false;
        match rows {
            Rows::Kept(dispute) if disagree => dispute.disagree(),
            Rows::LetGo => unlogged = disagree,
            Rows::Kept(_) | Rows::Unwanted => {}
        }
        let mut pairs = lock(into);
        pairs.add(&seen);
        pairs.unlogged += u64::from(unlogged);
        metrics.compared(&seen, pairs.moments.1);
    }
}

impl Pairs {
    fn add(&mut self, seen: &Difference) {
        self.compared += 1;
        self.flips += u64::from(seen.flipped);
        self.nonfinite += u64::from(seen.nonfinite);
        self.max = self.max.max(seen.max);
        if let Some(mean) = seen.mean {
            add(&mut self.moments, mean);
        }
        for (class, share) in self.classes.iter_mut().zip(seen.shares.iter().flatten()) {
            add(class, *share);
        }
    }
}

/// Welford's recurrence: no large sums are subtracted from one another.
fn add(moments: &mut (u64, f64, f64), value: f64) {
    let (count, before, squares) = *moments;
    let count = count + 1;
    let now = before + (value - before) / count as f64;
    *moments = (count, now, squares + (value - before) * (value - now));
}

/// Nothing under these locks can panic half way.
fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
