//! `GetScript`: a job's batch script, from the journal.

use proto::error::{WireError, refused};
use proto::v1;
use sched::select::{Asker, resolve};
use sched::spec::job::Work;
use tonic::{Code, Status};

use super::{Desk, refuse};

pub(super) fn get(desk: &Desk, asker: Asker, request: &v1::GetScriptRequest) -> Result<v1::GetScriptReply, Status> {
    let bad_id = || WireError::Meaningless { field: "id", value: request.id.clone() };
    let target = request.id.parse().map_err(|_| bad_id())?;
    let cluster = desk.published.cluster();
    let (job, _) = resolve(&cluster, &target).map_err(|refusal| refuse(&refusal))?;
    asker.may_touch(job).map_err(|refusal| refuse(&refusal))?;
    let Work::Script { script, .. } = &job.terms.spec.work else {
        return Err(refused(Code::FailedPrecondition, "Invalid job id specified", Some("the job has no batch script")));
    };
    let failed = |why: String| refused(Code::Internal, "I/O error reading script/environment from file", Some(&why));
    let script = desk.journal.get_blob(script).map_err(|error| failed(error.to_string()))?;
    let script = script.ok_or_else(|| failed("the journal has lost it".into()))?;
    Ok(v1::GetScriptReply { job_id: job.id.0, script })
}
