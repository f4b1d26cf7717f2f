//! The whole trip of a request behind the frontend.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use server_base::{InferRequest, InferResponse, NamedTensor, Protocol, VersionChoice, limits};
use smallvec::SmallVec;

use crate::admission::Admission;
use crate::check;
use crate::error::InferError;
use crate::extent::Extent;
use crate::lane::{Refused, Terms};
use crate::metrics::RequestMetrics;
use crate::pending::Pending;
use crate::reply::{Answer, Reply};
use crate::servable::{InFlight, Servable};
use crate::table::Table;
use crate::trip::Trip;

/// How often a request is routed again because its version was retired under its feet. Each time
/// the table has moved on, so a second look finds the successor; more would be a bug.
const ROUTES_MAX: usize = 4;

/// The data plane's one value: the table, the door and the books.
pub struct Serving {
    table: ArcSwap<Table>,
    admission: Admission,
    unknown: Arc<RequestMetrics>,
}

/// A request that waits for its answer.
pub struct Submitted {
    servable: Arc<Servable>,
    wanted: SmallVec<[usize; 4]>,
    deadline: Instant,
    _in_flight: InFlight,
}

impl Submitted {
    /// When the answer is no longer wanted.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What the caller asked for, out of what the model gave.
    pub fn response(self, answer: Answer) -> InferResponse {
        let mut outputs: SmallVec<[Option<_>; 4]> = answer.outputs.into_iter().map(Some).collect();
        let named = |&place: &usize| {
            let tensor = outputs.get_mut(place).and_then(Option::take)?;
            Some(NamedTensor { name: check::output_name(self.servable.signature(), place), tensor })
        };
        InferResponse {
            model: self.servable.model().shared(),
            version: self.servable.version(),
            outputs: self.wanted.iter().filter_map(named).collect(),
            timing: answer.timing,
        }
    }
}

impl Serving {
    /// With an empty table.
    pub fn new(admission: Admission) -> Serving {
        let unknown = Arc::new(RequestMetrics::unknown());
        Serving { table: ArcSwap::from_pointee(Table::default()), admission, unknown }
    }

