//! Submit: joins the parts, keeps them as journal blobs, and asks the driver for a job.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use proto::error::{WireError, refused};
use proto::spec::{Parts, read_request_id, read_spec};
use proto::v1;
use sched::ids::BlobHash;
use sched::step::{Answer, Input};
use tonic::{Code, Request, Status, Streaming};

use super::{Desk, SUBMIT_BYTES_MAX, allowed, refuse, unavailable};
use crate::driver::Unavailable;
use crate::journal::hash_of;

/// Bytes of an environment.
const ENVIRONMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of all blob names of a map.
const MANIFEST_BYTES_MAX: usize = 200 * 1024 * 1024;

/// All parts of one submit.
#[derive(Default)]
struct Arrived {
    head: Option<v1::SubmitHead>,
    script: Vec<u8>,
    environment: Vec<u8>,
    manifest: String,
    blobs: u32,
}

pub(super) async fn submit(
    desk: &Desk,
    request: Request<Streaming<v1::SubmitPart>>,
) -> Result<v1::SubmitReply, Status> {
    let peer = allowed(&request)?;
    let mut parts = request.into_inner();
    let mut arrived = Arrived::default();
    let mut room = Vec::new();
    while let Some(part) = parts.message().await? {
        let bytes = prost::Message::encoded_len(&part).clamp(1, SUBMIT_BYTES_MAX);
        // Nobody waits while holding something: who finds no room comes again.
        let permit = desk.submit_bytes.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX));
        room.push(permit.map_err(|_| unavailable(Unavailable::Full))?);
        arrived.take(part, desk.config.settings.script_bytes_max)?;
    }
    let (input, blobs) = arrived.into_input(desk, peer)?;
    match desk.post.ask(input, blobs).await.map_err(unavailable)? {
        Answer::Submitted(job) => {
            Ok(v1::SubmitReply { job_id: job.0, cluster: desk.config.settings.cluster_name.clone() })
        }
        Answer::Refused(refusal) => Err(refuse(&refusal)),
        other => Err(Status::internal(format!("a submit was answered with {other:?}"))),
    }
}

impl Arrived {
    fn take(&mut self, part: v1::SubmitPart, script_bytes_max: usize) -> Result<(), Status> {
        use v1::submit_part::Part;
        match part.part.ok_or(WireError::Missing("part"))? {
            Part::Head(_) if self.head.is_some() => {
                return Err(WireError::Meaningless { field: "head", value: "a second one".into() }.into());
            }
            Part::Head(head) => self.head = Some(head),
            Part::Script(piece) => {
                self.script.extend_from_slice(&piece);
                bounded("the batch script", self.script.len(), script_bytes_max)?;
            }
            Part::Environment(piece) => {
                self.environment.extend_from_slice(&piece);
                bounded("the environment", self.environment.len(), ENVIRONMENT_BYTES_MAX)?;
            }
            Part::Manifest(names) => {
                for name in names.names {
                    if name.is_empty() || name.contains(['\n', '\0']) {
                        return Err(WireError::Meaningless { field: "manifest", value: name }.into());
                    }
                    self.manifest.push_str(&name);
                    self.manifest.push('\n');
                    self.blobs += 1;
                }
                bounded("the list of blobs", self.manifest.len(), MANIFEST_BYTES_MAX)?;
            }
        }
        Ok(())
    }

    fn into_input(self, desk: &Desk, peer: Option<(u32, u32)>) -> Result<(Input, Vec<(BlobHash, Bytes)>), Status> {
        let head = self.head.ok_or(WireError::Missing("head"))?;
        let mut spec = head.spec.ok_or(WireError::Missing("spec"))?;
        if let (Some((uid, gid)), Some(user)) = (peer, spec.user.as_mut()) {
            (user.uid, user.gid) = (uid, gid);
        }
        let mut blobs = Vec::new();
        let mut keep = |bytes: Vec<u8>| {
            let bytes = Bytes::from(bytes);
            let hash = hash_of(&bytes);
            blobs.push((hash, bytes));
            hash
        };
        let script = (!self.script.is_empty()).then(|| keep(self.script));
        let environment = keep(self.environment);
        let manifest = NonZeroU32::new(self.blobs).map(|count| (keep(self.manifest.into_bytes()), count));
        let index_max = desk.config.settings.array_size_max.saturating_sub(1);
        let spec = read_spec(spec, Parts { script, environment, manifest }, index_max)?;
        let request = read_request_id(&head.request_id)?;
        Ok((Input::Submit { request, spec: Arc::new(spec) }, blobs))
    }
}

fn bounded(what: &str, bytes: usize, bytes_max: usize) -> Result<(), Status> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("{what} is larger than {bytes_max} bytes");
    Err(refused(Code::InvalidArgument, "Pathname of a file, directory or other parameter too long", Some(&detail)))
}
