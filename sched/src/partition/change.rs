//! What may be said of a partition, as `Key=value`: the same in `covey.toml` and after `scontrol create` and `update`.
//!
//! Keys are slurm.conf's, in any case, and may be cut short where only one is meant. What Slurm knows and Covey does not is
//! refused by name, so that nobody believes in a limit that is none. Start at [`Change::set`].

use thiserror::Error;

use super::{Members, Partition, PartitionState};
use crate::spec::duration::TimeLimit;
use crate::spec::hostlist;
use crate::spec::size::Mebibytes;

/// The keys that Covey knows.
pub const KEYS: [&str; 12] = [
    "Nodes",
    "Default",
    "MaxTime",
    "DefaultTime",
    "MaxNodes",
    "MinNodes",
    "DefMemPerCPU",
    "MaxMemPerCPU",
    "PriorityTier",
    "PriorityJobFactor",
    "State",
    "Hidden",
];

/// Keys of Slurm that Covey does not know.
const UNBUILT: [&str; 32] = [
    "AllocNodes",
    "AllowAccounts",
    "AllowGroups",
    "AllowQos",
    "Alternate",
    "CpuBind",
    "DefMemPerNode",
    "DenyAccounts",
    "DenyQos",
    "DisableRootJobs",
    "ExclusiveTopo",
    "ExclusiveUser",
    "GraceTime",
    "JobDefaults",
    "LLN",
    "MaxCPUsPerNode",
    "MaxCPUsPerSocket",
    "MaxMemPerNode",
    "OverSubscribe",
    "OverTimeLimit",
    "PowerDownOnIdle",
    "PreemptMode",
    "Priority",
    "QOS",
    "ReqResv",
    "ResumeTimeout",
    "RootOnly",
    "SelectTypeParameters",
    "Shared",
    "SuspendTime",
    "SuspendTimeout",
    "TRESBillingWeights",
];

/// Something of a partition that is to be as said; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub(super) nodes: Option<Members>,
    pub(super) default: Option<bool>,
    pub(super) time_max: Option<TimeLimit>,
    pub(super) time_default: Option<Option<TimeLimit>>,
    pub(super) nodes_max: Option<Option<u32>>,
    pub(super) nodes_min: Option<u32>,
    pub(super) memory_default: Option<Option<u64>>,
    pub(super) memory_max: Option<Option<u64>>,
    pub(super) tier: Option<u16>,
    pub(super) priority_factor: Option<u16>,
    pub(super) state: Option<PartitionState>,
    pub(super) hidden: Option<bool>,
}

/// Why something cannot be said of a partition. Names the key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChangeError {
    /// Nobody knows the key.
    #[error("partitions have no {0}; Covey knows {known}", known = KEYS.join(", "))]
    Unknown(String),
    /// Slurm knows it.
    #[error("Covey has no {0} for partitions yet; it knows {known}", known = KEYS.join(", "))]
    Unbuilt(&'static str),
    /// Cut so short that it may mean several.
    #[error("{key} may mean {several}: write more of it", several = .meant.join(" or "))]
    Ambiguous {
        /// The key.
        key: String,
        /// What it may mean.
        meant: Vec<&'static str>,
    },
    /// A value that means nothing.
    #[error("{key}={value} has no meaning: give {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Change {
    /// Whether it says nothing but how the state is to be.
    #[must_use]
    pub fn is_of_state_alone(&self) -> bool {
        *self == Change { state: self.state, ..Change::default() }
    }

    /// Takes in one `Key=value`; the last word about a key counts.
    ///
    /// # Errors
    /// A key that is none, or a value that its key does not take.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ChangeError> {
        let key = full_key(key)?;
        let bad = |allowed: &str| ChangeError::Value { key, value: value.to_owned(), allowed: allowed.to_owned() };
        let number = |none: &str| -> Result<Option<u32>, ChangeError> {
            if value.eq_ignore_ascii_case(none) {
                return Ok(None);
            }
            value.parse().map(Some).map_err(|_| bad(&format!("a whole number or {none}")))
        };
        let small = || value.parse::<u16>().map_err(|_| bad("a whole number up to 65535"));
        let switch = || match value.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(bad("YES or NO")),
        };
        let memory = || match value.to_ascii_lowercase().as_str() {
            "unlimited" | "0" => Ok(None),
            _ => value.parse::<Mebibytes>().map(|size| Some(size.0)).map_err(|error| bad(&error.to_string())),
        };
        let time = || value.parse::<TimeLimit>().map_err(|error| bad(&format!("a time ({error})")));
        match key {
            "Nodes" => self.nodes = Some(members(value).map_err(|error| bad(&error))?),
            "Default" => self.default = Some(switch()?),
            "MaxTime" => self.time_max = Some(time()?),
            "DefaultTime" if value.eq_ignore_ascii_case("none") => self.time_default = Some(None),
            "DefaultTime" => self.time_default = Some(Some(time()?)),
            "MaxNodes" => self.nodes_max = Some(number("UNLIMITED")?),
            "MinNodes" => self.nodes_min = Some(number("none")?.unwrap_or(0)),
            "DefMemPerCPU" => self.memory_default = Some(memory()?),
            "MaxMemPerCPU" => self.memory_max = Some(memory()?),
            "PriorityTier" => self.tier = Some(small()?),
            "PriorityJobFactor" => self.priority_factor = Some(small()?),
            "State" => self.state = Some(state(value).ok_or_else(|| bad("UP, DOWN, DRAIN or INACTIVE"))?),
            "Hidden" => self.hidden = Some(switch()?),
            _ => unreachable!("every key of KEYS has its arm"),
        }
        Ok(())
    }

    /// The partition with this change.
    ///
    /// # Errors
    /// Which of its values do not go together.
    pub fn applied(&self, to: &Partition) -> Result<Partition, String> {
        let mut changed = to.clone();
        put(&mut changed.nodes, self.nodes.as_ref());
        put(&mut changed.default, self.default.as_ref());
        put(&mut changed.time_max, self.time_max.as_ref());
        put(&mut changed.time_default, self.time_default.as_ref());
        put(&mut changed.nodes_max, self.nodes_max.as_ref());
        put(&mut changed.nodes_min, self.nodes_min.as_ref());
        put(&mut changed.memory_per_cpu_mib_default, self.memory_default.as_ref());
        put(&mut changed.memory_per_cpu_mib_max, self.memory_max.as_ref());
        put(&mut changed.tier, self.tier.as_ref());
        put(&mut changed.priority_factor, self.priority_factor.as_ref());
        put(&mut changed.state, self.state.as_ref());
        put(&mut changed.hidden, self.hidden.as_ref());
        agree(&changed)?;
        Ok(changed)
    }
}

