//! What the figures were measured on.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::process::output;
use crate::scope::Scope;

/// A paragraph on machine, versions and how much was measured.
pub(crate) fn describe(scope: &Scope) -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':')).map(str::trim);
        line.unwrap_or("unknown").to_owned()
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = after(&read("/proc/cpuinfo"), "model name");
    let memory_kib: u64 = after(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let system =
        after(&read("/etc/os-release").replace("PRETTY_NAME=", "PRETTY_NAME:"), "PRETTY_NAME").replace('"', "");
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let busy = load.split(' ').next().unwrap_or("unknown");
    let version = output(Command::new(&scope.covey).args(["controller", "--version"]))?;
    let bytes = fs::metadata(&scope.covey)?.len();
    let size = if scope.quick { "a tenth of everything (--quick)" } else { "everything" };
    Ok(format!(
        "Machine: {cpus} CPUs ({cpu}), {} GiB, {system}, kernel {}, load {busy} before the start.\n\
         Binary: {version}, {} KiB, {}. Measured: {size}, {} rounds.\n",
        memory_kib >> 20,
        kernel.trim(),
        bytes >> 10,
        revision(),
        scope.rounds,
    ))
}

/// The commit of the folder in which this is run.
fn revision() -> String {
    let described = output(Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]));
    described.map_or_else(|_| "outside of a checkout".to_owned(), |commit| format!("commit {commit}"))
}
