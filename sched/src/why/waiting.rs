//! What keeps a job that waits: holds, other jobs, times, its array's limit; and, where it is only its turn that it waits for,
//! what is in the way.

use super::{Finding, Kind, LISTED_MAX, Scene, Why, ahead, counted, entry_label, outcome_text, partitions, room};
use crate::depend::{Wait, Waits};
use crate::ids::JobId;
use crate::job::Job;
use crate::reason::{Outcome, Reason};
use crate::select::resolve;
use crate::spec::dependency::{After, Term};
use crate::spec::job::Request;
use crate::spec::licenses::LicenseAsk;
use crate::task::Task;
use crate::terms::Hold;

/// Why a job, or the task with this index, waits.
pub(super) fn why(scene: Scene<'_>, job: &Job, label: String, index: Option<u32>) -> Why {
    let entry = index.filter(|index| job.apart.contains(*index));
    let row = index.and_then(|index| job.tasks.get(&index));
    let reason = match (row, index) {
        (Some(row), _) => job.row_reason(row),
        (None, Some(index)) if job.hopeless.contains(index) => Reason::DependencyNeverSatisfied,
        (None, Some(index)) if job.blocked.contains(index) => Reason::Dependency,
        (None, _) => job.waiting_reason(),
    };
    let mut findings = Vec::new();
    let own = row.and_then(|row| row.own.as_deref());
    let held = own.map_or(job.held, |own| own.held);
    findings.extend(held.map(|hold| of_hold(scene, &label, hold)));
    if let Some(waits) = &job.waits {
        findings.extend(dependencies(scene, job, waits, index));
    }
    findings.extend(hopeless(job, index));
    if let Some(at) = own.map_or(job.begin, |own| own.begin) {
        findings.push(of_begin(job, row).at(at));
    }
    findings.extend(of_turn(scene, job, entry, index, reason));
    let terms = scene.cluster.terms_of_entry(job, entry);
    findings.extend(terms.start_by().map(|at| {
        let text = "It has to start by {at} to end before its deadline (--deadline); after that it is given up.";
        Finding::new(Kind::Deadline, text).at(at)
    }));
    Why { label, state: "PENDING", reason: reason.to_string(), findings }
}

/// What is in the way of what could start.
fn of_turn(scene: Scene<'_>, job: &Job, entry: Option<u32>, index: Option<u32>, reason: Reason) -> Vec<Finding> {
    let terms = scene.cluster.terms_of_entry(job, entry);
    let (mut findings, open) = partitions::of(scene, job.id, terms);
    let decided_later = |index: u32| job.blocked.contains(index) || job.hopeless.contains(index);
    let stands = scene.cluster.queue_key(job, entry).filter(|_| !index.is_some_and(decided_later));
    let Some(key) = stands else { return findings };
    if let Some(throttle) = job.throttle.filter(|_| job.throttle_room() == 0) {
        let text = format!(
            "{} of its tasks run, as many as its array allows (%{throttle}): the next starts when one ends, or after \
             scontrol update jobid={} arraytaskthrottle=N.",
            job.throttled_count(),
            job.id
        );
        findings.push(Finding::new(Kind::Throttle, text));
        return findings;
    }
    findings.extend(licenses(scene, &terms.spec.request));
    for (partition, request) in &open {
        findings.extend(room::of(scene, partition, request, reason));
    }
    if !open.is_empty() {
        let mine: Vec<_> = open.iter().map(|(partition, _)| *partition).collect();
        findings.push(ahead::queue(scene, key, &mine));
        findings.push(ahead::expected(scene, job, key.entry(), reason));
    }
    findings
}

/// The licenses that are missing, and how many of each are held.
fn licenses(scene: Scene<'_>, request: &Request) -> Vec<Finding> {
    let missing = |ask: &LicenseAsk| {
        let total = scene.settings.licenses.get(&ask.name).copied().unwrap_or(0);
        let held = scene.cluster.licenses_held(&ask.name);
        let free = u64::from(total).saturating_sub(held);
        let text = format!("It asks for {} of the licenses {}; {held} of {total} are held.", ask.count, ask.name);
        (free < u64::from(ask.count)).then(|| Finding::new(Kind::Request, text))
    };
    request.licenses.iter().filter_map(missing).collect()
}

fn of_hold(scene: Scene<'_>, label: &str, hold: Hold) -> Finding {
    let release = format!("scontrol release {label}");
    Finding::new(
        Kind::Held,
        match hold {
            Hold::User => format!("Its user holds it; {release} lets it go."),
            Hold::SpecialExit => format!("It was requeued in state SPECIAL_EXIT; {release} lets it go."),
            Hold::Admin => format!("An administrator holds it; an administrator lets it go with {release}."),
            Hold::MaxRequeue => format!(
                "Its nodes lost it more than {} (MaxRequeues), so it is held; {release} lets it try again.",
                counted(scene.settings.requeues_max, "time")
            ),
        },
    )
}

