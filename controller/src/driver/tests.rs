//! The driver on a journal in memory that fails when told to.

use std::sync::Arc;
use std::thread::JoinHandle;

use proto::node_certificate::NodeCertificate;
use sched::allow::Role;
use sched::cluster::Cluster;
use sched::ids::{BlobHash, JobId, RequestId};
use sched::members::Fingerprint;
use sched::node::Offer;
use sched::resources::{Amount, Cpus};
use sched::select::{Asker, Selection};
use sched::settings::Settings;
use sched::spec::array::ArraySpec;
use sched::spec::job::{Files, JobDraft, Origin, Request, User, Work};
use sched::spec::labels::Labels;
use sched::step::{Answer, Input};

use super::*;
use crate::journal::{Journal, MemoryJournal, hash_of};
use crate::recover::recover;

struct Bench {
    journal: Arc<MemoryJournal>,
    published: Arc<Published>,
    post: Post,
    driver: JoinHandle<()>,
}

fn start(journal: Arc<MemoryJournal>) -> Bench {
    start_with(journal, |_| ())
}

fn start_with(journal: Arc<MemoryJournal>, change: impl FnOnce(&mut Settings)) -> Bench {
    let mut config = crate::config::read(std::path::Path::new("/nonexistent/covey.toml"), false).expect("defaults");
    change(&mut config.settings);
    let cluster = recover(&*journal).expect("it recovers");
    let published = Arc::new(Published::new(cluster.clone(), journal.next_sequence()));
    let (post, mailbox) = mailbox();
    let driver = Driver::new(cluster, config, journal.clone(), 1, published.clone(), mailbox);
    let driver = std::thread::spawn(move || driver.run());
    Bench { journal, published, post, driver }
}

impl Bench {
    async fn submit(&self, request: u128) -> Result<JobId, Unavailable> {
        let environment = b"A=1\0".to_vec();
        let spec = Arc::new(draft(hash_of(&environment)).check().expect("in bounds"));
        let blobs = vec![(hash_of(&environment), environment.into())];
        match self.post.ask(Input::Submit { request: RequestId(request), spec }, blobs).await? {
            Answer::Submitted(job) => Ok(job),
            other => panic!("a submit is answered: {other:?}"),
        }
    }

    /// Tries again until the journal has been mended.
    async fn submit_until_kept(&self, request: u128) -> JobId {
        loop {
            if let Ok(job) = self.submit(request).await {
                return job;
            }
        }
    }

