//! Counts every call on its way in, and how long it took until its answer began.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::codegen::http::Request;
use tonic::transport::server::UdsConnectInfo;
use tower::{Layer, Service};

use crate::driver::Published;

/// The methods of our services: the name of each by its path, such as `/covey.v1.Controller/Submit`.
static METHODS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR).expect("it was compiled with this program");
    let mut methods = BTreeMap::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.insert(path, method.name().to_owned());
            }
        }
    }
    methods
});

/// Puts a [`Counted`] around the services.
#[derive(Clone)]
pub(crate) struct CountCalls(pub(crate) Arc<Published>);

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, published: self.0.clone() }
    }
}

/// A service whose calls are counted. Paths that are none of ours, such as health checks, are not.
#[derive(Clone)]
pub(crate) struct Counted<S> {
    inner: S,
    published: Arc<Published>,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = METHODS.get(request.uri().path()).map(String::as_str);
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let uid = peer.map(|peer| peer.uid());
        let open = method.map(|method| (method, Open::new(self.published.clone())));
        let (begun, answer) = (Instant::now(), self.inner.call(request));
        Box::pin(async move {
            let answered = answer.await;
            if let Some((method, open)) = open {
                open.0.statistics.note_call(method, uid, begun.elapsed());
            }
            answered
        })
    }
}

/// A call that is being answered, until this is gone.
struct Open(Arc<Published>);

impl Open {
    fn new(published: Arc<Published>) -> Open {
        published.statistics.meters.calls_open.inc();
        Open(published)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.statistics.meters.calls_open.dec();
    }
}
