//! `scontrol --json` and `--yaml`: jobs, steps, nodes, partitions and the controller in the shape of Slurm's data parser. Start at
//! [`show`].

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use proto::v1::{GetClusterRequest, ListJobsRequest, ListNodesReply, ListNodesRequest};
use serde_json::Value;

use super::{Options, expand, keyword};
use crate::call::{CallError, block_on, client, connect};
use crate::commands::squeue::{Listing, fetch};
use crate::failure::{Failure, Outcome};
use crate::json::{Form, Meta, jobs, nodes, partitions, pings, steps};
use crate::show::items;

/// Writes what the words ask to show.
///
/// # Errors
/// When there is no such thing, or it has no such form.
pub(super) fn show(form: Form, options: &Options, args: &[OsString]) -> Outcome<ExitCode> {
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    let (verb, rest) = words.split_first().map_or(("", &[][..]), |(verb, rest)| (*verb, rest));
    let meta = |cluster: &str| Meta::here("scontrol", args, cluster);
    if keyword(verb, &["ping"]).is_some() {
        return form.print(&block_on(ping(options, &meta))?);
    }
    let (what, names) = rest.split_first().map_or(("", &[][..]), |(what, names)| (*what, names));
    let names = what.split_once('=').map_or(names.join(","), |(_, name)| name.to_owned());
    let known = ["jobs", "jobid", "nodes", "partitions", "steps", "stepid"];
    let entity = keyword(verb, &["show"]).and_then(|_| keyword(what, &known));
    let document = match entity {
        Some("jobs" | "jobid") => block_on(of_jobs(options, &names, false, &meta))?,
        Some("steps" | "stepid") => block_on(of_jobs(options, &names, true, &meta))?,
        Some("nodes") => block_on(of_nodes(options, &names, &meta))?,
        Some("partitions") => block_on(of_partitions(options, &names, &meta))?,
        _ => {
            return Err(Failure::new(format_args!("scontrol: error: {} has no JSON or YAML", words.join(" "))).hint(
                Some("these have: show job, show step, show node, show partition, ping; leave --json out for the rest"),
            ));
        }
    };
    form.print(&document)
}

/// Makes the frame for a cluster.
type Frame<'a> = &'a dyn Fn(&str) -> Meta;

/// Jobs, or the steps of jobs that run; a step is named by its job, as in 5.0.
async fn of_jobs(options: &Options, names: &str, of_steps: bool, meta: Frame<'_>) -> Outcome<Value> {
    let refused = |error: CallError| Failure::call("scontrol", "slurm_load_jobs error: ", &error);
    let wanted = items(names);
    let job_of = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    let ids: Vec<String> = if of_steps { wanted.iter().map(job_of).collect() } else { wanted.clone() };
    let request = ListJobsRequest {
        skip_hidden: ids.is_empty() && !options.all,
        ids,
        ended: !of_steps,
        detail: true,
        expected_starts: !of_steps,
        steps: of_steps,
        ..ListJobsRequest::default()
    };
    let channel = connect(options.connect_timeout).await.map_err(refused)?;
    let Listing { mut rows, now_ms, cluster, .. } = fetch(&channel, &request).await.map_err(refused)?;
    if rows.is_empty() && !wanted.is_empty() {
        return Err(Failure::new("slurm_load_jobs error: Invalid job id specified"));
    }
    if !of_steps {
        return Ok(jobs::document(&rows, &meta(&cluster), now_ms));
    }
    for row in &mut rows {
        let row_id = crate::commands::squeue::row::display_id(row);
        let is = |number: u32, name: &String| {
            !name.contains('.') || [format!("{row_id}.{number}"), format!("{}.{number}", row.id)].contains(name)
        };
        row.steps.retain(|step| wanted.is_empty() || wanted.iter().any(|name| is(step.step, name)));
    }
    Ok(steps::document(&rows, &meta(&cluster), now_ms))
}

async fn cluster(options: &Options, prefix: &str) -> Outcome<ListNodesReply> {
    let asked = async {
        let channel = connect(options.connect_timeout).await?;
        Ok::<_, CallError>(client(&channel).list_nodes(ListNodesRequest {}).await?.into_inner())
    };
    asked.await.map_err(|error| Failure::call("scontrol", prefix, &error))
}

async fn of_nodes(options: &Options, names: &str, meta: Frame<'_>) -> Outcome<Value> {
    let reply = cluster(options, "slurm_load_node error: ").await?;
    let wanted = expand(names)?;
    if let Some(name) = wanted.iter().find(|name| !reply.nodes.iter().any(|node| node.name == **name)) {
        return Err(Failure::new(format_args!("Node {name} not found")));
    }
    Ok(nodes::document(&reply, |node| wanted.is_empty() || wanted.contains(&node.name), &meta(&reply.cluster)))
}

async fn of_partitions(options: &Options, names: &str, meta: Frame<'_>) -> Outcome<Value> {
    let reply = cluster(options, "slurm_load_partitions error: ").await?;
    let wanted = items(names);
    if let Some(name) = wanted.iter().find(|name| !reply.partitions.iter().any(|known| known.name == **name)) {
        return Err(Failure::new(format_args!("Partition {name} not found")));
    }
    let is_shown = |name: &String, hidden: bool| {
        if wanted.is_empty() { options.all || !hidden } else { wanted.contains(name) }
    };
    Ok(partitions::document(&reply, |row| is_shown(&row.name, row.hidden), &meta(&reply.cluster)))
}

/// A controller that does not answer is an answer, too.
async fn ping(options: &Options, meta: Frame<'_>) -> Outcome<Value> {
    let begun = Instant::now();
    let asked = async {
        let channel = connect(options.connect_timeout).await?;
        Ok::<_, CallError>(client(&channel).get_cluster(GetClusterRequest {}).await?.into_inner())
    };
    let latency_us = || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    match asked.await {
        Ok(reply) => Ok(pings::document(&reply.host, Some(latency_us()), &meta(&reply.name))),
        Err(CallError::Dial(_) | CallError::Lost(_)) => {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Ok(pings::document(&host, None, &meta("")))
        }
        Err(error) => Err(Failure::call("scontrol", "slurm_ping error: ", &error)),
    }
}
