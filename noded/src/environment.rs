//! The environment of a task: the submitter's, and the `SLURM_*` variables that scripts read.
//!
//! Which variables there are, and which only when asked for, follows `env.c` of Slurm 24.11. `SLURM_TASK_PID` is added where the
//! process is made: nobody knows it before.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use proto::endpoint::Endpoints;
use proto::link::NodeShare;
use sched::spec::gres::{GPU, Per};
use sched::spec::hostlist;
use sched::spec::job::{Memory, Request};

use crate::launcher::frame::RawStr;
use crate::roster::Job;

mod step;

pub(crate) use step::step_variables;

/// What a node adds to a task's environment.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The node's name.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// Where this node finds the controller, and commands in a job with it where they have no socket of their own.
    pub controller: String,
    /// The socket of this node's own, if it has joined over TLS.
    pub calls: Option<PathBuf>,
    /// Where this node's papers are, if it has joined over TLS.
    pub papers: Option<PathBuf>,
}

/// All variables of an attempt that starts at `now_s` seconds since 1970.
#[must_use]
pub fn variables(job: &Job, node: &NodeFacts, login: &[(RawStr, RawStr)], now_s: i64) -> Vec<(RawStr, RawStr)> {
    let mut variables = Variables { all: submitted(&job.brief.environment) };
    for (name, value) in login {
        if variables.all.iter().all(|(known, _)| known != name) {
            variables.all.push((name.clone(), value.clone()));
        }
    }
    if job.brief.login_environment {
        variables.set("SLURM_GET_USER_ENV", "1");
    }
    variables.set_if_absent("TMPDIR", "/tmp");
    match &node.calls {
        // Where the submitter has found the controller is of no use here.
        Some(socket) => variables.set("COVEY_CONTROLLER", &Endpoints::socket(socket).to_string()),
        None => variables.set_if_absent("COVEY_CONTROLLER", &node.controller),
    }
    identity(job, node, &mut variables);
    shape(job, &mut variables);
    array(job, &mut variables);
    let end_s = job.brief.time_limit.seconds().map(|limit| now_s.saturating_add_unsigned(limit));
    variables.set("SLURM_JOB_START_TIME", &now_s.to_string());
    // Slurm gives a job without a limit an end a year away.
    variables.set("SLURM_JOB_END_TIME", &end_s.unwrap_or(now_s + 365 * 24 * 3600).to_string());
    if let Some(blob) = &job.task.blob {
        variables.set("COVEY_BLOB", blob);
    }
    variables.all
}

struct Variables {
    all: Vec<(RawStr, RawStr)>,
}

impl Variables {
    fn set(&mut self, name: &str, value: &str) {
        self.all.retain(|(known, _)| known.as_os_str() != name);
        self.all.push((name.into(), value.into()));
    }

    fn unset(&mut self, name: &str) {
        self.all.retain(|(known, _)| known.as_os_str() != name);
    }

    fn set_if_absent(&mut self, name: &str, value: &str) {
        if self.all.iter().all(|(known, _)| known.as_os_str() != name) {
            self.all.push((name.into(), value.into()));
        }
    }
}

/// The submitter's variables, without those that describe the job from which it was submitted.
fn submitted(environment: &[u8]) -> Vec<(RawStr, RawStr)> {
    let records = environment.split(|byte| *byte == 0).filter_map(|record| {
        let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        Some((&record[..equals], &record[equals + 1..]))
    });
    // Outside of a job these are the user's own; inside of one they name the GPUs of that job.
    let in_gpu_job = environment.split(|byte| *byte == 0).any(|record| record.starts_with(b"SLURM_JOB_GPUS="));
    let of_another_job = |name: &[u8]| {
        name.starts_with(b"SLURM_ARRAY_")
            || name.starts_with(b"SLURM_GPUS")
            || in_gpu_job && [&b"CUDA_VISIBLE_DEVICES"[..], b"ROCR_VISIBLE_DEVICES"].contains(&name)
            || name == b"SLURM_NTASKS_PER_NODE"
            || name.starts_with(b"SLURM_JOB_")
            || name.starts_with(b"SLURM_STEP_")
            || [&b"SLURM_NTASKS"[..], b"SLURM_NPROCS", b"SLURM_CPUS_PER_TASK", b"SLURM_RESTART_COUNT"].contains(&name)
            || [&b"SLURM_MEM_PER_NODE"[..], b"SLURM_MEM_PER_CPU", b"COVEY_ATTEMPT", b"COVEY_LAUNCHER"].contains(&name)
            || [&b"SLURM_GET_USER_ENV"[..], b"SLURM_STEPID", b"SLURM_TASK_PID", b"SLURM_WCKEY", b"SLURM_OPEN_MODE"]
                .contains(&name)
            || [&b"SLURM_LAUNCH_NODE_IPADDR"[..], b"SLURM_SRUN_COMM_HOST", b"SLURM_SRUN_COMM_PORT"].contains(&name)
    };
    records
        .filter(|(name, _)| !of_another_job(name))
        .map(|(name, value)| (OsStr::from_bytes(name).into(), OsStr::from_bytes(value).into()))
        .collect()
}

