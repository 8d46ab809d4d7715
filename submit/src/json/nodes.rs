//! Nodes as `scontrol show nodes --json` writes them. Start at [`document`].

use proto::v1::{ListNodesReply, NodeRow, NodeState};
use serde_json::{Value, json};

use super::number::{nonzero, time, unset};
use super::{Document, Meta, joined};
use crate::commands::sinfo::state::joined as state_words;
use crate::getopt::SLURM_VERSION;
use crate::row::tres_memory;

/// The nodes that a test lets pass.
pub(crate) fn document<'a>(
    reply: &'a ListNodesReply,
    wanted: impl Fn(&NodeRow) -> bool + Copy + 'a,
    meta: &'a Meta,
) -> Document<'a> {
    let rows = move || reply.nodes.iter().filter(move |row| wanted(row)).map(|row| node(row, &meta.cluster));
    meta.around("nodes", rows, json!({ "last_update": time(reply.now_ms) }))
}

/// A base state and its flags.
pub(super) fn states(row: &NodeRow) -> Vec<String> {
    state_words(row).split('+').map(str::to_owned).collect()
}

fn node(row: &NodeRow, cluster: &str) -> Value {
    joined([identity(row, cluster), resources(row), course(row), absent()])
}

fn identity(row: &NodeRow, cluster: &str) -> Value {
    json!({
        "name": row.name,
        "hostname": row.name,
        "address": row.address,
        "cluster_name": cluster,
        "partitions": row.partitions,
        "features": row.features,
        "active_features": row.features,
        "architecture": std::env::consts::ARCH,
        "operating_system": "",
        "version": SLURM_VERSION,
        "port": 0,
        "comment": "",
        "extra": "",
        "instance_id": "",
        "instance_type": "",
        "owner": "",
        "mcs_label": "",
        "topology": "",
    })
}

fn resources(row: &NodeRow) -> Value {
    let free_mib = row.memory_mib.saturating_sub(row.memory_held_mib);
    let held = format!("cpu={},mem={}", row.cpus_held, tres_memory(row.memory_held_mib));
    json!({
        "cpus": row.cpus,
        "effective_cpus": row.cpus,
        "alloc_cpus": row.cpus_held,
        "alloc_idle_cpus": row.cpus.saturating_sub(row.cpus_held),
        "real_memory": row.memory_mib,
        "alloc_memory": row.memory_held_mib,
        "free_mem": super::number::set(free_mib),
        "boards": 1,
        "sockets": 1,
        "cores": row.cpus,
        "threads": 1,
        "gres": row.gres,
        "gres_used": row.gres_held,
        "gres_drained": "N/A",
        "temporary_disk": 0,
        "weight": 1,
        "tres": format!("cpu={},mem={},billing={}", row.cpus, tres_memory(row.memory_mib), row.cpus),
        "tres_used": if row.cpus_held == 0 { String::new() } else { held },
        "tres_weighted": f64::from(row.cpus_held),
    })
}

fn course(row: &NodeRow) -> Value {
    let reason = row.reason.clone().unwrap_or_default();
    let away = row.state() == NodeState::Down && !row.responds;
    json!({
        "state": states(row),
        "next_state_after_reboot": ["INVALID"],
        "reason": reason.text,
        "reason_changed_at": time(reason.at_ms),
        "reason_set_by_user": reason.user,
        "resume_after": nonzero(u64::try_from(reason.resume_ms / 1000).unwrap_or(0)),
        "reservation": "",
        "boot_time": unset(),
        "slurmd_start_time": if away { unset() } else { time(row.since_ms) },
        "last_busy": unset(),
    })
}

/// What Slurm has and Covey has not, or does not measure.
fn absent() -> Value {
    json!({
        "burstbuffer_network_address": "",
        "cpu_binding": 0,
        "cpu_load": 0,
        "energy": {
            "average_watts": 0,
            "base_consumed_energy": 0,
            "consumed_energy": 0,
            "current_watts": unset(),
            "previous_consumed_energy": 0,
            "last_collected": 0,
        },
        "external_sensors": {},
        "power": {},
        "gpu_spec": "",
        "res_cores_per_gpu": 0,
        "specialized_cores": 0,
        "specialized_cpus": "",
        "specialized_memory": 0,
    })
}