fn put<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

fn agree(partition: &Partition) -> Result<(), String> {
    let name = &partition.name;
    if let Some(usual) = partition.time_default.filter(|usual| *usual > partition.time_max) {
        return Err(format!("partition {name}: DefaultTime={usual} is more than MaxTime={}", partition.time_max));
    }
    if let Some(most) = partition.nodes_max.filter(|most| *most < partition.nodes_min) {
        return Err(format!("partition {name}: MaxNodes={most} is less than MinNodes={}", partition.nodes_min));
    }
    match (partition.memory_per_cpu_mib_default, partition.memory_per_cpu_mib_max) {
        (Some(usual), Some(most)) if usual > most => {
            Err(format!("partition {name}: DefMemPerCPU={usual} is more than MaxMemPerCPU={most}"))
        }
        _ => Ok(()),
    }
}

fn members(value: &str) -> Result<Members, String> {
    if value.eq_ignore_ascii_case("all") {
        return Ok(Members::All);
    }
    let names = hostlist::expand(value).map_err(|error| format!("ALL or a list such as n[1-3] ({error})"))?;
    Ok(Members::Listed(names.into_iter().map(Into::into).collect()))
}

fn state(value: &str) -> Option<PartitionState> {
    match value.to_ascii_uppercase().as_str() {
        "UP" => Some(PartitionState::Up),
        "DOWN" => Some(PartitionState::Down),
        "DRAIN" => Some(PartitionState::Drain),
        "INACTIVE" => Some(PartitionState::Inactive),
        _ => None,
    }
}

/// The key that is meant: one that is spelled out comes before those that it begins.
fn full_key(key: &str) -> Result<&'static str, ChangeError> {
    let begins = |known: &&&'static str| {
        known.get(..key.len()).is_some_and(|head| !key.is_empty() && head.eq_ignore_ascii_case(key))
    };
    let mut meant: Vec<&'static str> = KEYS.iter().chain(&UNBUILT).filter(begins).copied().collect();
    meant.sort_by_key(|known| known.len() != key.len());
    match meant[..] {
        [] => Err(ChangeError::Unknown(key.to_owned())),
        [first, ..] if meant.len() == 1 || first.len() == key.len() => {
            if KEYS.contains(&first) {
                Ok(first)
            } else {
                Err(ChangeError::Unbuilt(first))
            }
        }
        _ => Err(ChangeError::Ambiguous { key: key.to_owned(), meant }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_any_case_and_cut_short() {
        for (key, meant) in
            [("nodes", "Nodes"), ("STATE", "State"), ("defaulttime", "DefaultTime"), ("maxt", "MaxTime")]
        {
            assert_eq!(full_key(key), Ok(meant));
        }
        assert_eq!(full_key("default"), Ok("Default"), "spelled out, though it begins another");
        assert!(matches!(full_key("max"), Err(ChangeError::Ambiguous { .. })));
        assert_eq!(full_key("allowgroups"), Err(ChangeError::Unbuilt("AllowGroups")));
        assert!(matches!(full_key("Colour"), Err(ChangeError::Unknown(_))));
        assert!(matches!(full_key(""), Err(ChangeError::Unknown(_))));
    }

    #[test]
    fn every_known_key_is_taken_and_a_bad_value_named() {
        for key in KEYS {
            let good = ["1", "YES", "UP", "10"].iter().any(|value| Change::default().set(key, value).is_ok());
            assert!(good, "{key}");
            if key != "Nodes" {
                let error = Change::default().set(key, "n[").expect_err(key).to_string();
                assert!(error.starts_with(&format!("{key}=n[ has no meaning: give ")), "{error}");
            }
        }
        assert!(Change::default().set("Nodes", "n[").is_err());
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        let mut change = Change::default();
        change.set("MaxTime", "30").expect("good");
        change.set("DefaultTime", "1-0").expect("good");
        let refused = change.applied(&Partition::new("p".into())).expect_err("too long");
        assert_eq!(refused, "partition p: DefaultTime=1-00:00:00 is more than MaxTime=00:30:00");
    }
}
