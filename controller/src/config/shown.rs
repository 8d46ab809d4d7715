//! `scontrol show config`: every setting, and the keys of slurm.conf that have one answer here, because programs look for them.
//!
//! A key that Slurm has and that could mean something else in Covey is left out rather than guessed.

use super::Config;

/// Keys whose value follows from how Covey works.
const FIXED: [(&str, &str); 62] = [
    ("AccountingStorageEnforce", "none"),
    ("AccountingStorageHost", ""),
    ("AccountingStorageTRES", "cpu,mem,node,billing"),
    ("AccountingStorageType", "accounting_storage/covey"),
    ("AuthAltTypes", ""),
    ("AuthType", "auth/unix"),
    ("BurstBufferType", ""),
    ("CliFilterPlugins", ""),
    ("CompleteWait", "0 sec"),
    ("DefMemPerNode", "UNLIMITED"),
    ("DependencyParameters", ""),
    ("EnforcePartLimits", "NO"),
    ("Epilog", ""),
    ("EpilogSlurmctld", ""),
    ("FederationParameters", ""),
    ("FirstJobId", "1"),
    ("GresTypes", "gpu"),
    ("HealthCheckProgram", ""),
    ("InactiveLimit", "0 sec"),
    ("JobAcctGatherType", "jobacct_gather/covey"),
    ("JobCompType", "jobcomp/none"),
    ("JobFileAppend", "0"),
    ("JobRequeue", "1"),
    ("JobSubmitPlugins", ""),
    ("KillOnBadExit", "0"),
    ("LaunchParameters", ""),
    ("MaxMemPerNode", "UNLIMITED"),
    ("MCSPlugin", "mcs/none"),
    ("MpiDefault", "none"),
    ("NodeFeaturesPlugins", ""),
    ("OverTimeLimit", "0 min"),
    ("PowerParameters", ""),
    ("PreemptExemptTime", "00:00:00"),
    ("PreemptMode", "OFF"),
    ("PreemptType", "preempt/none"),
    ("PriorityType", "priority/multifactor"),
    ("PriorityWeightAssoc", "0"),
    ("PriorityWeightFairShare", "0"),
    ("PriorityWeightQOS", "0"),
    ("PriorityWeightTRES", ""),
    ("PrivateData", "none"),
    ("Prolog", ""),
    ("PrologFlags", ""),
    ("PrologSlurmctld", ""),
    ("RebootProgram", ""),
    ("RequeueExit", ""),
    ("RequeueExitHold", ""),
    ("ResumeProgram", ""),
    ("SchedulerType", "sched/backfill"),
    ("SelectType", "select/cons_tres"),
    ("SelectTypeParameters", "CR_CPU_MEMORY"),
    // No second controller waits to take over.
    ("SlurmctldTimeout", "0 sec"),
    ("SuspendProgram", ""),
    ("SuspendTime", "INFINITE"),
    ("SwitchType", "switch/none"),
    ("TaskEpilog", ""),
    ("TaskProlog", ""),
    ("TopologyPlugin", "topology/flat"),
    ("TrackWCKey", "No"),
    ("UsePam", "No"),
    ("VSizeFactor", "0 percent"),
    ("WaitTime", "0 sec"),
];

impl Config {
    /// All that `scontrol show config` prints of the settings, in no order; an empty value is none.
    #[must_use]
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        let parameters =
            format!("bf_max_job_test={},max_script_size={}", settings.backfill_jobs_max, settings.script_bytes_max);
        let fixed = FIXED.map(|(key, value)| (key, value.to_owned()));
        let mut shown = self.lines();
        shown.extend(fixed);
        shown.push(("SchedulerParameters", parameters));
        shown.push(("MetricsAddress", self.metrics.map(|address| address.to_string()).unwrap_or_default()));
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn no_key_is_shown_twice() {
        let config = super::super::read(std::path::Path::new("/nonexistent/covey.toml"), false).expect("defaults");
        let shown = config.shown();
        let keys: BTreeSet<&str> = shown.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys.len(), shown.len());
    }
}
