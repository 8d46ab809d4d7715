//! The submitter's limits of `setrlimit(2)` that tasks get, and which of them `--propagate` names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a limit is about, by Slurm's names, in Slurm's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the names of getrlimit(2)")]
pub enum Limited {
    Cpu,
    Fsize,
    Data,
    Stack,
    Core,
    Rss,
    Nproc,
    Nofile,
    Memlock,
    As,
}

/// All of them.
pub const LIMITED: [Limited; 10] = [
    Limited::Cpu,
    Limited::Fsize,
    Limited::Data,
    Limited::Stack,
    Limited::Core,
    Limited::Rss,
    Limited::Nproc,
    Limited::Nofile,
    Limited::Memlock,
    Limited::As,
];

impl Limited {
    /// Slurm's name, such as `NOFILE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Limited::Cpu => "CPU",
            Limited::Fsize => "FSIZE",
            Limited::Data => "DATA",
            Limited::Stack => "STACK",
            Limited::Core => "CORE",
            Limited::Rss => "RSS",
            Limited::Nproc => "NPROC",
            Limited::Nofile => "NOFILE",
            Limited::Memlock => "MEMLOCK",
            Limited::As => "AS",
        }
    }
}

/// A soft limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// Of what.
    pub of: Limited,
    /// Absent for no limit.
    pub value: Option<u64>,
    /// Whether somebody named it: then a node that cannot give it says so in the task's stderr.
    pub asked: bool,
}

/// A name that is no limit's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("'{0}' is no limit: write ALL, NONE, or some of {names}", names = LIMITED.map(Limited::name).join(","))]
pub struct LimitedError(pub String);

impl FromStr for Limited {
    type Err = LimitedError;

    fn from_str(name: &str) -> Result<Limited, LimitedError> {
        let upper = name.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("RLIMIT_").unwrap_or(&upper);
        LIMITED.into_iter().find(|limited| limited.name() == bare).ok_or_else(|| LimitedError(name.to_owned()))
    }
}

/// What `--propagate` names; nothing is all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagate(Vec<Limited>);

impl FromStr for Propagate {
    type Err = LimitedError;

    fn from_str(list: &str) -> Result<Propagate, LimitedError> {
        match list.to_ascii_uppercase().as_str() {
            "" | "ALL" => Ok(Propagate(LIMITED.to_vec())),
            "NONE" => Ok(Propagate(Vec::new())),
            names => names.split(',').map(str::parse).collect::<Result<_, _>>().map(Propagate),
        }
    }
}

impl Propagate {
    /// Whether the limit travels with the job.
    #[must_use]
    pub fn names(&self, limited: Limited) -> bool {
        self.0.contains(&limited)
    }
}

impl fmt::Display for Propagate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("NONE"),
            some => f.write_str(&some.iter().map(|limited| limited.name()).collect::<Vec<_>>().join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_as_slurm_does() {
        let shown = |list: &str| list.parse::<Propagate>().map(|propagate| propagate.to_string());
        assert_eq!(shown("nofile,RLIMIT_CORE").as_deref(), Ok("NOFILE,CORE"));
        assert_eq!(shown("NONE").as_deref(), Ok("NONE"));
        assert_eq!(shown("").as_deref(), Ok("CPU,FSIZE,DATA,STACK,CORE,RSS,NPROC,NOFILE,MEMLOCK,AS"));
        assert_eq!(shown("CORE,X"), Err(LimitedError("X".into())));
    }
}
