//! `covey.toml`: what slurm.conf would set, under the same names. Unknown keys are refused with their line.

mod shown;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use nix::unistd::User;
use sched::allow::Roles;
use sched::failures::FAILURES_MAX;
use sched::ids::Name;
use sched::lease::{LEASE_PERCENT_MAX, Lease};
use sched::partition::{Change, ChangeError, Partition};
use sched::settings::{ReturnToService, Settings, Weights};
use sched::spec::licenses::{self, LICENSE_COUNT_MAX};
use serde::Deserialize;
use thiserror::Error;

/// The most that script and environment may be allowed to have each, in bytes: both reach a node in one message.
const BRIEF_PART_BYTES_MAX: usize = proto::LINK_MESSAGE_BYTES_MAX / 3;

/// The most users that `Administrators` and `Operators` may name each.
const ACCOUNTS_MAX: usize = 1_000;

/// Where the settings are read from.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// It was named by somebody, and must be there.
    pub asked: bool,
}

impl ConfigFile {
    /// Reads the settings.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self) -> Result<Config, ConfigError> {
        read(&self.path, self.asked)
    }
}

/// What the file says, with defaults where it says nothing.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the core decides by.
    pub settings: Settings,
    /// The partitions: at least one.
    pub partitions: Vec<Partition>,
    /// `Administrators` and `Operators`.
    pub roles: Roles,
    /// `MetricsAddress`: where Prometheus may ask; nowhere if absent.
    pub metrics: Option<SocketAddr>,
    /// `TrustNodes`: a node that has joined may say of any user, root included, that he calls.
    pub trust_nodes: bool,
}

/// Why the file cannot be followed. Each names the file.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the settings in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no TOML, or has a key that is none.
    #[error("the settings in {} cannot be followed", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that means nothing.
    #[error("{} says {key} = {value:?}: {allowed}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct File {
    cluster_name: Option<String>,
    max_array_size: Option<u32>,
    max_job_count: Option<usize>,
    min_job_age: Option<u64>,
    kill_wait: Option<u64>,
    slurmd_timeout: Option<u64>,
    node_lease: Option<NonZeroU64>,
    heartbeat_interval: Option<NonZeroU64>,
    max_script_size: Option<usize>,
    max_requeues: Option<u32>,
    bf_max_job_test: Option<usize>,
    priority_weight_age: Option<u32>,
    priority_max_age: Option<u64>,
    priority_weight_job_size: Option<u32>,
    priority_favor_small: Option<bool>,
    priority_weight_partition: Option<u32>,
    priority_calc_period: Option<u64>,
    retry_wait: Option<u64>,
    return_to_service: Option<u8>,
    drain_after_failures: Option<u32>,
    max_jobs_per_user: Option<usize>,
    max_submit_size_per_user: Option<u64>,
    max_environment_size: Option<usize>,
    max_submit_rate: Option<u32>,
    max_connections: Option<NonZeroUsize>,
    min_free_disk: Option<u64>,
    history_days: Option<u32>,
    history_max_rows: Option<NonZeroU64>,
    metrics_address: Option<SocketAddr>,
    #[serde(default)]
    administrators: Vec<Value>,
    #[serde(default)]
    operators: Vec<Value>,
    disable_root_jobs: Option<bool>,
    trust_nodes: Option<bool>,
    #[serde(default, alias = "licenses")]
    licenses: BTreeMap<String, u32>,
    #[serde(default)]
    partition: Vec<PartitionTable>,
}

/// A `[[Partition]]` table: the keys of [`sched::partition::Change`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PartitionTable {
    partition_name: String,
    nodes: Option<Value>,
    default: Option<Value>,
    max_time: Option<Value>,
    default_time: Option<Value>,
    max_nodes: Option<Value>,
    min_nodes: Option<Value>,
    #[serde(rename = "DefMemPerCPU")]
    def_mem_per_cpu: Option<Value>,
    #[serde(rename = "MaxMemPerCPU")]
    max_mem_per_cpu: Option<Value>,
    priority_tier: Option<Value>,
    priority_job_factor: Option<Value>,
    state: Option<Value>,
    hidden: Option<Value>,
}

/// `true` or `30`, or the text that slurm.conf has in its place.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Switch(bool),
    Number(u64),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Switch(switch) => switch.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// Reads the settings; a file that is not there gives the defaults unless it was `asked` for by name.
