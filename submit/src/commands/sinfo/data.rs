//! `sinfo --json`: an entry for each kind of node in each partition, in the shape of Slurm's data parser. Start at
//! [`document`].

use std::rc::Rc;

use proto::v1::{ListNodesReply, NodeRow};
use serde_json::{Value, json};

use super::columns::COLUMNS;
use super::columns::counts::{cpus, nodes};
use super::group::{Grouping, Line, Listing, lines};
use super::state::joined;
use crate::json::{Document, Meta, number, partitions::partition};
use crate::table::Format;

/// What parts nodes into entries.
const KINDS: &str = "%P%T%c%m%e%f%G%E%u%H";

/// The entries of a listing; `reply` says what partitions have in all.
pub(super) fn document<'a>(listing: &Listing, reply: &'a ListNodesReply, meta: &Meta) -> Document<'a> {
    let (format, _) = Format::letters(KINDS, COLUMNS);
    let grouping = Grouping { exact: true, ..Grouping::default() };
    let lines = Rc::new(lines(listing, &format, grouping));
    let rows = move || {
        let lines = Rc::clone(&lines);
        (0..lines.len()).map(move |at| entry(&lines[at], reply))
    };
    meta.around("sinfo", rows, json!({}))
}

fn entry(line: &Line, reply: &ListNodesReply) -> Value {
    let first = line.nodes.first();
    let names: Vec<&str> = line.nodes.iter().map(|node| node.name.as_str()).collect();
    let addresses: Vec<&str> = line.nodes.iter().map(|node| node.address.as_str()).collect();
    let states: Vec<String> =
        first.map(|node| joined(node).split('+').map(str::to_owned).collect()).unwrap_or_default();
    let ([n_allocated, n_idle, n_other, n_total], [allocated, idle, other, total]) = (nodes(line), cpus(line));
    let (cpus_min, cpus_max) = range(line, |node| node.cpus.into());
    let (ones_min, ones_max) = range(line, |_| 1);
    let features = first.map(|node| node.features.join(",")).unwrap_or_default();
    let reason = first.and_then(|node| node.reason.clone()).unwrap_or_default();
    json!({
        "port": 0,
        "node": { "state": states },
        "nodes": {
            "allocated": n_allocated, "idle": n_idle, "other": n_other, "total": n_total,
            "hostnames": names, "addresses": addresses, "nodes": names,
        },
        "cpus": {
            "allocated": allocated, "idle": idle, "other": other, "total": total,
            "minimum": cpus_min, "maximum": cpus_max,
        },
        "sockets": { "minimum": ones_min, "maximum": ones_max },
        "cores": { "minimum": cpus_min, "maximum": cpus_max },
        "threads": { "minimum": ones_min, "maximum": ones_max },
        "disk": { "minimum": 0, "maximum": 0 },
        "memory": memory(line),
        "weight": { "minimum": ones_min, "maximum": ones_max },
        "cpu": { "load": { "minimum": number::unset(), "maximum": number::unset() } },
        "features": { "total": features, "active": features },
        "gres": {
            "total": first.map_or("", |node| &node.gres),
            "used": first.map_or("", |node| &node.gres_held),
        },
        "cluster": line.cluster,
        "comment": "",
        "extra": "",
        "reason": { "description": reason.text, "time": number::time(reason.at_ms), "user": reason.user },
        "reservation": "",
        "partition": partition(&line.partition, &reply.nodes, &line.cluster),
    })
}

fn memory(line: &Line) -> Value {
    let (least, most) = range(line, |node| node.memory_mib);
    let (free_least, free_most) = range(line, |node| node.memory_mib.saturating_sub(node.memory_held_mib));
    let known = |mib: u64| if line.nodes.is_empty() { number::unset() } else { number::set(mib) };
    json!({
        "minimum": least,
        "maximum": most,
        "free": { "minimum": known(free_least), "maximum": known(free_most) },
        "allocated": line.nodes.iter().map(|node| node.memory_held_mib).sum::<u64>(),
    })
}

fn range(line: &Line, number: fn(&NodeRow) -> u64) -> (u64, u64) {
    let numbers = || line.nodes.iter().map(number);
    (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0))
}
