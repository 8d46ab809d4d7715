//! `top`: some waiting jobs before all others of their user in the same partition, with the same account and QOS.
//!
//! As in Slurm it works by nice values. The priorities that these jobs have are dealt anew among them, so that nobody else's job is
//! overtaken but where all are alike: then each of the top jobs gets just enough more.

use std::process::ExitCode;

use proto::v1::job_change::Kind;
use proto::v1::{JobChange, JobRow, JobState, ListJobsRequest, UpdateJobsRequest};

use super::control;
use crate::call::{CallError, client, connect};
use crate::commands::squeue::load;
use crate::failure::{Failure, Outcome};
use crate::row::display_id;
use crate::show::items;

/// The least priority that a listing shows of what is not held.
const SHOWN_MIN: i64 = 1;

/// Puts the jobs that are named at the top.
pub(super) async fn top(words: &[&str], timeout: Option<u32>) -> Outcome<ExitCode> {
    let ids = items(&words.join(","));
    if ids.is_empty() {
        return Err(Failure::new("too few arguments for keyword:top"));
    }
    control::check(&ids, None)?;
    let refused = |error: CallError| Failure::call("scontrol", "slurm_top_job error: ", &error);
    let channel = connect(timeout).await.map_err(refused)?;
    let states = vec![JobState::Pending.into()];
    let request = ListJobsRequest { states, ..ListJobsRequest::default() };
    let (rows, _) = load(&channel, &request).await.map_err(refused)?;
    let wanted = |id: &String| rows.iter().find(|row| display_id(row) == *id || row.id.to_string() == *id);
    let mut chosen: Vec<&JobRow> = Vec::new();
    for id in &ids {
        let text = match wanted(id) {
            Some(row) if row.priority == 0 => "Job is in held state, pending scheduler release",
            Some(row) => {
                chosen.push(row);
                continue;
            }
            None if is_known(&channel, id).await.map_err(refused)? => "Job is no longer pending execution",
            None => "Invalid job id specified",
        };
        return Err(Failure::new(format_args!("{text} for job {id}")));
    }
    let first = chosen[0];
    let group: Vec<&JobRow> = rows.iter().filter(|row| row.priority > 0 && goes_with(row, first)).collect();
    chosen.retain(|row| goes_with(row, first));
    for (row, nice) in dealt(&chosen, &group) {
        let id = row.id.to_string();
        let changes = vec![JobChange { kind: Some(Kind::Nice(nice)) }];
        let request = UpdateJobsRequest { ids: vec![id.clone()], changes };
        let reply = client(&channel).update_jobs(request).await.map_err(|status| refused(status.into()))?;
        control::answer(&[id], &reply.into_inner().verdicts, None)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn is_known(channel: &crate::call::Channel, id: &str) -> Result<bool, CallError> {
    let request = ListJobsRequest { ids: vec![id.to_owned()], ended: true, ..ListJobsRequest::default() };
    match load(channel, &request).await {
        Ok((rows, _)) => Ok(!rows.is_empty()),
        Err(error) if error.code() == Some(tonic::Code::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

fn goes_with(row: &JobRow, other: &JobRow) -> bool {
    (row.uid, &row.partition, &row.account, &row.qos) == (other.uid, &other.partition, &other.account, &other.qos)
}

/// The priority behind the one that listings show, which is never less than [`SHOWN_MIN`].
fn priority(row: &JobRow) -> i64 {
    let shown = i64::from(row.priority);
    if shown > SHOWN_MIN { shown } else { SHOWN_MIN.min(-i64::from(row.nice)) }
}

/// The nice values that change: the priorities of the group, dealt to the chosen ones first, in their order.
fn dealt<'a>(chosen: &[&'a JobRow], group: &[&'a JobRow]) -> Vec<(&'a JobRow, i32)> {
    let mut order: Vec<&JobRow> = chosen.to_vec();
    let mut rest: Vec<&JobRow> =
        group.iter().filter(|row| chosen.iter().all(|taken| taken.id != row.id)).copied().collect();
    rest.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.id));
    order.extend(rest);
    let mut wanted: Vec<i64> = order.iter().map(|row| priority(row)).collect();
    wanted.sort_unstable_by_key(|priority| std::cmp::Reverse(*priority));
    // Of equal priorities the lower number goes first: a chosen one must be above what follows it.
    for at in (0..chosen.len().min(order.len() - 1)).rev() {
        wanted[at] = wanted[at].max(wanted[at + 1].max(SHOWN_MIN) + 1);
    }
    let nice = |(row, wanted): (&&'a JobRow, &i64)| {
        let nice = i64::from(row.nice) + priority(row) - wanted;
        (*row, i32::try_from(nice).unwrap_or(if nice < 0 { i32::MIN } else { i32::MAX }))
    };
    order.iter().zip(&wanted).map(nice).filter(|(row, nice)| row.nice != *nice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u32, priority: u32, nice: i32) -> JobRow {
        JobRow { id, priority, nice, ..JobRow::default() }
    }

    #[test]
    fn priorities_are_dealt_anew() {
        let rows = [row(1, 50, 0), row(2, 40, 10), row(3, 30, 0)];
        let group: Vec<&JobRow> = rows.iter().collect();
        let deal = |chosen: &[&JobRow]| -> Vec<(u32, i32)> {
            dealt(chosen, &group).into_iter().map(|(row, nice)| (row.id, nice)).collect()
        };
        // 3 gets the 50, 1 the 40, and 2 the 30.
        assert_eq!(deal(&[&rows[2]]), [(3, -20), (1, 10), (2, 20)]);
        assert_eq!(deal(&[&rows[0]]), [], "it is at the top already");
    }

    #[test]
    fn among_equals_the_top_gets_just_enough_more() {
        let rows = [row(1, 1, 0), row(2, 1, 0), row(3, 1, 0)];
        let group: Vec<&JobRow> = rows.iter().collect();
        let niced: Vec<(u32, i32)> =
            dealt(&[&rows[2], &rows[1]], &group).into_iter().map(|(row, nice)| (row.id, nice)).collect();
        assert_eq!(niced, [(3, -3), (2, -2)], "so much that listings show it, too");
        assert_eq!(dealt(&[&rows[1]], &[&rows[1]]), []);
    }
}
