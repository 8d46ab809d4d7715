//! `Why`: all that keeps a job where it is; and the expected starts that listings show.
//!
//! Both cost about as much as a scheduling pass. They are made from the last durable state beside the driver, which never waits for
//! them, and only a few at a time ([`FORECASTS_MAX`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::error::WireError;
use proto::v1;
use sched::cluster::Cluster;
use sched::ids::{JobId, NodeId, Timestamp};
use sched::plan::expected_starts;
use sched::why::{Finding, Why, explain};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Status;

use super::{Desk, refuse};
use crate::clock;

/// So many forecasts are made at the same time; who asks for one more waits for its turn.
const FORECASTS_MAX: usize = 2;

static FORECASTS: Semaphore = Semaphore::const_new(FORECASTS_MAX);

/// When and where what stands in the queue should start.
pub(super) type Starts = BTreeMap<(JobId, Option<u32>), (Timestamp, Vec<NodeId>)>;

pub(super) async fn why(desk: &Desk, request: v1::WhyRequest) -> Result<v1::WhyReply, Status> {
    let bad_id = || WireError::Meaningless { field: "id", value: request.id.clone() };
    let target = request.id.parse().map_err(|_| bad_id())?;
    let _turn = turn().await;
    let (cluster, config) = (desk.published.cluster(), desk.config.load_full());
    let explained = move || explain(&cluster, &config.settings, clock::now(), &target);
    let explained = tokio::task::spawn_blocking(explained).await;
    let explained = explained.map_err(|error| Status::internal(format!("the job could not be explained: {error}")))?;
    explained.map(reply).map_err(|refusal| refuse(&refusal))
}

/// Every expected start, for a listing of this state.
pub(super) async fn starts(desk: &Desk, cluster: Arc<Cluster>) -> Result<Starts, Status> {
    let _turn = turn().await;
    let config = desk.config.load_full();
    let starts = tokio::task::spawn_blocking(move || expected_starts(&cluster, clock::now(), &config.settings)).await;
    starts.map_err(|error| Status::internal(format!("no start could be forecast: {error}")))
}

pub(super) async fn turn() -> SemaphorePermit<'static> {
    FORECASTS.acquire().await.expect("nobody closes it")
}

fn reply(why: Why) -> v1::WhyReply {
    let finding = |Finding { kind, text, at, jobs, nodes }| v1::Finding {
        kind: kind.to_string(),
        text,
        at_ms: at.map_or(0, |at| at.0),
        jobs,
        nodes: nodes.iter().map(ToString::to_string).collect(),
    };
    let findings = why.findings.into_iter().map(finding).collect();
    v1::WhyReply { id: why.label, state: why.state.to_owned(), reason: why.reason, findings }
}
