//! What is written into which file of a group for which limit. Pure.

use super::place::Version;
use crate::launcher::frame::{Controller, Limits};

/// The time in which a quota of CPU is used up and given again: the kernel's own default, said to version 2 only.
const PERIOD_US: u64 = 100_000;

/// The kernel refuses less: a hundredth of a CPU.
const QUOTA_US_MIN: u64 = 1_000;

/// A value for a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    pub(super) may_be_absent: bool,
}

/// What one controller has to be told, in this order.
pub(super) fn settings(version: Version, controller: Controller, limits: &Limits) -> Vec<Setting> {
    match controller {
        Controller::Memory => limits.memory_mib.map_or(Vec::new(), |mib| memory(version, mib.saturating_mul(1 << 20))),
        Controller::Cpu => limits.cpus_milli.map_or(Vec::new(), |milli| cpu(version, milli)),
        Controller::Processes => limits.processes_max.map(|most| must("pids.max", most)).into_iter().collect(),
        Controller::Freezer => Vec::new(),
    }
}

fn memory(version: Version, bytes: u64) -> Vec<Setting> {
    match version {
        Version::One => vec![must("memory.limit_in_bytes", bytes), may("memory.memsw.limit_in_bytes", bytes)],
        Version::Two => vec![must("memory.max", bytes), may("memory.swap.max", 0)],
    }
}

/// A weight beside the neighbours always, as Slurm's binding to cores would give; a quota for parts of a CPU only, as
/// a whole one may use what its neighbours leave.
fn cpu(version: Version, milli: u32) -> Vec<Setting> {
    let milli = u64::from(milli);
    let quota_us = (!milli.is_multiple_of(1_000)).then(|| (milli * PERIOD_US / 1_000).max(QUOTA_US_MIN));
    match version {
        Version::One => {
            let shares = (milli * 1_024 / 1_000).clamp(2, 262_144);
            let quota = quota_us.map(|quota_us| must("cpu.cfs_quota_us", quota_us));
            [must("cpu.shares", shares)].into_iter().chain(quota).collect()
        }
        Version::Two => {
            let weight = (milli / 10).clamp(1, 10_000);
            let quota = quota_us.map(|quota_us| must("cpu.max", format!("{quota_us} {PERIOD_US}")));
            [must("cpu.weight", weight)].into_iter().chain(quota).collect()
        }
    }
}

fn must(file: &'static str, value: impl ToString) -> Setting {
    Setting { file, value: value.to_string(), may_be_absent: false }
}

fn may(file: &'static str, value: impl ToString) -> Setting {
    Setting { may_be_absent: true, ..must(file, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, limits: &Limits) -> Vec<String> {
        let controllers = [Controller::Memory, Controller::Cpu, Controller::Processes, Controller::Freezer];
        let all = controllers.into_iter().flat_map(|controller| settings(version, controller, limits));
        all.map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    #[test]
    fn each_limit_has_its_file_in_either_version() {
        let limits =
            Limits { memory_mib: Some(64), cpus_milli: Some(150), processes_max: Some(9), open_files_max: Some(5) };
        assert_eq!(
            written(Version::One, &limits),
            [
                "memory.limit_in_bytes=67108864",
                "memory.memsw.limit_in_bytes=67108864",
                "cpu.shares=153",
                "cpu.cfs_quota_us=15000",
                "pids.max=9"
            ]
        );
        assert_eq!(
            written(Version::Two, &limits),
            ["memory.max=67108864", "memory.swap.max=0", "cpu.weight=15", "cpu.max=15000 100000", "pids.max=9"]
        );
        assert!(written(Version::Two, &Limits::default()).is_empty());
    }

    #[test]
    fn whole_cpus_have_a_weight_and_no_quota() {
        let cpus = |milli| written(Version::Two, &Limits { cpus_milli: Some(milli), ..Limits::default() });
        assert_eq!(cpus(4_000), ["cpu.weight=400"]);
        assert_eq!(cpus(1_500), ["cpu.weight=150", "cpu.max=150000 100000"]);
        assert_eq!(cpus(1), ["cpu.weight=1", "cpu.max=1000 100000"], "the least that the kernel takes");
        assert_eq!(cpus(u32::MAX)[0], "cpu.weight=10000");
    }
}
