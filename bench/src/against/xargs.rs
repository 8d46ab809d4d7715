//! `xargs -P`, as many at a time as the cluster has CPUs. Its tasks have no output files.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::items::tasks::{TASKS, WIDTH};
use crate::report::{Report, Row, Unit};
use crate::sample::{Samples, rate};
use crate::scope::Scope;

pub(super) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(TASKS);
    for words in [&["/bin/true"][..], &["/bin/sh", "-c", "true"]] {
        let mut rates = Samples::default();
        for _ in 0..scope.rounds {
            rates.add(rate(count, xargs(words, count)?));
        }
        let what = format!("xargs -P {WIDTH}, `{}`", words.join(" "));
        report.add(Row::new("1", what, Unit::PerSecond, rates));
    }
    Ok(())
}

fn xargs(words: &[&str], count: u32) -> Result<Duration> {
    let lines: String = (0..count).map(|number| format!("{number}\n")).collect();
    let mut command = Command::new("xargs");
    command.args(["-n", "1", "-P", &WIDTH.to_string()]).args(words).stdin(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().context("cannot start xargs: apt-get install findutils")?;
    let mut stdin = child.stdin.take().context("xargs takes no input")?;
    stdin.write_all(lines.as_bytes()).context("xargs has ended early")?;
    drop(stdin);
    let status = child.wait().context("cannot wait for xargs")?;
    ensure!(status.success(), "xargs has ended with {status}");
    Ok(begun.elapsed())
}
