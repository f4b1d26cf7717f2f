//! The control port: metrics for scrapers, health for probes. Runs on a runtime of its own, so that
//! both answer while the data ports are flooded.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::body::{Incoming, ResponseBody};
use crate::dispatch::Shared;
use crate::http::{Rest, error_response, health, not_allowed};
use crate::http2::Calls;
use crate::listener::Handler;
use crate::options::ConnectionLimits;
use crate::webhook::{self, Webhook};

/// Answers `/metrics`, `/v2/health/live`, `/v2/health/ready`, and messages from registries.
pub struct Control {
    shared: Arc<Shared>,
    render: Box<dyn Fn() -> String + Send + Sync>,
    webhook: Option<Webhook>,
}

impl Control {
    /// `render` gives the text of all series.
    pub fn new(
        shared: Arc<Shared>,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Control {
        Control { shared, render: Box::new(render), webhook: None }
    }

    /// Takes messages from registries, too, if somebody does. Without it there is no such place.
    pub fn with_webhook(self, webhook: Option<Webhook>) -> Control {
        Control { webhook, ..self }
    }

    fn metrics(&self) -> Response<ResponseBody> {
        self.shared.observe();
        let mut response = Response::new(ResponseBody::full(Bytes::from((self.render)())));
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    }
}

impl Handler for Control {
    async fn handle(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let path = request.uri().path();
        if let Some(webhook) = self.webhook.as_ref().filter(|_| path == webhook::PATH) {
            return webhook::take(webhook, request).await;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return not_allowed(&Method::GET);
        }
        match path {
            "/metrics" | "/metrics/" => self.metrics(),
            "/v2/health/live" => health(true),
            "/v2/health/ready" => health(self.shared.is_ready()),
            _ => error_response(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    fn calls(&self, _limits: &Arc<ConnectionLimits>) -> Option<Calls> {
        None
    }

    fn plain(&self) -> Option<Arc<Rest>> {
        None
    }
}
