//! Steps: where their tasks go, what they take, how they end, and what that means for their attempts.

mod rig;

use std::sync::Arc;

use rig::{ADA, ROOT, Rig, ended, job, targets};
use sched::allow::Role;
use sched::event::{Effect, Event};
use sched::ids::{AttemptKey, JobId, NodeId, RequestId, StepKey};
use sched::reason::{Ending, Exit, Scope, StopWhy};
use sched::reconcile::{AttemptEnd, How, StepClaim};
use sched::refusal::Refusal;
use sched::requeue::Requeue;
use sched::resources::Cpus;
use sched::revise::{Change, LimitChange};
use sched::select::{Asker, Selection};
use sched::signals::{SIGNALS_MAX, Sent};
use sched::spec::duration::TimeLimit;
use sched::spec::job::{JobDraft, Request, Work};
use sched::spec::step::StepDraft;
use sched::step::{Answer, Input};
use sched::steps::ask::{NewStep, StepSelector, StepTarget, StepWish};
use sched::steps::layout::{NoPlace, Room, lay};
use sched::steps::{STEPS_MAX, StepState};
use sched::task::{TaskState, Usage};

fn step() -> StepDraft {
    StepDraft { name: "true".into(), words: vec!["true".into()], work_dir: "/tmp".into(), ..StepDraft::default() }
}

fn tasks(processes: u32) -> StepDraft {
    StepDraft { processes: Some(processes), ..step() }
}

fn exact(processes: u32) -> StepDraft {
    StepDraft { exact: true, ..tasks(processes) }
}

/// A cluster of two nodes with two CPUs each, and a job that runs on all of it.
fn two_by_two() -> (Rig, AttemptKey) {
    with_job(
        2,
        2,
        JobDraft { request: Request { nodes_min: 2, processes: Some(4), ..Request::default() }.into(), ..job() },
    )
}

fn with_job(nodes: u32, cpus: u32, draft: JobDraft) -> (Rig, AttemptKey) {
    let mut rig = Rig::with_nodes(nodes, cpus);
    rig.submit(draft).expect("accepted");
    rig.plan();
    let key = rig.running()[0];
    (rig, key)
}

trait Steps {
    fn srun(&mut self, request: u128, draft: StepDraft) -> Result<StepKey, Refusal>;
    fn part_ends(&mut self, key: StepKey, node: u32, how: How);
    fn ends_well(&mut self, key: StepKey);
    fn ending(&self, key: StepKey) -> Option<(Ending, Exit)>;
    fn orders(&mut self) -> Vec<Effect>;
}

impl Steps for Rig {
    fn srun(&mut self, request: u128, draft: StepDraft) -> Result<StepKey, Refusal> {
        let spec = Arc::new(draft.check().expect("in bounds"));
        let new = NewStep { request: RequestId(request), job: JobId(1), spec, secret: request, asker: ADA };
        match self.input(Input::CreateStep(new)) {
            Answer::Step(key) => Ok(key),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("a step is answered: {other:?}"),
        }
    }

    fn part_ends(&mut self, key: StepKey, node: u32, how: How) {
        let usage = Usage { user_us: 5, rss_kib_max: u64::from(node), ..Usage::default() };
        let end = AttemptEnd { usage, ..ended(how) };
        self.input(Input::Ends { node: NodeId(node), ends: Vec::new(), steps: vec![(key, end)] });
    }

    fn ends_well(&mut self, key: StepKey) {
        let left = self.cluster.step(key).expect("there").left().to_vec();
        left.iter().for_each(|node| self.part_ends(key, node.0, exited(0)));
    }

    fn ending(&self, key: StepKey) -> Option<(Ending, Exit)> {
        match &self.cluster.step(key).expect("there").state {
            StepState::Ended { outcome, .. } => Some((outcome.ending, outcome.exit)),
            StepState::Running { .. } => None,
        }
    }

