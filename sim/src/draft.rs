//! Jobs as clients submit them: the one place that spells out a whole [`JobDraft`].

use sched::ids::BlobHash;
use sched::partition::Partition;
use sched::spec::job::{Files, JobDraft, Map, Origin, Request, User, Work};
use sched::spec::labels::Labels;

use crate::task::Conduct;

/// A job of one process on one CPU that behaves so.
pub(crate) fn job(conduct: Conduct) -> JobDraft {
    JobDraft {
        name: conduct.to_string().into(),
        user: User { uid: 1000, gid: 1000, name: "ada".into(), group: "ada".into() }.into(),
        partitions: Vec::new(),
        array: None,
        request: Request::default().into(),
        time_limit: None,
        work: Work::Command(vec!["task".into()]).into(),
        map: None,
        environment: BlobHash([0; 32]),
        files: Files { work_dir: "/".into(), stdin: None, stdout: None, stderr: None, append: false, umask: 0o022 }
            .into(),
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

/// A map over as many blobs as the job has tasks.
pub(crate) fn map() -> Map {
    let (from, to, output_name) = ("memory:///in/".into(), "memory:///out/".into(), "{name}".into());
    Map { from, to, output_name, manifest: BlobHash([1; 32]) }
}

/// Where jobs go that name no partition.
pub(crate) const DEBUG: &str = "debug";
/// Whose jobs go first.
pub(crate) const EXPRESS: &str = "express";

/// Two partitions of all nodes.
pub(crate) fn partitions() -> Vec<Partition> {
    let debug = Partition { default: true, ..Partition::new(DEBUG.into()) };
    let express = Partition { tier: 2, ..Partition::new(EXPRESS.into()) };
    vec![debug, express]
}
