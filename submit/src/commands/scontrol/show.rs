//! `scontrol show`: which entity is meant, and what is asked of the controller for it.

use std::process::ExitCode;

use proto::v1::{GetClusterReply, JobState, ListJobsRequest, ListNodesReply, ListNodesRequest, PartitionRow};
use tonic::Code;

use super::block::Style;
use super::{Options, describe, expand, hosts, keyword, show_job, show_node, show_partition, show_step};
use crate::call::{CallError, block_on, client, connect};
use crate::commands::squeue::load;
use crate::failure::{Failure, Outcome, print};
use crate::getopt::SLURM_VERSION;
use crate::show;

/// What can be shown, in the order in which a beginning of several is understood.
const ENTITIES: [&str; 21] = [
    "jobs",
    "jobid",
    "nodes",
    "partitions",
    "config",
    "steps",
    "reservations",
    "hostnames",
    "hostlist",
    "hostlistsorted",
    "licenses",
    "topology",
    "daemons",
    "aliases",
    "assoc_mgr",
    "bbstat",
    "burstbuffer",
    "dwstat",
    "federation",
    "stepid",
    "slurmd",
];

/// Shows what the words name.
pub(super) fn show(options: &Options, words: &[&str]) -> Outcome<ExitCode> {
    let Some((what, names)) = words.split_first() else {
        return Err(Failure::new("too few arguments for keyword:show"));
    };
    let names = names.join(",");
    // `show job=5` is as good as `show job 5`.
    let names = what.split_once('=').map_or(names, |(_, name)| name.to_owned());
    match keyword(what, &ENTITIES) {
        Some("jobs" | "jobid") => block_on(jobs(options, &names)),
        Some("steps" | "stepid") => block_on(show_step::steps(options, &names)),
        Some("nodes") => block_on(nodes(options, &names)),
        Some("partitions") => block_on(partitions(options, &names)),
        Some("config") => block_on(config(options)),
        Some("hostnames") => hosts::names(&names),
        Some(sorted @ ("hostlist" | "hostlistsorted")) => hosts::list(&names, sorted == "hostlistsorted"),
        Some("licenses") => block_on(licenses(options, &names)),
        Some(entity @ ("daemons" | "aliases")) => block_on(of_this_machine(options, entity)),
        Some("reservations") if names.is_empty() => print("No reservations in the system\n"),
        Some("reservations") => missing(&format!("Reservation {names}")),
        Some("assoc_mgr") => print(NO_ASSOCIATIONS),
        Some("topology") => {
            eprintln!("scontrol: error: No topology information available");
            Ok(ExitCode::SUCCESS)
        }
        // Covey has none of these, and Slurm without them prints nothing.
        Some("bbstat" | "burstbuffer" | "dwstat" | "federation") => Ok(ExitCode::SUCCESS),
        Some("slurmd") => Err(Failure::new(
            "slurm_load_slurmd_status: Requested operation not supported on this system",
        )
        .hint(Some("scontrol show node says what the controller knows of it, and its log is beside the controller's"))),
        _ => Err(Failure::new(format_args!("invalid entity:{what} for keyword:show "))),
    }
}

/// What `show assoc_mgr` prints of a cluster without associations.
const NO_ASSOCIATIONS: &str = "\
Current Association Manager state

No users currently cached in Slurm.


No associations currently cached in Slurm.


No QOS currently cached in Slurm.

";

/// What Slurm says, on stdout, of something that is not there.
fn missing(what: &str) -> Outcome<ExitCode> {
    print(format_args!("{what} not found\n"))?;
    Err(Failure::silent(1))
}

async fn jobs(options: &Options, ids: &str) -> Outcome<ExitCode> {
    let refused = |error: CallError| match error.code() {
        // What no JobRef can be made of is no job id either.
        Some(Code::InvalidArgument) => Failure::new("slurm_load_jobs error: Invalid job id specified"),
        _ => Failure::call("scontrol", "slurm_load_jobs error: ", &error),
    };
    let ids = show::items(ids);
    let channel = connect(options.connect_timeout).await.map_err(refused)?;
    let request = ListJobsRequest {
        ids: ids.clone(),
        ended: true,
        detail: true,
        expected_starts: true,
        skip_hidden: ids.is_empty() && !options.all,
        ..ListJobsRequest::default()
    };
    let (rows, now_ms) = match load(&channel, &request).await {
        Err(CallError::Refused(status)) if status.code() == Code::NotFound && ids.iter().any(|id| id.contains('_')) => {
            return missing(&format!("Job {}", ids.join(",")));
        }
        loaded => loaded.map_err(refused)?,
    };
    if rows.is_empty() {
        return match ids.as_slice() {
            [] => print("No jobs in the system\n"),
            ids => missing(&format!("Job {}", ids.join(","))),
        };
    }
    let style = Style::of(options.oneliner);
    print(rows.iter().map(|row| show_job::block(row, now_ms, options.details > 0).text(style)).collect::<String>())
}

async fn cluster(options: &Options) -> Result<ListNodesReply, CallError> {
    let channel = connect(options.connect_timeout).await?;
    Ok(client(&channel).list_nodes(ListNodesRequest {}).await?.into_inner())
}

async fn nodes(options: &Options, names: &str) -> Outcome<ExitCode> {
    let reply = cluster(options).await.map_err(|error| Failure::call("scontrol", "slurm_load_node error: ", &error))?;
    let wanted = expand(names)?;
    if let Some(name) = wanted.iter().find(|name| !reply.nodes.iter().any(|node| node.name == **name)) {
        return missing(&format!("Node {name}"));
    }
    if reply.nodes.is_empty() {
        return print("No nodes in the system\n");
    }
    let shown = reply.nodes.iter().filter(|node| wanted.is_empty() || wanted.contains(&node.name));
    let style = Style::of(options.oneliner);
    print(shown.map(|node| show_node::node(node).text(style)).collect::<String>())
}

