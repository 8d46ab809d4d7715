//! `covey.toml`: what slurm.conf would set, under the same names. Unknown keys are refused with their line.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sched::ids::Name;
use sched::partition::{Members, Partition, PartitionState};
use sched::settings::Settings;
use sched::spec::duration::TimeLimit;
use sched::spec::hostlist;
use sched::spec::licenses::{self, LICENSE_COUNT_MAX};
use serde::Deserialize;
use thiserror::Error;

/// What the file says, with defaults where it says nothing.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the core decides by.
    pub settings: Settings,
    /// The partitions: at least one.
    pub partitions: Vec<Partition>,
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
    max_script_size: Option<usize>,
    max_requeues: Option<u32>,
    bf_max_job_test: Option<usize>,
    #[serde(default, alias = "licenses")]
    licenses: BTreeMap<String, u32>,
    #[serde(default)]
    partition: Vec<PartitionTable>,
}

/// A `[[Partition]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PartitionTable {
    partition_name: String,
    nodes: Option<String>,
    default: Option<Switch>,
    max_time: Option<Limit>,
    default_time: Option<Limit>,
    priority_tier: Option<u16>,
    state: Option<String>,
}

/// `true`, or slurm.conf's `"YES"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Switch {
    Bool(bool),
    Word(String),
}

/// Minutes, or a time as `--time` takes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Limit {
    Minutes(u32),
    Text(String),
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
        let settings = Settings {
            cluster_name: file.cluster_name.unwrap_or(usual.cluster_name),
            array_size_max,
            job_count_max: file.max_job_count.unwrap_or(usual.job_count_max),
            job_age_s_min: file.min_job_age.unwrap_or(usual.job_age_s_min),
            kill_wait_s: file.kill_wait.unwrap_or(usual.kill_wait_s),
            node_timeout_s: file.slurmd_timeout.unwrap_or(usual.node_timeout_s),
            script_bytes_max: file.max_script_size.unwrap_or(usual.script_bytes_max),
            requeues_max: file.max_requeues.unwrap_or(usual.requeues_max),
            backfill_jobs_max: file.bf_max_job_test.unwrap_or(usual.backfill_jobs_max),
            licenses: self.licenses(file.licenses)?,
        };
        let mut partitions =
            file.partition.into_iter().map(|table| self.partition(table)).collect::<Result<Vec<_>, _>>()?;
        if partitions.is_empty() {
            partitions.push(self.partition(PartitionTable::named("debug"))?);
        }
        self.check_names(&partitions)?;
        if partitions.iter().all(|partition| !partition.default) && partitions.len() == 1 {
            partitions[0].default = true;
        }
        Ok(Config { settings, partitions })
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
        let nodes = match table.nodes.as_deref() {
            None | Some("ALL" | "all") => Members::All,
            Some(list) => {
                let names = hostlist::expand(list).map_err(|error| self.bad("Nodes", list, &error.to_string()))?;
                Members::Listed(names.into_iter().map(Into::into).collect())
            }
        };
        let state = match table.state.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("UP") => PartitionState::Up,
            Some("DOWN") => PartitionState::Down,
            Some("DRAIN") => PartitionState::Drain,
            Some("INACTIVE") => PartitionState::Inactive,
            Some(other) => return Err(self.bad("State", other, "UP, DOWN, DRAIN or INACTIVE")),
        };
        let default = match &table.default {
            None => false,
            Some(Switch::Bool(default)) => *default,
            Some(Switch::Word(word)) if word.eq_ignore_ascii_case("yes") => true,
            Some(Switch::Word(word)) if word.eq_ignore_ascii_case("no") => false,
            Some(Switch::Word(word)) => return Err(self.bad("Default", word, "YES or NO")),
        };
        let time_max = self.limit("MaxTime", table.max_time)?.unwrap_or(TimeLimit::Unlimited);
        let time_default = self.limit("DefaultTime", table.default_time)?;
        let tier = table.priority_tier.unwrap_or(1);
        Ok(Partition { name: table.partition_name.into(), nodes, default, time_max, time_default, tier, state })
    }

    fn limit(&self, key: &'static str, limit: Option<Limit>) -> Result<Option<TimeLimit>, ConfigError> {
        let text = match limit {
            None => return Ok(None),
            Some(Limit::Minutes(minutes)) => minutes.to_string(),
            Some(Limit::Text(text)) if text.eq_ignore_ascii_case("none") => return Ok(None),
            Some(Limit::Text(text)) => text,
        };
        let parsed = text.parse::<TimeLimit>();
        parsed.map(Some).map_err(|error| self.bad(key, &text, &error.to_string()))
    }

    fn bad(&self, key: &'static str, value: &str, allowed: &str) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), key, value: value.to_owned(), allowed: allowed.to_owned() }
    }
}

impl PartitionTable {
    fn named(name: &str) -> PartitionTable {
        PartitionTable {
            partition_name: name.to_owned(),
            nodes: None,
            default: None,
            max_time: None,
            default_time: None,
            priority_tier: None,
            state: None,
        }
    }
}

impl Config {
    /// The settings under slurm.conf's names, sorted, for `scontrol show config`.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        let seconds = |s: u64| format!("{s} sec");
        let licenses: Vec<String> = settings.licenses.iter().map(|(name, total)| format!("{name}:{total}")).collect();
        let licenses = if licenses.is_empty() { "(null)".into() } else { licenses.join(",") };
        let mut lines = vec![
            ("ClusterName", settings.cluster_name.clone()),
            ("MaxArraySize", settings.array_size_max.to_string()),
            ("MaxJobCount", settings.job_count_max.to_string()),
            ("MinJobAge", seconds(settings.job_age_s_min)),
            ("KillWait", seconds(settings.kill_wait_s)),
            ("SlurmdTimeout", seconds(settings.node_timeout_s)),
            ("MaxScriptSize", settings.script_bytes_max.to_string()),
            ("MaxRequeues", settings.requeues_max.to_string()),
            ("BfMaxJobTest", settings.backfill_jobs_max.to_string()),
            ("Licenses", licenses),
        ];
        lines.sort_unstable();
        lines
    }
}

#[cfg(test)]
mod tests {
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
            ("[Licenses]\n\"a b\" = 1", "Licenses"),
            ("[[Partition]]\nPartitionName = \"a\"\nState = \"off\"", "UP, DOWN, DRAIN or INACTIVE"),
            ("[[Partition]]\nPartitionName = \"a\"\nNodes = \"n[1-\"", "Nodes"),
            ("[[Partition]]\nPartitionName = \"a\"\n[[Partition]]\nPartitionName = \"a\"", "once"),
        ] {
            let error = read_text(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