    fn orders(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

fn exited(code: u8) -> How {
    How::Exited(Exit { code, signal: 0 })
}

fn signalled(signal: u8) -> How {
    How::Exited(Exit { code: 0, signal })
}

#[test]
fn tasks_are_dealt_out_evenly_and_numbered_node_by_node() {
    let room = |name: &str, number, cpus, taken| Room {
        node: NodeId(number),
        name: name.into(),
        cpus: Cpus::whole(cpus),
        taken: Cpus::whole(taken),
        processes: cpus,
        up: true,
    };
    let free = [room("a", 1, 4, 0), room("b", 2, 4, 0), room("c", 3, 2, 0)];
    let used = [room("a", 1, 4, 3), room("b", 2, 4, 1), room("c", 3, 2, 2)];
    let down = [Room { up: false, ..room("a", 1, 4, 0) }, room("b", 2, 4, 0)];
    let request = Request { nodes_min: 3, processes: Some(10), ..Request::default() };
    let on = |nodes: u32, draft: StepDraft| StepDraft { nodes_min: Some(nodes), nodes_max: Some(nodes), ..draft };
    let at = |name: &str, draft: StepDraft| StepDraft { nodes: vec![name.into()], ..draft };
    let without = |name: &str, draft: StepDraft| StepDraft { exclude: vec![name.into()], ..draft };
    let each = |count: u32, draft: StepDraft| StepDraft { processes_per_node: Some(count), ..draft };
    let wide = |cpus: u32, draft: StepDraft| StepDraft { cpus_per_process: Some(cpus), ..draft };
    let overlap = |draft: StepDraft| StepDraft { overlap: true, ..draft };
    let (busy, many) = ("busy", "too many");
    for (draft, rooms, expected) in [
        (step(), &free[..], "1:0+4/4 2:4+4/4 3:8+2/2"),
        (tasks(1), &free, "1:0+1/4"),
        (tasks(2), &free, "1:0+1/4 2:1+1/4"),
        (tasks(7), &free, "1:0+3/4 2:3+2/4 3:5+2/2"),
        (tasks(10), &free, "1:0+4/4 2:4+4/4 3:8+2/2"),
        (tasks(11), &free, many),
        (exact(7), &free, "1:0+3/3 2:3+2/2 3:5+2/2"),
        (on(2, step()), &free, "1:0+1/4 2:1+1/4"),
        (on(2, tasks(8)), &free, "1:0+4/4 2:4+4/4"),
        (on(2, tasks(9)), &free, many),
        (on(4, step()), &free, "not there"),
        (on(3, tasks(2)), &free, "1:0+1/4 2:1+1/4"),
        (on(3, each(2, step())), &free, "1:0+2/4 2:2+2/4 3:4+2/2"),
        (each(2, tasks(4)), &free, "1:0+2/4 2:2+2/4"),
        (each(1, tasks(4)), &free, many),
        (at("b", step()), &free, "2:0+4/4"),
        (at("b", tasks(5)), &free, many),
        (at("b", on(2, tasks(4))), &free, "2:0+2/4 1:2+2/4"),
        (at("x", step()), &free, "not there"),
        (without("a", tasks(2)), &free, "2:0+1/4 3:1+1/2"),
        (wide(2, tasks(5)), &free, "1:0+2/4 2:2+2/4 3:4+1/2"),
        (wide(4, tasks(2)), &free, "1:0+1/4 2:1+1/4"),
        (wide(4, tasks(3)), &free, many),
        (tasks(1), &used, busy),
        (overlap(tasks(1)), &used, "1:0+1/4"),
        (exact(1), &used, "1:0+1/1"),
        (exact(4), &used, "1:0+1/1 2:1+3/3"),
        (exact(5), &used, busy),
        (wide(3, tasks(1)), &used, "2:0+1/3"),
        (on(1, exact(3)), &used, "2:0+3/3"),
        (at("c", exact(1)), &used, busy),
        (tasks(1), &down, "2:0+1/4"),
        (on(2, step()), &down, busy),
    ] {
        let spec = draft.clone().check().expect("in bounds");
        let found = match lay(&spec, &request, rooms) {
            Ok(parts) => {
                let part = |part: &sched::steps::Part| {
                    format!("{}:{}+{}/{}", part.node.0, part.first_task, part.tasks, part.cpus)
                };
                parts.iter().map(part).collect::<Vec<_>>().join(" ")
            }
            Err(NoPlace::Busy) => busy.into(),
            Err(NoPlace::TooMany) => many.into(),
            Err(NoPlace::NotThere(_)) => "not there".into(),
        };
        assert_eq!(found, expected, "{draft:?}");
    }
}

#[test]
fn a_job_with_a_part_of_a_cpu_has_steps_all_the_same() {
    let request = Request { cpus_milli: Some(150), ..Request::default() };
    let (mut rig, key) = with_job(1, 1, JobDraft { request: request.into(), ..job() });
    let first = rig.srun(1, exact(1)).expect("made");
    assert_eq!(rig.cluster.step(first).expect("there").parts[0].cpus, Cpus::from_milli(150));
    assert_eq!(rig.srun(2, exact(1)), Err(Refusal::StepBusy));
    assert_eq!(first, StepKey { attempt: key, step: 0 });
}

#[test]
fn a_step_starts_on_its_nodes_and_is_over_with_its_last_part() {
    let (mut rig, key) = two_by_two();
    rig.orders();
    let made = rig.srun(1, step()).expect("made");
    assert_eq!(made, StepKey { attempt: key, step: 0 });
    let start = |node| Effect::StartStep { node: NodeId(node), key: made };
    assert_eq!(rig.orders(), [start(1), start(2)]);
    rig.part_ends(made, 2, exited(3));
    assert_eq!((rig.ending(made), rig.orders()), (None, vec![Effect::ForgetStep { node: NodeId(2), key: made }]));
    rig.part_ends(made, 1, exited(0));
    assert_eq!(rig.ending(made), Some((Ending::Failed, Exit { code: 3, signal: 0 })));
    let StepState::Ended { usage, .. } = &rig.cluster.step(made).expect("there").state else { panic!("it is over") };
    assert_eq!((usage.user_us, usage.rss_kib_max), (10, 2));
    // Said again, it is forgotten again, and counted no more.
    rig.orders();
    rig.part_ends(made, 1, exited(7));
    assert_eq!(rig.orders(), [Effect::ForgetStep { node: NodeId(1), key: made }]);
    assert_eq!(rig.ending(made), Some((Ending::Failed, Exit { code: 3, signal: 0 })));
    rig.exit(key, 0);
    assert!(rig.cluster.job(JobId(1)).expect("there").is_done());
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").steps_of(0).count(), 1, "its steps are still listed");
}

#[test]
fn a_request_makes_one_step_however_often_it_comes() {
    let (mut rig, _) = two_by_two();
    let made = rig.srun(1, tasks(1)).expect("made");
    assert_eq!(rig.srun(1, tasks(1)), Ok(made));
    rig.ends_well(made);
    assert_eq!(rig.srun(1, tasks(1)), Ok(made));
    assert_eq!(rig.srun(2, tasks(1)).map(|key| key.step), Ok(1));
}

#[test]
fn steps_wait_for_cpus_that_others_have() {
    let (mut rig, _) = two_by_two();
    let whole = rig.srun(1, step()).expect("made");
    assert_eq!(rig.srun(2, exact(1)), Err(Refusal::StepBusy));
    assert_eq!(rig.srun(3, StepDraft { overlap: true, ..step() }).map(|key| key.step), Ok(1), "overlap takes none");
    rig.part_ends(whole, 1, exited(0));
    let narrow = rig.srun(2, exact(1)).expect("its node is free");
    assert_eq!(rig.cluster.step(narrow).expect("there").parts[0].node, NodeId(1));
    assert_eq!(rig.srun(4, tasks(1)), Err(Refusal::StepBusy), "one without --exact wants a node for itself");
    assert_eq!(rig.srun(5, exact(1)).map(|key| key.step), Ok(3));
    assert_eq!(rig.srun(6, exact(1)), Err(Refusal::StepBusy));
    rig.ends_well(whole);
    assert_eq!(rig.srun(4, tasks(1)).map(|key| key.step), Ok(4));
}

#[test]
fn what_can_never_be_is_refused_in_slurms_words() {
    let (mut rig, key) = two_by_two();
    let mut refused = |draft| rig.srun(1, draft).expect_err("refused").to_string();
    assert_eq!(refused(tasks(5)), "More processors requested than permitted");
    let far = StepDraft { nodes_min: Some(3), ..step() };
    assert_eq!(refused(far), "Requested node configuration is not available");
    let spec = Arc::new(step().check().expect("in bounds"));
    let mut other = |job, uid| {
        let new = NewStep {
            request: RequestId(9),
            job: JobId(job),
            spec: spec.clone(),
            secret: 1,
            asker: Asker { uid, role: Role::User },
        };
        match rig.input(Input::CreateStep(new)) {
            Answer::Refused(refusal) => refusal.to_string(),
            other => panic!("it is refused: {other:?}"),
        }
    };
    assert_eq!(other(7, 1000), "Invalid job id specified");
    assert_eq!(other(1, 1001), "Access/permission denied");
    rig.submit(job()).expect("accepted");
    let new = |job| NewStep { request: RequestId(9), job: JobId(job), spec: spec.clone(), secret: 1, asker: ROOT };
    assert_eq!(rig.input(Input::CreateStep(new(2))), Answer::Refused(Refusal::StillPending));
    rig.exit(key, 0);
    assert_eq!(rig.input(Input::CreateStep(new(1))), Answer::Refused(Refusal::AlreadyDone));
}

#[test]
fn an_attempt_has_so_many_steps_and_no_more() {
    let (mut rig, _) = two_by_two();
    rig.unchecked = true;
    for request in 0..STEPS_MAX {
        let made = rig.srun(request.into(), tasks(1)).expect("made");
        rig.ends_well(made);
    }
    assert_eq!(rig.srun(u128::from(STEPS_MAX), tasks(1)), Err(Refusal::TooManySteps(STEPS_MAX)));
    rig.cluster.check().expect("all adds up");
}

#[test]
fn what_runs_when_the_batch_script_ends_is_stopped_and_then_the_job_is_over() {
    let (mut rig, key) = two_by_two();
    let made = rig.srun(1, step()).expect("made");
    rig.orders();
    rig.exit(key, 3);
    let stop = |node| Effect::StopStep { node: NodeId(node), key: made, why: StopWhy::JobOver };
    assert_eq!(rig.orders(), [Effect::Forget { node: NodeId(1), key }, stop(1), stop(2)]);
    let state = |rig: &Rig| rig.cluster.job(JobId(1)).expect("there").tasks.get(&0).map(|task| task.state.clone());
    assert!(matches!(state(&rig), Some(TaskState::Closing { .. })));
    assert_eq!(rig.srun(2, tasks(1)), Err(Refusal::AlreadyDone));
    assert_eq!(rig.cancel("1"), Err(Refusal::AlreadyDone), "it goes away already");
    let ended_at = rig.now;
    rig.now = rig.now.plus_ms(5_000);
    rig.part_ends(made, 1, signalled(15));
    assert!(state(&rig).is_some(), "it still goes on elsewhere");
    rig.part_ends(made, 2, signalled(15));
    let job = rig.cluster.job(JobId(1)).expect("there");
    assert_eq!(
        (job.done.get(0).expect("done").outcome.ending, job.done.get(0).expect("done").outcome.exit.code),
        (Ending::Failed, 3)
    );
    assert_eq!(job.done.get(0).expect("done").ended, ended_at, "when its batch script ended");
    assert_eq!(rig.ending(made), Some((Ending::Cancelled(1000), Exit { code: 0, signal: 15 })));
}

#[test]
fn the_last_step_and_the_batch_script_may_end_in_one_breath() {
    let (mut rig, key) = two_by_two();
    let made = rig.srun(1, tasks(1)).expect("made");
    let steps = vec![(made, ended(exited(0)))];
    rig.input(Input::Ends { node: NodeId(1), ends: vec![(key, ended(exited(0)))], steps });
    assert!(rig.cluster.job(JobId(1)).expect("there").is_done());
    assert_eq!(rig.ending(made), Some((Ending::Completed, Exit::default())));
}

#[test]
fn a_cancelled_job_takes_its_steps_with_it() {
    let (mut rig, key) = two_by_two();
    let made = rig.srun(1, step()).expect("made");
    rig.orders();
    rig.cancel("1").expect("cancelled");
    let why = StopWhy::Cancelled(1000);
    let stop = |node| Effect::StopStep { node: NodeId(node), key: made, why };
    assert_eq!(rig.orders(), [Effect::Stop { node: NodeId(1), key, why }, stop(1), stop(2)]);
    rig.end(key, signalled(15));
    rig.part_ends(made, 1, signalled(15));
    rig.part_ends(made, 2, signalled(9));
    assert_eq!(rig.ending(made), Some((Ending::Cancelled(1000), Exit { code: 0, signal: 15 })));
    assert_eq!(
        rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.ending,
        Ending::Cancelled(1000)
    );
}

#[test]
fn a_requeued_job_runs_again_when_its_last_step_is_gone_and_counts_its_steps_anew() {
    let (mut rig, key) = two_by_two();
    let made = rig.srun(1, step()).expect("made");
    rig.ask(Input::Requeue { targets: targets("1"), how: Default::default(), asker: ADA }).expect("requeued");
    rig.end(key, How::Lost);
    rig.plan();
    assert_eq!(rig.running(), [key], "a step of the first run is not known dead");
    rig.part_ends(made, 1, signalled(15));
    rig.part_ends(made, 2, signalled(15));
    rig.plan();
    let again = rig.running()[0];
    assert_eq!(again.attempt, 2);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").steps_of(0).count(), 0);
    assert_eq!(rig.srun(1, step()), Ok(StepKey { attempt: again, step: 0 }), "its request is forgotten");
    rig.orders();
    rig.part_ends(made, 1, exited(0));
    assert_eq!(rig.orders(), [Effect::ForgetStep { node: NodeId(1), key: made }]);
}

#[test]
fn a_node_that_is_given_up_ends_its_parts_and_no_more() {
    let (mut rig, key) = two_by_two();
    let made = rig.srun(1, step()).expect("made");
    rig.input(Input::LinkLost { node: NodeId(2) });
    assert_eq!(rig.srun(2, StepDraft { nodes: vec!["n2".into()], ..exact(1) }), Err(Refusal::StepBusy));
    rig.now = rig.now.plus_ms(rig.settings.node_timeout_s * 1000);
    rig.input(Input::Tick);
    rig.part_ends(made, 1, exited(0));
    assert_eq!(rig.ending(made), Some((Ending::NodeFail, Exit::default())));
    assert_eq!(rig.running(), [key], "its batch script goes on");
    // It comes back with the part, which nobody wants any more: it gets nothing new until that is gone.
    rig.exit(key, 0);
    back(&mut rig, "n2", 7, vec![StepClaim { key: made, end: None, heard: 0 }]);
    let node = rig.cluster.node_named("n2").expect("there").clone();
    assert!(node.has_unwanted());
    rig.part_ends(made, 2, signalled(15));
    assert!(!rig.cluster.node_named("n2").expect("there").has_unwanted());
}

#[test]
fn a_batch_node_that_is_given_up_leaves_the_steps_elsewhere_to_be_stopped() {
    let (mut rig, _) = two_by_two();
    let made = rig.srun(1, step()).expect("made");
    rig.input(Input::LinkLost { node: NodeId(1) });
    rig.now = rig.now.plus_ms(rig.settings.node_timeout_s * 1000);
    rig.orders();
    rig.input(Input::Tick);
    assert!(rig.orders().contains(&Effect::StopStep { node: NodeId(2), key: made, why: StopWhy::JobOver }));
    assert!(!rig.cluster.job(JobId(1)).expect("there").is_done());
    rig.part_ends(made, 2, signalled(15));
    let job = rig.cluster.job(JobId(1)).expect("there");
    assert_eq!((job.is_done(), job.done.get(0).expect("done").outcome.ending), (true, Ending::NodeFail));
}

/// A node registers again; answers what it is told beside its welcome.
fn back(rig: &mut Rig, name: &str, spool: u128, steps: Vec<StepClaim>) -> Vec<Effect> {
    let claims: Vec<_> = {
        let node = rig.cluster.node_named(name).expect("known").id;
        let running = rig.cluster.attempts_on(node);
        running.map(|key| sched::reconcile::Claim { key, end: None, heard: 0 }).collect()
    };
    let node = rig.cluster.node_named(name).expect("known");
    let offer = sched::node::Offer { spool, ..node.offer.clone() };
    match rig.input(Input::Register { name: name.into(), offer, claims, steps }) {
        Answer::Registered(_, missed) => missed.again,
        other => panic!("a registration is answered: {other:?}"),
    }
}

#[test]
fn a_node_that_registers_is_told_what_it_missed_of_steps() {
    let (mut rig, key) = two_by_two();
    let unheard = rig.srun(1, exact(4)).expect("made");
    let node = NodeId(2);
    let start = Effect::StartStep { node, key: unheard };
    assert_eq!(back(&mut rig, "n2", 7, Vec::new()), std::slice::from_ref(&start));
    let runs = StepClaim { key: unheard, end: None, heard: 0 };
    assert_eq!(back(&mut rig, "n2", 7, vec![runs.clone()]), []);
    // What the state says since is said again; what nobody knows is stopped or forgotten.
    rig.ask(Input::Pause { targets: targets("1"), suspend: true, asker: ROOT }).expect("suspended");
    let signal =
        |signal| Effect::SignalStep { node, key: unheard, sent: Sent { number: 0, signal, scope: Scope::Steps } };
    assert_eq!(back(&mut rig, "n2", 7, vec![runs.clone()]), [signal(19)]);
    assert_eq!(back(&mut rig, "n2", 7, Vec::new()), [start, signal(19)]);
    rig.now = rig.now.plus_ms(1_000);
    rig.ask(Input::Pause { targets: targets("1"), suspend: false, asker: ROOT }).expect("resumed");
    assert_eq!(back(&mut rig, "n2", 7, vec![runs.clone()]), [signal(18)]);
    let strange = |number| StepKey { attempt: key, step: number };
    let claims = vec![
        runs,
        StepClaim { key: strange(8), end: None, heard: 0 },
        StepClaim { key: strange(9), end: Some(ended(exited(0))), heard: 0 },
    ];
    let stop = Effect::StopStep { node, key: strange(8), why: StopWhy::JobOver };
    let forget = Effect::ForgetStep { node, key: strange(9) };
    assert_eq!(back(&mut rig, "n2", 7, claims), [signal(18), stop, forget]);
    // Its end may be in the registration, and a new spool has forgotten all.
    back(&mut rig, "n2", 7, vec![StepClaim { key: unheard, end: Some(ended(exited(4))), heard: 0 }]);
    assert_eq!(rig.cluster.step(unheard).expect("there").left(), [NodeId(1)]);
    let other = rig.srun(2, StepDraft { nodes: vec!["n2".into()], ..exact(1) }).expect("made");
    assert_eq!(back(&mut rig, "n2", 8, Vec::new()), []);
    assert_eq!(rig.ending(other), Some((Ending::NodeFail, Exit::default())));
}

#[test]
fn steps_are_cancelled_and_signalled_by_their_names() {
    let (mut rig, key) = two_by_two();
    let (first, second) = (rig.srun(1, exact(1)).expect("made"), rig.srun(2, exact(1)).expect("made"));
    rig.orders();
    let name = |job: &str, step| vec![StepTarget { job: job.parse().expect("a job"), step }];
    let mut wish = |targets, wish| rig.ask(Input::Steps { targets, wish, asker: ROOT });
    let stop = StepWish::Stop(StopWhy::Cancelled(1000));
    wish(name("1", StepSelector::Number(1)), stop).expect("it runs");
    wish(name("1", StepSelector::Number(0)), StepWish::Signal(10)).expect("it runs");
    wish(name("1", StepSelector::Batch), StepWish::Signal(12)).expect("it runs");
    wish(name("1", StepSelector::Batch), stop).expect("it runs");
    assert_eq!(wish(name("1", StepSelector::Number(2)), stop), Err(Refusal::UnknownStep));
    assert_eq!(wish(name("2", StepSelector::Number(0)), stop), Err(Refusal::UnknownJob));
    let batch =
        |number, signal| Effect::Signal { node: NodeId(1), key, sent: Sent { number, signal, scope: Scope::Batch } };
    let sent = Sent { number: 1, signal: 10, scope: Scope::Steps };
    let (first_node, second_node) = (NodeId(1), NodeId(1));
    assert_eq!(
        rig.orders(),
        [
            Effect::StopStep { node: second_node, key: second, why: StopWhy::Cancelled(1000) },
            Effect::SignalStep { node: first_node, key: first, sent },
            batch(1, 12),
            batch(2, 9),
        ]
    );
    rig.part_ends(second, 1, signalled(15));
    assert_eq!(rig.ending(second), Some((Ending::Cancelled(1000), Exit { code: 0, signal: 15 })));
    let again = Input::Steps { targets: name("1", StepSelector::Number(1)), wish: stop, asker: ROOT };
    assert_eq!(rig.ask(again), Err(Refusal::AlreadyDone));
}

#[test]
fn a_signal_reaches_the_steps_that_its_scope_names() {
    let (mut rig, key) = two_by_two();
    let made = rig.srun(1, step()).expect("made");
    // Attempt and step count their own signals; where one is not reached it does not count.
    let numbers = [(Scope::Steps, None, Some(1)), (Scope::Batch, Some(1), None), (Scope::Full, Some(2), Some(2))];
    for (scope, of_attempt, of_step) in numbers {
        rig.orders();
        let selection = Selection { targets: targets("1"), ..Selection::default() };
        rig.ask(Input::Signal { selection, signal: 10, scope, asker: ADA }).expect("it runs");
        let sent = |number, scope| Sent { number, signal: 10, scope };
        let attempt = of_attempt.map(|number| Effect::Signal { node: NodeId(1), key, sent: sent(number, scope) });
        let step = |number| {
            let sent = sent(number, Scope::Steps);
            [1, 2].map(|node| Effect::SignalStep { node: NodeId(node), key: made, sent })
        };
        let expected: Vec<Effect> = attempt.into_iter().chain(of_step.into_iter().flat_map(step)).collect();
        assert_eq!(rig.orders(), expected);
    }
}

#[test]
fn a_node_that_registers_hears_of_the_signals_that_it_has_missed() {
    let (mut rig, key) = two_by_two();
    let step = rig.srun(1, exact(4)).expect("made");
    let send = |rig: &mut Rig, signal, scope| {
        let selection = Selection { targets: targets("1"), ..Selection::default() };
        rig.ask(Input::Signal { selection, signal, scope, asker: ADA }).expect("it runs");
    };
    send(&mut rig, 10, Scope::Steps);
    send(&mut rig, 12, Scope::Full);
    let sent = |number, signal, scope| Sent { number, signal, scope };
    let of_step = |node, number, signal| Effect::SignalStep {
        node: NodeId(node),
        key: step,
        sent: sent(number, signal, Scope::Steps),
    };
    let of_attempt = Effect::Signal { node: NodeId(1), key, sent: sent(1, 12, Scope::Full) };
    let runs = |heard| vec![StepClaim { key: step, end: None, heard }];
    // Each node for itself, and not what it has heard; one that never heard of the step hears of all after its start.
    assert_eq!(back(&mut rig, "n2", 7, runs(0)), [of_step(2, 1, 10), of_step(2, 2, 12)]);
    assert_eq!(back(&mut rig, "n2", 7, runs(2)), []);
    let start = Effect::StartStep { node: NodeId(2), key: step };
    assert_eq!(back(&mut rig, "n2", 7, Vec::new()), [start, of_step(2, 1, 10), of_step(2, 2, 12)]);
    assert_eq!(back(&mut rig, "n1", 7, runs(1)), [of_attempt, of_step(1, 2, 12)]);
    for _ in 0..SIGNALS_MAX {
        send(&mut rig, 10, Scope::Steps);
    }
    assert_eq!(back(&mut rig, "n2", 7, runs(0)).len(), SIGNALS_MAX, "the newest");
    // The next run hears of none of them.
    rig.part_ends(step, 1, exited(0));
    rig.part_ends(step, 2, exited(0));
    assert_eq!(rig.cluster.step(step).expect("there").signals, Default::default());
    rig.ask(Input::Requeue { targets: targets("1"), how: Requeue::default(), asker: ADA }).expect("it runs");
    rig.exit(key, 0);
    rig.plan();
    let again = AttemptKey { attempt: 2, ..key };
    assert_eq!(rig.running(), [again]);
    assert_eq!(back(&mut rig, "n1", 7, Vec::new()), []);
}

#[test]
fn a_step_has_a_time_limit_of_its_own_which_waits_while_its_job_is_suspended() {
    let (mut rig, _) = two_by_two();
    let limit = Some("1".parse().expect("a limit"));
    let made = rig.srun(1, StepDraft { time_limit: limit, ..step() }).expect("made");
    let wait = |rig: &mut Rig, ms| {
        rig.now = rig.now.plus_ms(ms);
        rig.orders();
        rig.input(Input::Tick);
        rig.orders().len()
    };
    assert_eq!(wait(&mut rig, 30_000), 0);
    rig.ask(Input::Pause { targets: targets("1"), suspend: true, asker: ROOT }).expect("suspended");
    assert_eq!(wait(&mut rig, 600_000), 0);
    rig.ask(Input::Pause { targets: targets("1"), suspend: false, asker: ROOT }).expect("resumed");
    assert_eq!(wait(&mut rig, 29_999), 0);
    let wake = sched::wake::next_wake(&rig.cluster, &rig.settings).expect("a step ends");
    assert_eq!(wake, rig.now.plus_ms(1));
    assert_eq!(wait(&mut rig, 1), 2, "a stop for each node");
    assert_eq!(wait(&mut rig, 1), 0, "once");
    rig.part_ends(made, 1, signalled(15));
    rig.part_ends(made, 2, signalled(15));
    assert_eq!(rig.ending(made), Some((Ending::Timeout, Exit { code: 0, signal: 15 })));
}

#[test]
fn an_allocation_runs_until_its_holder_releases_it() {
    for (code, ending) in [(0, Ending::Completed), (7, Ending::Failed)] {
        let (mut rig, key) = with_job(1, 2, JobDraft { work: Work::Allocation.into(), ..job() });
        assert!(!rig.cluster.job(JobId(1)).expect("there").terms.spec.requeue);
        rig.orders();
        assert_eq!(rig.input(Input::Release { job: JobId(1), code }), Answer::Done);
        assert_eq!(rig.orders(), [Effect::Stop { node: NodeId(1), key, why: StopWhy::Released(code) }]);
        rig.end(key, signalled(15));
        let outcome = rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.clone();
        assert_eq!((outcome.ending, outcome.exit), (ending, Exit { code, signal: 0 }));
        assert_eq!(rig.input(Input::Release { job: JobId(1), code }), Answer::Done, "said again, it is nothing");
    }
    let mut rig = Rig::new();
    rig.register("n1", 1, &[]);
    rig.submit(JobDraft { work: Work::Allocation.into(), ..job() }).expect("accepted");
    assert_eq!(rig.input(Input::Release { job: JobId(1), code: 0 }), Answer::Done);
    assert!(rig.cluster.job(JobId(1)).expect("there").is_done(), "what waits is cancelled");
    assert!(JobDraft { work: Work::Allocation.into(), ..rig::array("0-1") }.check().is_err());
}

#[test]
fn steps_are_the_same_after_a_restart() {
    let (mut rig, _) = two_by_two();
    let limit = Some("1".parse().expect("a limit"));
    let done = rig.srun(1, exact(1)).expect("made");
    rig.ends_well(done);
    let made = rig.srun(2, StepDraft { time_limit: limit, ..exact(4) }).expect("made");
    rig.part_ends(made, 2, exited(1));
    let mut replayed = sched::cluster::Cluster::default();
    for (at, event) in &rig.events {
        let bytes = rmp_serde::to_vec(event).expect("events can be written");
        let event: Event = rmp_serde::from_slice(&bytes).expect("and read");
        replayed.apply(*at, &event);
    }
    assert_eq!(format!("{replayed:?}"), format!("{:?}", rig.cluster));
    let bytes = rmp_serde::to_vec(&rig.cluster).expect("a cluster can be written");
    let read: sched::cluster::Cluster = rmp_serde::from_slice(&bytes).expect("and read");
    let read = read.restored();
    read.check().expect("every index is there");
    assert_eq!(read.step_of_request(RequestId(2)), Some(made));
    assert_eq!(read.steps_on(NodeId(1)).collect::<Vec<_>>(), [made]);
    assert_eq!(sched::wake::next_wake(&read, &rig.settings), sched::wake::next_wake(&rig.cluster, &rig.settings));
}

#[test]
fn all_nodes_hear_of_a_new_limit_where_steps_are_warned_by_it() {
    let limits = |warning: &str| {
        let request = Request { nodes_min: 2, processes: Some(4), ..Request::default() };
        let warning = Some(warning.parse().expect("a warning"));
        let time_limit = Some(TimeLimit::Minutes(10.try_into().expect("not 0")));
        let (mut rig, key) = with_job(2, 2, JobDraft { request: request.into(), warning, time_limit, ..job() });
        let step = rig.srun(1, exact(4)).expect("made");
        let limit = TimeLimit::Minutes(5.try_into().expect("not 0"));
        rig.orders();
        let changes = vec![Change::TimeLimit(LimitChange::To(Some(5)))];
        rig.ask(Input::Revise { targets: targets("1"), changes, asker: ROOT }).expect("revised");
        let told = move |node| Effect::Limit { node: NodeId(node), key, limit };
        let again = back(&mut rig, "n2", 7, vec![StepClaim { key: step, end: None, heard: 0 }]);
        (rig.orders(), again, told)
    };
    let (orders, again, told) = limits("USR2@60");
    assert_eq!((orders, again), (vec![told(1), told(2)], vec![told(2)]));
    let (orders, again, told) = limits("B:USR2@60");
    assert_eq!((orders, again), (vec![told(1)], vec![]));
}

#[test]
fn a_step_knows_how_long_its_attempt_had_run() {
    let (mut rig, key) = two_by_two();
    rig.now = rig.now.plus_ms(3_000);
    rig.ask(Input::Pause { targets: targets("1"), suspend: true, asker: ROOT }).expect("suspended");
    rig.now = rig.now.plus_ms(50_000);
    rig.ask(Input::Pause { targets: targets("1"), suspend: false, asker: ROOT }).expect("resumed");
    rig.now = rig.now.plus_ms(2_000);
    let step = rig.srun(1, exact(1)).expect("made");
    let job = rig.cluster.job(key.job).expect("there");
    assert_eq!(job.step(step).expect("there").job_ran_ms(&job.tasks[&0]), 5_000);
}

#[test]
fn a_command_may_be_long_in_any_way() {
    let command = |words: Vec<String>| StepDraft { words, ..step() }.check();
    assert!(command(vec!["word".into(); 20_000]).is_ok() && command(vec!["x".repeat(500_000)]).is_ok());
    assert!(command(vec![String::new(); 70_000]).is_err() && command(vec!["x".repeat(1 << 20)]).is_err());
    assert!(command(vec!["a\0b".into()]).is_err());
}
