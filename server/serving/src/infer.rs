//! The whole trip of a request behind the frontend.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use server_base::{
    InferRequest, InferResponse, NamedTensor, NamedTensors, Protocol, Route, VersionChoice, limits,
};
use smallvec::SmallVec;

use crate::admission::Admission;
use crate::check;
use crate::copies::LeftOut;
use crate::draft::Draft;
use crate::error::InferError;
use crate::extent::Extent;
use crate::lane::{Refused, Terms};
use crate::metrics::RequestMetrics;
use crate::pending::{Inputs, Pending};
use crate::reply::{Answer, Reply};
use crate::servable::{InFlight, Servable};
use crate::shadow::Pair;
use crate::table::Table;
use crate::traffic::{Caller, Parameter, Traffic};
use crate::trip::Trip;

/// The data plane's one value: the table, the door and the books.
pub struct Serving {
    table: ArcSwap<Table>,
    admission: Admission,
    unknown: Arc<RequestMetrics>,
}

/// A request that waits for its answer.
pub struct Submitted {
    in_flight: InFlight,
    /// Places of the outputs that were named; empty means all.
    wanted: SmallVec<[usize; 4]>,
    deadline: Instant,
}

impl Submitted {
    /// When the answer is no longer wanted.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The number of the version that answers, as text.
    pub fn version(&self) -> &Bytes {
        self.in_flight.servable().number()
    }

    /// What the caller asked for, out of what the model gave.
    pub fn response(&self, answer: Answer, trip: &mut Trip) -> InferResponse<'_> {
        let servable = self.in_flight.servable();
        let Answer { outputs, timing, .. } = answer;
        trip.answered(&outputs, &timing);
        let all = servable.signature().outputs.iter().zip(outputs);
        let mut outputs: NamedTensors<'_> =
            all.map(|(spec, tensor)| NamedTensor { name: (&*spec.name).into(), tensor }).collect();
        if !self.wanted.is_empty() {
            let mut given: SmallVec<[Option<_>; 4]> = outputs.into_iter().map(Some).collect();
            let wanted = self.wanted.iter();
            outputs = wanted.filter_map(|it| given.get_mut(*it).and_then(Option::take)).collect();
        }
        let (model, version) = (servable.model().as_str(), servable.version());
        InferResponse { model, version, outputs, timing }
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
    /// counted for that version. The answer may have changed by the time of [`Serving::submit`], but
    /// not where in the model's traffic the caller falls.
    pub fn address(
        &self,
        model: &str,
        choice: &VersionChoice,
        (caller, trip): (&dyn Caller, &mut Trip),
    ) -> Result<Arc<Servable>, InferError> {
        let table = self.table.load();
        let mut drawn = None;
        let falls = |it| {
            let point = trip.falls(|| Traffic::point(it, caller));
            drawn = point.map(|point| (it, point));
            point
        };
        match table.route_by(model, choice, falls) {
            Ok(servable) => {
                trip.addressed(servable, caller);
                // One that stands in for what cannot answer was not chosen by its own share.
                if let Some((shares, point)) = drawn
                    && shares.at(point) == Some(servable.version())
                {
                    trip.drawn(shares, servable.version());
                }
                Ok(Arc::clone(servable))
            }
            Err(error) => {
                if let Some(entry) = table.model(model) {
                    trip.reached(entry.requests());
                }
                Err(error)
            }
        }
    }

    /// Answers a request, or says why not. Waits for a model that is loaded on demand. Dropping the
    /// future cancels it.
    pub async fn infer(
        &self,
        request: InferRequest<'_>,
        trip: &mut Trip,
    ) -> Result<(Submitted, Answer), InferError> {
        let (submitted, receiver) = loop {
            let (reply, receiver) = Reply::new();
            let submitted = self
                .address(&request.model, &request.version, (&Drawn, trip))
                .and_then(|servable| self.submit(servable, request.clone(), trip, reply));
            match submitted {
                // Once is enough, unless it is unloaded between the wait and the push: then it is
                // waited for again, until the deadline.
                Err(InferError::Asleep { .. }) => {
                    let time = (trip.arrived(), request.timeout);
                    self.awake(&request.model, &request.version, time).await?;
                    trip.resume();
                }
                submitted => break (submitted?, receiver),
            }
        };
        let answer = tokio::time::timeout_at(submitted.deadline.into(), receiver).await;
        trip.resume();
        match answer {
            Ok(Ok(answer)) => Ok((submitted, answer?)),
            Ok(Err(_)) => Err(InferError::Dropped),
            Err(_) => Err(InferError::Expired { waited: trip.arrived().elapsed() }),
        }
    }