///
/// # Errors
/// What is wrong, with the file, and the line or key.
pub fn read(path: &Path, asked: bool) -> Result<Config, ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound && !asked => String::new(),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let parse = |source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) };
    let file: File = toml::from_str(&text).map_err(parse)?;
    Reader { path }.config(file)
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn config(&self, file: File) -> Result<Config, ConfigError> {
        let usual = Settings::default();
        let array_size_max = file.max_array_size.unwrap_or(usual.array_size_max);
        if array_size_max > usual.array_size_max {
            let allowed = format!("at most {}", usual.array_size_max);
            return Err(self.bad("MaxArraySize", &array_size_max.to_string(), &allowed));
        }
        let return_to_service = match file.return_to_service {
            None => usual.return_to_service,
            Some(0) => ReturnToService::Never,
            Some(1) => ReturnToService::FromSilence,
            Some(2) => ReturnToService::Always,
            Some(other) => return Err(self.bad("ReturnToService", &other.to_string(), "0, 1 or 2")),
        };
        let drain_after_failures = file.drain_after_failures.unwrap_or(usual.drain_after_failures);
        if drain_after_failures > FAILURES_MAX {
            let allowed = format!("at most {FAILURES_MAX}");
            return Err(self.bad("DrainAfterFailures", &drain_after_failures.to_string(), &allowed));
        }
        for (key, bytes) in [("MaxScriptSize", file.max_script_size), ("MaxEnvironmentSize", file.max_environment_size)]
        {
            if let Some(bytes) = bytes.filter(|bytes| *bytes > BRIEF_PART_BYTES_MAX) {
                return Err(self.bad(key, &bytes.to_string(), &format!("at most {BRIEF_PART_BYTES_MAX}")));
            }
        }
        let node_timeout_s = file.slurmd_timeout.unwrap_or(usual.node_timeout_s);
        self.check_lease(node_timeout_s, file.node_lease, file.heartbeat_interval)?;
        let settings = Settings {
            cluster_name: file.cluster_name.unwrap_or(usual.cluster_name),
            array_size_max,
            job_count_max: file.max_job_count.unwrap_or(usual.job_count_max),
            job_age_s_min: file.min_job_age.unwrap_or(usual.job_age_s_min),
            kill_wait_s: file.kill_wait.unwrap_or(usual.kill_wait_s),
            node_timeout_s,
            lease_s: file.node_lease.map(NonZeroU64::get),
            heartbeat_s: file.heartbeat_interval.map(NonZeroU64::get),
            script_bytes_max: file.max_script_size.unwrap_or(usual.script_bytes_max),
            requeues_max: file.max_requeues.unwrap_or(usual.requeues_max),
            backfill_jobs_max: file.bf_max_job_test.unwrap_or(usual.backfill_jobs_max),
            weights: Weights {
                age: file.priority_weight_age.unwrap_or(usual.weights.age),
                age_s_max: file.priority_max_age.unwrap_or(usual.weights.age_s_max),
                size: file.priority_weight_job_size.unwrap_or(usual.weights.size),
                favor_small: file.priority_favor_small.unwrap_or(usual.weights.favor_small),
                partition: file.priority_weight_partition.unwrap_or(usual.weights.partition),
                calc_period_s: file.priority_calc_period.unwrap_or(usual.weights.calc_period_s),
            },
            retry_wait_ms: file.retry_wait.map_or(usual.retry_wait_ms, |seconds| seconds.saturating_mul(1000)),
            return_to_service,
            drain_after_failures,
            user_jobs_max: file.max_jobs_per_user.unwrap_or(usual.user_jobs_max),
            user_mib_max: file.max_submit_size_per_user.unwrap_or(usual.user_mib_max),
            environment_bytes_max: file.max_environment_size.unwrap_or(usual.environment_bytes_max),
            submit_rate_max: file.max_submit_rate.unwrap_or(usual.submit_rate_max),
            connections_max: file.max_connections.map_or(usual.connections_max, NonZeroUsize::get),
            free_disk_mib_min: file.min_free_disk.unwrap_or(usual.free_disk_mib_min),
            history_days: file.history_days.unwrap_or(usual.history_days),
            history_rows_max: file.history_max_rows.map_or(usual.history_rows_max, NonZeroU64::get),
            licenses: self.licenses(file.licenses)?,
            root_jobs_disabled: file.disable_root_jobs.unwrap_or(usual.root_jobs_disabled),
        };
        let roles = Roles {
            administrators: self.accounts("Administrators", file.administrators)?,
            operators: self.accounts("Operators", file.operators)?,
        };
        let mut partitions =
            file.partition.into_iter().map(|table| self.partition(table)).collect::<Result<Vec<_>, _>>()?;
        if partitions.is_empty() {
            partitions.push(Partition::new("debug".into()));
        }
        self.check_names(&partitions)?;
        if partitions.iter().all(|partition| !partition.default) && partitions.len() == 1 {
            partitions[0].default = true;
        }
        let trust_nodes = file.trust_nodes.unwrap_or_default();
        Ok(Config { settings, partitions, roles, metrics: file.metrics_address, trust_nodes })
    }

    fn licenses(&self, table: BTreeMap<String, u32>) -> Result<BTreeMap<Name, u32>, ConfigError> {
        let license = |(name, count): (String, u32)| {
            if !licenses::is_license(&name) || count > LICENSE_COUNT_MAX {
                let allowed = format!("a name of letters, digits and _-.@/ and at most {LICENSE_COUNT_MAX}");
                return Err(self.bad("Licenses", &format!("{name} = {count}"), &allowed));
            }
            Ok((name.into(), count))
        };
        table.into_iter().map(license).collect()
    }

    /// Users by number, each as it was written: a name of this machine, or a number.
    fn accounts(&self, key: &'static str, list: Vec<Value>) -> Result<BTreeMap<u32, Name>, ConfigError> {
        if list.len() > ACCOUNTS_MAX {
            return Err(self.bad(key, &format!("{} users", list.len()), &format!("at most {ACCOUNTS_MAX}")));
        }
        let account = |value: Value| {
            let text = value.to_string();
            let uid = text.parse().ok().or_else(|| User::from_name(&text).ok()?.map(|user| user.uid.as_raw()));
            let allowed = "this machine knows no such user: write a name of /etc/passwd, or a number";
            uid.map(|uid| (uid, text.as_str().into())).ok_or_else(|| self.bad(key, &text, allowed))
        };
        list.into_iter().map(account).collect()
    }

    /// A lease that is longer than is safe, or a heartbeat that is too rare for it, is refused rather than cut.
    fn check_lease(
        &self,
        node_timeout_s: u64,
        lease: Option<NonZeroU64>,
        heartbeat: Option<NonZeroU64>,
    ) -> Result<(), ConfigError> {
        if let Some(lease) =
            lease.filter(|lease| node_timeout_s > 0 && lease.get() * 100 > node_timeout_s * LEASE_PERCENT_MAX)
        {
            let allowed = format!("at most {LEASE_PERCENT_MAX} % of SlurmdTimeout, which is {node_timeout_s}");
            return Err(self.bad("NodeLease", &lease.to_string(), &allowed));
        }
        let settings = Settings { node_timeout_s, lease_s: lease.map(NonZeroU64::get), ..Settings::default() };
        let beats_s_max =
            Lease::of(&settings).map_or(u64::MAX, |lease| (lease.lasts_ms + lease.kill_wait_ms) / 4 / 1000);
        match heartbeat.filter(|heartbeat| heartbeat.get() > beats_s_max.max(1)) {
            Some(heartbeat) => {
                let allowed = "at most a quarter of NodeLease, so that one lost word costs nothing";
                Err(self.bad("HeartbeatInterval", &heartbeat.to_string(), allowed))
            }
            None => Ok(()),
        }
    }

    fn check_names(&self, partitions: &[Partition]) -> Result<(), ConfigError> {
        for (i, partition) in partitions.iter().enumerate() {
            if partitions[..i].iter().any(|other| other.name == partition.name) {
                return Err(self.bad("PartitionName", &partition.name, "each name may be given once"));
            }
        }
        let mut defaults = partitions.iter().filter(|partition| partition.default).skip(1);
        match defaults.next() {
            Some(second) => Err(self.bad("Default", &second.name, "only one partition can be the default")),
            None => Ok(()),
        }
    }

    fn partition(&self, table: PartitionTable) -> Result<Partition, ConfigError> {
        let name = table.partition_name;
        let words = [
            ("Nodes", table.nodes),
            ("Default", table.default),
            ("MaxTime", table.max_time),
            ("DefaultTime", table.default_time),
            ("MaxNodes", table.max_nodes),
            ("MinNodes", table.min_nodes),
            ("DefMemPerCPU", table.def_mem_per_cpu),
            ("MaxMemPerCPU", table.max_mem_per_cpu),
            ("PriorityTier", table.priority_tier),
            ("PriorityJobFactor", table.priority_job_factor),
            ("State", table.state),
            ("Hidden", table.hidden),
        ];
        let mut change = Change::default();
        for (key, value) in words {
            if let Some(value) = value.map(|value| value.to_string()) {
                change.set(key, &value).map_err(|error| match error {
                    ChangeError::Value { allowed, .. } => self.bad(key, &value, &allowed),
                    other => self.bad(key, &value, &other.to_string()),
                })?;
            }
        }
        change.applied(&Partition::new(name.as_str().into())).map_err(|why| self.bad("PartitionName", &name, &why))
    }

    fn bad(&self, key: &'static str, value: &str, allowed: &str) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), key, value: value.to_owned(), allowed: allowed.to_owned() }
    }
}

