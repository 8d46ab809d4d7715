//! What a job asks for, or holds.

use sched::spec::size::Mebibytes;

use super::{Listed, detail, detail_or, word, written};
use crate::row::{tres_asked, tres_held};
use crate::show::push_number;
use crate::table::{Column, NO_LETTER};

pub(super) const COLUMNS: &[Column<Listed>] = &[
    written('D', &["numnodes"], "NODES", |it, text| push_number(text, it.row.node_count.into())),
    written('C', &["numcpus"], "CPUS", |it, text| push_number(text, it.row.cpus.into())),
    word('c', &["mincpus"], "MIN_CPUS", |it| it.row.cpus_per_process.max(1).to_string()),
    word(NO_LETTER, &["cpus-per-task", "cpuspertask"], "CPUS_PER_TASK", |it| {
        it.row.cpus_per_process.max(1).to_string()
    }),
    word(NO_LETTER, &["numtasks"], "TASKS", |it| it.row.processes.to_string()),
    word(NO_LETTER, &["maxcpus"], "MAX_CPUS", |it| it.row.cpus.to_string()),
    word(NO_LETTER, &["maxnodes"], "MAX_NODES", |it| it.row.node_count.to_string()),
    word(NO_LETTER, &["ntpernode"], "NTASKS_PER_NODE", |it| {
        it.row.detail.as_ref().map_or(0, |detail| detail.processes_per_node).to_string()
    }),
    word('m', &["minmemory"], "MIN_MEMORY", memory),
    word('b', &["tres-per-node", "gres"], "TRES_PER_NODE", |it| detail_or(it, |detail| &detail.gres_per_node, "N/A")),
    word(NO_LETTER, &["tres-per-job"], "TRES_PER_JOB", |it| detail_or(it, |detail| &detail.gres_in_all, "N/A")),
    word(NO_LETTER, &["tres-per-task"], "TRES_PER_TASK", |it| detail_or(it, |detail| &detail.gres_per_process, "N/A")),
    word(NO_LETTER, &["tres-alloc", "tres"], "TRES_ALLOC", |it| {
        tres_held(&it.row).unwrap_or_else(|| tres_asked(&it.row))
    }),
    word('f', &["feature", "features"], "FEATURES", |it| detail(it, |detail| &detail.constraint)),
    word('W', &["licenses"], "LICENSES", |it| detail(it, |detail| &detail.licenses)),
    word('h', &["oversubscribe", "shared"], "OVER_SUBSCRIBE", |it| {
        let alone = it.row.detail.as_ref().is_some_and(|detail| detail.exclusive);
        if alone { "NO" } else { "OK" }.into()
    }),
];

/// As it was asked for, for each node or each CPU; 0 for the default.
fn memory(it: &Listed) -> String {
    match it.row.memory_mib {
        0 => "0".into(),
        mib if it.shown.noconvert => format!("{mib}M"),
        mib => Mebibytes(mib).to_string(),
    }
}