    /// Waits until there are no jobs in memory any more.
    async fn await_no_jobs(&self) {
        let mut changes = self.published.changes();
        let gone = async {
            while self.published.cluster().job_count() > 0 {
                changes.changed().await.expect("the driver lives");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone).await.expect("they become history");
    }

    async fn stop(self) -> (Arc<MemoryJournal>, Arc<Cluster>) {
        self.post.put(Letter::Stop).await;
        self.driver.join().expect("the driver ends");
        (self.journal, self.published.cluster())
    }
}

fn draft(environment: BlobHash) -> JobDraft {
    JobDraft {
        name: "wrap".into(),
        user: User { uid: 1, gid: 1, name: "ada".into(), group: "ada".into() }.into(),
        partitions: Vec::new(),
        array: None,
        request: Request::default().into(),
        time_limit: None,
        work: Work::Command(vec!["/bin/true".into()]).into(),
        map: None,
        environment,
        files: Files { work_dir: "/".into(), stdin: None, stdout: None, stderr: None, append: false, umask: 0 }.into(),
        requeue: true,
        hold: false,
        begin: None,
        dependency: None,
        kill_on_invalid_dep: false,
        comment: String::new(),
        export: String::new(),
        origin: Origin::default().into(),
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

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let bench = start(Arc::default());
    let jobs = [bench.submit(1).await, bench.submit(2).await, bench.submit(1).await];
    assert_eq!(jobs, [Ok(JobId(1)), Ok(JobId(2)), Ok(JobId(1))]);
    let (journal, cluster) = bench.stop().await;
    let recovered = recover(&*journal).expect("it recovers");
    assert_eq!(format!("{recovered:?}"), format!("{cluster:?}"));
    assert!(journal.get_blob(&hash_of(b"A=1\0")).expect("readable").is_some(), "the environment is kept");
}

#[tokio::test]
async fn a_commit_that_failed_has_not_happened() {
    let bench = start(Arc::default());
    assert_eq!(bench.submit(1).await, Ok(JobId(1)));
    bench.journal.fail_next_append();
    assert_eq!(bench.submit(2).await, Err(Unavailable::Journal));
    assert_eq!(bench.published.cluster().job_count(), 1);
    assert_eq!(bench.submit_until_kept(3).await, JobId(2), "the number was not used up");
    bench.stop().await;
}

#[tokio::test]
async fn a_commit_that_failed_after_it_was_stored_has_happened_once() {
    let bench = start(Arc::default());
    assert_eq!(bench.submit(1).await, Ok(JobId(1)));
    bench.journal.fail_next_append_after_storing();
    assert_eq!(bench.submit(2).await, Err(Unavailable::Journal));
    assert_eq!(bench.submit_until_kept(2).await, JobId(2), "the retry finds its job");
    let (_, cluster) = bench.stop().await;
    assert_eq!(cluster.job_count(), 2);
}

#[tokio::test]
async fn what_one_pass_leaves_starts_without_waiting_for_anything_to_happen() {
    let bench = start(Arc::new(MemoryJournal::default()));
    let amount = Amount { cpus: Cpus::whole(30_000), memory_mib: 30_000, ..Amount::default() };
    let offer = Offer { amount, spool: 1, ..Offer::default() };
    let input = Input::Register { name: "big".into(), offer, claims: Vec::new(), steps: Vec::new() };
    bench.post.ask(input, Vec::new()).await.expect("registered");
    let tasks = sched::plan::STARTS_MAX as u64 + 1;
    let array = ArraySpec::parse(&format!("0-{}", tasks - 1), 4_000_000).expect("an array");
    let spec = JobDraft { array: Some(array), ..draft(hash_of(b"")) }.check().expect("in bounds");
    let input = Input::Submit { request: RequestId(1), spec: Arc::new(spec) };
    let mut changes = bench.published.changes();
    bench.post.ask(input, vec![(hash_of(b""), "".into())]).await.expect("accepted");
    let all_run = async {
        while bench.published.cluster().jobs().map(|job| job.running_count()).sum::<u64>() < tasks {
            changes.changed().await.expect("the driver lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_run).await.expect("everything runs");
    bench.stop().await;
}

#[tokio::test]
async fn a_registration_that_comes_late_or_from_who_was_shut_out_is_refused() {
    let bench = start(Arc::default());
    let register = |registration| proto::link::Register {
        name: "n1".into(),
        amount: Amount { cpus: Cpus::whole(1), memory_mib: 1, ..Amount::default() },
        spool: 1,
        address: String::new(),
        version: String::new(),
        epoch_seen: 0,
        claims: Vec::new(),
        step_claims: Vec::new(),
        registration,
        lease_left_ms: 0,
        abilities: Default::default(),
        features: Vec::new(),
        gres: Vec::new(),
        retiring: false,
    };
    let (sender, _orders) = tokio::sync::mpsc::channel(8);
    // It was shut out between its call and this moment: nobody of that name has joined.
    let shown = NodeCertificate { name: "n1".into(), key: Fingerprint([1; 32]), from_s: 0, until_s: i64::MAX };
    let shown = Some(Arc::new(shown));
    let tries =
        [(5, None, true), (6, None, true), (6, None, false), (5, None, false), (7, shown, false), (7, None, true)];
    for (registration, certificate, welcome) in tries {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let (register, sender) = (register(registration), sender.clone());
        bench.post.put(Letter::Register { register, certificate, sender, reply }).await;
        let answer = answer.await.expect("it is answered");
        assert_eq!(answer.is_ok(), welcome, "{registration}: {answer:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn blobs_go_with_their_last_job_and_not_while_somebody_reads_them() {
    let bench = start_with(Arc::default(), |settings| settings.job_age_s_min = 0);
    let there = || bench.journal.get_blob(&hash_of(b"A=1\0")).expect("readable").is_some();
    let cancel =
        || Input::Cancel { selection: Selection::default(), asker: Asker { uid: 0, role: Role::Administrator } };
    bench.submit(1).await.expect("accepted");
    let kept = bench.published.keep_blobs();
    bench.post.ask(cancel(), Vec::new()).await.expect("cancelled");
    bench.await_no_jobs().await;
    assert!(there(), "somebody reads it");
    drop(kept);
    bench.submit(2).await.expect("accepted");
    assert!(there(), "a job names it again");
    bench.post.ask(cancel(), Vec::new()).await.expect("cancelled");
    bench.await_no_jobs().await;
    assert!(!there(), "nobody needs it");
    bench.stop().await;
}
