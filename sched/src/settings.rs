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
    /// `NodeLease`: seconds for which a node lets what may run elsewhere go on without a word from the controller, the time to kill
    /// it included; by default, and at most, three quarters of `node_timeout_s`.
    pub lease_s: Option<u64>,
    /// `HeartbeatInterval`: seconds from one word of a node to the next; by default an eighth of what its tasks may run on.
    pub heartbeat_s: Option<u64>,
    /// `SchedulerParameters=max_script_size`: bytes of a script.
    pub script_bytes_max: usize,
    /// How often a task whose node lost it may start again before it is given up.
    pub requeues_max: u32,
    /// `SchedulerParameters=bf_max_job_test`: jobs of a partition, behind the first that waits for resources, that one pass
    /// looks at; 0 starts everything strictly in order.
    pub backfill_jobs_max: usize,
    /// What a job's priority is made of.
    pub weights: Weights,
    /// How long the first retry of a task waits (`--retries`), in milliseconds; each further one twice as long.
    pub retry_wait_ms: u64,
    /// `ReturnToService`: when a node that is DOWN comes back by registering.
    pub return_to_service: ReturnToService,
    /// So many different jobs in a row that fail at once on a node drain it; 0 never ([`crate::failures`]).
    pub drain_after_failures: u32,
    /// `MaxJobsPerUser`: jobs of one user that are not done; submits beyond it are refused; 0 for any number.
    pub user_jobs_max: usize,
    /// `MaxSubmitSizePerUser`: MiB of scripts, environments and blob names of one user's jobs in memory; submits beyond it are refused; 0 for
    /// any number.
    pub user_mib_max: u64,
    /// `MaxEnvironmentSize`: bytes of the environment that a job brings along.
    pub environment_bytes_max: usize,
    /// `MaxSubmitRate`: submits of one user in a second; 0 for any number.
    pub submit_rate_max: u32,
    /// `MaxConnections`: commands and nodes that are connected at the same time; further ones wait.
    pub connections_max: usize,
    /// `MinFreeDisk`: MiB that submits leave free where the journal is.
    pub free_disk_mib_min: u64,
    /// `HistoryDays`: for how many days what became of jobs is kept.
    pub history_days: u32,
    /// `HistoryMaxRows`: so many rows of history are kept, give or take a sixteenth; beyond them the oldest go. A job has one row, and
    /// one for every few hundred of its tasks.
    pub history_rows_max: u64,
    /// `Licenses`: the counters of the whole cluster, each with its total.
    pub licenses: BTreeMap<Name, u32>,
    /// `DisableRootJobs`: jobs of root are refused.
    pub root_jobs_disabled: bool,
}

/// The weights of Slurm's multifactor priority that Covey knows; all 0 is first come, first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// `PriorityWeightAge`.
    pub age: u32,
    /// `PriorityMaxAge`, in seconds: from then on waiting longer counts no more.
    pub age_s_max: u64,
    /// `PriorityWeightJobSize`.
    pub size: u32,
    /// `PriorityFavorSmall`: small jobs get what large ones would.
    pub favor_small: bool,
    /// `PriorityWeightPartition`.
    pub partition: u32,
    /// `PriorityCalcPeriod`, in seconds: how often priorities are computed anew.
    pub calc_period_s: u64,
}

impl Default for Weights {
    fn default() -> Weights {
        let week_s = 7 * 24 * 60 * 60;
        Weights { age: 0, age_s_max: week_s, size: 0, favor_small: false, partition: 0, calc_period_s: 300 }
    }
}

/// Slurm's `ReturnToService`. A drained node stays drained with each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnToService {
    /// 0: it stays DOWN until an administrator resumes it.
    Never,
    /// 1: it comes back if it was DOWN for its silence.
    #[default]
    FromSilence,
    /// 2: it comes back whatever it was DOWN for.
    Always,
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
            lease_s: None,
            heartbeat_s: None,
            script_bytes_max: 4 * 1024 * 1024,
            requeues_max: 5,
            backfill_jobs_max: 500,
            weights: Weights::default(),
            retry_wait_ms: 1_000,
            return_to_service: ReturnToService::default(),
            drain_after_failures: 0,
            user_jobs_max: 250_000,
            user_mib_max: 1_024,
            environment_bytes_max: 4 * 1024 * 1024,
            submit_rate_max: 1_000,
            connections_max: 4_096,
            free_disk_mib_min: 64,
            history_days: 30,
            history_rows_max: 2_000_000,
            licenses: BTreeMap::new(),
            root_jobs_disabled: false,
        }
    }
}
