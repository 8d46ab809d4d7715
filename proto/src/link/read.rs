//! From messages to values: what is missing or means nothing is an error that names the field.

use sched::devices::Devices;
use sched::ids::{AttemptKey, JobId};
use sched::lease::Lease;
use sched::node::{Abilities, Means};
use sched::reason::{Exit, Scope, StopWhy};
use sched::reconcile::{AttemptEnd, Claim, How, StepClaim};
use sched::resources::{Amount, Cpus};
use sched::signals::Sent;
use sched::spec::constraint;
use sched::spec::duration::TimeLimit;
use sched::spec::gres::Gres;
use sched::spec::labels::Labels;
use sched::spec::signal::SIGNAL_MAX;
use sched::task::Usage;

use super::step::read_name;
use super::{
    ArrayFacts, Brief, FromNode, MapUrls, NodeShare, Order, ReadOutput, Register, StartTask, ToNode, Welcome, Work,
};
use crate::error::WireError;
use crate::request::read_request;
use crate::spec::{read_limits, read_time_limit, read_u128, read_warning};
use crate::v1;

/// No node has more memory than a pebibyte; what a share of it comes to is then far from overflowing.
const MEMORY_MIB_MAX: u64 = 1 << 30;

impl TryFrom<v1::FromNode> for FromNode {
    type Error = WireError;

    fn try_from(said: v1::FromNode) -> Result<FromNode, WireError> {
        match said.kind.ok_or(WireError::Missing("kind"))? {
            v1::from_node::Kind::Register(register) => Ok(FromNode::Register(register.try_into()?)),
            v1::from_node::Kind::Reports(reports) => {
                let ends = reports.ends.into_iter().map(|claim| {
                    let claim = Claim::try_from(claim)?;
                    Ok((claim.key, claim.end.ok_or(WireError::Missing("end"))?))
                });
                let steps = reports.step_ends.into_iter().map(|claim| {
                    let claim = StepClaim::try_from(claim)?;
                    Ok((claim.key, claim.end.ok_or(WireError::Missing("end"))?))
                });
                let steps = steps.collect::<Result<_, WireError>>()?;
                Ok(FromNode::Ends { attempts: ends.collect::<Result<_, WireError>>()?, steps })
            }
            v1::from_node::Kind::Leave(v1::Leave {}) => Ok(FromNode::Leave),
            v1::from_node::Kind::Heartbeat(v1::Heartbeat { at_ms }) => Ok(FromNode::Heartbeat { at_ms }),
        }
    }
}

impl TryFrom<v1::Register> for Register {
    type Error = WireError;

    fn try_from(register: v1::Register) -> Result<Register, WireError> {
        let name_fits = (1..=64).contains(&register.name.len())
            && register.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !name_fits {
            return Err(WireError::Meaningless { field: "name", value: register.name });
        }
        if register.cpus_milli == 0 {
            return Err(WireError::Meaningless { field: "cpus_milli", value: "0".into() });
        }
        if register.memory_mib > MEMORY_MIB_MAX {
            return Err(WireError::Meaningless { field: "memory_mib", value: register.memory_mib.to_string() });
        }
        Ok(Register {
            name: register.name,
            amount: Amount {
                cpus: Cpus::from_milli(register.cpus_milli),
                memory_mib: register.memory_mib,
                ..Amount::default()
            },
            spool: read_u128("spool", &register.spool)?,
            address: register.address,
            version: register.version,
            epoch_seen: register.epoch_seen,
            claims: all(register.claims)?,
            step_claims: all(register.step_claims)?,
            registration: register.registration,
            lease_left_ms: register.lease_left_ms,
            abilities: register.abilities.map(Into::into).unwrap_or_default(),
            features: constraint::read_features(&register.features)?,
            gres: Gres::list(&register.gres)?,
            retiring: register.retiring,
        })
    }
}

impl From<v1::Abilities> for Abilities {
    /// Means that a newer node knows and this controller does not are unknown here; they are only shown.
    fn from(abilities: v1::Abilities) -> Abilities {
        let means = match abilities.means() {
            v1::Means::Unspecified => Means::Unknown,
            v1::Means::Cgroup2 => Means::Cgroup2,
            v1::Means::Cgroup1 => Means::Cgroup1,
            v1::Means::Sampling => Means::Sampling,
        };
        let v1::Abilities { memory, cpus, processes, open_files, leases, .. } = abilities;
        Abilities { means, memory, cpus, processes, open_files, leases }
    }
}

impl TryFrom<v1::ToNode> for ToNode {
    type Error = WireError;

