//! `GetScript`: a job's batch script, or what its map reads and writes, from the journal.

use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use sched::allow::Verb;
use sched::ids::BlobHash;
use sched::job::Job;
use sched::select::{Asker, resolve};
use sched::spec::job::Work;
use tonic::Status;

use super::{Desk, refuse};

/// Names of blobs that fit one answer with all that is around them.
const MANIFEST_REPLY_BYTES_MAX: usize = proto::CALL_MESSAGE_BYTES_MAX / 2;

pub(super) fn get(desk: &Desk, asker: Asker, request: &v1::GetScriptRequest) -> Result<v1::GetScriptReply, Status> {
    let bad_id = || WireError::Meaningless { field: "id", value: request.id.clone() };
    let target = request.id.parse().map_err(|_| bad_id())?;
    let cluster = desk.published.cluster();
    let (job, _) = resolve(&cluster, &target).map_err(|refusal| refuse(&refusal))?;
    asker.may(Verb::ReadScript, job).map_err(|refusal| refuse(&refusal))?;
    if request.map {
        return map(desk, job);
    }
    let Work::Script { script, .. } = &*job.terms.spec.work else {
        return Err(refused(ErrorReason::NoScript, "Invalid job id specified", Some("the job has no batch script")));
    };
    Ok(v1::GetScriptReply { job_id: job.id.0, script: blob(desk, script)?, ..v1::GetScriptReply::default() })
}

fn map(desk: &Desk, job: &Job) -> Result<v1::GetScriptReply, Status> {
    let none = v1::GetScriptReply { job_id: job.id.0, ..v1::GetScriptReply::default() };
    let Some(map) = &job.terms.spec.map else { return Ok(none) };
    let names = blob(desk, &map.manifest)?;
    if names.len() > MANIFEST_REPLY_BYTES_MAX {
        let why = format!("the list of its blobs has {} bytes, over {MANIFEST_REPLY_BYTES_MAX}", names.len());
        return Err(refused(ErrorReason::TooLarge, "Job is too large for this call", Some(&why)));
    }
    let manifest = String::from_utf8_lossy(&names).lines().map(str::to_owned).collect();
    let (from, to, output_name) = (map.from.clone(), map.to.clone(), map.output_name.clone());
    Ok(v1::GetScriptReply { map: Some(v1::Map { from, to, output_name, throttle: 0 }), manifest, ..none })
}

fn blob(desk: &Desk, hash: &BlobHash) -> Result<Vec<u8>, Status> {
    let failed =
        |why: String| refused(ErrorReason::Storage, "I/O error reading script/environment from file", Some(&why));
    let found = desk.journal.get_blob(hash).map_err(|error| failed(error.to_string()))?;
    found.ok_or_else(|| failed("the journal has lost it".into()))
}
