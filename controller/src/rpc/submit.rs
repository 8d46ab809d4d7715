//! Submit: joins the parts, keeps them as journal blobs, and asks the driver for a job.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::spec::{Parts, read_request_id, read_spec};
use proto::v1;
use sched::allow::Verb;
use sched::ids::{BlobHash, JobId};
use sched::rehearse::{Rehearsal, rehearse};
use sched::settings::Settings;
use sched::spec::hostlist;
use sched::step::{Answer, Input};
use tonic::{Request, Status, Streaming};

use super::caller::Caller;
use super::rights::served;
use super::{Desk, owner, refuse, unavailable};
use crate::audit::recorded::Note;
use crate::clock;
use crate::driver::Unavailable;
use crate::journal::hash_of;

const MIB: u64 = 1024 * 1024;
/// How long one part of a submit may take.
const PART_TIME: Duration = Duration::from_secs(30);
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
    let note = Note::of(request.extensions());
    let peer = served(&request)?;
    let asker = desk.rights.asker(&request)?;
    let caller = Caller::of(request.extensions());
    let config = desk.config.load_full();
    let settings = &config.settings;
    desk.submit_rate.take(asker.uid, settings.submit_rate_max, clock::now())?;
    let mut parts = request.into_inner();
    let mut arrived = Arrived::default();
    // Nobody waits while holding something: who finds no room comes again.
    let no_room = |_| unavailable(Unavailable::Full);
    let mut room = desk.submit_bytes.claim(asker.uid, 0).map_err(no_room)?;
    while let Some(part) = next(&mut parts, PART_TIME).await? {
        room.grow(prost::Message::encoded_len(&part)).map_err(no_room)?;
        arrived.take(part, settings)?;
    }
    let bytes = arrived.bytes();
    let test_only = arrived.head.as_ref().is_some_and(|head| head.test_only);
    if let Some(spec) = arrived.head.as_mut().and_then(|head| head.spec.as_mut()) {
        if spec.map.is_some() {
            note.verb(Verb::SubmitMap);
        }
        owner::settle(spec, peer, asker)?;
        // Elsewhere the same user may be called otherwise.
        if let (Some(name), Some(user)) = (caller.name(), spec.user.as_mut())
            && peer.is_some_and(|(uid, _)| uid == user.uid)
        {
            user.name.clone_from(name);
        }
    }
    let owner = arrived.head.as_ref().and_then(|head| head.spec.as_ref()?.user.as_ref()).map(|user| user.uid);
    let (input, blobs) = arrived.into_input(desk)?;
    if test_only {
        note.verb(Verb::Read);
        return forecast(desk, input).await;
    }
    if !is_repeated(desk, &input) {
        let free = desk.journal.free_bytes().map_err(|error| full(&error.to_string()))?;
        leaves_room(free, bytes, settings, &desk.dir)?;
    }
    match desk.post.ask(input, blobs).await.map_err(unavailable)? {
        Answer::Submitted(job) => {
            note.what(of_whom(job, owner, peer));
            Ok(v1::SubmitReply { job_id: job.0, cluster: settings.cluster_name.clone(), forecast: None })
        }
        Answer::Refused(refusal) => Err(refuse(&refusal)),
        other => Err(Status::internal(format!("a submit was answered with {other:?}"))),
    }
}

/// The next part, which has to come soon: what came before it waits in memory.
async fn next(parts: &mut Streaming<v1::SubmitPart>, time: Duration) -> Result<Option<v1::SubmitPart>, Status> {
    tokio::time::timeout(time, parts.message()).await.unwrap_or_else(|_| {
        let detail = format!("no part of the job came for {} s", time.as_secs());
        Err(refused(ErrorReason::TooSlow, "Resource temporarily unavailable", Some(&detail)))
    })
}

/// A job for the audit log, with whose it is where that is another's.
pub(super) fn of_whom(job: JobId, owner: Option<u32>, peer: Option<(u32, u32)>) -> String {
    match owner {
        Some(owner) if peer.is_none_or(|(uid, _)| uid != owner) => format!("{job} of uid {owner}"),
        _ => job.to_string(),
    }
}

/// When and where the job would start.
async fn forecast(desk: &Desk, input: Input) -> Result<v1::SubmitReply, Status> {
    let Input::Submit { request, spec } = input else { return Err(WireError::Missing("spec").into()) };
    let (cluster, config) = (desk.published.cluster(), desk.config.load_full());
    let name = config.settings.cluster_name.clone();
    let _turn = super::why::turn().await;
    let seen = cluster.clone();
    let rehearsed =
        tokio::task::spawn_blocking(move || rehearse(&seen, &config.settings, clock::now(), request, spec)).await;
    let rehearsed = rehearsed.map_err(|error| Status::internal(format!("no start could be forecast: {error}")))?;
    let Rehearsal { job, at, nodes, cpus, partition } = rehearsed.map_err(|refusal| refuse(&refusal))?;
    let forecast = v1::Forecast {
        start_ms: at.map_or(0, |at| at.0),
        cpus,
        nodes: hostlist::compress(nodes.iter().filter_map(|node| cluster.node_name(*node))),
        partition: partition.to_string(),
    };
    Ok(v1::SubmitReply { job_id: job.0, cluster: name, forecast: Some(forecast) })
}

