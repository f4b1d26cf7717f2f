//! Messages from registries, on the control port: whoever may scrape may send one, and clients of models need not reach it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::body::{Incoming, ResponseBody};
use crate::http::{error_response, not_allowed};

/// Where they are sent to.
pub(crate) const PATH: &str = "/v2/registries/webhook";

/// Longer ones say more than that something has changed.
const BODY_BYTES_MAX: usize = 64 << 10;

/// A message comes in one piece or two.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Who takes them: gives a status and, unless that is 200, why.
pub type Webhook = Box<dyn Fn(&HeaderMap, &[u8]) -> (StatusCode, &'static str) + Send + Sync>;

/// Reads one, and answers what the taker says.
pub(crate) async fn take(webhook: &Webhook, request: Request<Incoming>) -> Response<ResponseBody> {
    if request.method() != Method::POST {
        return not_allowed(&Method::POST);
    }
    let (head, body) = request.into_parts();
    let body = match timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = "a message of more than 65536 bytes";
            return error_response(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        Ok(Err(_)) => return error_response(StatusCode::BAD_REQUEST, "it did not arrive whole"),
        Err(_) => return error_response(StatusCode::REQUEST_TIMEOUT, "it did not come in 10 s"),
    };
    let (status, why) = webhook(&head.headers, &body);
    if status == StatusCode::OK {
        return Response::new(ResponseBody::full(Bytes::new()));
    }
    let mut response = error_response(status, why);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}
