//! What this machine has, where nobody says what of it may be used.

use std::fs;
use std::io;
use std::thread::available_parallelism;

/// The CPUs that this process may run on.
pub(crate) fn cpus() -> io::Result<u32> {
    Ok(u32::try_from(available_parallelism()?.get()).unwrap_or(u32::MAX))
}

/// The machine's memory in MiB, as `/proc/meminfo` has it.
pub(crate) fn memory_mib() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map(|kib| kib / 1024).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo has no MemTotal"))
}