impl Config {
    /// The settings under slurm.conf's names, sorted, for `scontrol show config`.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        let seconds = |s: u64| format!("{s} sec");
        let thousandths = |ms: u64| format!("{}.{:03} sec", ms / 1000, ms % 1000);
        let lease = Lease::of(settings);
        let licenses: Vec<String> = settings.licenses.iter().map(|(name, total)| format!("{name}:{total}")).collect();
        let licenses = if licenses.is_empty() { "(null)".into() } else { licenses.join(",") };
        let accounts = |users: &BTreeMap<u32, Name>| {
            let names: Vec<&str> = users.values().map(|name| &**name).collect();
            if names.is_empty() { "(null)".into() } else { names.join(",") }
        };
        let mut lines = vec![
            ("ClusterName", settings.cluster_name.clone()),
            ("MaxArraySize", settings.array_size_max.to_string()),
            ("MaxJobCount", settings.job_count_max.to_string()),
            ("MinJobAge", seconds(settings.job_age_s_min)),
            ("KillWait", seconds(settings.kill_wait_s)),
            ("SlurmdTimeout", seconds(settings.node_timeout_s)),
            (
                "NodeLease",
                lease.map_or("UNLIMITED".into(), |lease| seconds((lease.lasts_ms + lease.kill_wait_ms) / 1000)),
            ),
            ("HeartbeatInterval", lease.map_or("UNLIMITED".into(), |lease| thousandths(lease.heartbeat_ms))),
            ("MaxScriptSize", settings.script_bytes_max.to_string()),
            ("MaxRequeues", settings.requeues_max.to_string()),
            ("BfMaxJobTest", settings.backfill_jobs_max.to_string()),
            ("PriorityWeightAge", settings.weights.age.to_string()),
            ("PriorityMaxAge", seconds(settings.weights.age_s_max)),
            ("PriorityWeightJobSize", settings.weights.size.to_string()),
            ("PriorityFavorSmall", if settings.weights.favor_small { "Yes" } else { "No" }.into()),
            ("PriorityWeightPartition", settings.weights.partition.to_string()),
            ("PriorityCalcPeriod", seconds(settings.weights.calc_period_s)),
            ("RetryWait", seconds(settings.retry_wait_ms / 1000)),
            ("ReturnToService", (settings.return_to_service as u8).to_string()),
            ("DrainAfterFailures", settings.drain_after_failures.to_string()),
            ("MaxJobsPerUser", settings.user_jobs_max.to_string()),
            ("MaxSubmitSizePerUser", settings.user_mib_max.to_string()),
            ("MaxEnvironmentSize", settings.environment_bytes_max.to_string()),
            ("MaxSubmitRate", settings.submit_rate_max.to_string()),
            ("MaxConnections", settings.connections_max.to_string()),
            ("MinFreeDisk", settings.free_disk_mib_min.to_string()),
            ("HistoryDays", settings.history_days.to_string()),
            ("HistoryMaxRows", settings.history_rows_max.to_string()),
            ("Licenses", licenses),
            ("Administrators", accounts(&self.roles.administrators)),
            ("Operators", accounts(&self.roles.operators)),
            ("DisableRootJobs", if settings.root_jobs_disabled { "Yes" } else { "No" }.into()),
            ("TrustNodes", if self.trust_nodes { "Yes" } else { "No" }.into()),
        ];
        lines.sort_unstable();
        lines
    }
}