impl Arrived {
    fn take(&mut self, part: v1::SubmitPart, settings: &Settings) -> Result<(), Status> {
        use v1::submit_part::Part;
        match part.part.ok_or(WireError::Missing("part"))? {
            Part::Head(_) if self.head.is_some() => {
                return Err(WireError::Meaningless { field: "head", value: "a second one".into() }.into());
            }
            Part::Head(head) => self.head = Some(head),
            Part::Script(piece) => {
                self.script.extend_from_slice(&piece);
                bounded("the batch script", self.script.len(), settings.script_bytes_max)?;
            }
            Part::Environment(piece) => {
                self.environment.extend_from_slice(&piece);
                bounded("the environment", self.environment.len(), settings.environment_bytes_max)?;
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

    /// What it will take on disk.
    fn bytes(&self) -> u64 {
        (self.script.len() + self.environment.len() + self.manifest.len()) as u64
    }

    fn into_input(self, desk: &Desk) -> Result<(Input, Vec<(BlobHash, Bytes)>), Status> {
        let bytes = self.bytes();
        let head = self.head.ok_or(WireError::Missing("head"))?;
        let spec = head.spec.ok_or(WireError::Missing("spec"))?;
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
        let index_max = desk.config.load().settings.array_size_max.saturating_sub(1);
        let spec = read_spec(spec, Parts { script, environment, manifest, bytes }, index_max)?;
        let request = read_request_id(&head.request_id)?;
        Ok((Input::Submit { request, spec: Arc::new(spec) }, blobs))
    }
}

/// Whether the job is there already: the answer must not be that there is no room for it.
fn is_repeated(desk: &Desk, input: &Input) -> bool {
    matches!(input, Input::Submit { request, .. } if desk.published.cluster().job_of_request(*request).is_some())
}

/// Refuses what would not leave `MinFreeDisk`: what runs needs room for its ends.
pub(super) fn leaves_room(free: u64, bytes: u64, settings: &Settings, dir: &Path) -> Result<(), Status> {
    let wanted = settings.free_disk_mib_min * MIB + bytes;
    if free >= wanted {
        return Ok(());
    }
    Err(full(&format!(
        "{} MiB are free in {}, and this submit of {} KiB must leave {} MiB (MinFreeDisk); what runs goes on",
        free / MIB,
        dir.display(),
        bytes.div_ceil(1024),
        settings.free_disk_mib_min
    )))
}

pub(super) fn full(detail: &str) -> Status {
    refused(ErrorReason::DiskFull, "I/O error writing script/environment to file", Some(detail))
}

pub(super) fn bounded(what: &str, bytes: usize, bytes_max: usize) -> Result<(), Status> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("{what} is larger than {bytes_max} bytes");
    Err(refused(ErrorReason::TooLarge, "Pathname of a file, directory or other parameter too long", Some(&detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submit_leaves_the_reserve_of_disk_alone() {
        let settings = Settings { free_disk_mib_min: 64, ..Settings::default() };
        let dir = Path::new("/var/lib/covey");
        assert!(leaves_room(64 * MIB, 0, &settings, dir).is_ok());
        for (free, bytes) in [(64 * MIB, 1), (12 * MIB, 0)] {
            let refusal = leaves_room(free, bytes, &settings, dir).expect_err("too little");
            let detail = proto::error::detail(&refusal).expect("for people");
            assert!(detail.contains("are free in /var/lib/covey") && detail.contains("MinFreeDisk"), "{detail}");
        }
        let none = Settings { free_disk_mib_min: 0, ..settings };
        assert!(leaves_room(0, 0, &none, dir).is_ok(), "without a reserve the journal has the last word");
    }

    #[test]
    fn script_and_environment_are_bounded_by_the_settings() {
        use v1::submit_part::Part;
        let settings = Settings { script_bytes_max: 10, environment_bytes_max: 5, ..Settings::default() };
        let mut arrived = Arrived::default();
        let mut take = |part| arrived.take(v1::SubmitPart { part: Some(part) }, &settings);
        assert!(
            take(Part::Script(vec![b'x'; 10].into())).is_ok() && take(Part::Environment(vec![b'x'; 5].into())).is_ok()
        );
        for (part, what) in
            [(Part::Script(vec![0].into()), "script"), (Part::Environment(vec![0].into()), "environment")]
        {
            let refusal = take(part).expect_err("one byte too many");
            assert!(proto::error::detail(&refusal).is_some_and(|detail| detail.contains(what)), "{refusal:?}");
        }
    }
}
