//! What `salver monitor` answers: what its monitors have found, its triggers, metrics and health.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;
use server_base::Version;
use server_monitor::Monitors;
use server_triggers::Triggers;

use crate::body::{Framing, Incoming, RequestBody, ResponseBody};
use crate::http::{Endpoint, Rest, Route, drift, error_response, failure, health, labels, trigger};
use crate::http2::Calls;
use crate::listener::Handler;
use crate::options::{COMMAND_BYTES_MAX, ConnectionLimits};

/// How right a model is, as JSON: of one version or of all. `None`: it is not judged.
pub type Performance = Box<dyn Fn(&str, Option<Version>) -> Option<Value> + Send + Sync>;

/// Has everything been read once, and does all that reads go on?
pub type IsReady = Box<dyn Fn() -> bool + Send + Sync>;

/// See the module.
pub struct Watching {
    monitors: Arc<Monitors>,
    triggers: Option<Triggers>,
    performance: Option<Performance>,
    is_ready: IsReady,
    render: Box<dyn Fn() -> String + Send + Sync>,
    limits: ConnectionLimits,
}

impl Watching {
    /// `render` gives the text of all series.
    pub fn new(
        monitors: Arc<Monitors>,
        triggers: Option<Triggers>,
        (is_ready, limits): (IsReady, ConnectionLimits),
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Watching {
        Watching {
            monitors,
            triggers,
            performance: None,
            is_ready,
            render: Box::new(render),
            limits,
        }
    }

    /// The same, and it knows how right models are.
    #[must_use]
    pub fn with_performance(mut self, performance: Performance) -> Watching {
        self.performance = Some(performance);
        self
    }

    fn metrics(&self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::full(Bytes::from((self.render)())));
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what serves models is not here")]
    async fn answer(&self, route: Route, request: Request<Incoming>) -> Response<ResponseBody> {
        match route.endpoint {
            Endpoint::Live => health(true),
            Endpoint::Ready => health((self.is_ready)()),
            Endpoint::Drift => drift::show(Some(&*self.monitors), &route),
            Endpoint::Performance => labels::told(&route, self.performance.as_ref()),
            Endpoint::Triggers => trigger::list(self.triggers.as_ref()).await,
            Endpoint::TriggerFire | Endpoint::TriggerMute | Endpoint::TriggerUnmute => {
                let (head, body) = request.into_parts();
                let framing = (Framing::Plain, COMMAND_BYTES_MAX);
                match RequestBody::new(body, framing, None, &self.limits) {
                    Ok(body) => {
                        let request = Request::from_parts(head, body);
                        trigger::tell(self.triggers.clone(), route, request).await
                    }
                    Err(error) => failure(&error),
                }
            }
            _ => error_response(StatusCode::NOT_FOUND, "a monitor serves no models: ask a server"),
        }
    }
}

impl Handler for Watching {
    async fn handle(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let path = request.uri().path();
        if matches!(path, "/metrics" | "/metrics/") {
            return self.metrics();
        }
        match Route::find(request.method(), path) {
            Ok(route) => self.answer(route, request).await,
            Err(refused) => refused.response(),
        }
    }

    fn calls(&self, _limits: &Arc<ConnectionLimits>) -> Option<Calls> {
        None
    }

    fn plain(&self) -> Option<Arc<Rest>> {
        None
    }
}
