//! What the kernel says of processes, and starting them as plainly as possible.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Nanoseconds of a clock that all processes of this machine share.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Runs a command that says nothing to anybody and must succeed; how long it took from its start to its end.
pub(crate) fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    let time = begun.elapsed();
    ensure!(status.success(), "{command:?} has ended with {status}");
    Ok(time)
}

/// Runs a command that must succeed; what it printed, without blanks around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} has ended with {}: {}", output.status, said.trim());
    Ok(String::from_utf8(output.stdout).with_context(|| format!("{command:?} prints no text"))?.trim().to_owned())
}

/// Waits until `holds`, looking every millisecond.
pub(crate) fn wait_for(what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_looking_every(Duration::from_millis(1), what, holds)
}

/// Waits until `holds`, looking once in each `pause`: for a look that costs enough to disturb what is measured.
pub(crate) fn wait_looking_every(pause: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::park_timeout(pause);
    }
    Ok(())
}

/// Memory of a process that is resident now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kib / 1024.0)
}

/// CPU time that a process has used so far, in seconds.
pub(crate) fn cpu_s(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let (_, after_name) = stat.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}
