//! `/metrics`: the meters, and the cluster as it is at the moment, as Prometheus reads them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};

use super::shape;
use crate::clock;
use crate::driver::Published;

/// What [`traces::scrape::serve`] asks.
pub(crate) fn source(published: Arc<Published>) -> impl Fn() -> String + Clone + Send + Sync + 'static {
    move || {
        let mut text = String::new();
        written(&published, &mut text).expect("a string takes all that is written");
        text
    }
}

fn written(published: &Published, text: &mut String) -> fmt::Result {
    let statistics = &published.statistics;
    let figures = statistics.read(clock::now(), false);
    encode_registry(text, &statistics.meters.registry)?;
    encode_registry(text, &shape::registry(&published.cluster(), &figures, statistics.meters.calls_open.get()))?;
    encode_eof(text)
}