#[cfg(test)]
mod tests {
    use sched::allow::Role;
    use sched::partition::{Members, PartitionState};

    use super::*;

    fn read_text(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("covey.toml");
        fs::write(&path, text).expect("written");
        read(&path, true).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })
    }

    #[test]
    fn without_a_file_there_is_one_partition_for_all_nodes() {
        let config = read(Path::new("/nonexistent/covey.toml"), false).expect("defaults");
        assert_eq!((&*config.partitions[0].name, config.partitions[0].default), ("debug", true));
        assert!(matches!(read(Path::new("/nonexistent/covey.toml"), true), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn every_limit_can_be_set_and_is_shown() {
        let text = "HistoryDays = 7\nMaxJobsPerUser = 100\nMaxSubmitRate = 50\nMaxSubmitSizePerUser = 9\nMaxConnections = 99\nMinFreeDisk = 1024\n\
                    MaxEnvironmentSize = 65536\nMaxScriptSize = 65537\nMaxArraySize = 1001\n\
                    TrustNodes = true\n";
        let lines = read_text(text).expect("good").lines();
        for line in text.lines() {
            let (key, value) = line.split_once(" = ").expect("a key and a value");
            let value = if value == "true" { "Yes" } else { value };
            assert!(lines.contains(&(key, value.to_owned())), "{line} in {lines:?}");
        }
        assert!(lines.is_sorted());
    }

    #[test]
    fn partitions_and_limits_are_read() {
        let config = read_text(
            "MinJobAge = 5\n[[Partition]]\nPartitionName = \"a\"\nNodes = \"n[1-3]\"\nMaxTime = 30\n\
             [[Partition]]\nPartitionName = \"b\"\nDefault = \"YES\"\nDefaultTime = \"1-0\"\nState = \"drain\"\n",
        )
        .expect("good");
        assert_eq!(config.settings.job_age_s_min, 5);
        let Members::Listed(names) = &config.partitions[0].nodes else { panic!("listed") };
        assert_eq!((names.len(), config.partitions[0].time_max.to_string()), (3, "00:30:00".to_owned()));
        assert_eq!((config.partitions[1].state, config.partitions[1].default), (PartitionState::Drain, true));
    }

    #[test]
    fn users_get_roles_by_name_or_number() {
        let text = "Administrators = [\"root\", 1000]\nOperators = [\"1001\"]\nDisableRootJobs = true\n";
        let config = read_text(text).expect("good");
        let roles = [1000, 1001, 1002].map(|uid| config.roles.of(uid));
        assert_eq!(roles, [Role::Administrator, Role::Operator, Role::User]);
        for shown in [("Administrators", "root,1000"), ("Operators", "1001"), ("DisableRootJobs", "Yes")] {
            assert!(config.lines().contains(&(shown.0, shown.1.to_owned())), "{shown:?}");
        }
    }

    #[test]
    fn licenses_are_counted_by_name() {
        let config = read_text("[licenses]\nmatlab = 4\n\"ansys@flex\" = 1\n").expect("good");
        let shown = config.lines().into_iter().find(|(key, _)| *key == "Licenses").expect("shown").1;
        assert_eq!((config.settings.licenses.get("matlab"), shown.as_str()), (Some(&4), "ansys@flex:1,matlab:4"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, part) in [
            ("MaxJobsCount = 1", "line 1"),
            ("\n\nKillWait = \"soon\"", "line 3"),
            ("MaxArraySize = 5000000", "at most 4000001"),
            ("MaxEnvironmentSize = 30000000", "at most 22369621"),
            ("HistoryDays = -1", "line 1"),
            ("HistoryMaxRows = 0", "line 1"),
            ("MaxConnections = 0", "line 1"),
            ("[Licenses]\n\"a b\" = 1", "Licenses"),
            ("[[Partition]]\nPartitionName = \"a\"\nState = \"off\"", "UP, DOWN, DRAIN or INACTIVE"),
            ("[[Partition]]\nPartitionName = \"a\"\nNodes = \"n[1-\"", "Nodes"),
            ("[[Partition]]\nPartitionName = \"a\"\nMaxNodes = 2\nMinNodes = 3", "MaxNodes=2 is less than MinNodes=3"),
            ("[[Partition]]\nPartitionName = \"a\"\nAllowGroups = \"staff\"", "line 3"),
            ("ReturnToService = 3", "0, 1 or 2"),
            ("Operators = [\"no such user\"]", "knows no such user"),
            ("Administrators = [-1]", "line 1"),
            ("DrainAfterFailures = 101", "at most 100"),
            ("[[Partition]]\nPartitionName = \"a\"\n[[Partition]]\nPartitionName = \"a\"", "once"),
        ] {
            let error = read_text(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
