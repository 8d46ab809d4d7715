//! What is written is read back, and what no honest sender says is refused with its field.

use bytes::Bytes;
use sched::ids::{AttemptKey, JobId, StepKey};
use sched::lease::Lease;
use sched::node::Means;
use sched::reason::{Exit, Scope, StopWhy};
use sched::reconcile::{AttemptEnd, Claim, How, StepClaim};
use sched::resources::{Amount, Cpus};
use sched::spec::duration::TimeLimit;
use sched::spec::gres::{GresAsk, Per};
use sched::spec::job::{Files, Origin, Request, User};
use sched::spec::labels::Labels;
use sched::spec::licenses::LicenseAsk;
use sched::spec::rlimit::{Limited, ResourceLimit};
use sched::spec::signal::Warning;
use sched::spec::step::{Environment, StepDraft};
use sched::task::Usage;

use super::*;
use crate::v1;

mod recorded;

fn key() -> AttemptKey {
    AttemptKey { job: JobId(5), index: 3, attempt: 2 }
}

fn step_key() -> StepKey {
    StepKey { attempt: key(), step: 7 }
}

fn end(how: How) -> AttemptEnd {
    let usage = Usage { user_us: 1, system_us: 2, rss_kib_max: 3, bytes_in: 4, bytes_out: 5 };
    AttemptEnd { how, age_ms: 6, usage, note: Some("cat.png: no picture".into()) }
}

fn register() -> Register {
    Register {
        name: "linux1".into(),
        amount: Amount { cpus: Cpus::whole(2), memory_mib: 2048, ..Amount::default() },
        spool: 77,
        address: "here".into(),
        version: "0.1.0".into(),
        epoch_seen: 4,
        step_claims: vec![
            StepClaim { key: step_key(), end: None, heard: 3 },
            StepClaim { key: step_key(), end: Some(end(How::Exited(Exit { code: 2, signal: 0 }))), heard: 0 },
        ],
        claims: vec![
            Claim { key: key(), end: None, heard: 2 },
            Claim { key: key(), end: Some(end(How::Lost)), heard: 0 },
        ],
        registration: 12,
        lease_left_ms: 99,
        abilities: Abilities { means: Means::Cgroup1, memory: true, leases: true, ..Abilities::default() },
        features: vec!["fast".into()],
        gres: sched::spec::gres::Gres::list("gpu:a100:2,fpga:1").expect("gres of a node"),
        retiring: true,
    }
}

fn brief() -> Brief {
    Brief {
        job: JobId(5),
        name: "gray".into(),
        user: User { uid: 1, gid: 2, name: "ada".into(), group: "staff".into() },
        request: request(),
        work: Work::Script { text: Bytes::from_static(b"#!/bin/sh\n"), arguments: vec!["a b".into()] },
        map: Some(MapUrls { from: "file:///a/".into(), to: "file:///b/".into(), output_name: "{name}".into() }),
        files: Files {
            work_dir: "/w".into(),
            stdin: None,
            stdout: Some("%j".into()),
            stderr: None,
            append: true,
            umask: 0o27,
        },
        origin: Origin { host: "h".into(), dir: "/d".into(), command: "/d/x.sh".into(), ..Origin::default() },
        export: "ALL".into(),
        environment: Bytes::from_static(b"A=1\0"),
        partition: "debug".into(),
        time_limit: TimeLimit::Minutes(7.try_into().expect("not 0")),
        array: Some(ArrayFacts { count: 3, min: 0, max: 2, step: 1 }),
        warning: Some(Warning { signal: 10, before_s: 5, batch_only: true }),
        labels: Labels {
            account: "a".into(),
            qos: "q".into(),
            wckey: "w".into(),
            reservation: "r".into(),
            ..Labels::default()
        },
        dependency: "afterok:3".into(),
        limits: vec![
            ResourceLimit { of: Limited::Core, value: Some(0), asked: true },
            ResourceLimit { of: Limited::As, value: None, asked: false },
        ],
        login_environment: true,
        requeue: true,
    }
}

/// A shape with every wish.
fn request() -> Request {
    Request {
        nodes_min: 2,
        nodes_max: Some(3),
        processes: Some(2),
        processes_per_node: Some(1),
        cpus_milli: Some(150),
        exclusive: true,
        nodes: vec!["n1".into(), "n2".into()],
        exclude: vec!["n3".into()],
        constraint: Some("[a|b]".parse().expect("a constraint")),
        gres: GresAsk::list("gpu:a100:2,fpga", Per::Process).expect("gres"),
        licenses: LicenseAsk::list("matlab:2").expect("licenses"),
        ..Request::default()
    }
}

