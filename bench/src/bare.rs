//! The machine's own limit: a loop that starts processes and does nothing else.
//!
//! std starts them by posix_spawn, which is vfork to the kernel: the same way as for whoever is quickest. Each has an output
//! file of its own, as tasks have, and as many run at a time as the cluster has CPUs.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{WaitOptions, wait};

/// How long it takes to start this command so many times, at most `width` at a time, and to see all of them end. `folder` is new.
pub(crate) fn spawn_loop(words: &[String], count: u32, width: u32, folder: &Path) -> Result<Duration> {
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let begun = Instant::now();
    let mut running = 0;
    for number in 0..count {
        let path = folder.join(number.to_string());
        let out = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let errors = out.try_clone().context("cannot share an output file")?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(out).stderr(errors);
        // Waited for below, whichever ends first.
        command.spawn().with_context(|| format!("cannot start {}", words[0]))?;
        running += 1;
        while running > 0 && reap(if running == width { WaitOptions::empty() } else { WaitOptions::NOHANG })? {
            running -= 1;
        }
    }
    while running > 0 && reap(WaitOptions::empty())? {
        running -= 1;
    }
    Ok(begun.elapsed())
}

/// Takes note of a child that has ended well; whether there was one.
fn reap(options: WaitOptions) -> Result<bool> {
    let Some((_, status)) = wait(options).context("cannot wait for children")? else { return Ok(false) };
    ensure!(status.exit_status() == Some(0), "a process of the bare loop has ended with {status:?}");
    Ok(true)
}
