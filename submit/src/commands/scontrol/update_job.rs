//! `scontrol update jobid=...`: other terms for jobs and tasks. Keys in any case, and as short as they are clear.

use std::process::ExitCode;

use proto::v1::job_change::Kind;
use proto::v1::{JobChange, NodeRange, UpdateJobsRequest};
use sched::spec::begin;
use sched::spec::constraint::Constraint;
use sched::spec::dependency::Dependency;
use sched::spec::duration::TimeLimit;
use sched::spec::gres::{GresAsk, Per};
use sched::spec::hostlist;
use sched::spec::labels::MailTypes;
use sched::spec::licenses::LicenseAsk;
use sched::spec::size::Mebibytes;

use super::control::{answer, check};
use crate::call::{client, connect};
use crate::failure::{Failure, Outcome};
use crate::show::items;

/// The keys, and those that Slurm has and Covey not yet.
const KEYS: [&str; 47] = [
    "jobid",
    "timelimit",
    "endtime",
    "priority",
    "nice",
    "arraytaskthrottle",
    "requeue",
    "comment",
    "jobname",
    "name",
    "deadline",
    "partition",
    "dependency",
    "numnodes",
    "reqnodes",
    "numtasks",
    "cpuspertask",
    "minmemorynode",
    "minmemorycpu",
    "starttime",
    "eligibletime",
    "workdir",
    "stdin",
    "stdout",
    "stderr",
    "reqnodelist",
    "excnodelist",
    "features",
    "gres",
    "trespernode",
    "licenses",
    "account",
    "admincomment",
    "contiguous",
    "extra",
    "mailtype",
    "mailuser",
    "oversubscribe",
    "qos",
    "reservationname",
    "timemin",
    "wckey",
    "numcpus",
    "minmemory",
    "ntasks",
    "cpus",
    "job",
];

/// What Slurm puts before the text of a refused update.
const PREFIX: &str = "slurm_update error";

/// Sends all changes to all jobs that are named.
pub(super) async fn update(words: &[&str], timeout_s: Option<u32>) -> Outcome<ExitCode> {
    let (ids, changes) = read(words, &jiff::Zoned::now())?;
    check(&ids, Some(PREFIX))?;
    let refused = |error| Failure::call("scontrol", "slurm_update error: ", &error);
    let channel = connect(timeout_s).await.map_err(refused)?;
    let request = UpdateJobsRequest { ids: ids.clone(), changes };
    let reply = client(&channel).update_jobs(request).await.map_err(|error| refused(error.into()))?;
    answer(&ids, &reply.into_inner().verdicts, Some(PREFIX))
}

fn read(words: &[&str], now: &jiff::Zoned) -> Outcome<(Vec<String>, Vec<JobChange>)> {
    let mut ids = Vec::new();
    let mut changes = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, value),
            // Slurm's manual lets a blank stand for the sign.
            None => (*word, *words.next().ok_or_else(|| wrong(word))?),
        };
        let (key, sign) = match key.strip_suffix(['+', '-']) {
            Some(bare) => (bare, &key[bare.len()..]),
            None => (key, ""),
        };
        let known = key_of(key).map_err(|hint| wrong(word).hint(Some(hint)))?;
        if matches!(known, "jobid" | "job") {
            ids = items(value);
            continue;
        }
        let kind = change(known, sign, value, now).map_err(|why| {
            Failure::new(format_args!("Invalid value for {known}: {value}"))
                .line(format_args!("{PREFIX}: Invalid {known} specification"))
                .hint(Some(why))
        })?;
        changes.push(JobChange { kind: Some(kind) });
    }
    if ids.is_empty() {
        return Err(Failure::new("scontrol: error: jobid= names no job").line("Request aborted"));
    }
    if changes.is_empty() {
        return Err(Failure::new("No changes specified"));
    }
    Ok((ids, changes))
}

fn wrong(word: &str) -> Failure {
    Failure::new(format_args!("Update of this parameter is not supported: {word}")).line("Request aborted")
}