fn task() -> StartTask {
    let devices = sched::devices::Devices::from_bits(1 << 63 | 1);
    let share = NodeShare { node: "linux1".into(), processes: 2, cpus: Cpus::from_milli(1500), memory_mib: 9, devices };
    StartTask { index: 3, id: JobId(8), attempt: 2, shares: vec![share], blob: Some("cat.png".into()) }
}

fn step_spec() -> StepDraft {
    StepDraft {
        name: "hello".into(),
        words: vec!["echo".into(), "a b".into()],
        environment: Environment(b"A=\xff\0".as_slice().into()),
        work_dir: "/w".into(),
        processes: Some(4),
        cpus_per_process: Some(2),
        nodes_min: Some(1),
        nodes_max: Some(2),
        processes_per_node: Some(3),
        nodes: vec!["n1".into(), "n2".into()],
        exclude: vec!["n3".into()],
        overlap: true,
        exact: true,
        immediate: true,
        stdin: "none".into(),
        stdout: "%t.out".into(),
        stderr: "e".into(),
        append: true,
        umask: 0o22,
        kill_on_bad_exit: true,
        input_task: Some(0),
        time_limit: Some(TimeLimit::Minutes(3.try_into().expect("not 0"))),
        limits: vec![
            ResourceLimit { of: Limited::Nofile, value: Some(9), asked: true },
            ResourceLimit { of: Limited::As, value: None, asked: false },
        ],
        gres: "gpu:1".into(),
        programs: "0-3 echo %t".into(),
    }
}

fn start_step() -> StartStep {
    let share = |node: &str, first_task| StepShare { node: node.into(), first_task, tasks: 2, cpus: Cpus::whole(2) };
    let job = Brief { work: Work::Allocation, ..brief() };
    let spec = step_spec().check().expect("in bounds");
    StartStep {
        key: step_key(),
        spec,
        shares: vec![share("n1", 0), share("n2", 2)],
        secret: 99,
        job,
        task: task(),
        job_ran_ms: 60_000,
    }
}

fn all_from_node() -> Vec<FromNode> {
    let exit = Exit { code: 3, signal: 9 };
    let ways = [How::Exited(exit), How::TimedOut(exit), How::OutOfMemory, How::NotStarted, How::Lost];
    let ends = ways.map(|how| (key(), end(how))).to_vec();
    let steps = ways.map(|how| (step_key(), end(how))).to_vec();
    vec![FromNode::Register(register()), FromNode::Ends { attempts: ends, steps }, FromNode::Leave]
}

#[test]
fn what_a_node_says_is_read_back() {
    for said in all_from_node() {
        assert_eq!(FromNode::try_from(v1::FromNode::from(said.clone())).expect("readable"), said);
    }
}

fn all_to_node() -> Vec<ToNode> {
    let welcome = Welcome {
        epoch: 1,
        session: 2,
        cluster: "c".into(),
        adopt: vec![key()],
        kill: vec![key(), key()],
        forget: Vec::new(),
        kill_wait_s: 30,
        lease: Some(Lease { heartbeat_ms: 3, lasts_ms: 9, kill_wait_ms: 2 }),
    };
    let orders = vec![
        Order::Job(Box::new(brief())),
        Order::Start { job: JobId(5), tasks: vec![task(), StartTask { blob: None, ..task() }] },
        Order::Forget(key()),
        Order::JobGone(JobId(5)),
        Order::Suspend(key()),
        Order::Resume(key()),
        Order::Limit { key: key(), limit: TimeLimit::Minutes(9.try_into().expect("not 0")) },
        Order::Limit { key: key(), limit: TimeLimit::Unlimited },
        Order::StartStep(Box::new(start_step())),
        Order::StopStep { key: step_key(), why: StopWhy::JobOver },
        Order::SignalStep { key: step_key(), sent: Sent { number: 4, signal: 18, scope: Scope::Steps } },
        Order::ForgetStep(step_key()),
        Order::ReadOutput(ReadOutput { reading: 7, uid: 1, gid: 2, path: "/w/slurm-5.out".into(), follow: true }),
    ];
    let whys = [StopWhy::Cancelled(0), StopWhy::TimeLimit, StopWhy::Requeue, StopWhy::NodeDown, StopWhy::Deadline];
    let whys = whys.into_iter().chain([StopWhy::Released(0), StopWhy::JobOver]);
    let stops = whys.map(|why| Order::Stop { key: key(), why });
    let scopes = [Scope::Steps, Scope::Batch, Scope::Full];
    let signals = scopes.map(|scope| Order::Signal { key: key(), sent: Sent { number: 7, signal: 10, scope } });
    let orders: Vec<Order> = orders.into_iter().chain(stops).chain(signals).collect();
    vec![ToNode::Welcome(welcome.into()), ToNode::Orders(orders), ToNode::Granted { at_ms: 8 }]
}