    fn try_from(said: v1::ToNode) -> Result<ToNode, WireError> {
        match said.kind.ok_or(WireError::Missing("kind"))? {
            v1::to_node::Kind::Welcome(welcome) => Ok(ToNode::Welcome(Box::new(Welcome {
                epoch: welcome.epoch,
                session: welcome.session,
                cluster: welcome.cluster,
                adopt: keys(welcome.adopt),
                kill: keys(welcome.kill),
                forget: keys(welcome.forget),
                kill_wait_s: welcome.kill_wait_s,
                lease: welcome.lease.map(Into::into),
            }))),
            v1::to_node::Kind::Granted(v1::Heartbeat { at_ms }) => Ok(ToNode::Granted { at_ms }),
            v1::to_node::Kind::Orders(orders) => Ok(ToNode::Orders(all(orders.orders)?)),
        }
    }
}

impl From<v1::Lease> for Lease {
    fn from(lease: v1::Lease) -> Lease {
        let v1::Lease { heartbeat_ms, lasts_ms, kill_wait_ms } = lease;
        Lease { heartbeat_ms, lasts_ms, kill_wait_ms }
    }
}

impl TryFrom<v1::Order> for Order {
    type Error = WireError;

    fn try_from(order: v1::Order) -> Result<Order, WireError> {
        Ok(match order.kind.ok_or(WireError::Missing("order"))? {
            v1::order::Kind::Job(brief) => Order::Job(Box::new(brief.try_into()?)),
            v1::order::Kind::Start(start) => {
                Order::Start { job: JobId(start.job), tasks: start.tasks.into_iter().map(Into::into).collect() }
            }
            v1::order::Kind::Stop(stop) => Order::Stop { why: read_why(stop.why)?, key: read_key(stop.key)? },
            v1::order::Kind::Forget(key) => Order::Forget(key.into()),
            v1::order::Kind::JobGone(job) => Order::JobGone(JobId(job)),
            v1::order::Kind::Suspend(key) => Order::Suspend(key.into()),
            v1::order::Kind::Resume(key) => Order::Resume(key.into()),
            v1::order::Kind::Limit(limit) => {
                let minutes = read_time_limit(limit.time_limit_minutes, true)?;
                Order::Limit { key: read_key(limit.key)?, limit: minutes.unwrap_or(TimeLimit::Unlimited) }
            }
            v1::order::Kind::Signal(signal) => {
                let (number, scope) = (signal.number, read_scope(&signal)?);
                let sent = Sent { number, signal: read_signal(signal.signal)?, scope };
                Order::Signal { key: read_key(signal.key)?, sent }
            }
            v1::order::Kind::StartStep(start) => Order::StartStep(Box::new(start.try_into()?)),
            v1::order::Kind::StopStep(stop) => Order::StopStep { why: read_why(stop.why)?, key: read_name(stop.name)? },
            v1::order::Kind::SignalStep(signal) => {
                let sent = Sent { number: signal.number, signal: read_signal(signal.signal)?, scope: Scope::Steps };
                Order::SignalStep { key: read_name(signal.name)?, sent }
            }
            v1::order::Kind::ForgetStep(name) => Order::ForgetStep(name.into()),
            v1::order::Kind::ReadOutput(read) => {
                let reading = read_u128("reading", &read.reading)?;
                let v1::ReadOutput { uid, gid, path, follow, .. } = read;
                Order::ReadOutput(ReadOutput { reading, uid, gid, path, follow })
            }
        })
    }
}

fn read_key(key: Option<v1::AttemptKey>) -> Result<AttemptKey, WireError> {
    Ok(key.ok_or(WireError::Missing("key"))?.into())
}

fn read_why(why: i32) -> Result<StopWhy, WireError> {
    match v1::StopWhy::try_from(why).unwrap_or(v1::StopWhy::Unspecified) {
        // Who cancelled is nothing to a node, nor is the exit code of a release.
        v1::StopWhy::Cancelled => Ok(StopWhy::Cancelled(0)),
        v1::StopWhy::TimeLimit => Ok(StopWhy::TimeLimit),
        v1::StopWhy::Requeue => Ok(StopWhy::Requeue),
        v1::StopWhy::NodeDown => Ok(StopWhy::NodeDown),
        v1::StopWhy::Deadline => Ok(StopWhy::Deadline),
        v1::StopWhy::Released => Ok(StopWhy::Released(0)),
        v1::StopWhy::JobOver => Ok(StopWhy::JobOver),
        v1::StopWhy::Unspecified => Err(WireError::Meaningless { field: "why", value: why.to_string() }),
    }
}

fn read_signal(signal: u32) -> Result<i32, WireError> {
    let number = i32::try_from(signal).ok().filter(|number| (1..=SIGNAL_MAX).contains(number));
    number.ok_or_else(|| WireError::Meaningless { field: "signal", value: signal.to_string() })
}

fn read_scope(signal: &v1::Signal) -> Result<Scope, WireError> {
    match signal.scope() {
        v1::SignalScope::Steps => Ok(Scope::Steps),
        v1::SignalScope::Batch => Ok(Scope::Batch),
        v1::SignalScope::Full => Ok(Scope::Full),
        v1::SignalScope::Unspecified => Err(WireError::Meaningless { field: "scope", value: signal.scope.to_string() }),
    }
}

