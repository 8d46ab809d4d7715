//! A job on the wire and in the house: `v1::JobSpec` to [`JobDraft`] on arrival, and back piece by piece.

use std::num::NonZeroU32;

use sched::ids::{BlobHash, RequestId, Timestamp};
use sched::spec::array::ArraySpec;
use sched::spec::dependency::Dependency;
use sched::spec::duration::TimeLimit;
use sched::spec::job::{Files, JobDraft, JobSpec, Map, Origin, User, Work};
use sched::spec::labels::Labels;
use sched::spec::retry::{RETRIES_MAX, Retry};
use sched::spec::rlimit::ResourceLimit;
use sched::spec::signal::Warning;

use crate::error::WireError;
use crate::request::read_request;
use crate::v1;

/// What came beside a spec, as journal blobs.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The script; absent when none came.
    pub script: Option<BlobHash>,
    /// The environment.
    pub environment: BlobHash,
    /// The manifest and how many names it has; absent when none came.
    pub manifest: Option<(BlobHash, NonZeroU32)>,
    /// How many bytes all of it has.
    pub bytes: u64,
}

/// Reads a spec that arrived, and checks it.
///
/// # Errors
/// The first field that is missing, means nothing or is out of bounds.
pub fn read_spec(spec: v1::JobSpec, parts: Parts, index_max: u32) -> Result<JobSpec, WireError> {
    let map = spec.map.map(|map| read_map(map, parts, index_max)).transpose()?;
    let array = match (&map, spec.array.as_str()) {
        (Some((_, tasks)), "") => Some(tasks.clone()),
        (Some(_), _) => return Err(sched::spec::job::SpecError::MapWithoutTasks.into()),
        (None, "") => None,
        (None, text) => Some(ArraySpec::parse(text, index_max)?),
    };
    let draft = JobDraft {
        name: spec.name.into(),
        user: User::from(spec.user.ok_or(WireError::Missing("user"))?).into(),
        partitions: spec.partitions.iter().map(|name| name.as_str().into()).collect(),
        array,
        request: read_request(spec.request.unwrap_or_default())?.into(),
        time_limit: read_time_limit(spec.time_limit_minutes, spec.time_unlimited)?,
        work: read_work(spec.work, parts)?.into(),
        map: map.map(|(map, _)| map.into()),
        environment: parts.environment,
        files: Files::from(spec.files.ok_or(WireError::Missing("files"))?).into(),
        requeue: spec.requeue,
        hold: spec.hold,
        begin: Some(Timestamp(spec.begin_ms)).filter(|begin| begin.0 != 0),
        dependency: read_dependency(&spec.dependency)?,
        kill_on_invalid_dep: spec.kill_on_invalid_dep,
        comment: spec.comment,
        export: spec.export,
        origin: Origin::from(spec.origin.unwrap_or_default()).into(),
        warning: read_warning(&spec.signal)?,
        nice: spec.nice,
        priority: spec.priority,
        deadline: Some(Timestamp(spec.deadline_ms)).filter(|deadline| deadline.0 != 0),
        retry: read_retry(spec.retries, &spec.retry_on)?,
        labels: Labels {
            account: spec.account,
            qos: spec.qos,
            wckey: spec.wckey,
            reservation: spec.reservation,
            extra: spec.extra,
            admin_comment: spec.admin_comment,
            mail: spec.mail_type.parse()?,
            mail_user: spec.mail_user,
        }
        .into(),
        limits: read_limits(&spec.limits)?.into(),
        time_min: read_time_limit(spec.time_min_minutes, false)?,
        login_environment: spec.login_environment,
        inject_failure: Some(spec.inject_failure)
            .filter(|text| !text.is_empty())
            .map(|text| text.parse())
            .transpose()?,
        bytes: parts.bytes,
    };
    Ok(draft.check()?)
}

/// Reads what stands after `--dependency`; nothing is none.
///
/// # Errors
/// When it is no dependency.
pub fn read_dependency(text: &str) -> Result<Option<Dependency>, WireError> {
    if text.is_empty() { Ok(None) } else { Ok(Some(text.parse()?)) }
}

pub(crate) fn read_warning(text: &str) -> Result<Option<Warning>, WireError> {
    if text.is_empty() { Ok(None) } else { Ok(Some(text.parse()?)) }
}

pub(crate) fn read_limits(limits: &[v1::ResourceLimit]) -> Result<Vec<ResourceLimit>, WireError> {
    let limit = |limit: &v1::ResourceLimit| {
        let of =
            limit.name.parse().map_err(|_| WireError::Meaningless { field: "limits", value: limit.name.clone() })?;
        Ok(ResourceLimit { of, value: limit.value, asked: limit.asked })
    };
    limits.iter().map(limit).collect()
}

