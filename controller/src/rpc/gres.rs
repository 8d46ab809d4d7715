//! What is held of gres, and what is asked for, as listings show it.

use proto::v1;
use sched::cluster::Cluster;
use sched::devices::Devices;
use sched::resources::{Counts, Share};
use sched::spec::gres::{DEVICES_MAX, GPU, Gres, Per};
use sched::spec::hostlist;
use sched::spec::job::Request;

/// What is held of a node's gres, with the numbers of devices: `gpu:a100:2(IDX:0-1),fpga:1`.
pub(super) fn held(gres: &[Gres], counts: &Counts, devices: Devices) -> String {
    let mut first = 0;
    let mut shown = Vec::new();
    for (kind, gres) in gres.iter().enumerate() {
        let mut text = format!("{}:{}", gres.label(), counts.at(kind));
        if &*gres.name == GPU {
            let end = (first + u32::from(gres.count)).min(DEVICES_MAX);
            let mine: Vec<String> = devices
                .numbers()
                .filter(|device| (first..end).contains(device))
                .map(|device| device.to_string())
                .collect();
            first = end;
            let ranges = if mine.is_empty() { "N/A".into() } else { hostlist::compress(mine) };
            text.push_str(&format!("(IDX:{})", ranges.trim_matches(['[', ']'])));
        }
        shown.push(text);
    }
    shown.join(",")
}

/// What a task holds on its nodes: one entry for those in a row that hold alike.
pub(super) fn shares(cluster: &Cluster, shares: &[Share]) -> Vec<v1::HeldShare> {
    let of_node = |share: &Share| {
        let node = cluster.node(share.node)?;
        let gres = if share.amount.gres.is_empty() {
            String::new()
        } else {
            held(&node.offer.gres, &share.amount.gres, share.devices)
        };
        let (cpus, memory_mib) = (share.amount.cpus.count(), share.amount.memory_mib);
        Some(v1::HeldShare { nodes: node.name.to_string(), cpus, memory_mib, gres })
    };
    let each: Vec<v1::HeldShare> = shares.iter().filter_map(of_node).collect();
    let alike =
        |a: &v1::HeldShare, b: &v1::HeldShare| (a.cpus, a.memory_mib, &a.gres) == (b.cpus, b.memory_mib, &b.gres);
    let group = |group: &[v1::HeldShare]| {
        let nodes = hostlist::compress(group.iter().map(|share| &*share.nodes));
        v1::HeldShare { nodes, ..group[0].clone() }
    };
    each.chunk_by(alike).map(group).collect()
}

/// What is asked for, each kind with the prefix `gres/`.
pub(super) fn asked(request: &Request, per: Per) -> String {
    let asks = request.gres.iter().filter(|ask| ask.per == per);
    asks.map(|ask| format!("gres/{ask}")).collect::<Vec<_>>().join(",")
}

/// Puts what a job asks for beyond its size into its detailed row.
pub(super) fn wishes(request: &Request, detail: &mut v1::JobDetail) {
    detail.nodes_asked = hostlist::compress_sorted(&request.nodes);
    detail.nodes_excluded = hostlist::compress_sorted(&request.exclude);
    detail.constraint = request.constraint.as_ref().map(ToString::to_string).unwrap_or_default();
    detail.gres_per_node = asked(request, Per::Node);
    detail.gres_per_process = asked(request, Per::Process);
    detail.gres_in_all = asked(request, Per::Task);
    detail.licenses = request.licenses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    detail.processes_per_node = request.processes_per_node.unwrap_or(0);
    detail.exclusive = request.exclusive;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_shown_with_their_types() {
        let gres = Gres::list("gpu:a100:3,fpga:2,gpu:v100:1").expect("gres of a node");
        let shown = held(&gres, &Counts::of([3, 1, 0]), Devices::from_bits(0b0111));
        assert_eq!(shown, "gpu:a100:3(IDX:0-2),fpga:1,gpu:v100:0(IDX:N/A)");
        let shown = held(&gres, &Counts::of([2, 0, 1]), Devices::from_bits(0b1101));
        assert_eq!(shown, "gpu:a100:2(IDX:0,2),fpga:0,gpu:v100:1(IDX:3)");
    }
}
