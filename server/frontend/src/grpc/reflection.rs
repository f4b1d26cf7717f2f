//! Clients that ask for the messages: tonic's reflection, in both its versions.
//!
//! A build without the feature `reflection` answers that there is no such service.

use std::convert::Infallible;
use std::pin::Pin;

use http::{Request, Response};

use crate::body::RequestBody;

/// Why it cannot start.
#[cfg(feature = "reflection")]
pub type Error = tonic_reflection::server::Error;
/// Why it cannot start.
#[cfg(not(feature = "reflection"))]
pub type Error = Infallible;

/// A service whose type has no name.
type Boxed = Box<dyn Fn(Request<RequestBody>) -> Answer + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

/// By the services' names: two, or none.
pub(super) struct Reflection(Vec<(&'static str, Boxed)>);

impl Reflection {
    #[cfg(not(feature = "reflection"))]
    pub(super) fn new() -> Result<Reflection, Error> {
        Ok(Reflection(Vec::new()))
    }

    #[cfg(feature = "reflection")]
    pub(super) fn new() -> Result<Reflection, Error> {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::INFERENCE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(proto::LABELS_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        Ok(Reflection(vec![
            ("grpc.reflection.v1.ServerReflection", boxed(builder().build_v1()?)),
            ("grpc.reflection.v1alpha.ServerReflection", boxed(builder().build_v1alpha()?)),
        ]))
    }

    /// What answers calls of `service`, if that is reflection.
    pub(super) fn of(&self, service: &str) -> Option<&Boxed> {
        self.0.iter().find(|(name, _)| *name == service).map(|(_, it)| it)
    }
}

#[cfg(feature = "reflection")]
fn boxed<S>(service: S) -> Boxed
where
    S: tower_service::Service<
            Request<RequestBody>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
        >,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| Box::pin(service.clone().call(request)))
}
