//! From values to messages: nothing here can fail.

use sched::ids::AttemptKey;
use sched::lease::Lease;
use sched::node::{Abilities, Means};
use sched::reason::{Scope, StopWhy};
use sched::reconcile::{AttemptEnd, Claim, How, StepClaim};
use sched::task::Usage;

use super::{Brief, FromNode, Order, ReadOutput, StartTask, ToNode, Welcome, Work};
use crate::spec::{write_limits, write_time_limit};
use crate::v1;

impl From<FromNode> for v1::FromNode {
    fn from(said: FromNode) -> v1::FromNode {
        let kind = match said {
            FromNode::Register(register) => v1::from_node::Kind::Register(v1::Register {
                name: register.name,
                cpus_milli: register.amount.cpus.milli(),
                memory_mib: register.amount.memory_mib,
                spool: register.spool.to_be_bytes().to_vec(),
                address: register.address,
                version: register.version,
                epoch_seen: register.epoch_seen,
                claims: register.claims.into_iter().map(Into::into).collect(),
                registration: register.registration,
                lease_left_ms: register.lease_left_ms,
                abilities: Some(register.abilities.into()),
                features: register.features.join(","),
                gres: register.gres.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                step_claims: register.step_claims.into_iter().map(Into::into).collect(),
                retiring: register.retiring,
            }),
            FromNode::Ends { attempts, steps } => {
                let claim = |(key, end)| Claim { key, end: Some(end), heard: 0 }.into();
                let step_claim = |(key, end)| StepClaim { key, end: Some(end), heard: 0 }.into();
                v1::from_node::Kind::Reports(v1::Reports {
                    ends: attempts.into_iter().map(claim).collect(),
                    step_ends: steps.into_iter().map(step_claim).collect(),
                })
            }
            FromNode::Leave => v1::from_node::Kind::Leave(v1::Leave {}),
            FromNode::Heartbeat { at_ms } => v1::from_node::Kind::Heartbeat(v1::Heartbeat { at_ms }),
        };
        v1::FromNode { kind: Some(kind) }
    }
}

impl From<Abilities> for v1::Abilities {
    fn from(abilities: Abilities) -> v1::Abilities {
        let Abilities { means, memory, cpus, processes, open_files, leases } = abilities;
        let means = match means {
            Means::Unknown => v1::Means::Unspecified,
            Means::Cgroup2 => v1::Means::Cgroup2,
            Means::Cgroup1 => v1::Means::Cgroup1,
            Means::Sampling => v1::Means::Sampling,
        };
        v1::Abilities { means: means.into(), memory, cpus, processes, open_files, leases }
    }
}

impl From<ToNode> for v1::ToNode {
    fn from(said: ToNode) -> v1::ToNode {
        let kind = match said {
            ToNode::Welcome(welcome) => v1::to_node::Kind::Welcome((*welcome).into()),
            ToNode::Orders(orders) => {
                v1::to_node::Kind::Orders(v1::Orders { orders: orders.into_iter().map(Into::into).collect() })
            }
            ToNode::Granted { at_ms } => v1::to_node::Kind::Granted(v1::Heartbeat { at_ms }),
        };
        v1::ToNode { kind: Some(kind) }
    }
}

impl From<Welcome> for v1::Welcome {
    fn from(welcome: Welcome) -> v1::Welcome {
        let keys = |keys: Vec<AttemptKey>| keys.into_iter().map(Into::into).collect();
        v1::Welcome {
            epoch: welcome.epoch,
            session: welcome.session,
            cluster: welcome.cluster,
            adopt: keys(welcome.adopt),
            kill: keys(welcome.kill),
            forget: keys(welcome.forget),
            kill_wait_s: welcome.kill_wait_s,
            lease: welcome.lease.map(|lease| {
                let Lease { heartbeat_ms, lasts_ms, kill_wait_ms } = lease;
                v1::Lease { heartbeat_ms, lasts_ms, kill_wait_ms }
            }),
        }
    }
}

impl From<Order> for v1::Order {
    fn from(order: Order) -> v1::Order {
        let kind = match order {
            Order::Job(brief) => v1::order::Kind::Job((*brief).into()),
            Order::Start { job, tasks } => {
                v1::order::Kind::Start(v1::Start { job: job.0, tasks: tasks.into_iter().map(Into::into).collect() })
            }
            Order::Stop { key, why } => {
                v1::order::Kind::Stop(v1::Stop { key: Some(key.into()), why: v1::StopWhy::from(why).into() })
            }
            Order::Forget(key) => v1::order::Kind::Forget(key.into()),
            Order::JobGone(job) => v1::order::Kind::JobGone(job.0),
            Order::Suspend(key) => v1::order::Kind::Suspend(key.into()),
            Order::Resume(key) => v1::order::Kind::Resume(key.into()),
            Order::Limit { key, limit } => {
                let (time_limit_minutes, _) = write_time_limit(Some(limit));
                v1::order::Kind::Limit(v1::Limit { key: Some(key.into()), time_limit_minutes })
            }
            Order::Signal { key, sent } => v1::order::Kind::Signal(v1::Signal {
                key: Some(key.into()),
                signal: sent.signal.unsigned_abs(),
                scope: v1::SignalScope::from(sent.scope).into(),
                number: sent.number,
            }),
            Order::StartStep(start) => v1::order::Kind::StartStep((*start).into()),
            Order::StopStep { key, why } => {
                v1::order::Kind::StopStep(v1::StopStep { name: Some(key.into()), why: v1::StopWhy::from(why).into() })
            }
            Order::SignalStep { key, sent } => v1::order::Kind::SignalStep(v1::SignalStep {
                name: Some(key.into()),
                signal: sent.signal.unsigned_abs(),
                number: sent.number,
            }),
            Order::ForgetStep(key) => v1::order::Kind::ForgetStep(key.into()),
            Order::ReadOutput(ReadOutput { reading, uid, gid, path, follow }) => {
                let reading = reading.to_be_bytes().to_vec();
                v1::order::Kind::ReadOutput(v1::ReadOutput { reading, uid, gid, path, follow })
            }
        };
        v1::Order { kind: Some(kind) }
    }
}

