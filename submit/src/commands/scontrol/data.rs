//! `scontrol --json` and `--yaml`: jobs, steps, nodes, partitions and the controller in the shape of Slurm's data parser. Start at
//! [`show`].

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use proto::v1::{GetClusterRequest, ListJobsRequest, ListNodesReply, ListNodesRequest, NodeRow, PartitionRow};

use super::{Options, expand, keyword};
use crate::call::{CallError, block_on, client, connect};
use crate::commands::squeue::{Listing, fetch};
use crate::failure::{Failure, Outcome};
use crate::json::{Form, Meta, jobs, nodes, partitions, pings, steps};
use crate::row::display_id;
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
        return block_on(ping(form, options, &meta));
    }
    let (what, names) = rest.split_first().map_or(("", &[][..]), |(what, names)| (*what, names));
    let names = what.split_once('=').map_or(names.join(","), |(_, name)| name.to_owned());
    let known = ["jobs", "jobid", "nodes", "partitions", "steps", "stepid"];
    let entity = keyword(verb, &["show"]).and_then(|_| keyword(what, &known));
    match entity {
        Some("jobs" | "jobid") => block_on(of_jobs(form, options, &names, &meta)),
        Some("steps" | "stepid") => block_on(of_steps(form, options, &names, &meta)),
        Some("nodes") => block_on(of_nodes(form, options, &names, &meta)),
        Some("partitions") => block_on(of_partitions(form, options, &names, &meta)),
        _ => Err(Failure::new(format_args!("scontrol: error: {} has no JSON or YAML", words.join(" "))).hint(Some(
            "these have: show job, show step, show node, show partition, ping; leave --json out for the rest",
        ))),
    }
}

/// Makes the frame for a cluster.
type Frame<'a> = &'a dyn Fn(&str) -> Meta;

async fn of_jobs(form: Form, options: &Options, names: &str, meta: Frame<'_>) -> Outcome<ExitCode> {
    let wishes = ListJobsRequest { ended: true, expected_starts: true, ..ListJobsRequest::default() };
    let listing = listed(options, items(names), wishes).await?;
    form.print(&jobs::document(&listing.rows, &meta(&listing.head.cluster), listing.head.now_ms))
}

/// The steps of jobs that run; one is named as in 5.0, all of a job as in 5.
async fn of_steps(form: Form, options: &Options, names: &str, meta: Frame<'_>) -> Outcome<ExitCode> {
    let wanted = items(names);
    let ids = wanted.iter().map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect();
    let mut listing = listed(options, ids, ListJobsRequest { steps: true, ..ListJobsRequest::default() }).await?;
    for row in &mut listing.rows {
        let ids = [display_id(row), row.id.to_string()];
        let is =
            |number: u32, name: &String| !name.contains('.') || ids.iter().any(|id| *name == format!("{id}.{number}"));
        row.steps.retain(|step| wanted.is_empty() || wanted.iter().any(|name| is(step.step, name)));
    }
    form.print(&steps::document(&listing.rows, &meta(&listing.head.cluster), listing.head.now_ms))
}

/// What is known of these jobs, or of all. It is an error when there is none of those that were named.
async fn listed(options: &Options, ids: Vec<String>, wishes: ListJobsRequest) -> Outcome<Listing> {
    let refused = |error: CallError| Failure::call("scontrol", "slurm_load_jobs error: ", &error);
    let named = !ids.is_empty();
    let request = ListJobsRequest { skip_hidden: !named && !options.all, ids, detail: true, ..wishes };
    let channel = connect(options.connect_timeout).await.map_err(refused)?;
    let listing = fetch(&channel, &request).await.map_err(refused)?;
    if listing.rows.is_empty() && named {
        return Err(Failure::new("slurm_load_jobs error: Invalid job id specified"));
    }
    Ok(listing)
}

async fn cluster(options: &Options, prefix: &str) -> Outcome<ListNodesReply> {
    let asked = async {
        let channel = connect(options.connect_timeout).await?;
        Ok::<_, CallError>(client(&channel).list_nodes(ListNodesRequest {}).await?.into_inner())
    };
    asked.await.map_err(|error| Failure::call("scontrol", prefix, &error))
}

async fn of_nodes(form: Form, options: &Options, names: &str, meta: Frame<'_>) -> Outcome<ExitCode> {
    let reply = cluster(options, "slurm_load_node error: ").await?;
    let wanted = expand(names)?;
    if let Some(name) = wanted.iter().find(|name| !reply.nodes.iter().any(|node| node.name == **name)) {
        return Err(Failure::new(format_args!("Node {name} not found")));
    }
    let is_wanted = |node: &NodeRow| wanted.is_empty() || wanted.contains(&node.name);
    form.print(&nodes::document(&reply, is_wanted, &meta(&reply.cluster)))
}

async fn of_partitions(form: Form, options: &Options, names: &str, meta: Frame<'_>) -> Outcome<ExitCode> {
    let reply = cluster(options, "slurm_load_partitions error: ").await?;
    let wanted = items(names);
    if let Some(name) = wanted.iter().find(|name| !reply.partitions.iter().any(|known| known.name == **name)) {
        return Err(Failure::new(format_args!("Partition {name} not found")));
    }
    let is_wanted = |row: &PartitionRow| {
        if wanted.is_empty() { options.all || !row.hidden } else { wanted.contains(&row.name) }
    };
    form.print(&partitions::document(&reply, is_wanted, &meta(&reply.cluster)))
}

/// A controller that does not answer is an answer, too.
async fn ping(form: Form, options: &Options, meta: Frame<'_>) -> Outcome<ExitCode> {
    let begun = Instant::now();
    let asked = async {
        let channel = connect(options.connect_timeout).await?;
        Ok::<_, CallError>(client(&channel).get_cluster(GetClusterRequest {}).await?.into_inner())
    };
    let latency_us = || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    match asked.await {
        Ok(reply) => form.print(&pings::document(&reply.host, Some(latency_us()), &meta(&reply.name))),
        Err(CallError::Dial(_) | CallError::Lost(_)) => {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            form.print(&pings::document(&host, None, &meta("")))?;
            Err(Failure::silent(1))
        }
        Err(error) => Err(Failure::call("scontrol", "slurm_ping error: ", &error)),
    }
}