#[test]
fn what_the_controller_says_is_read_back() {
    for said in all_to_node() {
        assert_eq!(ToNode::try_from(v1::ToNode::from(said.clone())).expect("readable"), said);
    }
}

#[test]
fn an_attempt_is_kept_without_its_script_and_environment() {
    let (kept, kept_task) = read_kept(&keep(&brief(), &task())).expect("readable");
    assert_eq!((kept_task, kept.map), (task(), brief().map));
    assert!(kept.environment.is_empty());
    assert!(read_kept(b"nonsense").is_none());
}

#[test]
fn what_means_nothing_is_refused_with_its_field() {
    let refused = |change: fn(&mut v1::Register)| {
        let v1::FromNode { kind: Some(v1::from_node::Kind::Register(mut message)) } =
            FromNode::Register(register()).into()
        else {
            panic!("a registration")
        };
        change(&mut message);
        Register::try_from(message).expect_err("refused").to_string()
    };
    assert!(refused(|message| message.name = "../up".into()).contains("name"));
    assert!(refused(|message| message.name = String::new()).contains("name"));
    assert!(refused(|message| message.cpus_milli = 0).contains("cpus_milli"));
    assert!(refused(|message| message.memory_mib = u64::MAX).contains("memory_mib"));
    assert!(refused(|message| message.spool = vec![1, 2]).contains("spool"));
    assert!(FromNode::try_from(v1::FromNode { kind: None }).is_err());
}

#[test]
fn an_order_that_means_nothing_is_refused_with_its_field() {
    let refused = |kind| Order::try_from(v1::Order { kind: Some(kind) }).expect_err("refused").to_string();
    let key = Some(v1::AttemptKey::from(key()));
    assert!(refused(v1::order::Kind::Stop(v1::Stop { key, why: 99 })).contains("why"));
    assert!(refused(v1::order::Kind::Stop(v1::Stop { key: None, why: 1 })).contains("key"));
    let limit = v1::Limit { key, time_limit_minutes: Some(0) };
    assert!(refused(v1::order::Kind::Limit(limit)).contains("time_limit_minutes"));
    let signal = |signal, scope| refused(v1::order::Kind::Signal(v1::Signal { key, signal, scope, number: 1 }));
    assert!(
        signal(0, 1).contains("signal") && signal(32, 1).contains("signal") && signal(u32::MAX, 1).contains("signal")
    );
    assert!(signal(10, 0).contains("scope"));
}

#[test]
fn a_step_that_means_nothing_is_refused_with_its_field() {
    let refused = |change: fn(&mut v1::StartStep)| {
        let mut message = v1::StartStep::from(start_step());
        change(&mut message);
        StartStep::try_from(message).expect_err("refused").to_string()
    };
    let spec =
        |message: &mut v1::StartStep, change: fn(&mut v1::StepSpec)| change(message.spec.as_mut().expect("there"));
    assert!(refused(|message| message.name = None).contains("name"));
    assert!(refused(|message| message.secret = vec![1]).contains("secret"));
    assert!(refused(|message| message.job = None).contains("job"));
    assert!(refused(|message| message.task = None).contains("task"));
    let mut message = v1::StartStep::from(start_step());
    spec(&mut message, |spec| spec.words.clear());
    assert!(StartStep::try_from(message).expect_err("refused").to_string().contains("command"));
    for (change, field) in [
        ((|spec| spec.work_dir = "here".into()) as fn(&mut StepDraft), "here"),
        (|spec| spec.processes = Some(0), "--ntasks"),
        (|spec| spec.nodes_max = Some(0), "--nodes"),
        (|spec| (spec.nodes_min, spec.nodes_max) = (Some(3), Some(2)), "--nodes"),
        (|spec| spec.environment = Environment(vec![0; 2 << 20].into()), "environment"),
        (|spec| spec.stdout = "a\0b".into(), "--output"),
    ] {
        let mut draft = step_spec();
        change(&mut draft);
        let refusal = draft.check().expect_err("refused").to_string();
        assert!(refusal.contains(field), "{field}: {refusal}");
    }
}
