//! A cluster on a bench: inputs go in by short calls, every fact is applied and checked, and time moves when told.

#![allow(dead_code, reason = "each test binary uses its own part of the rig")]

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sched::allow::Role;
use sched::cluster::Cluster;
use sched::depend::{follow, left_of};
use sched::event::{Effect, Event, effects};
use sched::hold::HoldVerb;
use sched::ids::{AttemptKey, BlobHash, JobId, NodeId, RequestId, Timestamp};
use sched::node::Offer;
use sched::partition::Partition;
use sched::plan::{Pass, Planner, plan};
use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, Claim, How};
use sched::refusal::Refusal;
use sched::resources::{Amount, Cpus};
use sched::select::{Asker, Selection};
use sched::settings::Settings;
use sched::spec::array::{ArraySpec, JobRef};
use sched::spec::job::{Files, JobDraft, Origin, Request, User, Work};
use sched::spec::labels::Labels;
use sched::step::{Answer, Input, decide};
use sched::task::Usage;

/// A cluster, its clock, and all that has left it.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<(Timestamp, Event)>,
    pub(crate) effects: Vec<Effect>,
    /// Attempts that were ever ordered to start by a fact.
    pub(crate) started: BTreeSet<AttemptKey>,
    /// Checks are left to the test, where they would cost more than the work.
    pub(crate) unchecked: bool,
    planner: Planner,
    requests: u128,
}

impl Rig {
    /// A cluster with one partition, `debug`, of all nodes.
    pub(crate) fn new() -> Rig {
        let mut rig = Rig {
            cluster: Cluster::default(),
            settings: Settings::default(),
            now: Timestamp(1_800_000_000_000),
            events: Vec::new(),
            effects: Vec::new(),
            started: BTreeSet::new(),
            unchecked: false,
            planner: Planner::default(),
            requests: 0,
        };
        rig.input(Input::Partitions(vec![partition("debug")]));
        rig
    }

    /// A cluster with `count` nodes `n1`.. of so many CPUs and 1000 MiB a CPU.
    pub(crate) fn with_nodes(count: u32, cpus: u32) -> Rig {
        let mut rig = Rig::new();
        for i in 1..=count {
            rig.register(&format!("n{i}"), cpus, &[]);
        }
        rig
    }

    pub(crate) fn input(&mut self, input: Input) -> Answer {
        let (events, answer) = decide(&self.cluster, &self.settings, self.now, input);
        self.apply(events);
        answer
    }

    /// One scheduling pass, made twice: by a planner that remembers and by one that starts from nothing.
    pub(crate) fn plan(&mut self) -> Pass {
        let pass = self.planner.pass(&self.cluster, self.now, &self.settings);
        if !self.unchecked {
            assert_eq!(pass, plan(&self.cluster, self.now, &self.settings), "what a planner remembers changes nothing");
        }
        self.apply(pass.events.clone());
        self.cluster.check_commitments().expect("a pass never over-commits a node");
        self.cluster.check_licenses(&self.settings).expect("nor the licenses");
        pass
    }

