//! The services on the wire: one file for each call, named as its `.proto` file is.
//!
//! Here messages become inputs and snapshots become messages; nothing is decided.

pub(crate) mod admission;
pub(crate) mod allocate;
mod audit;
mod backup;
pub(crate) mod caller;
mod cancel;
mod cluster;
mod control;
mod gres;
mod history;
pub(crate) mod jobs;
pub(crate) mod link;
mod listing;
pub(crate) mod membership;
mod nodes;
pub(crate) mod output;
mod owner;
mod partitions;
mod priorities;
pub(crate) mod rate;
mod reconfigure;
pub(crate) mod relay;
pub(crate) mod rights;
pub(crate) mod rows;
mod script;
mod serve_step;
pub(crate) mod sign_blob;
mod statistics;
mod steps;
mod submit;
mod update_nodes;
mod user_tokens;
pub(crate) mod verbs;
mod watch;
mod watch_jobs;
pub(crate) mod why;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::Stream;
use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use proto::v1::controller_server::Controller;
use sched::allow::Verb;
use sched::refusal::Refusal;
use sched::spec::array::JobRef;
use tonic::{Request, Response, Status, Streaming};

use self::caller::Caller;
use self::rights::Rights;
use crate::audit::Audit;
use crate::audit::recorded::Note;
use crate::budget::Budget;
use crate::config::{Config, ConfigFile};
use crate::driver::{Post, Published, Unavailable};
use crate::journal::Journal;

/// Bytes of scripts, environments and manifests that may be on their way in at the same time; further submits come again.
pub(crate) const SUBMIT_BYTES_MAX: usize = 384 * 1024 * 1024;
/// And of one user: the largest job that there may be, and what is left is for others.
pub(crate) const SUBMIT_BYTES_OF_ONE_MAX: usize = 224 * 1024 * 1024;

/// Jobs that one call may name; a longer list takes several calls.
pub(crate) const IDS_MAX: usize = 200_000;
/// Of these, lists of tasks such as `5_[0-9]`, each of which may stand for millions.
pub(crate) const ID_SETS_MAX: usize = 64;

