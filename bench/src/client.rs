//! Calls to a controller over one gRPC channel, as any program would make them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use proto::dial::dial;
use proto::endpoint::Endpoints;
use proto::v1::controller_client::ControllerClient;
use proto::v1::submit_part::Part;
use proto::v1::work::{Command, Kind};
use proto::v1::{
    Files, GetClusterRequest, GetStatisticsReply, GetStatisticsRequest, JobSpec, Progress, SubmitHead, SubmitPart,
    WatchRequest, Work,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::process::PATIENCE;

/// A channel, and the runtime that drives it: one thread, so that little is taken of what is measured.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    /// Connects to a controller's socket.
    pub(crate) fn connect(socket: &Path) -> Result<Client> {
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
        let dialled = runtime.block_on(dial(&Endpoints::socket(socket), PATIENCE));
        let channel = dialled.with_context(|| format!("no controller at {}", socket.display()))?;
        Ok(Client { runtime, channel })
    }

    /// Asks for what the controller is called: it answers.
    pub(crate) fn ping(&self) -> Result<()> {
        let asked = self.runtime.block_on(self.calls().get_cluster(GetClusterRequest {}));
        asked.map(drop).context("the controller does not answer")
    }

    /// Submits so many jobs by so many callers at a time; how long until the last one is durable.
    pub(crate) fn submit(&self, spec: &JobSpec, count: u32, callers: u32) -> Result<Duration> {
        let begun = Instant::now();
        self.runtime.block_on(async {
            let left = Arc::new(AtomicU32::new(count));
            let mut tasks = JoinSet::new();
            for _ in 0..callers {
                tasks.spawn(submit_while(self.calls(), spec.clone(), left.clone()));
            }
            while let Some(done) = tasks.join_next().await {
                done.context("a caller has failed")??;
            }
            Ok(begun.elapsed())
        })
    }

    /// Watches a job until `enough`, which is told every word, or until its end.
    pub(crate) fn watch(&self, job_id: u32, mut enough: impl FnMut(&Progress) -> bool) -> Result<()> {
        self.runtime.block_on(async {
            let watched = self.calls().watch(WatchRequest { job_id }).await;
            let mut words = watched.with_context(|| format!("cannot watch job {job_id}"))?.into_inner();
            while let Some(progress) = words.message().await.context("the watch has ended")? {
                if enough(&progress) || progress.done {
                    return Ok(());
                }
            }
            anyhow::bail!("the controller has ended the watch of job {job_id}")
        })
    }

    /// Watches a job to its end.
    pub(crate) fn wait(&self, job_id: u32) -> Result<()> {
        let mut last = Progress::default();
        self.watch(job_id, |progress| {
            last = progress.clone();
            progress.done
        })?;
        anyhow::ensure!(last.completed == last.total, "not all tasks of job {job_id} have ended well: {last:?}");
        Ok(())
    }

    /// What the controller has counted, which begins anew with this call.
    pub(crate) fn take_statistics(&self) -> Result<GetStatisticsReply> {
        let asked = self.runtime.block_on(self.calls().get_statistics(GetStatisticsRequest { reset: true }));
        Ok(asked.context("the controller does not tell its statistics")?.into_inner())
    }

    fn calls(&self) -> ControllerClient<Channel> {
        ControllerClient::new(self.channel.clone())
    }
}

/// One caller: submits as long as some are left.
async fn submit_while(mut calls: ControllerClient<Channel>, spec: JobSpec, left: Arc<AtomicU32>) -> Result<()> {
    let take = |left: u32| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let request_id = uuid::Uuid::new_v4().into_bytes().to_vec();
        let head = SubmitHead { request_id, spec: Some(spec.clone()), test_only: false };
        let part = SubmitPart { part: Some(Part::Head(head)) };
        calls.submit(tokio_stream::once(part)).await.context("a submit was refused")?;
    }
    Ok(())
}

/// A job that does nothing, and writes nothing.
pub(crate) fn idle_job() -> JobSpec {
    let command = Command { words: vec!["/bin/true".into()] };
    let files = Files { work_dir: "/".into(), stdout: Some("none".into()), umask: 0o022, ..Files::default() };
    JobSpec {
        name: "bench".into(),
        work: Some(Work { kind: Some(Kind::Command(command)) }),
        files: Some(files),
        ..JobSpec::default()
    }
}
