//! Steps on the link: what starts a node's part of one, and what a node says of it.

use sched::ids::StepKey;
use sched::reconcile::StepClaim;
use sched::resources::Cpus;
use sched::spec::step::StepSpec;

use super::{Brief, StartTask};
use crate::error::WireError;
use crate::spec::read_u128;
use crate::v1;

/// A node's part of a step, to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct StartStep {
    /// Which.
    pub key: StepKey,
    /// What it is.
    pub spec: StepSpec,
    /// All its parts, in the order of their tasks; this node's is among them.
    pub shares: Vec<StepShare>,
    /// What its stepd shows to the controller.
    pub secret: u128,
    /// The job without its script and environment: on a node without the batch script nothing else says whose it is.
    pub job: Brief,
    /// The task in which it runs.
    pub task: StartTask,
    /// How long its attempt had run by then, in its own time, in milliseconds.
    pub job_ran_ms: u64,
}

/// A node's part of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepShare {
    /// The node's name.
    pub node: String,
    /// The number of its first task.
    pub first_task: u32,
    /// How many tasks it has.
    pub tasks: u32,
    /// The CPUs on which they run.
    pub cpus: Cpus,
}

impl From<v1::StepShare> for StepShare {
    fn from(share: v1::StepShare) -> StepShare {
        let v1::StepShare { node, first_task, tasks, cpus_milli } = share;
        StepShare { node, first_task, tasks, cpus: Cpus::from_milli(cpus_milli) }
    }
}

impl From<StepShare> for v1::StepShare {
    fn from(share: StepShare) -> v1::StepShare {
        let StepShare { node, first_task, tasks, cpus } = share;
        v1::StepShare { node, first_task, tasks, cpus_milli: cpus.milli() }
    }
}

impl TryFrom<v1::StartStep> for StartStep {
    type Error = WireError;

    fn try_from(start: v1::StartStep) -> Result<StartStep, WireError> {
        Ok(StartStep {
            key: read_name(start.name)?,
            spec: start.spec.ok_or(WireError::Missing("spec"))?.try_into()?,
            shares: start.shares.into_iter().map(Into::into).collect(),
            secret: read_u128("secret", &start.secret)?,
            job: start.job.ok_or(WireError::Missing("job"))?.try_into()?,
            task: start.task.ok_or(WireError::Missing("task"))?.into(),
            job_ran_ms: start.job_ran_ms,
        })
    }
}

impl From<StartStep> for v1::StartStep {
    fn from(start: StartStep) -> v1::StartStep {
        v1::StartStep {
            name: Some(start.key.into()),
            spec: Some((&start.spec).into()),
            shares: start.shares.into_iter().map(Into::into).collect(),
            secret: start.secret.to_be_bytes().to_vec(),
            job: Some(start.job.into()),
            task: Some(start.task.into()),
            job_ran_ms: start.job_ran_ms,
        }
    }
}

impl TryFrom<v1::StepClaim> for StepClaim {
    type Error = WireError;

    fn try_from(claim: v1::StepClaim) -> Result<StepClaim, WireError> {
        let end = claim.end.map(TryInto::try_into).transpose()?;
        Ok(StepClaim { key: read_name(claim.name)?, end, heard: claim.heard })
    }
}

impl From<StepClaim> for v1::StepClaim {
    fn from(claim: StepClaim) -> v1::StepClaim {
        v1::StepClaim { name: Some(claim.key.into()), end: claim.end.map(Into::into), heard: claim.heard }
    }
}

pub(super) fn read_name(name: Option<v1::StepName>) -> Result<StepKey, WireError> {
    Ok(name.ok_or(WireError::Missing("name"))?.into())
}
