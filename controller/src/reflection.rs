//! Server reflection: which services there are, for clients that know none of them. What answers takes milliseconds and megabytes to make and
//! few ask, so it is made when the first one does.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use proto::DESCRIPTOR;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_reflection::server::{Builder, v1, v1alpha};
use tower::Service;

/// A service that is made when it is called for the first time. It must be ready at once.
pub(crate) struct Late<S> {
    make: fn() -> S,
    made: Arc<OnceLock<S>>,
}

impl<S> Late<S> {
    fn new(make: fn() -> S) -> Late<S> {
        Late { make, made: Arc::default() }
    }
}

impl<S> Clone for Late<S> {
    fn clone(&self) -> Late<S> {
        Late { make: self.make, made: self.made.clone() }
    }
}

impl<S: NamedService> NamedService for Late<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<http::Request<Body>> + Clone> Service<http::Request<Body>> for Late<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        self.made.get_or_init(self.make).clone().call(request)
    }
}

/// Reflection as it is now.
pub(crate) fn v1() -> Late<v1::ServerReflectionServer<impl v1::ServerReflection>> {
    Late::new(|| described().build_v1().expect(COMPILED))
}

/// Reflection as Python's client and older tools ask for it.
pub(crate) fn v1alpha() -> Late<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    Late::new(|| described().build_v1alpha().expect(COMPILED))
}

const COMPILED: &str = "the descriptors were compiled with this program";

fn described() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
