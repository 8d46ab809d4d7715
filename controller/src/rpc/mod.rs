//! The services on the wire: one file for each call, named as its `.proto` file is.
//!
//! Here messages become inputs and snapshots become messages; nothing is decided.

pub(crate) mod admission;
pub(crate) mod allocate;
pub(crate) mod caller;
mod cancel;
mod cluster;
mod control;
mod gres;
mod history;
pub(crate) mod jobs;
pub(crate) mod link;
pub(crate) mod membership;
mod nodes;
mod owner;
mod partitions;
mod priorities;
pub(crate) mod rate;
mod reconfigure;
pub(crate) mod relay;
pub(crate) mod rows;
mod script;
mod serve_step;
mod statistics;
mod steps;
mod submit;
mod update_nodes;
mod user_tokens;
mod watch;
pub(crate) mod why;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::Stream;
use proto::error::{WireError, refused};
use proto::v1;
use proto::v1::controller_server::Controller;
use sched::refusal::Refusal;
use sched::select::Asker;
use sched::spec::array::JobRef;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status, Streaming};

use self::caller::Caller;
use crate::config::{Config, ConfigFile};
use crate::driver::{Post, Published, Unavailable};
use crate::journal::Journal;

/// Bytes of scripts, environments and manifests that may be on their way in at the same time; further submits wait.
pub(crate) const SUBMIT_BYTES_MAX: usize = 256 * 1024 * 1024;

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
    /// Where it was read from.
    pub(crate) config_file: Arc<ConfigFile>,
    /// The port of `--listen-plain`; 0 without one.
    pub(crate) plain_port: u16,
    pub(crate) epoch: u64,
    pub(crate) started_ms: i64,
    pub(crate) submit_bytes: Arc<Semaphore>,
    pub(crate) submit_rate: Arc<rate::Rate>,
    pub(crate) relay: Arc<relay::Relay>,
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
        jobs::list(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_history(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<Self::ListHistoryStream>, Status> {
        history::list(self, request.into_inner()).map(Response::new)
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        why::why(self, request.into_inner()).await.map(Response::new)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        watch::watch(self, request.get_ref()).map(Response::new)
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
        administrator(&request)?;
        partitions::change(self, request.into_inner()).await.map(Response::new)
    }

    type ListPrioritiesStream = Answers<v1::PrioritiesPage>;

    async fn list_priorities(
        &self,
        _request: Request<v1::ListPrioritiesRequest>,
    ) -> Result<Response<Self::ListPrioritiesStream>, Status> {
        Ok(Response::new(priorities::list(self)))
    }

    async fn get_script(&self, request: Request<v1::GetScriptRequest>) -> Result<Response<v1::GetScriptReply>, Status> {
        let asker = asker(&request)?;
        script::get(self, asker, request.get_ref()).map(Response::new)
    }

    async fn get_statistics(
        &self,
        request: Request<v1::GetStatisticsRequest>,
    ) -> Result<Response<v1::GetStatisticsReply>, Status> {
        if request.get_ref().reset {
            administrator(&request)?;
        }
        Ok(Response::new(statistics::get(self, request.get_ref().reset)))
    }

    async fn reconfigure(
        &self,
        request: Request<v1::ReconfigureRequest>,
    ) -> Result<Response<v1::ReconfigureReply>, Status> {
        administrator(&request)?;
        reconfigure::reconfigure(self).await.map(Response::new)
    }

    async fn get_cluster(
        &self,
        _request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterReply>, Status> {
        Ok(Response::new(cluster::describe(self)))
    }
}

/// Who may talk of jobs: everybody where the controller is root's and nodes run tasks as their users; else only the user whose
/// controller this is, and root, because tasks run as that user, and anybody else's would run with rights that are not theirs.
fn allowed<T>(request: &Request<T>) -> Result<Option<(u32, u32)>, Status> {
    let own = own_uid();
    let peer = caller::peer(request)?;
    match peer {
        Some((uid, _)) if own != 0 && uid != own && uid != 0 => {
            let detail =
                format!("this cluster belongs to uid {own}, and runs every task as that user; you are uid {uid}");
            Err(refused(Code::PermissionDenied, "Access/permission denied", Some(&detail)))
        }
        peer => Ok(peer),
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Who asks: root and the user whose controller this is are administrators (over the network only by a token that says so), and so is whoever comes over a plain port, where
/// nobody's word can be checked; anybody else touches only what is theirs.
fn asker<T>(request: &Request<T>) -> Result<Asker, Status> {
    Ok(match allowed(request)? {
        Some((uid, _)) => Asker { uid, operator: (uid == 0 || uid == own_uid()) && caller::may_administer(request) },
        None => Asker { uid: NOBODY_UID, operator: true },
    })
}

/// For what only administrators may change: nodes and partitions.
fn administrator<T>(request: &Request<T>) -> Result<Option<(u32, u32)>, Status> {
    let asker = asker(request)?;
    if asker.operator {
        return caller::peer(request);
    }
    let by_token = matches!(Caller::of(request.extensions()), Caller::User(_));
    let how = if by_token { ", and from elsewhere only by a token that was made with --admin" } else { "" };
    let detail = format!("only root and the controller's own user may do that{how}; you are uid {}", asker.uid);
    Err(refused(Code::PermissionDenied, "Access/permission denied", Some(&detail)))
}

/// A refusal as a status: Slurm's text, and the sentence for people beside it.
fn refuse(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::UnknownJob
        | Refusal::UnknownStep
        | Refusal::UnknownNode(_)
        | Refusal::UnknownToken(_)
        | Refusal::UnknownUserToken(_)
        | Refusal::NotAMember(_) => Code::NotFound,
        Refusal::NotAllowed { .. } | Refusal::NotTheirs | Refusal::NotAdmitted(_) => Code::PermissionDenied,
        Refusal::PartitionExists(_) => Code::AlreadyExists,
        Refusal::TooManyJobs(_)
        | Refusal::TooManyOfUser { .. }
        | Refusal::TooManyTokens(_)
        | Refusal::TooManyUserTokens { .. }
        | Refusal::TooManyPartitions(_)
        | Refusal::NodeState(_)
        | Refusal::PartitionInUse { .. }
        | Refusal::TheDefault(_)
        | Refusal::PartitionClosed(_)
        | Refusal::AlreadyDone
        | Refusal::WholeJobsOnly(_)
        | Refusal::StillPending
        | Refusal::NoLongerPending
        | Refusal::NotRequeueable
        | Refusal::MayStillRun { .. }
        | Refusal::NotRunning
        | Refusal::NotSuspended
        | Refusal::NodeAway { .. }
        | Refusal::StepBusy
        | Refusal::TooManySteps(_)
        | Refusal::CpusInUse { .. } => Code::FailedPrecondition,
        Refusal::UnknownPartition(_)
        | Refusal::PartitionChange(_)
        | Refusal::NoSuchNode { .. }
        | Refusal::NodeElsewhere { .. }
        | Refusal::UnknownFeature { .. }
        | Refusal::UnknownGres { .. }
        | Refusal::License { .. }
        | Refusal::NoDefaultPartition
        | Refusal::NoReservation(_)
        | Refusal::Dependency(_)
        | Refusal::NeverFits { .. }
        | Refusal::TooManyProcesses
        | Refusal::DeadlineTooSoon { .. }
        | Refusal::CircularDependency
        | Refusal::BadChange(_)
        | Refusal::ArrayTooBig { .. } => Code::InvalidArgument,
    };
    refused(code, &refusal.to_string(), refusal.detail().as_deref())
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
fn refusals(found: Vec<Result<(), Refusal>>) -> Vec<String> {
    found.into_iter().map(|found| found.err().map(|refusal| refusal.to_string()).unwrap_or_default()).collect()
}

/// Who changes something over a plain TCP port, where nobody's word can be checked.
const NOBODY_UID: u32 = 65_534;

/// Nothing has happened, and a retry may help.
fn unavailable(why: Unavailable) -> Status {
    let gone = "Unable to contact slurm controller (connect failure)";
    let (code, message) = match why {
        Unavailable::Full => (Code::ResourceExhausted, gone),
        Unavailable::Stopping => (Code::Unavailable, gone),
        // It is there, and says no: whoever asks should hear why, and at once.
        Unavailable::Journal => (Code::Internal, "I/O error writing script/environment to file"),
    };
    refused(code, message, Some(&why.to_string()))
}
