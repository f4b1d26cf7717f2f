//! Which protocol a request speaks, and who answers it. Either data port takes both.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Request, Response, header};
use server_base::Origins;
use server_lifecycle::Lifecycle;
use server_regions::Regions;
use server_serving::Serving;

use crate::body::{Incoming, ResponseBody};
use crate::grpc::{Grpc, ReflectionError};
use crate::http::Rest;
use crate::http2::Calls;
use crate::listener::Handler;
use crate::options::{ConnectionLimits, Options};
use crate::present::{Conductor, Monitors, Triggers, Truth};

/// What every part of the frontend works with.
pub struct Shared {
    /// The hot path.
    pub serving: Arc<Serving>,
    /// The model repository.
    pub lifecycle: Lifecycle,
    /// Where models come from that no operator has put into the repository.
    pub origins: Origins,
    /// Rollouts.
    pub conductor: Conductor,
    /// What watches predictions; `None`: they are not logged.
    pub monitors: Option<Arc<Monitors>>,
    /// Ground truth, if predictions are logged.
    pub truth: Option<Arc<Truth>>,
    /// Who asks for retraining, if anybody does.
    pub triggers: Option<Triggers>,
    /// Memory that clients share with the server; `None`: they may not.
    pub regions: Option<Arc<Regions>>,
    /// Version of the server, for its metadata.
    pub version: &'static str,
    /// What peers may do.
    pub options: Options,
}

impl Shared {
    /// May traffic be sent here?
    pub(crate) fn is_ready(&self) -> bool {
        self.lifecycle.readiness().is_ready()
    }

    /// Sets the gauges that are read off at scrape time.
    pub(crate) fn observe(&self) {
        let now = Instant::now();
        self.serving.table().servables().for_each(|it| it.observe(now));
    }
}

/// The data ports' handler.
pub struct Frontend {
    rest: Arc<Rest>,
    grpc: Grpc,
}

impl Frontend {
    /// Fails only if a descriptor that is compiled in cannot be read.
    pub fn new(shared: Arc<Shared>) -> Result<Frontend, ReflectionError> {
        Ok(Frontend { grpc: Grpc::new(Arc::clone(&shared))?, rest: Arc::new(Rest::new(shared)) })
    }
}

impl Handler for Frontend {
    async fn handle(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_grpc = |it: &HeaderValue| it.as_bytes().starts_with(b"application/grpc");
        if content_type.is_some_and(is_grpc) {
            self.grpc.call(request).await
        } else {
            self.rest.call(request).await
        }
    }

    fn calls(&self, limits: &Arc<ConnectionLimits>) -> Option<Calls> {
        Some(Calls::new(Arc::clone(self.grpc.unary()), Arc::clone(limits)))
    }

    fn plain(&self) -> Option<Arc<Rest>> {
        Some(Arc::clone(&self.rest))
    }
}
