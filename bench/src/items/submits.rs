//! Item 3: submits. `sbatch` as a process beside `/bin/true` started the same way, eight of them at a time, and calls over one channel.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::idle_job;
use crate::cluster::Cluster;
use crate::items::listings::FULL;
use crate::process::timed;
use crate::report::{Report, Row, Unit};
use crate::sample::{Samples, ms, rate};
use crate::scope::Scope;

/// What is submitted waits: starting it would be measured, too.
const HELD: [&str; 6] = ["--hold", "-o", "none", "--parsable", "--wrap", "true"];
const SINGLE: u32 = 200;
const BY_EIGHT: u32 = 2_000;
const CALLS: u32 = 20_000;
const CALLERS: u32 = 64;

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start(scope)?;
    one_at_a_time(scope, report, &cluster)?;
    eight_at_a_time(scope, report, &cluster)?;
    by_calls(scope, report)
}

fn one_at_a_time(scope: &Scope, report: &mut Report, cluster: &Cluster) -> Result<()> {
    let (mut bare, mut own, mut ratios) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..scope.rounds * scope.of(SINGLE) {
        let least = timed(&mut Command::new("/bin/true"))?;
        let time = timed(cluster.command("sbatch").args(HELD))?;
        bare.add(ms(least));
        own.add(ms(time));
        ratios.add(time.as_secs_f64() / least.as_secs_f64());
    }
    report.add(Row::new("3", "`/bin/true`, process start to end", Unit::Ms, bare));
    report.add(Row::new("3", "`sbatch`, process start to end", Unit::Ms, own).at_most(2.5));
    report.add(Row::new("3", "`sbatch` as a multiple of `/bin/true`", Unit::Ratio, ratios).at_most(3.0));
    Ok(())
}

fn eight_at_a_time(scope: &Scope, report: &mut Report, cluster: &Cluster) -> Result<()> {
    let count = scope.of(BY_EIGHT);
    let (mut bare, mut own) = (Samples::default(), Samples::default());
    for _ in 0..scope.rounds {
        bare.add(rate(count, by_eight(count, || timed(&mut Command::new("/bin/true")))?));
        own.add(rate(count, by_eight(count, || timed(cluster.command("sbatch").args(HELD)))?));
    }
    report.add(Row::new("3", "`/bin/true`, 8 at a time", Unit::PerSecond, bare));
    report.add(Row::new("3", "`sbatch`, 8 at a time", Unit::PerSecond, own).at_least(1_000.0));
    Ok(())
}

/// How long it takes eight threads to do something so often.
pub(crate) fn by_eight(count: u32, work: impl Fn() -> Result<Duration> + Sync) -> Result<Duration> {
    let left = AtomicU32::new(count);
    let take = |left: u32| left.checked_sub(1);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let one = || -> Result<()> {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                work()?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    Ok(begun.elapsed())
}

fn by_calls(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(CALLS);
    let mut rates = Samples::default();
    for _ in 0..scope.rounds {
        // Anew each time: how cost grows with what waits is a table of its own.
        let mut cluster = Cluster::start(scope)?;
        cluster.add_crowd(FULL)?;
        rates.add(rate(count, cluster.client()?.submit(&idle_job(), count, CALLERS)?));
    }
    let what = format!("durable submits over one channel, {CALLERS} callers");
    report.add(Row::new("3", what, Unit::PerSecond, rates).at_least(20_000.0));
    Ok(())
}