/// What every call may use.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) post: Post,
    pub(crate) published: Arc<Published>,
    pub(crate) journal: Arc<dyn Journal>,
    /// What holds at the moment: `scontrol reconfigure` puts another in its place.
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// Who did what.
    pub(crate) audit: Audit,
    /// What callers may do by it.
    pub(crate) rights: Rights,
    /// Where it was read from.
    pub(crate) config_file: Arc<ConfigFile>,
    /// The port of `--listen-plain`; 0 without one.
    pub(crate) plain_port: u16,
    pub(crate) epoch: u64,
    pub(crate) started_ms: i64,
    pub(crate) submit_bytes: Arc<Budget<u32>>,
    pub(crate) submit_rate: Arc<rate::Rate>,
    pub(crate) relay: Arc<relay::Relay>,
    pub(crate) readings: Arc<output::Readings>,
    pub(crate) holders: Arc<allocate::Holders>,
    /// The cluster's folder, for people.
    pub(crate) dir: Arc<Path>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Controller for Desk {
    type ListJobsStream = Answers<v1::JobsPage>;
    type ListHistoryStream = Answers<v1::JobsPage>;
    type WatchStream = Answers<v1::Progress>;
    type RunStepStream = Answers<v1::ToSrun>;
    type AllocateStream = Answers<v1::ToHolder>;

    async fn submit(&self, request: Request<Streaming<v1::SubmitPart>>) -> Result<Response<v1::SubmitReply>, Status> {
        submit::submit(self, request).await.map(Response::new)
    }

    async fn list_jobs(&self, request: Request<v1::ListJobsRequest>) -> Result<Response<Self::ListJobsStream>, Status> {
        let uid = caller_uid(&request)?;
        jobs::list(self, request.into_inner(), uid).await.map(Response::new)
    }

    async fn list_history(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<Self::ListHistoryStream>, Status> {
        let uid = caller_uid(&request)?;
        history::list(self, request.into_inner(), uid).map(Response::new)
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        why::why(self, request.into_inner()).await.map(Response::new)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        watch::watch(self, request.get_ref()).map(Response::new)
    }

    type WatchJobsStream = Answers<v1::JobsNews>;

    async fn watch_jobs(
        &self,
        request: Request<v1::WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        watch_jobs::watch(self, request).await.map(Response::new)
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::CancelReply>, Status> {
        cancel::cancel(self, request).await.map(Response::new)
    }

    async fn hold(&self, request: Request<v1::HoldRequest>) -> Result<Response<v1::ControlReply>, Status> {
        control::hold(self, request).await.map(Response::new)
    }

    async fn requeue(&self, request: Request<v1::RequeueRequest>) -> Result<Response<v1::ControlReply>, Status> {
        control::requeue(self, request).await.map(Response::new)
    }

    async fn suspend(&self, request: Request<v1::SuspendRequest>) -> Result<Response<v1::ControlReply>, Status> {
        control::suspend(self, request).await.map(Response::new)
    }

    async fn signal(&self, request: Request<v1::SignalRequest>) -> Result<Response<v1::ControlReply>, Status> {
        control::signal(self, request).await.map(Response::new)
    }

    async fn update_jobs(&self, request: Request<v1::UpdateJobsRequest>) -> Result<Response<v1::ControlReply>, Status> {
        control::update(self, request).await.map(Response::new)
    }

    async fn run_step(
        &self,
        request: Request<Streaming<v1::FromSrun>>,
    ) -> Result<Response<Self::RunStepStream>, Status> {
        steps::run(self, request).await.map(Response::new)
    }

    async fn allocate(
        &self,
        request: Request<Streaming<v1::FromHolder>>,
    ) -> Result<Response<Self::AllocateStream>, Status> {
        allocate::allocate(self, request).await.map(Response::new)
    }

    async fn list_nodes(
        &self,
        _request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesReply>, Status> {
        Ok(Response::new(nodes::list(self)))
    }

    async fn update_nodes(
        &self,
        request: Request<v1::UpdateNodesRequest>,
    ) -> Result<Response<v1::UpdateNodesReply>, Status> {
        update_nodes::update(self, request).await.map(Response::new)
    }

    async fn change_partition(
        &self,
        request: Request<v1::ChangePartitionRequest>,
    ) -> Result<Response<v1::ChangePartitionReply>, Status> {
        partitions::change(self, request).await.map(Response::new)
    }

    type ListPrioritiesStream = Answers<v1::PrioritiesPage>;

    async fn list_priorities(
        &self,
        request: Request<v1::ListPrioritiesRequest>,
    ) -> Result<Response<Self::ListPrioritiesStream>, Status> {
        Ok(Response::new(priorities::list(self, caller_uid(&request)?)))
    }

    async fn get_script(&self, request: Request<v1::GetScriptRequest>) -> Result<Response<v1::GetScriptReply>, Status> {
        Note::of(request.extensions()).what(request.get_ref().id.as_str());
        let asker = self.rights.asker(&request)?;
        script::get(self, asker, request.get_ref()).map(Response::new)
    }

    type ReadOutputStream = Answers<v1::OutputPiece>;

    async fn read_output(
        &self,
        request: Request<v1::ReadOutputRequest>,
    ) -> Result<Response<Self::ReadOutputStream>, Status> {
        Note::of(request.extensions()).what(request.get_ref().id.as_str());
        let asker = self.rights.asker(&request)?;
        output::read(self, asker, request.into_inner()).await.map(Response::new)
    }

    async fn get_statistics(
        &self,
        request: Request<v1::GetStatisticsRequest>,
    ) -> Result<Response<v1::GetStatisticsReply>, Status> {
        if request.get_ref().reset {
            Note::of(request.extensions()).verb(Verb::ResetStatistics);
            self.rights.asker_here(&request, Verb::ResetStatistics)?;
        }
        Ok(Response::new(statistics::get(self, request.get_ref().reset)))
    }

    async fn reconfigure(
        &self,
        request: Request<v1::ReconfigureRequest>,
    ) -> Result<Response<v1::ReconfigureReply>, Status> {
        self.rights.asker_here(&request, Verb::Reconfigure)?;
        reconfigure::reconfigure(self).await.map(Response::new)
    }

    type ListAuditStream = Answers<v1::AuditPage>;

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<Self::ListAuditStream>, Status> {
        audit::list(self, request).await.map(Response::new)
    }

    type BackupStream = Answers<v1::BackupPart>;

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        self.rights.asker_here(&request, Verb::Backup)?;
        backup::backup(self, request.into_inner()).map(Response::new)
    }

    async fn get_cluster(
        &self,
        _request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterReply>, Status> {
        Ok(Response::new(cluster::describe(self)))
    }
}

/// Whose calls this one counts among: also a user's for whom a node speaks and is not believed, as they may look all the same.
fn caller_uid<T>(request: &Request<T>) -> Result<u32, Status> {
    match Caller::of(request.extensions()) {
        Caller::ByNode(user) => Ok(user.uid),
        _ => Ok(caller::peer(request)?.map_or(rights::NOBODY_UID, |(uid, _)| uid)),
    }
}

/// A refusal as a status: Slurm's text, and the sentence for people beside it.
fn refuse(refusal: &Refusal) -> Status {
    refused(ErrorReason::of(refusal), &refusal.to_string(), refusal.detail().as_deref())
}

/// Jobs and tasks by their names.
fn read_targets(ids: &[String]) -> Result<Vec<JobRef>, WireError> {
    if ids.len() > IDS_MAX {
        return Err(WireError::Meaningless {
            field: "ids",
            value: format!("{} of them; at most {IDS_MAX}", ids.len()),
        });
    }
    let sets = ids.iter().filter(|id| id.contains('[')).count();
    if sets > ID_SETS_MAX {
        return Err(WireError::Meaningless { field: "ids", value: format!("{sets} lists; at most {ID_SETS_MAX}") });
    }
    let target = |id: &String| id.parse().map_err(|_| WireError::Meaningless { field: "ids", value: id.clone() });
    ids.iter().map(target).collect()
}

/// For each target in its order: nothing, or why not.
fn refusals(found: &[Result<(), Refusal>]) -> Vec<String> {
    found.iter().map(|found| found.as_ref().err().map(ToString::to_string).unwrap_or_default()).collect()
}

/// The same for programs.
fn reasons(found: &[Result<(), Refusal>]) -> Vec<i32> {
    let reason = |found: &Result<(), Refusal>| found.as_ref().err().map_or(ErrorReason::Unspecified, ErrorReason::of);
    found.iter().map(|found| reason(found).into()).collect()
}

/// Nothing has happened, and a retry may help.
fn unavailable(why: Unavailable) -> Status {
    let gone = "Unable to contact slurm controller (connect failure)";
    let (reason, message) = match why {
        Unavailable::Full => (ErrorReason::Busy, gone),
        Unavailable::Stopping => (ErrorReason::Stopping, gone),
        // It is there, and says no: whoever asks should hear why, and at once.
        Unavailable::Journal => (ErrorReason::Storage, "I/O error writing script/environment to file"),
    };
    refused(reason, message, Some(&why.to_string()))
}
