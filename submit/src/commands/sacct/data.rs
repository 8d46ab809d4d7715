//! `sacct --json` and `--yaml`: jobs and their steps in the shape of Slurm's database. Start at [`show`].

use std::ffi::OsString;
use std::process::ExitCode;

use proto::v1::{JobRow, ListHistoryRequest};

use super::REFUSED;
use super::options::Asked;
use crate::call::{CallError, client, connect};
use crate::failure::{Failure, Outcome};
use crate::json::{Form, Meta, history};
use crate::row::{array_or_job, expanded};

/// Writes the jobs that were asked for, in the order of the table.
///
/// # Errors
/// When the controller refuses, or stdout does not take it.
pub(super) async fn show(form: Form, asked: &Asked, timeout: Option<u32>, args: &[OsString]) -> Outcome<ExitCode> {
    let refused = |error: CallError| Failure::call("sacct", REFUSED, &error);
    let mut request = asked.request.clone();
    if let Some(jobs) = &mut request.jobs {
        (jobs.detail, jobs.steps) = (true, true);
    }
    let channel = connect(timeout).await.map_err(refused)?;
    let (mut rows, now_ms, cluster) = load(&channel, request).await.map_err(refused)?;
    asked.check_cluster(&cluster)?;
    if asked.nobody {
        rows.clear();
    }
    rows.retain(|row| asked.filter.takes(row));
    let expand = |row| if asked.expand { expanded(row) } else { vec![row] };
    let mut rows: Vec<JobRow> = rows.into_iter().flat_map(expand).map(|row| asked.truncated(&row)).collect();
    rows.sort_by_key(|row| (array_or_job(row), row.index.map_or(0, |index| u64::from(index) + 1)));
    form.print(&history::document(&rows, &Meta::here("sacct", args, &cluster), now_ms))
}

async fn load(
    channel: &crate::call::Channel,
    request: ListHistoryRequest,
) -> Result<(Vec<JobRow>, i64, String), CallError> {
    let mut pages = client(channel).list_history(request).await?.into_inner();
    let (mut rows, mut now_ms, mut cluster) = (Vec::new(), 0, String::new());
    while let Some(page) = pages.message().await? {
        now_ms = now_ms.max(page.now_ms);
        rows.extend(page.rows);
        if !page.cluster.is_empty() {
            cluster = page.cluster;
        }
    }
    Ok((rows, now_ms, cluster))
}