/// The one key that a word is, or begins.
fn key_of(word: &str) -> Result<&'static str, String> {
    let word = word.to_ascii_lowercase();
    if let Some(exact) = KEYS.iter().find(|key| **key == word) {
        return Ok(exact);
    }
    let begun: Vec<&'static str> = KEYS.into_iter().filter(|key| !word.is_empty() && key.starts_with(&word)).collect();
    match begun.as_slice() {
        [] => Err(format!("the keys are {}", KEYS[1..42].join(", "))),
        [one] => Ok(one),
        several => Err(format!("{word} could be {}", several.join(", "))),
    }
}

/// The change that a key and its value mean, or what the value should be.
fn change(key: &str, sign: &str, value: &str, now: &jiff::Zoned) -> Result<Kind, String> {
    let number = || value.parse::<u32>().map_err(|_| format!("a whole number from 0 to {} is wanted", u32::MAX));
    let moment = || begin::read(value, now).map(|at| at.0).map_err(|error| error.to_string());
    let minutes = || match value.parse::<TimeLimit>() {
        Ok(TimeLimit::Unlimited) => Ok(0),
        Ok(TimeLimit::Minutes(minutes)) => Ok(minutes.get()),
        Err(error) => Err(error.to_string()),
    };
    let mebibytes = || value.parse::<Mebibytes>().map(|size| size.0).map_err(|error| error.to_string());
    if !sign.is_empty() && key != "timelimit" {
        return Err(format!("only timelimit can be changed by {sign}="));
    }
    Ok(match key {
        "timelimit" if sign == "+" => Kind::TimeLimitMoreMinutes(minutes()?),
        "timelimit" if sign == "-" => Kind::TimeLimitLessMinutes(minutes()?),
        "timelimit" => Kind::TimeLimitMinutes(minutes()?),
        "endtime" => Kind::EndMs(moment()?),
        "priority" => Kind::Priority(number()?),
        "nice" => Kind::Nice(value.parse().map_err(|_| "a whole number is wanted".to_owned())?),
        "arraytaskthrottle" => Kind::Throttle(number()?),
        "requeue" => Kind::Requeue(number().map_err(|_| "0 or 1 is wanted".to_owned())? != 0),
        "comment" => Kind::Comment(value.to_owned()),
        "account" => Kind::Account(value.to_owned()),
        "admincomment" => Kind::AdminComment(value.to_owned()),
        "extra" => Kind::Extra(value.to_owned()),
        "mailtype" => Kind::MailType(checked(value, value.parse::<MailTypes>())?),
        "mailuser" => Kind::MailUser(value.to_owned()),
        "qos" => Kind::Qos(value.to_owned()),
        "reservationname" => Kind::Reservation(value.to_owned()),
        "wckey" => Kind::Wckey(value.to_owned()),
        "timemin" => Kind::TimeMinMinutes(minutes()?),
        "oversubscribe" => match value.to_ascii_lowercase().as_str() {
            "no" | "0" | "exclusive" => Kind::Exclusive(true),
            "yes" | "1" | "ok" => Kind::Exclusive(false),
            _ => return Err("YES or NO is wanted".into()),
        },
        "contiguous" => return Err("Covey does not look at which nodes are neighbours".into()),
        "jobname" | "name" => Kind::Name(value.to_owned()),
        "deadline" => Kind::DeadlineMs(moment()?),
        "partition" => Kind::Partitions(value.to_owned()),
        "dependency" if value.is_empty() => Kind::Dependency(String::new()),
        "dependency" => Kind::Dependency(checked(value, value.parse::<Dependency>())?),
        "numnodes" | "reqnodes" => Kind::Nodes(range(value).ok_or("nodes are written as 2 or 2-4")?),
        "numtasks" | "ntasks" => Kind::Processes(number()?),
        // With one process, which is what most jobs are, its CPUs are all of the job's.
        "cpuspertask" | "numcpus" | "cpus" => Kind::CpusPerProcess(number()?),
        "minmemorynode" | "minmemory" => Kind::MemoryPerNodeMib(mebibytes()?),
        "minmemorycpu" => Kind::MemoryPerCpuMib(mebibytes()?),
        "reqnodelist" => Kind::NodeList(checked(value, hostlist::expand(value))?),
        "excnodelist" => Kind::Exclude(checked(value, hostlist::expand(value))?),
        "features" if value.is_empty() => Kind::Features(String::new()),
        "features" => Kind::Features(checked(value, value.parse::<Constraint>())?),
        "gres" | "trespernode" if value.is_empty() => Kind::Gres(String::new()),
        "gres" | "trespernode" => {
            let bare = value.replace("gres/", "").replace("gres:", "");
            Kind::Gres(checked(&bare, GresAsk::list(&bare, Per::Node))?)
        }
        "licenses" if value.is_empty() => Kind::Licenses(String::new()),
        "licenses" => Kind::Licenses(checked(value, LicenseAsk::list(value))?),
        "starttime" | "eligibletime" => Kind::BeginMs(moment()?),
        "workdir" => Kind::WorkDir(value.to_owned()),
        "stdin" => Kind::Stdin(value.to_owned()),
        "stdout" => Kind::Stdout(value.to_owned()),
        "stderr" => Kind::Stderr(value.to_owned()),
        other => return Err(format!("{other} cannot be changed")),
    })
}

