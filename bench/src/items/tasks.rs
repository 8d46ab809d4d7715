//! Item 1: 10,000 real tasks on 8 nodes of 8 CPUs, each with an output file, beside a bare loop that starts the same program as often.
//!
//! Both are measured in turn, so that what else the machine does falls on both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::bare::spawn_loop;
use crate::cluster::{Cluster, Groups};
use crate::report::{Report, Row, Unit};
use crate::sample::{Samples, rate};
use crate::scope::Scope;

pub(crate) const TASKS: u32 = 10_000;
const NODES: u32 = 8;
const CPUS: u32 = 8;
/// As many run at a time.
pub(crate) const WIDTH: u32 = NODES * CPUS;

/// What each task is.
struct Kind {
    name: &'static str,
    words: Vec<String>,
    /// What sbatch is told to run it.
    sbatch: Vec<String>,
    groups: Groups,
    share: Option<f64>,
    rate: f64,
}

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let script = scope.new_folder();
    fs::write(&script, "#!/bin/bash\ntrue\n").context("cannot write a script")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).context("cannot make a script executable")?;
    let script = script.to_string_lossy().into_owned();
    for groups in [Groups::NotMade, Groups::Made] {
        let mut cluster = Cluster::start(scope)?;
        cluster.add_nodes(NODES, CPUS, groups)?;
        for kind in kinds(&script).iter().filter(|kind| kind.groups == groups) {
            one_kind(scope, report, &cluster, kind)?;
        }
    }
    Ok(())
}

fn kinds(script: &str) -> [Kind; 4] {
    let exec = |words: &[&str]| -> (Vec<String>, Vec<String>) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        (words.clone(), std::iter::once("--exec".to_owned()).chain(words).collect())
    };
    let plain = |name, (words, sbatch), share, rate| Kind {
        name,
        words,
        sbatch,
        groups: Groups::NotMade,
        share: Some(share),
        rate,
    };
    let bash = (vec![script.to_owned()], vec![script.to_owned()]);
    let grouped = plain("`/bin/true`, each in a control group", exec(&["/bin/true"]), 0.0, 1_400.0);
    [
        plain("`/bin/true` by `--exec`", exec(&["/bin/true"]), 0.83, 1_850.0),
        plain("`sh -c true` by `--exec`", exec(&["/bin/sh", "-c", "true"]), 0.85, 1_750.0),
        plain("a bash script", bash, 0.88, 1_300.0),
        Kind { groups: Groups::Made, share: None, ..grouped },
    ]
}

fn one_kind(scope: &Scope, report: &mut Report, cluster: &Cluster, kind: &Kind) -> Result<()> {
    let count = scope.of(TASKS);
    let (mut bare, mut own, mut shares) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..scope.rounds {
        let loop_rate = rate(count, spawn_loop(&kind.words, count, WIDTH, &scope.new_folder())?);
        let own_rate = array_rate(scope, cluster, count, &kind.sbatch)?;
        bare.add(loop_rate);
        own.add(own_rate);
        shares.add(own_rate / loop_rate);
    }
    let name = kind.name;
    report.add(Row::new("1", format!("bare vfork loop, {name}"), Unit::PerSecond, bare));
    report.add(Row::new("1", format!("tasks, {name}"), Unit::PerSecond, own).at_least(kind.rate));
    let share = Row::new("1", format!("share of the loop, {name}"), Unit::Ratio, shares);
    report.add(kind.share.map_or(share.clone(), |least| share.at_least(least)));
    Ok(())
}

/// Tasks in a second, from the start of `sbatch` to the end of the last one, counted durably.
fn array_rate(scope: &Scope, cluster: &Cluster, count: u32, work: &[String]) -> Result<f64> {
    let folder = scope.new_folder();
    fs::create_dir(&folder).context("cannot make a folder for output files")?;
    let output = folder.join("%a").to_string_lossy().into_owned();
    let array = format!("--array=0-{}", count - 1);
    let words: Vec<String> = [array, "-o".into(), output].into_iter().chain(work.iter().cloned()).collect();
    let client = cluster.client()?;
    let begun = Instant::now();
    let job = cluster.sbatch(&words)?;
    client.wait(job)?;
    Ok(rate(count, begun.elapsed()))
}
