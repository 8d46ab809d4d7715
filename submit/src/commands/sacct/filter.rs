//! What `sacct` leaves out by itself: the filters that the controller does not know.

use proto::v1::JobRow;
use sched::spec::duration::TimeLimit;

use super::options::Options;
use crate::failure::{Failure, Outcome};
use crate::show::items;

/// Every filter lets everything pass where it is empty; all must match.
#[derive(Debug, Default)]
pub(super) struct Filter {
    accounts: Vec<String>,
    qos: Vec<String>,
    wckeys: Vec<String>,
    groups: Vec<String>,
    reasons: Vec<String>,
    /// All of them, not any.
    constraints: Vec<String>,
    nodes: Option<(u32, u32)>,
    cpus: Option<(u32, u32)>,
    /// Minutes.
    limits: Option<(u64, u64)>,
}

impl Filter {
    /// Reads the filters.
    ///
    /// # Errors
    /// The first value that means nothing, in Slurm's text.
    pub(super) fn of(options: &Options) -> Outcome<Filter> {
        let given = |text: &Option<String>| items(text.as_deref().unwrap_or_default());
        let (least, most) = (limit(options.timelimit_min.as_deref())?, limit(options.timelimit_max.as_deref())?);
        Ok(Filter {
            accounts: given(&options.accounts),
            qos: given(&options.qos),
            wckeys: given(&options.wckeys),
            groups: given(&options.group),
            reasons: given(&options.reason),
            constraints: given(&options.constraints),
            nodes: range(options.nnodes.as_deref(), "node", "-i")?,
            cpus: range(options.ncpus.as_deref(), "cpu", "-i")?,
            limits: least.map(|least| (least, most.unwrap_or(least))),
        })
    }

    /// Whether a row is wanted.
    pub(super) fn takes(&self, row: &JobRow) -> bool {
        let one_of = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|word| word == value);
        let within = |range: Option<(u32, u32)>, value| range.is_none_or(|(min, max)| (min..=max).contains(&value));
        let group = |word: &String| *word == row.group || word.parse() == Ok(row.gid);
        let constraint = row.detail.as_ref().map_or("", |detail| &detail.constraint);
        let has = |word: &String| {
            constraint.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|it| it == word)
        };
        let cpus = if row.started_ms == 0 { 0 } else { row.cpus };
        let minutes = row.time_limit_minutes.unwrap_or(u64::MAX);
        one_of(&self.accounts, &row.account)
            && one_of(&self.qos, &row.qos)
            && one_of(&self.wckeys, &row.wckey)
            && one_of(&self.reasons, &row.reason)
            && (self.groups.is_empty() || self.groups.iter().any(group))
            && self.constraints.iter().all(has)
            && within(self.nodes, row.node_count)
            && within(self.cpus, cpus)
            && self.limits.is_none_or(|(min, max)| (min..=max).contains(&minutes))
    }
}

/// `MIN[-MAX]`; one number alone is both.
fn range(text: Option<&str>, what: &str, option: &str) -> Outcome<Option<(u32, u32)>> {
    let Some(text) = text else { return Ok(None) };
    crate::shape::range(text).map(Some).map_err(|_| {
        Failure::new(format_args!("sacct: error: invalid {what} range {option} '{text}'"))
            .hint(Some("give a number, or two as in 2-4"))
    })
}

/// A time limit in minutes.
fn limit(text: Option<&str>) -> Outcome<Option<u64>> {
    let minutes = |limit| match limit {
        TimeLimit::Minutes(minutes) => u64::from(minutes.get()),
        TimeLimit::Unlimited => u64::MAX,
    };
    let read = text.map(str::parse::<TimeLimit>).transpose();
    let bad = |error| Failure::new("sacct: fatal: Invalid time limit specification").hint(Some(error));
    read.map(|limit| limit.map(minutes)).map_err(bad)
}