async fn partitions(options: &Options, names: &str) -> Outcome<ExitCode> {
    let reply =
        cluster(options).await.map_err(|error| Failure::call("scontrol", "slurm_load_partitions error: ", &error))?;
    let wanted = show::items(names);
    if let Some(name) = wanted.iter().find(|name| !reply.partitions.iter().any(|known| known.name == **name)) {
        return missing(&format!("Partition {name}"));
    }
    let unasked = |partition: &PartitionRow| wanted.is_empty() && (options.all || !partition.hidden);
    let shown = reply.partitions.iter().filter(|partition| unasked(partition) || wanted.contains(&partition.name));
    let style = Style::of(options.oneliner);
    print(shown.map(|partition| show_partition::partition(partition, &reply.nodes).text(style)).collect::<String>())
}

async fn config(options: &Options) -> Outcome<ExitCode> {
    let refused = |error| Failure::call("scontrol", "slurm_load_ctl_conf error: ", &error);
    let reply = describe(options.connect_timeout).await.map_err(refused)?;
    print(config_text(&reply, jiff::Timestamp::now().as_millisecond()))
}

pub(super) fn config_text(reply: &GetClusterReply, now_ms: i64) -> String {
    let boot = show::time(reply.started_ms).unwrap_or_default();
    let own = [("BOOT_TIME", boot.as_str()), ("SLURM_VERSION", SLURM_VERSION)];
    let settings = reply.settings.iter().map(|setting| (setting.key.as_str(), setting.value.as_str()));
    let mut lines: Vec<(&str, &str)> = settings.chain(own).collect();
    lines.sort_by_key(|(key, _)| key.to_ascii_lowercase());
    let mut text = format!("Configuration data as of {}\n", show::time(now_ms).unwrap_or_default());
    for (key, value) in lines {
        text += &format!("{key:<23} = {}\n", show::or_null(value));
    }
    text + &format!("\nSlurmctld(primary) at {} is UP\n", reply.host)
}

/// The counters of the whole cluster, and how much running jobs hold of each.
async fn licenses(options: &Options, name: &str) -> Outcome<ExitCode> {
    let refused = |error| Failure::call("scontrol", "slurm_load_licenses error: ", &error);
    let reply = describe(options.connect_timeout).await.map_err(refused)?;
    let total = reply.settings.iter().find(|setting| setting.key == "Licenses").map(|setting| setting.value.clone());
    let total = counts(&total.unwrap_or_default());
    if total.is_empty() {
        return print("No licenses configured in Slurm.\n");
    }
    let channel = connect(options.connect_timeout).await.map_err(refused)?;
    let states = [JobState::Running, JobState::Suspended].map(i32::from).to_vec();
    let request = ListJobsRequest { states, detail: true, ..ListJobsRequest::default() };
    let (rows, _) = load(&channel, &request).await.map_err(refused)?;
    let held: Vec<(String, u64)> =
        rows.iter().filter_map(|row| row.detail.as_ref()).flat_map(|detail| counts(&detail.licenses)).collect();
    let mut text = String::new();
    for (license, total) in total.iter().filter(|(known, _)| name.is_empty() || known == name) {
        let used: u64 = held.iter().filter(|(known, _)| known == license).map(|(_, count)| count).sum();
        let free = total.saturating_sub(used);
        let gap = if options.oneliner { " " } else { "\n    " };
        text += &format!("LicenseName={license}{gap}Total={total} Used={used} Free={free} Reserved=0 Remote=no\n");
    }
    if text.is_empty() { missing(&format!("License name {name}")) } else { print(text) }
}

/// `name:count,...`; a name alone counts 1.
fn counts(list: &str) -> Vec<(String, u64)> {
    let list = if list == "(null)" { "" } else { list };
    let count = |item: &String| match item.split_once(':') {
        Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(0)),
        None => (item.clone(), 1),
    };
    show::items(list).iter().map(count).collect()
}

/// The daemons that should run here, or the nodes that do, one of which may have the machine's name.
async fn of_this_machine(options: &Options, entity: &str) -> Outcome<ExitCode> {
    let refused = |error| Failure::call("scontrol", "slurm_load_ctl_conf error: ", &error);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let reply = describe(options.connect_timeout).await.map_err(refused)?;
    let nodes = cluster(options).await.map_err(refused)?.nodes;
    let here: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).filter(|name| *name == host).collect();
    let words = match entity {
        "aliases" => here,
        _ => [(reply.host == host, "slurmctld"), (!here.is_empty(), "slurmd")]
            .into_iter()
            .filter_map(|(runs, daemon)| runs.then_some(daemon))
            .collect(),
    };
    if words.is_empty() { Ok(ExitCode::SUCCESS) } else { print(format_args!("{}\n", words.join(" "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_may_be_shortened() {
        for (word, meant) in [
            ("job", "jobs"),
            ("JobId=5", "jobid"),
            ("job=5", "jobs"),
            ("part", "partitions"),
            ("n", "nodes"),
            ("hostname", "hostnames"),
            ("hostlist", "hostlist"),
            ("hostlists", "hostlistsorted"),
            ("lic", "licenses"),
            ("res", "reservations"),
            ("s", "steps"),
            ("", ""),
            ("bogus", ""),
        ] {
            assert_eq!(keyword(word, &ENTITIES).unwrap_or_default(), meant, "{word}");
        }
    }

    #[test]
    fn licenses_are_counted() {
        assert_eq!(counts("matlab:2,ansys@flex"), [("matlab".into(), 2), ("ansys@flex".into(), 1)]);
        assert_eq!(counts("(null)"), []);
    }
}
