//! A controller for tests that loses calls: enough of the service to see that a submit counts once and that a wait
//! outlives a lost stream.

use std::sync::{Arc, Mutex};

use futures::stream::{self, BoxStream};
use proto::v1::controller_server::{Controller, ControllerServer};
use proto::v1::submit_part::Part;
use proto::v1::{self, Progress};
use tokio_stream::StreamExt;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::call::Channel;

/// What it was asked, and how many calls it loses before it answers.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) losses: usize,
    pub(crate) request_ids: Vec<Vec<u8>>,
    pub(crate) names: Vec<String>,
    pub(crate) watched: Vec<u32>,
}

/// The service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(pub(crate) Arc<Mutex<Seen>>);

impl Fake {
    /// Listens on a port of this machine and connects to it.
    pub(crate) async fn start(&self) -> Channel {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(Server::builder().add_service(ControllerServer::new(self.clone())).serve_with_incoming(incoming));
        let endpoints = format!("http://{address}").parse().expect("an address");
        let channel = proto::dial::dial(&endpoints, std::time::Duration::from_secs(10)).await.expect("it listens");
        crate::call::unnamed(channel)
    }

    fn loses(&self) -> bool {
        let mut seen = self.0.lock().expect("no test panics with it");
        let lost = seen.losses > 0;
        seen.losses = seen.losses.saturating_sub(1);
        lost
    }
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl Controller for Fake {
    async fn submit(&self, request: Request<Streaming<v1::SubmitPart>>) -> Result<Response<v1::SubmitReply>, Status> {
        let mut parts = request.into_inner();
        let (mut id, mut names) = (Vec::new(), Vec::new());
        while let Some(part) = parts.try_next().await? {
            match part.part {
                Some(Part::Head(head)) => id = head.request_id,
                Some(Part::Manifest(batch)) => names.extend(batch.names),
                _ => {}
            }
        }
        let lost = self.loses();
        let mut seen = self.0.lock().expect("no test panics with it");
        seen.request_ids.push(id);
        seen.names = names;
        if lost {
            return Err(Status::unavailable("the answer was lost"));
        }
        Ok(Response::new(v1::SubmitReply { job_id: 7, cluster: "covey".into(), forecast: None }))
    }

    type WatchStream = Answers<Progress>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let job_id = request.into_inner().job_id;
        if job_id == 0 {
            return Err(Status::not_found("Invalid job id specified"));
        }
        self.0.lock().expect("no test panics with it").watched.push(job_id);
        let begun = Progress { total: 2, running: 2, ..Progress::default() };
        let done = Progress { total: 2, completed: 1, failed: 1, done: true, wait_status: 3, ..Progress::default() };
        let words = if self.loses() { vec![begun] } else { vec![begun, done] };
        Ok(Response::new(Box::pin(stream::iter(words.into_iter().map(Ok)))))
    }

    type ListJobsStream = Answers<v1::JobsPage>;

    async fn list_jobs(&self, _: Request<v1::ListJobsRequest>) -> Result<Response<Self::ListJobsStream>, Status> {
        Err(Status::unimplemented("list_jobs"))
    }

    type ListHistoryStream = Answers<v1::JobsPage>;