fn identity(job: &Job, node: &NodeFacts, variables: &mut Variables) {
    let (brief, task) = (&job.brief, &job.task);
    let id = task.id.to_string();
    for (name, value) in [
        ("SLURM_JOB_ID", id.as_str()),
        ("SLURM_JOBID", &id),
        ("SLURM_JOB_NAME", &brief.name),
        ("SLURM_JOB_PARTITION", &brief.partition),
        ("SLURM_JOB_USER", &brief.user.name),
        ("SLURM_JOB_GROUP", &brief.user.group),
        ("SLURM_JOB_UID", &brief.user.uid.to_string()),
        ("SLURM_JOB_GID", &brief.user.gid.to_string()),
        ("SLURM_SUBMIT_DIR", &brief.origin.dir),
        ("SLURM_SUBMIT_HOST", &brief.origin.host),
        ("SLURM_CLUSTER_NAME", &node.cluster),
        ("SLURMD_NODENAME", &node.name),
        ("SLURM_TOPOLOGY_ADDR", &node.name),
        ("SLURM_TOPOLOGY_ADDR_PATTERN", "node"),
        ("HOSTNAME", &node.name),
        ("ENVIRONMENT", "BATCH"),
        ("SLURM_NODEID", "0"),
        ("SLURM_PROCID", "0"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_GTIDS", "0"),
        ("SLURM_PRIO_PROCESS", "0"),
        ("SLURM_UMASK", &format!("{:04o}", brief.files.umask)),
    ] {
        variables.set(name, value);
    }
    for (name, value) in [
        ("SLURM_EXPORT_ENV", &brief.export),
        ("SLURM_JOB_ACCOUNT", &brief.labels.account),
        ("SLURM_JOB_QOS", &brief.labels.qos),
        ("SLURM_JOB_RESERVATION", &brief.labels.reservation),
        ("SLURM_WCKEY", &brief.labels.wckey),
        ("SLURM_JOB_DEPENDENCY", &brief.dependency),
        // What srun does with the files of its steps.
        ("SLURM_OPEN_MODE", &if brief.files.append { "a".into() } else { String::new() }),
    ] {
        if !value.is_empty() {
            variables.set(name, value);
        }
    }
    if task.attempt > 1 {
        variables.set("SLURM_RESTART_COUNT", &(task.attempt - 1).to_string());
    }
}

fn shape(job: &Job, variables: &mut Variables) {
    let (request, shares) = (&job.brief.request, &job.task.shares);
    let nodes = hostlist::compress(shares.iter().map(|share| share.node.as_str()));
    let count = shares.len().to_string();
    for (name, value) in [
        ("SLURM_JOB_NODELIST", nodes.as_str()),
        ("SLURM_NODELIST", &nodes),
        ("SLURM_JOB_NUM_NODES", &count),
        ("SLURM_NNODES", &count),
        ("SLURM_JOB_CPUS_PER_NODE", &runs(shares, |share| share.cpus.count())),
        ("SLURM_TASKS_PER_NODE", &runs(shares, |share| share.processes)),
    ] {
        variables.set(name, value);
    }
    if let Some(share) = shares.first() {
        variables.set("SLURM_CPUS_ON_NODE", &share.cpus.count().to_string());
    }
    // Also `--ntasks-per-node` says how many there are.
    if let Some(processes) = request.processes.or(request.processes_per_node.map(|_| request.process_count())) {
        variables.set("SLURM_NTASKS", &processes.to_string());
        variables.set("SLURM_NPROCS", &processes.to_string());
    }
    if let Some(cpus) = request.cpus_per_process {
        variables.set("SLURM_CPUS_PER_TASK", &cpus.to_string());
    }
    if let Some(each) = request.processes_per_node {
        variables.set("SLURM_NTASKS_PER_NODE", &each.to_string());
    }
    gpus(request, shares.first(), variables);
    match request.memory {
        Memory::Default => {}
        Memory::PerNode(0) => {
            let held = shares.first().map_or(0, |share| share.memory_mib);
            variables.set("SLURM_MEM_PER_NODE", &held.to_string());
        }
        Memory::PerNode(mib) => variables.set("SLURM_MEM_PER_NODE", &mib.to_string()),
        Memory::PerCpu(mib) => variables.set("SLURM_MEM_PER_CPU", &mib.to_string()),
    }
}

/// The GPUs of the node that this runs on, under the names that Slurm, CUDA and ROCm know.
fn gpus(request: &Request, held: Option<&NodeShare>, variables: &mut Variables) {
    let Some(devices) = held.map(|share| share.devices).filter(|devices| !devices.is_empty()) else { return };
    let (list, count) = (devices.to_string(), devices.count().to_string());
    for (name, value) in [
        ("CUDA_VISIBLE_DEVICES", &list),
        ("ROCR_VISIBLE_DEVICES", &list),
        ("SLURM_JOB_GPUS", &list),
        ("SLURM_GPUS_ON_NODE", &count),
    ] {
        variables.set(name, value);
    }
    for ask in request.gres.iter().filter(|ask| &*ask.name == GPU) {
        let name = match ask.per {
            Per::Node => "SLURM_GPUS_PER_NODE",
            Per::Process => "SLURM_GPUS_PER_TASK",
            Per::Task => "SLURM_GPUS",
        };
        let typed = ask.kind.as_ref().map(|kind| format!("{kind}:")).unwrap_or_default();
        variables.set(name, &format!("{typed}{}", ask.count));
    }
}

fn array(job: &Job, variables: &mut Variables) {
    let Some(array) = &job.brief.array else { return };
    for (name, value) in [
        ("SLURM_ARRAY_JOB_ID", job.brief.job.to_string()),
        ("SLURM_ARRAY_TASK_ID", job.task.index.to_string()),
        ("SLURM_ARRAY_TASK_COUNT", array.count.to_string()),
        ("SLURM_ARRAY_TASK_MIN", array.min.to_string()),
        ("SLURM_ARRAY_TASK_MAX", array.max.to_string()),
        ("SLURM_ARRAY_TASK_STEP", array.step.to_string()),
    ] {
        variables.set(name, &value);
    }
}

/// Slurm's short form of equal numbers on neighbouring nodes: `2(x3),1`.
fn runs<T>(shares: &[T], number: impl Fn(&T) -> u32) -> String {
    let mut text = String::new();
    for run in shares.chunk_by(|a, b| number(a) == number(b)) {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ok = match run.len() {
            1 => write!(text, "{comma}{}", number(&run[0])),
            count => write!(text, "{comma}{}(x{count})", number(&run[0])),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::link::{Brief, StartTask, Work};
    use sched::devices::Devices;
    use sched::ids::JobId;
    use sched::resources::Cpus;
    use sched::spec::duration::TimeLimit;
    use sched::spec::gres::GresAsk;
    use sched::spec::job::{Files, Origin, User};
    use sched::spec::labels::Labels;

    use super::*;

    fn share(node: &str, processes: u32, devices: u64) -> NodeShare {
        let (cpus, devices) = (Cpus::whole(2 * processes), Devices::from_bits(devices));
        NodeShare { node: node.into(), processes, cpus, memory_mib: 10, devices }
    }

    fn job(request: Request, shares: Vec<NodeShare>, environment: &'static [u8]) -> Job {
        let brief = Brief {
            job: JobId(5),
            name: "wrap".into(),
            user: User { uid: 0, gid: 0, name: "root".into(), group: "root".into() },
            request,
            work: Work::Command(vec!["true".into()]),
            map: None,
            files: Files { work_dir: "/".into(), stdin: None, stdout: None, stderr: None, append: false, umask: 0o22 },
            origin: Origin::default(),
            export: String::new(),
            environment: Bytes::from_static(environment),
            partition: "debug".into(),
            time_limit: TimeLimit::Unlimited,
            warning: None,
            array: None,
            labels: Labels::default(),
            dependency: String::new(),
            limits: Vec::new(),
            login_environment: false,
            requeue: true,
        };
        let task = StartTask { index: 0, id: JobId(5), attempt: 1, shares, blob: None };
        Job { brief: brief.into(), task: task.into() }
    }

    fn values(job: &Job, names: &[&str]) -> Vec<String> {
        let node = NodeFacts {
            name: "n1".into(),
            cluster: "covey".into(),
            controller: "unix:///ctl.sock".into(),
            calls: None,
            papers: None,
        };
        values_on(&node, job, names)
    }

    fn values_on(node: &NodeFacts, job: &Job, names: &[&str]) -> Vec<String> {
        let login = [("HOME".into(), "/home/ada".into()), ("A".into(), "of the login".into())];
        let all = variables(job, node, &login, 0);
        let value = |name: &&str| {
            let found = all.iter().find(|(known, _)| known.as_os_str() == *name);
            found.map_or_else(|| "-".into(), |(_, value)| value.as_os_str().to_string_lossy().into_owned())
        };
        names.iter().map(value).collect()
    }

    #[test]
    fn a_spread_task_is_told_its_shape_and_its_gpus_here() {
        let gres = GresAsk::gpus("a100:1", Per::Process).expect("gpus");
        let request = Request { nodes_min: 3, processes_per_node: Some(2), gres, ..Request::default() };
        let shares = vec![share("n1", 2, 0b1010), share("n2", 2, 0b11), share("n3", 1, 1)];
        let job = job(request, shares, b"SLURM_NTASKS_PER_NODE=9\0SLURM_GPUS=7\0");
        let names = ["SLURM_JOB_CPUS_PER_NODE", "SLURM_TASKS_PER_NODE", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"];
        assert_eq!(values(&job, &names), ["4(x2),2", "2(x2),1", "6", "2"]);
        let names =
            ["CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_TASK", "SLURM_GPUS"];
        assert_eq!(values(&job, &names), ["1,3", "1,3", "2", "a100:1", "-"]);
    }

    #[test]
    fn names_are_told_where_they_were_given_and_a_login_lies_beneath() {
        let mut bare = job(Request::default(), vec![share("n1", 1, 0)], b"SLURM_JOB_QOS=of another\0A=mine\0");
        let names = ["SLURM_JOB_ACCOUNT", "SLURM_JOB_QOS", "SLURM_JOB_DEPENDENCY", "SLURM_EXPORT_ENV"];
        assert_eq!(values(&bare, &names), ["-", "-", "-", "-"]);
        let mut brief = (*bare.brief).clone();
        brief.labels = Labels { account: "acct".into(), qos: "high".into(), ..Labels::default() };
        (brief.dependency, brief.export) = ("afterok:3".into(), "NONE".into());
        brief.login_environment = true;
        bare.brief = brief.into();
        assert_eq!(values(&bare, &names), ["acct", "high", "afterok:3", "NONE"]);
        assert_eq!(values(&bare, &["A", "HOME", "SLURM_GET_USER_ENV"]), ["mine", "/home/ada", "1"]);
    }

    #[test]
    fn commands_find_the_socket_of_a_node_that_has_one_whatever_the_submitter_has_used() {
        let found = |environment, calls: Option<&str>| {
            let node = NodeFacts {
                name: "n1".into(),
                cluster: "covey".into(),
                controller: "https://ctl:6817".into(),
                calls: calls.map(Into::into),
                papers: None,
            };
            values_on(&node, &job(Request::default(), vec![share("n1", 1, 0)], environment), &["COVEY_CONTROLLER"])
        };
        for (environment, calls, expected) in [
            (&b""[..], None, "https://ctl:6817"),
            (b"COVEY_CONTROLLER=unix:///mine\0", None, "unix:///mine"),
            (b"", Some("/n1/calls.sock"), "unix:///n1/calls.sock"),
            (b"COVEY_CONTROLLER=unix:///mine\0", Some("/n1/calls.sock"), "unix:///n1/calls.sock"),
        ] {
            assert_eq!(found(environment, calls), [expected]);
        }
    }

    #[test]
    fn gpus_of_the_job_from_which_another_was_submitted_are_not_its_own() {
        let shares = || vec![share("n1", 1, 0)];
        let names = ["CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS"];
        let inside = job(Request::default(), shares(), b"CUDA_VISIBLE_DEVICES=3\0SLURM_JOB_GPUS=3\0");
        assert_eq!(values(&inside, &names), ["-", "-"]);
        let outside = job(Request::default(), shares(), b"CUDA_VISIBLE_DEVICES=3\0");
        assert_eq!(values(&outside, &names), ["3", "-"], "what a user set stays");
    }
}