    /// Everything before the wait: check and push; if the version that the request was addressed
    /// to has been retired meanwhile, route once more, until the deadline. After an error the reply's
    /// place is to be closed: what comes there is of no meaning. [`InferError::Asleep`] is to be waited
    /// out, as [`Serving::infer`] does.
    pub fn submit(
        &self,
        mut servable: Arc<Servable>,
        mut request: InferRequest<'_>,
        trip: &mut Trip,
        mut reply: Reply,
    ) -> Result<Submitted, InferError> {
        loop {
            let closed;
            match push(servable, request, trip, reply)? {
                Pushed::Waits(submitted) => return Ok(submitted),
                Pushed::Retired(unused) => (closed, request, reply) = *unused,
            }
            trip.resume(); // the deadline is looked at again
            servable = self.address(&request.model, &request.version, (&Drawn, trip))?;
            // A lane is closed after its version has left the table, so that a later look finds another.
            // One that is found again would be a bug, and never be answered.
            if Arc::ptr_eq(&servable, &closed) {
                return Err(InferError::NotReady { model: request.model.into_owned() });
            }
        }
    }
}

/// A caller who has been heard: where its request falls was drawn before.
struct Drawn;

impl Caller for Drawn {
    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    fn parameter(&self, _name: &str) -> Parameter<'_> {
        Parameter::None
    }
}

/// What became of a push.
enum Pushed<'a> {
    Waits(Submitted),
    /// The version was retired between the look and the push. The others have not been used.
    Retired(Box<(Arc<Servable>, InferRequest<'a>, Reply)>),
}

/// Puts the request into the version's lane.
fn push<'a>(
    servable: Arc<Servable>,
    mut request: InferRequest<'a>,
    trip: &mut Trip,
    reply: Reply,
) -> Result<Pushed<'a>, InferError> {
    let (arrived, now) = (trip.arrived(), trip.stage());
    let (name, signature, plan) =
        (servable.model().as_str(), servable.signature(), servable.plan());
    let rows = check::inputs(name, signature, plan.batching.rows_max, &mut request.inputs)?;
    let wanted = check::outputs(name, signature, &request.outputs)?;
    let inputs: Inputs = request.inputs.drain(..).map(|it| it.tensor).collect();
    let is_shared_out = trip.is_shared_out();
    let held = trip.held();
    if let Some(draft) = trip.draft() {
        let route = if is_shared_out { Route::Shared } else { Route::Direct };
        draft.takes(&inputs, (rows, held), route);
    }
    let extent = Extent::new(name, (signature, plan), (&inputs, rows))?;
    // Padding is memory too, as of the moment that the batch is packed.
    if extent.padding_bytes > 0 {
        trip.pads(extent.padding_bytes)?;
    }
    let timeout = request.timeout.unwrap_or(plan.timeout).min(limits::REQUEST_TIMEOUT_MAX);
    let deadline = arrived + timeout;
    if deadline <= now {
        servable.metrics().queue_left_expired();
        return Err(InferError::Expired { waited: now - arrived });
    }
    let stated = request.timeout.is_some();
    let (ledger, permit) = (Arc::clone(servable.ledger()), trip.permit());
    let pair = servable.shadow().as_ref().and_then(|it| it.pair(&request.version));
    let copy = pair.map(|pair| Copied::new((&inputs, rows), deadline, (pair, trip)));
    let reply = match &copy {
        Some(copy) => reply.paired(Arc::clone(&copy.pair)),
        None => reply,
    };
    let reply = reply.logged(trip.draft().take_if(|it| it.waits()));
    let pending = Pending { inputs, permit, extent, arrived, deadline, stated, reply, ledger };
    match servable.lane().push(pending, now, &terms(&servable, stated)) {
        Ok(()) => copy.into_iter().for_each(|it| it.push(trip, now)),
        Err(Refused::Closed(Pending { inputs, mut reply, .. })) => {
            trip.keeps(&mut reply);
            // The inputs are in the signature's order now, and under its names.
            let named = signature.inputs.iter().map(|it| it.name.to_string()).zip(inputs);
            request.inputs =
                named.map(|(name, tensor)| NamedTensor { name: name.into(), tensor }).collect();
            return Ok(Pushed::Retired(Box::new((servable, request, reply))));
        }
        Err(Refused::Late(mut it, wait)) => {
            trip.keeps(&mut it.reply);
            servable.metrics().queue_refused_late();
            let left = deadline - now;
            return Err(InferError::Late { model: name.to_owned(), wait, left });
        }
        Err(Refused::Long(mut it, wait)) => {
            trip.keeps(&mut it.reply);
            servable.metrics().queue_refused_long();
            servable.ledger().patience.refused(now);
            return Err(InferError::Long { model: name.to_owned(), wait });
        }
        Err(Refused::Full(mut it)) => {
            trip.keeps(&mut it.reply);
            servable.metrics().queue_refused();
            let queue_max = plan.batching.queue_max;
            return Err(InferError::QueueFull { model: name.to_owned(), queue_max });
        }
    }
    let in_flight = servable.enter();
    Ok(Pushed::Waits(Submitted { in_flight, wanted, deadline }))
}