/// The text as it travels, once it has been read.
fn checked<T, E: std::fmt::Display>(text: &str, read: Result<T, E>) -> Result<String, String> {
    read.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn range(text: &str) -> Option<NodeRange> {
    let (min, max) = match text.split_once('-') {
        Some((min, max)) => (min.parse().ok()?, max.parse().ok()?),
        None => (text.parse().ok()?, text.parse().ok()?),
    };
    (min > 0 && max >= min).then_some(NodeRange { min, max: Some(max) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Zoned {
        "2026-11-20T12:00:00+00:00[UTC]".parse().expect("a moment")
    }

    #[test]
    fn keys_are_read_in_any_case_short_and_with_a_blank() {
        let words = [
            "JobId=5,6_[1-2]",
            "TimeLimit+=30",
            "arraytaskthrottle",
            "3",
            "NICE=-5",
            "MinMemoryN=2G",
            "starttime=now+1hour",
            "ReqNodeList=n[1-2]",
            "tresper=gres/gpu:2",
            "Licenses=",
            "acc=chem",
            "QOS=high",
            "Reservation=",
            "TimeMin=1:00:00",
            "mailt=END,fail",
            "OverSubscribe=NO",
        ];
        let (ids, changes) = read(&words, &now()).expect("all are known");
        assert_eq!(ids, ["5", "6_[1-2]"]);
        let kinds: Vec<Kind> = changes.into_iter().filter_map(|change| change.kind).collect();
        let later = now().timestamp().as_millisecond() + 3_600_000;
        assert_eq!(
            kinds,
            [
                Kind::TimeLimitMoreMinutes(30),
                Kind::Throttle(3),
                Kind::Nice(-5),
                Kind::MemoryPerNodeMib(2048),
                Kind::BeginMs(later),
                Kind::NodeList("n[1-2]".into()),
                Kind::Gres("gpu:2".into()),
                Kind::Licenses(String::new()),
                Kind::Account("chem".into()),
                Kind::Qos("high".into()),
                Kind::Reservation(String::new()),
                Kind::TimeMinMinutes(60),
                Kind::MailType("END,fail".into()),
                Kind::Exclusive(true),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (words, text) in [
            (
                &["jobid=5", "colour=red"][..],
                "Update of this parameter is not supported: colour=red\nRequest aborted\n",
            ),
            (
                &["jobid=5", "n=4"],
                "Update of this parameter is not supported: n=4\nRequest aborted\ncovey: hint: n could be nice, name, ",
            ),
            (&["jobid=5", "mailtype=SOON"], "Invalid value for mailtype: SOON\n"),
            (&["jobid=5", "features=a&"], "Invalid value for features: a&\n"),
            (&["jobid=5", "numnodes=4-2"], "Invalid value for numnodes: 4-2\n"),
            (&["jobid=5", "priority+=2"], "Invalid value for priority: 2\n"),
            (&["jobid=5", "timelimit=soon"], "Invalid value for timelimit: soon\n"),
            (&["jobid=5"], "No changes specified\n"),
            (&["jobid=", "nice=5"], "scontrol: error: jobid= names no job\n"),
        ] {
            let failure = read(words, &now()).expect_err(text);
            assert!(failure.text().starts_with(text), "{}", failure.text());
        }
    }
}
