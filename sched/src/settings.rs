//! What an administrator may set and the core decides by; the names are slurm.conf's, in our spelling.

use std::collections::BTreeMap;

use crate::ids::Name;

/// Settings of a cluster. They are not state: a replay of the journal needs none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `ClusterName`.
    pub cluster_name: String,
    /// `MaxArraySize`: array indices stay below it.
    pub array_size_max: u32,
    /// `MaxJobCount`: jobs in memory, done ones included; submits beyond it are refused.
    pub job_count_max: usize,
    /// `MinJobAge`: how long a job stays visible after its end, in seconds.
    pub job_age_s_min: u64,
    /// `KillWait`: seconds between TERM and KILL.
    pub kill_wait_s: u64,
    /// `SlurmdTimeout`: seconds after which a silent node is given up; 0 never.
    pub node_timeout_s: u64,
    /// `SchedulerParameters=max_script_size`: bytes of a script.
    pub script_bytes_max: usize,
    /// How often a task whose node lost it may start again before it is given up.
    pub requeues_max: u32,
    /// `SchedulerParameters=bf_max_job_test`: jobs of a partition, behind the first that waits for resources, that one pass
    /// looks at; 0 starts everything strictly in order.
    pub backfill_jobs_max: usize,
    /// `Licenses`: the counters of the whole cluster, each with its total.
    pub licenses: BTreeMap<Name, u32>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cluster_name: "covey".into(),
            array_size_max: 4_000_001,
            job_count_max: 1_000_000,
            job_age_s_min: 300,
            kill_wait_s: 30,
            node_timeout_s: 300,
            script_bytes_max: 4 * 1024 * 1024,
            requeues_max: 5,
            backfill_jobs_max: 500,
            licenses: BTreeMap::new(),
        }
    }
}