fn of_begin(job: &Job, row: Option<&Task>) -> Finding {
    let failed = row.filter(|row| row.retried > 0).zip(job.terms.spec.retry.as_ref());
    match failed {
        Some((row, retry)) => Finding::new(
            Kind::Retry,
            format!("It failed, and is tried again from {{at}} on: retry {} of {}.", row.retried, retry.times),
        ),
        None => Finding::new(Kind::Begin, "It does not start before {at}."),
    }
}

/// The terms that are not met, as far as they concern the task that is asked about.
fn dependencies(scene: Scene<'_>, job: &Job, waits: &Waits, index: Option<u32>) -> Vec<Finding> {
    let concerns = |wait: &&Wait| wait.open.is_empty() || index.is_none_or(|index| wait.open.contains(index));
    let open: Vec<&Wait> = waits.terms.iter().filter(concerns).collect();
    let mut findings: Vec<Finding> =
        open.iter().take(LISTED_MAX).map(|wait| dependency(scene, job, wait, waits.any)).collect();
    if open.len() > LISTED_MAX {
        let text = format!("It waits for {} more.", counted(open.len() - LISTED_MAX, "dependency term"));
        findings.push(Finding::new(Kind::Dependency, text));
    }
    if waits.are_hopeless() {
        let text = format!(
            "It never starts as it is: cancel it with scancel {0}, or change what it waits for with scontrol update \
             jobid={0} dependency=TERMS.",
            job.id
        );
        findings.push(Finding::new(Kind::Never, text));
    }
    findings
}

fn dependency(scene: Scene<'_>, job: &Job, wait: &Wait, any: bool) -> Finding {
    let Term::On { what, target } = &wait.term else {
        let first = scene.cluster.first_namesake(job).filter(|first| *first != job.id);
        let text = match first {
            Some(first) => format!("It waits (singleton) until job {first} of the same user and name has ended."),
            None => "It waits (singleton) for an earlier job of the same user and name.".to_owned(),
        };
        return Finding { jobs: first.iter().map(JobId::to_string).collect(), ..Finding::new(Kind::Dependency, text) };
    };
    let stands = match resolve(scene.cluster, target) {
        Ok((record, tasks)) => {
            let one = tasks.and_then(|tasks| tasks.min().filter(|_| tasks.len() == 1));
            standing(record, one)
        }
        Err(_) => format!("job {target} is gone"),
    };
    let (kind, text) = if wait.failed {
        (Kind::Never, format!("{} can never be met: {stands}.", wait.term))
    } else {
        let how = match what {
            After::Started { .. } => "has started",
            After::Any => "has ended",
            After::Ok => "has ended well",
            After::NotOk => "has failed",
            After::Corr => "has ended well, task by task",
        };
        let or = if any { ", or for another of its terms" } else { "" };
        (Kind::Dependency, format!("It waits until {target} {how} ({}{or}): {stands}.", wait.term))
    };
    Finding::new(kind, text).job(target.to_string())
}

/// Where another job, or one task of it, is.
fn standing(job: &Job, one: Option<u32>) -> String {
    let one = one.or((!job.is_array()).then_some(0));
    let Some(index) = one else {
        let (waiting, running) = (job.waiting_count(), job.running_count());
        let failed = job.tally.failed + job.tally.cancelled;
        return format!("of its tasks {waiting} wait, {running} run, and {failed} have not ended well");
    };
    let label = job.label(index);
    if let Some(done) = job.done.get(index) {
        return format!("{label} ended {}", outcome_text(&done.outcome));
    }
    match job.tasks.get(&index) {
        Some(row) if job.requeued.contains(index) => format!("{label} waits ({})", job.row_reason(row)),
        Some(_) => format!("{label} runs"),
        None if job.waits_with(index) => format!("{label} waits ({})", job.waiting_reason()),
        None => match &job.ended_waiting {
            Some(ended) => format!("{label} ended {}", outcome_text(&Outcome::bare(ended.ending))),
            None => format!("there is no {label}"),
        },
    }
}

/// Tasks whose counterparts have failed (`aftercorr`).
fn hopeless(job: &Job, index: Option<u32>) -> Option<Finding> {
    let text = match index {
        Some(index) if job.hopeless.contains(index) => {
            format!("The task that it waits for did not end well, so it never starts: scancel {}.", job.label(index))
        }
        None if !job.hopeless.is_empty() => format!(
            "{} of its tasks never start, as those that they wait for did not end well: scancel {}_[{}].",
            job.hopeless.len(),
            entry_label(job, None),
            job.hopeless
        ),
        _ => return None,
    };
    Some(Finding::new(Kind::Never, text))
}