impl TryFrom<v1::JobBrief> for Brief {
    type Error = WireError;

    fn try_from(brief: v1::JobBrief) -> Result<Brief, WireError> {
        let spec = brief.spec.ok_or(WireError::Missing("spec"))?;
        let work = match spec.work.and_then(|work| work.kind).ok_or(WireError::Missing("work"))? {
            v1::work::Kind::Script(script) => Work::Script { text: brief.script, arguments: script.arguments },
            v1::work::Kind::Command(command) => Work::Command(command.words),
            v1::work::Kind::Op(op) => Work::Op(op),
            v1::work::Kind::Allocation(v1::work::Allocation {}) => Work::Allocation,
        };
        Ok(Brief {
            job: JobId(brief.job),
            name: spec.name,
            user: spec.user.ok_or(WireError::Missing("user"))?.into(),
            request: read_request(spec.request.unwrap_or_default())?,
            work,
            map: spec.map.map(|map| MapUrls { from: map.from, to: map.to, output_name: map.output_name }),
            files: spec.files.ok_or(WireError::Missing("files"))?.into(),
            origin: spec.origin.unwrap_or_default().into(),
            export: spec.export,
            environment: brief.environment,
            partition: brief.partition,
            time_limit: read_time_limit(brief.time_limit_minutes, true)?.unwrap_or(TimeLimit::Unlimited),
            warning: read_warning(&spec.signal)?,
            labels: Labels {
                account: spec.account,
                qos: spec.qos,
                wckey: spec.wckey,
                reservation: spec.reservation,
                ..Labels::default()
            },
            dependency: spec.dependency,
            limits: read_limits(&spec.limits)?,
            login_environment: spec.login_environment,
            requeue: spec.requeue,
            array: brief.array.map(|array| ArrayFacts {
                count: array.count,
                min: array.min,
                max: array.max,
                step: array.step,
            }),
        })
    }
}

impl From<v1::StartTask> for StartTask {
    fn from(task: v1::StartTask) -> StartTask {
        let shares = task.shares.into_iter().map(|share| NodeShare {
            node: share.node,
            processes: share.processes,
            cpus: Cpus::from_milli(share.cpus_milli),
            memory_mib: share.memory_mib,
            devices: Devices::from_bits(share.devices),
        });
        StartTask {
            index: task.index,
            id: JobId(task.id),
            attempt: task.attempt,
            shares: shares.collect(),
            blob: Some(task.blob).filter(|blob| !blob.is_empty()),
        }
    }
}

impl From<v1::AttemptKey> for AttemptKey {
    fn from(key: v1::AttemptKey) -> AttemptKey {
        AttemptKey { job: JobId(key.job), index: key.index, attempt: key.attempt }
    }
}

impl TryFrom<v1::Claim> for Claim {
    type Error = WireError;

    fn try_from(claim: v1::Claim) -> Result<Claim, WireError> {
        let key = claim.key.ok_or(WireError::Missing("key"))?.into();
        Ok(Claim { key, end: claim.end.map(TryInto::try_into).transpose()?, heard: claim.heard })
    }
}

impl TryFrom<v1::AttemptEnd> for AttemptEnd {
    type Error = WireError;

    fn try_from(end: v1::AttemptEnd) -> Result<AttemptEnd, WireError> {
        let byte = |field, value: u32| {
            u8::try_from(value).map_err(|_| WireError::Meaningless { field, value: value.to_string() })
        };
        let exit = Exit { code: byte("exit_code", end.exit_code)?, signal: byte("exit_signal", end.exit_signal)? };
        let how = match end.how() {
            v1::How::Exited => How::Exited(exit),
            v1::How::TimedOut => How::TimedOut(exit),
            v1::How::NotStarted => How::NotStarted,
            v1::How::Lost => How::Lost,
            v1::How::OutOfMemory => How::OutOfMemory,
            v1::How::Unspecified => {
                return Err(WireError::Meaningless { field: "how", value: end.how.to_string() });
            }
        };
        let usage = end.usage.map(Into::into).unwrap_or_default();
        Ok(AttemptEnd { how, age_ms: end.age_ms, usage, note: Some(end.note).filter(|note| !note.is_empty()) })
    }
}

impl From<v1::Usage> for Usage {
    fn from(usage: v1::Usage) -> Usage {
        let v1::Usage { user_us, system_us, rss_kib_max, bytes_in, bytes_out } = usage;
        Usage { user_us, system_us, rss_kib_max, bytes_in, bytes_out }
    }
}

fn keys(keys: Vec<v1::AttemptKey>) -> Vec<AttemptKey> {
    keys.into_iter().map(Into::into).collect()
}

fn all<M, V: TryFrom<M, Error = WireError>>(messages: Vec<M>) -> Result<Vec<V>, WireError> {
    messages.into_iter().map(V::try_from).collect()
}