    /// Applies what was decided, and after each event what follows on it, as the controller does.
    pub(crate) fn apply(&mut self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.apply_one(event));
        if !self.unchecked {
            self.cluster.check().expect("every invariant holds after every input");
        }
    }

    fn apply_one(&mut self, event: Event) {
        let mut next = VecDeque::from([event]);
        while let Some(event) = next.pop_front() {
            let Some(event) = left_of(&self.cluster, event) else { continue };
            self.planner.note(&self.cluster, &event);
            self.cluster.apply(self.now, &event);
            if let Event::Started { job, placements } = &event {
                for placement in placements {
                    let key = AttemptKey { job: *job, index: placement.index, attempt: placement.attempt };
                    assert!(self.started.insert(key), "{key} was started twice");
                }
            }
            next.extend(follow(&self.cluster, &event));
            self.effects.extend(effects(&event));
            self.events.push((self.now, event));
        }
    }

    pub(crate) fn register(&mut self, name: &str, cpus: u32, claims: &[Claim]) -> (NodeId, Answer) {
        self.register_with(name, cpus, 7, claims)
    }

    pub(crate) fn register_with(&mut self, name: &str, cpus: u32, spool: u128, claims: &[Claim]) -> (NodeId, Answer) {
        let amount = Amount { cpus: Cpus::whole(cpus), memory_mib: u64::from(cpus) * 1000, ..Amount::default() };
        let offer = Offer { amount, spool, address: "127.0.0.1".into(), ..Offer::default() };
        let answer =
            self.input(Input::Register { name: name.into(), offer, claims: claims.to_vec(), steps: Vec::new() });
        let Answer::Registered(node, _) = &answer else { panic!("a registration is answered: {answer:?}") };
        (*node, answer)
    }

    pub(crate) fn submit(&mut self, draft: JobDraft) -> Result<JobId, Refusal> {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.submit_as(request, draft)
    }

    pub(crate) fn submit_as(&mut self, request: RequestId, draft: JobDraft) -> Result<JobId, Refusal> {
        let spec = Arc::new(draft.check().expect("the draft is in bounds"));
        match self.input(Input::Submit { request, spec }) {
            Answer::Submitted(job) => Ok(job),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("a submit is answered: {other:?}"),
        }
    }

    pub(crate) fn cancel(&mut self, target: &str) -> Result<(), Refusal> {
        let targets = vec![target.parse().expect("a job's name")];
        let selection = Selection { targets, ..Selection::default() };
        match self.input(Input::Cancel { selection, asker: ADA }) {
            Answer::Found(found) => found.into_iter().next().expect("one answer for one target"),
            other => panic!("a cancel is answered: {other:?}"),
        }
    }

    /// Asks something of targets, as an administrator.
    pub(crate) fn ask(&mut self, input: Input) -> Result<(), Refusal> {
        match self.input(input) {
            Answer::Found(found) => found.into_iter().collect(),
            other => panic!("every target is answered: {other:?}"),
        }
    }

    pub(crate) fn hold(&mut self, target: &str) -> Result<(), Refusal> {
        self.ask(Input::Hold { targets: targets(target), verb: HoldVerb::UserHold, asker: ROOT })
    }

    pub(crate) fn release(&mut self, target: &str) -> Result<(), Refusal> {
        self.ask(Input::Hold { targets: targets(target), verb: HoldVerb::Release, asker: ROOT })
    }

    /// The newest attempts that run, in order.
    pub(crate) fn running(&self) -> Vec<AttemptKey> {
        self.cluster.nodes().flat_map(|node| self.cluster.attempts_on(node.id)).collect()
    }

    pub(crate) fn node_of(&self, key: AttemptKey) -> NodeId {
        let on = |node: &&Arc<sched::node::Node>| self.cluster.attempts_on(node.id).any(|other| other == key);
        self.cluster.nodes().find(on).expect("the attempt is on a node").id
    }

    pub(crate) fn end(&mut self, key: AttemptKey, how: How) {
        let node = self.node_of(key);
        self.input(Input::Ends { node, ends: vec![(key, ended(how))], steps: Vec::new() });
    }

    pub(crate) fn exit(&mut self, key: AttemptKey, code: u8) {
        self.end(key, How::Exited(Exit { code, signal: 0 }));
    }
}

pub(crate) const ROOT: Asker = Asker { uid: 0, role: Role::Administrator };

/// The user of every job here.
pub(crate) const ADA: Asker = Asker { uid: 1000, role: Role::User };

pub(crate) fn targets(names: &str) -> Vec<JobRef> {
    names.split(' ').map(|name| name.parse().expect("a job's name")).collect()
}

pub(crate) fn ended(how: How) -> AttemptEnd {
    AttemptEnd { how, age_ms: 0, usage: Usage::default(), note: None }
}

pub(crate) fn partition(name: &str) -> Partition {
    Partition { default: true, ..Partition::new(name.into()) }
}

/// A job of one process on one CPU.
pub(crate) fn job() -> JobDraft {
    JobDraft {
        name: "wrap".into(),
        user: User { uid: 1000, gid: 1000, name: "ada".into(), group: "ada".into() }.into(),
        partitions: Vec::new(),
        array: None,
        request: Request::default().into(),
        time_limit: None,
        work: Work::Command(vec!["/bin/true".into()]).into(),
        map: None,
        environment: BlobHash([0; 32]),
        files: Files { work_dir: "/tmp".into(), stdin: None, stdout: None, stderr: None, append: false, umask: 0o022 }
            .into(),
        requeue: true,
        hold: false,
        begin: None,
        dependency: None,
        kill_on_invalid_dep: false,
        comment: String::new(),
        export: String::new(),
        origin: Origin { host: "here".into(), dir: "/tmp".into(), ..Origin::default() }.into(),
        nice: 0,
        priority: None,
        deadline: None,
        retry: None,
        warning: None,
        labels: Labels::default().into(),
        limits: Vec::new().into(),
        time_min: None,
        login_environment: false,
        inject_failure: None,
        bytes: 0,
    }
}

pub(crate) fn array(list: &str) -> JobDraft {
    JobDraft { array: Some(ArraySpec::parse(list, 4_000_000).expect("an array")), ..job() }
}

pub(crate) fn wide(processes: u32, cpus_per_process: u32) -> JobDraft {
    let mut job = job();
    (job.request.processes, job.request.cpus_per_process) = (Some(processes), Some(cpus_per_process));
    job
}
