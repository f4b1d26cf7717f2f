//! The whole trip of a request behind the frontend.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use server_base::{InferRequest, InferResponse, NamedTensor, Protocol, VersionChoice, limits};
use smallvec::SmallVec;

use crate::admission::Admission;
use crate::check;
use crate::error::InferError;
use crate::lane::Refused;
use crate::metrics::RequestMetrics;
use crate::pending::Pending;
use crate::reply::{Answer, Receiver, Reply};
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
struct Submitted {
    servable: Arc<Servable>,
    receiver: Receiver,
    wanted: SmallVec<[usize; 4]>,
    deadline: Instant,
    _in_flight: InFlight,
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

    /// Answers a request, or says why not. Dropping the future cancels it.
    pub async fn infer(
        &self,
        request: InferRequest,
        trip: &mut Trip,
    ) -> Result<InferResponse, InferError> {
        let submitted = self.submit(request, trip)?;
        let Submitted { servable, receiver, wanted, deadline, _in_flight } = submitted;
        let answer = match tokio::time::timeout_at(deadline.into(), receiver).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(InferError::Dropped),
            Err(_) => return Err(InferError::Expired { waited: trip.arrived().elapsed() }),
        };
        Ok(response(&servable, answer, &wanted))
    }

    /// Everything before the wait: route, check, push.
    fn submit(&self, request: InferRequest, trip: &mut Trip) -> Result<Submitted, InferError> {
        for _ in 0..ROUTES_MAX {
            let servable = self.address(&request.model, &request.version, trip)?;
            match push(servable, &request, trip)? {
                Some(submitted) => return Ok(submitted),
                None => continue, // retired between the look and the push
            }
        }
        Err(InferError::NotReady { model: request.model })
    }
}

/// Puts the request into the version's lane. `None`: the version has been retired.
fn push(
    servable: Arc<Servable>,
    request: &InferRequest,
    trip: &Trip,
) -> Result<Option<Submitted>, InferError> {
    let arrived = trip.arrived();
    let (name, signature, plan) =
        (servable.model().as_str(), servable.signature(), servable.plan());
    let checked = check::inputs(name, signature, plan.batching.rows_max, &request.inputs)?;
    let wanted = check::outputs(name, signature, &request.outputs)?;
    let timeout = request.timeout.unwrap_or(plan.timeout).min(limits::REQUEST_TIMEOUT_MAX);
    let (now, deadline) = (Instant::now(), arrived + timeout);
    if deadline <= now {
        servable.metrics().queue_left_expired();
        return Err(InferError::Expired { waited: now - arrived });
    }
    let (reply, receiver) = Reply::new();
    let metrics = Arc::clone(servable.metrics());
    let pending = Pending {
        inputs: checked.inputs,
        rows: checked.rows,
        arrived,
        deadline,
        reply,
        metrics,
        _permit: trip.permit(),
    };
    let row = servable.cost().row().unwrap_or_default() / servable.parallel();
    match servable.lane().push(pending, now, row) {
        Ok(()) => {}
        Err(Refused::Closed(_)) => return Ok(None),
        Err(Refused::Late(_, wait)) => {
            servable.metrics().queue_refused_late();
            let left = deadline - now;
            return Err(InferError::Late { model: name.to_owned(), wait, left });
        }
        Err(Refused::Full(_)) => {
            servable.metrics().queue_refused();
            let queue_max = plan.batching.queue_max;
            return Err(InferError::QueueFull { model: name.to_owned(), queue_max });
        }
    }
    let _in_flight = servable.enter();
    Ok(Some(Submitted { servable, receiver, wanted, deadline, _in_flight }))
}

fn response(servable: &Servable, answer: Answer, wanted: &[usize]) -> InferResponse {
    let mut outputs: SmallVec<[Option<_>; 4]> = answer.outputs.into_iter().map(Some).collect();
    let named = |&place: &usize| {
        let tensor = outputs.get_mut(place).and_then(Option::take)?;
        Some(NamedTensor { name: check::output_name(servable.signature(), place), tensor })
    };
    InferResponse {
        model: servable.model().shared(),
        version: servable.version(),
        outputs: wanted.iter().filter_map(named).collect(),
        timing: answer.timing,
    }
}
