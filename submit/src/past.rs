//! What jobs used, asked from history and added up: for `sshare`, `sreport` and `sacctmgr`.
//!
//! A row is folded at once, so that a long history costs what is told of it. Start at [`fold`]; [`Ledger`] is the sum that two of
//! the commands print.

use std::collections::BTreeMap;

use proto::v1::{GetClusterReply, GetClusterRequest, JobRow, ListHistoryRequest, ListJobsRequest};

use crate::call::{CallError, Channel, client};
use crate::row::elapsed_s;

/// The controller's name, host and settings.
pub(crate) async fn cluster(channel: &Channel) -> Result<GetClusterReply, CallError> {
    Ok(client(channel).get_cluster(GetClusterRequest {}).await?.into_inner())
}

/// Both ends in milliseconds since 1970, the first included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
}

impl Span {
    /// All there is.
    pub(crate) const ALL: Span = Span { from_ms: 0, until_ms: i64::MAX };

    /// Seconds of the span.
    pub(crate) fn seconds(self) -> u64 {
        u64::try_from(self.until_ms - self.from_ms).unwrap_or(0) / 1000
    }

    /// For how many seconds of the span a row ran. What it was suspended counts where the span is shorter than the row.
    pub(crate) fn ran_s(self, row: &JobRow, now_ms: i64) -> u64 {
        let end_ms = if row.ended_ms == 0 { now_ms } else { row.ended_ms };
        let part_ms = end_ms.min(self.until_ms) - row.started_ms.max(self.from_ms);
        if row.started_ms == 0 { 0 } else { (u64::try_from(part_ms).unwrap_or(0) / 1000).min(elapsed_s(row, now_ms)) }
    }
}

/// Shows every row of the span to `see`, with the controller's time of the listing.
pub(crate) async fn fold(channel: &Channel, span: Span, mut see: impl FnMut(&JobRow, i64)) -> Result<(), CallError> {
    let jobs = ListJobsRequest { ended: true, ..ListJobsRequest::default() };
    let request =
        ListHistoryRequest { jobs: Some(jobs), from_ms: span.from_ms, until_ms: span.until_ms, duplicates: true };
    let mut pages = client(channel).list_history(request).await?.into_inner();
    let mut now_ms = 0;
    while let Some(page) = pages.message().await? {
        now_ms = page.now_ms.max(now_ms);
        page.rows.iter().for_each(|row| see(row, now_ms));
    }
    Ok(())
}

/// What somebody used, in units times seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) cpu: u64,
    /// MiB seconds.
    pub(crate) mem: u64,
    pub(crate) node: u64,
}

impl Used {
    /// What a row used in a span.
    pub(crate) fn by(row: &JobRow, span: Span, now_ms: i64) -> Used {
        let seconds = span.ran_s(row, now_ms);
        let nodes = u64::from(row.node_count);
        Used { cpu: seconds * u64::from(row.cpus), mem: seconds * row.memory_held_mib * nodes, node: seconds * nodes }
    }

    pub(crate) fn add(&mut self, other: Used) {
        self.cpu += other.cpu;
        self.mem += other.mem;
        self.node += other.node;
    }
}

/// What every user used in every account.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// By account and user.
    pub(crate) of: BTreeMap<(String, String), Used>,
}

impl Ledger {
    pub(crate) fn enter(&mut self, row: &JobRow, used: Used) {
        self.of.entry((row.account.clone(), row.user.clone())).or_default().add(used);
    }

    /// All of it, or all of an account.
    pub(crate) fn sum(&self, account: Option<&str>) -> Used {
        let mut sum = Used::default();
        let meant = self.of.iter().filter(|((of, _), _)| account.is_none_or(|account| of == account));
        meant.for_each(|(_, used)| sum.add(*used));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_of_a_span_does_not_count() {
        let row = JobRow {
            started_ms: 10_000,
            ended_ms: 30_000,
            cpus: 4,
            node_count: 2,
            memory_held_mib: 3,
            ..JobRow::default()
        };
        let ran = |from_ms, until_ms| Span { from_ms, until_ms }.ran_s(&row, 99_000);
        assert_eq!((ran(0, 90_000), ran(15_000, 20_000), ran(0, 12_000), ran(40_000, 50_000)), (20, 5, 2, 0));
        let runs = JobRow { ended_ms: 0, paused_ms: 9_000, ..row.clone() };
        assert_eq!((Span::ALL.ran_s(&runs, 40_000), Span::ALL.ran_s(&JobRow::default(), 40_000)), (21, 0));
        let mut ledger = Ledger::default();
        for account in ["a", "b", "a"] {
            let row = JobRow { account: account.into(), ..row.clone() };
            ledger.enter(&row, Used::by(&row, Span::ALL, 99_000));
        }
        assert_eq!(ledger.sum(None), Used { cpu: 240, mem: 360, node: 120 });
        assert_eq!(ledger.sum(Some("a")).cpu, 160);
    }
}