/// A request that goes to another version too.
struct Copied {
    inputs: Inputs,
    rows: usize,
    deadline: Instant,
    pair: Arc<Pair>,
    /// What is to be logged of it.
    draft: Option<Draft>,
}

impl Copied {
    fn new(
        (inputs, rows): (&Inputs, usize),
        deadline: Instant,
        (pair, trip): (Arc<Pair>, &mut Trip),
    ) -> Copied {
        let log = pair.shadow().log();
        let (held, permit, probability) = (trip.held(), trip.permit(), pair.probability());
        let draft = trip.draft().as_mut().and_then(|it| {
            if let Some(dispute) = it.copied((inputs, rows, held), probability, permit) {
                pair.disputed(dispute);
            }
            it.shadow(log, inputs)
        });
        Copied { inputs: inputs.clone(), rows, deadline, pair, draft }
    }

    /// Puts it into the other version's lane, if it fits that version.
    fn push(self, trip: &Trip, now: Instant) {
        let Copied { inputs, rows, deadline, pair, draft } = self;
        let to = Arc::clone(pair.shadow());
        let served = (to.signature(), to.plan());
        let Ok(extent) = Extent::new(to.model().as_str(), served, (&inputs, rows)) else {
            return pair.left_out(LeftOut::Refused);
        };
        let reply = Reply::shadow(Arc::clone(&pair)).logged(draft);
        let ledger = Arc::clone(to.ledger());
        let (arrived, stated, permit) = (trip.arrived(), true, trip.permit());
        let copy = Pending { inputs, permit, extent, arrived, deadline, stated, reply, ledger };
        let terms = terms(&to, stated);
        if let Err(
            Refused::Full(mut it)
            | Refused::Late(mut it, _)
            | Refused::Long(mut it, _)
            | Refused::Closed(mut it),
        ) = to.lane().push(copy, now, &terms)
        {
            drop(it.reply.unlogged());
            // Its end is not a failure of the version.
            pair.left_out(LeftOut::Refused);
            drop(it);
        }
    }
}

/// What is known of the version's runs and its callers.
fn terms(servable: &Servable, stated: bool) -> Terms {
    let (cost, batching) = (servable.cost(), &servable.plan().batching);
    Terms {
        unit: cost.unit().unwrap_or_default() / servable.parallel(),
        run: cost.most(batching.rows_max).run,
        wait_max: servable.ledger().patience.limit().filter(|_| !stated),
    }
}