impl From<StopWhy> for v1::StopWhy {
    fn from(why: StopWhy) -> v1::StopWhy {
        match why {
            StopWhy::Cancelled(_) => v1::StopWhy::Cancelled,
            StopWhy::TimeLimit => v1::StopWhy::TimeLimit,
            StopWhy::Requeue => v1::StopWhy::Requeue,
            StopWhy::NodeDown => v1::StopWhy::NodeDown,
            StopWhy::Deadline => v1::StopWhy::Deadline,
            StopWhy::Released(_) => v1::StopWhy::Released,
            StopWhy::JobOver => v1::StopWhy::JobOver,
        }
    }
}

impl From<Scope> for v1::SignalScope {
    fn from(scope: Scope) -> v1::SignalScope {
        match scope {
            Scope::Steps => v1::SignalScope::Steps,
            Scope::Batch => v1::SignalScope::Batch,
            Scope::Full => v1::SignalScope::Full,
        }
    }
}

impl From<Brief> for v1::JobBrief {
    fn from(brief: Brief) -> v1::JobBrief {
        let (time_limit_minutes, _) = write_time_limit(Some(brief.time_limit));
        let (work, script) = match brief.work {
            Work::Script { text, arguments } => (v1::work::Kind::Script(v1::work::Script { arguments }), text),
            Work::Command(words) => (v1::work::Kind::Command(v1::work::Command { words }), bytes::Bytes::new()),
            Work::Op(op) => (v1::work::Kind::Op(op), bytes::Bytes::new()),
            Work::Allocation => (v1::work::Kind::Allocation(v1::work::Allocation {}), bytes::Bytes::new()),
        };
        let map =
            brief.map.map(|map| v1::Map { from: map.from, to: map.to, output_name: map.output_name, throttle: 0 });
        let spec = v1::JobSpec {
            name: brief.name,
            user: Some(brief.user.into()),
            request: Some(brief.request.into()),
            work: Some(v1::Work { kind: Some(work) }),
            map,
            files: Some(brief.files.into()),
            origin: Some(brief.origin.into()),
            export: brief.export,
            signal: brief.warning.map(|warning| warning.to_string()).unwrap_or_default(),
            account: brief.labels.account,
            qos: brief.labels.qos,
            wckey: brief.labels.wckey,
            reservation: brief.labels.reservation,
            dependency: brief.dependency,
            limits: write_limits(&brief.limits),
            login_environment: brief.login_environment,
            requeue: brief.requeue,
            ..v1::JobSpec::default()
        };
        v1::JobBrief {
            job: brief.job.0,
            spec: Some(spec),
            script,
            environment: brief.environment,
            partition: brief.partition,
            time_limit_minutes,
            array: brief.array.map(|array| v1::ArrayFacts {
                count: array.count,
                min: array.min,
                max: array.max,
                step: array.step,
            }),
        }
    }
}

impl From<StartTask> for v1::StartTask {
    fn from(task: StartTask) -> v1::StartTask {
        let shares = task.shares.into_iter().map(|share| v1::Share {
            node: share.node,
            processes: share.processes,
            cpus_milli: share.cpus.milli(),
            memory_mib: share.memory_mib,
            devices: share.devices.bits(),
        });
        v1::StartTask {
            index: task.index,
            id: task.id.0,
            attempt: task.attempt,
            shares: shares.collect(),
            blob: task.blob.unwrap_or_default(),
        }
    }
}

impl From<AttemptKey> for v1::AttemptKey {
    fn from(key: AttemptKey) -> v1::AttemptKey {
        v1::AttemptKey { job: key.job.0, index: key.index, attempt: key.attempt }
    }
}

impl From<Claim> for v1::Claim {
    fn from(claim: Claim) -> v1::Claim {
        v1::Claim { key: Some(claim.key.into()), end: claim.end.map(Into::into), heard: claim.heard }
    }
}

impl From<AttemptEnd> for v1::AttemptEnd {
    fn from(end: AttemptEnd) -> v1::AttemptEnd {
        let (how, exit) = match end.how {
            How::Exited(exit) => (v1::How::Exited, exit),
            How::TimedOut(exit) => (v1::How::TimedOut, exit),
            How::OutOfMemory => (v1::How::OutOfMemory, sched::reason::Exit::default()),
            How::NotStarted => (v1::How::NotStarted, sched::reason::Exit::default()),
            How::Lost => (v1::How::Lost, sched::reason::Exit::default()),
        };
        v1::AttemptEnd {
            how: how.into(),
            exit_code: exit.code.into(),
            exit_signal: exit.signal.into(),
            age_ms: end.age_ms,
            usage: Some(end.usage.into()),
            note: end.note.unwrap_or_default(),
        }
    }
}

impl From<Usage> for v1::Usage {
    fn from(usage: Usage) -> v1::Usage {
        let Usage { user_us, system_us, rss_kib_max, bytes_in, bytes_out } = usage;
        v1::Usage { user_us, system_us, rss_kib_max, bytes_in, bytes_out }
    }
}