    async fn list_history(
        &self,
        _: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<Self::ListHistoryStream>, Status> {
        Err(Status::unimplemented("list_history"))
    }

    type WatchJobsStream = Answers<v1::JobsNews>;

    async fn watch_jobs(&self, _: Request<v1::WatchJobsRequest>) -> Result<Response<Self::WatchJobsStream>, Status> {
        Err(Status::unimplemented("watch_jobs"))
    }

    type ReadOutputStream = Answers<v1::OutputPiece>;

    async fn read_output(&self, _: Request<v1::ReadOutputRequest>) -> Result<Response<Self::ReadOutputStream>, Status> {
        Err(Status::unimplemented("read_output"))
    }

    async fn cancel(&self, _: Request<v1::CancelRequest>) -> Result<Response<v1::CancelReply>, Status> {
        Err(Status::unimplemented("cancel"))
    }

    async fn hold(&self, _: Request<v1::HoldRequest>) -> Result<Response<v1::ControlReply>, Status> {
        Err(Status::unimplemented("hold"))
    }

    async fn requeue(&self, _: Request<v1::RequeueRequest>) -> Result<Response<v1::ControlReply>, Status> {
        Err(Status::unimplemented("requeue"))
    }

    async fn suspend(&self, _: Request<v1::SuspendRequest>) -> Result<Response<v1::ControlReply>, Status> {
        Err(Status::unimplemented("suspend"))
    }

    async fn signal(&self, _: Request<v1::SignalRequest>) -> Result<Response<v1::ControlReply>, Status> {
        Err(Status::unimplemented("signal"))
    }

    async fn update_jobs(&self, _: Request<v1::UpdateJobsRequest>) -> Result<Response<v1::ControlReply>, Status> {
        Err(Status::unimplemented("update_jobs"))
    }

    type RunStepStream = Answers<v1::ToSrun>;

    async fn run_step(&self, _: Request<Streaming<v1::FromSrun>>) -> Result<Response<Self::RunStepStream>, Status> {
        Err(Status::unimplemented("run_step"))
    }

    type AllocateStream = Answers<v1::ToHolder>;

    async fn allocate(&self, _: Request<Streaming<v1::FromHolder>>) -> Result<Response<Self::AllocateStream>, Status> {
        Err(Status::unimplemented("allocate"))
    }

    async fn list_nodes(&self, _: Request<v1::ListNodesRequest>) -> Result<Response<v1::ListNodesReply>, Status> {
        Err(Status::unimplemented("list_nodes"))
    }

    async fn update_nodes(&self, _: Request<v1::UpdateNodesRequest>) -> Result<Response<v1::UpdateNodesReply>, Status> {
        Err(Status::unimplemented("update_nodes"))
    }

    async fn change_partition(
        &self,
        _: Request<v1::ChangePartitionRequest>,
    ) -> Result<Response<v1::ChangePartitionReply>, Status> {
        Err(Status::unimplemented("change_partition"))
    }

    async fn why(&self, _: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        Err(Status::unimplemented("why"))
    }

    async fn get_statistics(
        &self,
        _: Request<v1::GetStatisticsRequest>,
    ) -> Result<Response<v1::GetStatisticsReply>, Status> {
        Err(Status::unimplemented("get_statistics"))
    }

    type ListPrioritiesStream = Answers<v1::PrioritiesPage>;

    async fn list_priorities(
        &self,
        _: Request<v1::ListPrioritiesRequest>,
    ) -> Result<Response<Self::ListPrioritiesStream>, Status> {
        Err(Status::unimplemented("list_priorities"))
    }

    type BackupStream = Answers<v1::BackupPart>;

    async fn backup(&self, _: Request<v1::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        Err(Status::unimplemented("backup"))
    }

    async fn get_script(&self, _: Request<v1::GetScriptRequest>) -> Result<Response<v1::GetScriptReply>, Status> {
        Err(Status::unimplemented("get_script"))
    }

    async fn reconfigure(&self, _: Request<v1::ReconfigureRequest>) -> Result<Response<v1::ReconfigureReply>, Status> {
        Err(Status::unimplemented("reconfigure"))
    }

    type ListAuditStream = Answers<v1::AuditPage>;

    async fn list_audit(&self, _: Request<v1::ListAuditRequest>) -> Result<Response<Self::ListAuditStream>, Status> {
        Err(Status::unimplemented("list_audit"))
    }

    async fn get_cluster(&self, _: Request<v1::GetClusterRequest>) -> Result<Response<v1::GetClusterReply>, Status> {
        Err(Status::unimplemented("get_cluster"))
    }
}