    /// Replaces the table. Requests that have looked already finish by the old one.
    pub fn publish(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// The table as it is now.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The same, for a look and no more.
    pub(crate) fn table_now(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// The door, for the frontend to take permits from.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Opens the books for a request that comes in now.
    pub fn trip(&self, protocol: Protocol) -> Trip {
        Trip::new(protocol, Arc::clone(&self.unknown))
    }

    /// Finds out for whom a request is, before its body is understood: a fault found later is then
    /// counted for that version. The answer may have changed by the time of [`Serving::infer`].
    pub fn address(
        &self,
        model: &str,
        choice: &VersionChoice,
        trip: &mut Trip,
    ) -> Result<Arc<Servable>, InferError> {
        let table = self.table.load();
        if let Some(entry) = table.model(model) {
            trip.reached(entry.requests());
        }
        let servable = table.route(model, choice)?;
        trip.reached(&servable.metrics().requests);
        Ok(Arc::clone(servable))
    }

    /// Answers a request, or says why not. Waits for a model that is loaded on demand. Dropping the
    /// future cancels it.
    pub async fn infer(
        &self,
        request: InferRequest,
        trip: &mut Trip,
    ) -> Result<InferResponse, InferError> {
        let mut rounds = 1..ROUTES_MAX;
        let (submitted, receiver) = loop {
            let (reply, receiver) = Reply::new();
            match self.submit(&request, trip, reply) {
                // Once is enough, unless it is unloaded between the wait and the push.
                Err(InferError::Asleep { .. }) if rounds.next().is_some() => {
                    let time = (trip.arrived(), request.timeout);
                    self.awake(&request.model, &request.version, time).await?;
                }
                submitted => break (submitted?, receiver),
            }
        };
        match tokio::time::timeout_at(submitted.deadline.into(), receiver).await {
            Ok(Ok(answer)) => Ok(submitted.response(answer?)),
            Ok(Err(_)) => Err(InferError::Dropped),
            Err(_) => Err(InferError::Expired { waited: trip.arrived().elapsed() }),
        }
    }

    /// Everything before the wait: route, check, push. After an error the reply's place is to be
    /// closed: what comes there is of no meaning. [`InferError::Asleep`] is to be waited out by
    /// [`Serving::awake`]; [`Serving::infer`] does both.
    pub fn submit(
        &self,
        request: &InferRequest,
        trip: &mut Trip,
        mut reply: Reply,
    ) -> Result<Submitted, InferError> {
        for _ in 0..ROUTES_MAX {
            let pushed = self
                .address(&request.model, &request.version, trip)
                .and_then(|servable| push(servable, request, trip, reply));
            match pushed {
                Ok(Pushed::Waits(submitted)) => return Ok(submitted),
                Ok(Pushed::Retired(unused)) => reply = unused,
                Err(error) => return Err(error),
            }
        }
        Err(InferError::NotReady { model: request.model.clone() })
    }
}

/// What became of a push.
enum Pushed {
    Waits(Submitted),
    /// The version was retired between the look and the push. The reply has not been used.
    Retired(Reply),
}

/// Puts the request into the version's lane.
fn push(
    servable: Arc<Servable>,
    request: &InferRequest,
    trip: &Trip,
    reply: Reply,
) -> Result<Pushed, InferError> {
    let arrived = trip.arrived();
    let (name, signature, plan) =
        (servable.model().as_str(), servable.signature(), servable.plan());
    let checked = check::inputs(name, signature, plan.batching.rows_max, &request.inputs)?;
    let wanted = check::outputs(name, signature, &request.outputs)?;
    let extent = Extent::new(name, (signature, plan), (&checked.inputs, checked.rows))?;
    let permit = trip.permit();
    // Padding is memory too, as of the moment that the batch is packed. Pushed a second time, to a
    // successor, it counts twice: seldom, and until the request is answered.
    if let Some(permit) = &permit
        && extent.padding_bytes > 0
    {
        permit.grow(extent.padding_bytes)?;
    }
    let timeout = request.timeout.unwrap_or(plan.timeout).min(limits::REQUEST_TIMEOUT_MAX);
    let (now, deadline) = (Instant::now(), arrived + timeout);
    if deadline <= now {
        servable.metrics().queue_left_expired();
        return Err(InferError::Expired { waited: now - arrived });
    }
    let stated = request.timeout.is_some();
    let ledger = Arc::clone(servable.ledger());
    let pending = Pending {
        inputs: checked.inputs,
        extent,
        arrived,
        deadline,
        stated,
        reply,
        ledger,
        _permit: permit,
    };
    match servable.lane().push(pending, now, &terms(&servable, stated)) {
        Ok(()) => {}
        Err(Refused::Closed(unused)) => return Ok(Pushed::Retired(unused.reply)),
        Err(Refused::Late(_, wait)) => {
            servable.metrics().queue_refused_late();
            let left = deadline - now;
            return Err(InferError::Late { model: name.to_owned(), wait, left });
        }
        Err(Refused::Long(_, wait)) => {
            servable.metrics().queue_refused_long();
            servable.ledger().patience.refused(now);
            return Err(InferError::Long { model: name.to_owned(), wait });
        }
        Err(Refused::Full(_)) => {
            servable.metrics().queue_refused();
            let queue_max = plan.batching.queue_max;
            return Err(InferError::QueueFull { model: name.to_owned(), queue_max });
        }
    }
    let _in_flight = servable.enter();
    Ok(Pushed::Waits(Submitted { servable, wanted, deadline, _in_flight }))
}

/// What is known of the version's runs and its callers.
fn terms(servable: &Servable, stated: bool) -> Terms {
    let (cost, batching) = (servable.cost(), &servable.plan().batching);
    Terms {
        unit: cost.unit().unwrap_or_default() / servable.parallel(),
        run: cost.run(batching.rows_max).unwrap_or_default(),
        wait_max: servable.ledger().patience.limit().filter(|_| !stated),
    }
}