/// Limits for a message.
#[must_use]
pub fn write_limits(limits: &[ResourceLimit]) -> Vec<v1::ResourceLimit> {
    let limit = |limit: &ResourceLimit| v1::ResourceLimit {
        name: limit.of.name().into(),
        value: limit.value,
        asked: limit.asked,
    };
    limits.iter().map(limit).collect()
}

fn read_retry(times: u32, on: &str) -> Result<Option<Retry>, WireError> {
    if times > RETRIES_MAX {
        return Err(WireError::Meaningless { field: "retries", value: times.to_string() });
    }
    let bad = |_| WireError::Meaningless { field: "retry_on", value: on.to_owned() };
    let on = if on.is_empty() { None } else { Some(on.parse().map_err(bad)?) };
    Ok((times > 0).then_some(Retry { times, on }))
}

/// Reads a request id.
///
/// # Errors
/// When it is not 16 bytes long.
pub fn read_request_id(bytes: &[u8]) -> Result<RequestId, WireError> {
    Ok(RequestId(read_u128("request_id", bytes)?))
}

pub(crate) fn read_u128(field: &'static str, bytes: &[u8]) -> Result<u128, WireError> {
    let bytes = bytes.try_into().map_err(|_| WireError::Length { field, bytes: bytes.len(), wanted: 16 })?;
    Ok(u128::from_be_bytes(bytes))
}

fn read_map(map: v1::Map, parts: Parts, index_max: u32) -> Result<(Map, ArraySpec), WireError> {
    let (manifest, count) = parts.manifest.ok_or(WireError::Missing("manifest"))?;
    let tasks = ArraySpec::counted(count, NonZeroU32::new(map.throttle), index_max)?;
    Ok((Map { from: map.from, to: map.to, output_name: map.output_name, manifest }, tasks))
}

fn read_work(work: Option<v1::Work>, parts: Parts) -> Result<Work, WireError> {
    match work.and_then(|work| work.kind).ok_or(WireError::Missing("work"))? {
        v1::work::Kind::Script(script) => {
            let arguments = script.arguments;
            Ok(Work::Script { script: parts.script.ok_or(WireError::Missing("script"))?, arguments })
        }
        v1::work::Kind::Command(command) => Ok(Work::Command(command.words)),
        v1::work::Kind::Op(op) => Ok(Work::Op(op)),
        v1::work::Kind::Allocation(v1::work::Allocation {}) => Ok(Work::Allocation),
    }
}

/// A limit from its two fields on the wire.
///
/// # Errors
/// When it is no number of minutes.
pub fn read_time_limit(minutes: Option<u64>, unlimited: bool) -> Result<Option<TimeLimit>, WireError> {
    let Some(minutes) = minutes else { return Ok(unlimited.then_some(TimeLimit::Unlimited)) };
    let whole = u32::try_from(minutes).ok().and_then(NonZeroU32::new);
    let whole = whole.ok_or(WireError::Meaningless { field: "time_limit_minutes", value: minutes.to_string() })?;
    Ok(Some(TimeLimit::Minutes(whole)))
}

/// A limit as its two fields on the wire: minutes, and whether it is unlimited.
#[must_use]
pub fn write_time_limit(limit: Option<TimeLimit>) -> (Option<u64>, bool) {
    match limit {
        Some(TimeLimit::Minutes(minutes)) => (Some(u64::from(minutes.get())), false),
        Some(TimeLimit::Unlimited) => (None, true),
        None => (None, false),
    }
}

impl From<v1::User> for User {
    fn from(user: v1::User) -> User {
        User { uid: user.uid, gid: user.gid, name: user.name.into(), group: user.group.into() }
    }
}

impl From<User> for v1::User {
    fn from(user: User) -> v1::User {
        v1::User { uid: user.uid, gid: user.gid, name: user.name.to_string(), group: user.group.to_string() }
    }
}

impl From<v1::Files> for Files {
    fn from(files: v1::Files) -> Files {
        let v1::Files { work_dir, stdin, stdout, stderr, append, umask } = files;
        Files { work_dir, stdin, stdout, stderr, append, umask }
    }
}

impl From<Files> for v1::Files {
    fn from(files: Files) -> v1::Files {
        let Files { work_dir, stdin, stdout, stderr, append, umask } = files;
        v1::Files { work_dir, stdin, stdout, stderr, append, umask }
    }
}

impl From<v1::Origin> for Origin {
    fn from(origin: v1::Origin) -> Origin {
        Origin {
            host: origin.host,
            dir: origin.dir,
            command: origin.command,
            line: origin.line,
            session: origin.session,
        }
    }
}

impl From<Origin> for v1::Origin {
    fn from(origin: Origin) -> v1::Origin {
        let Origin { host, dir, command, line, session } = origin;
        v1::Origin { host, dir, command, line, session }
    }
}
