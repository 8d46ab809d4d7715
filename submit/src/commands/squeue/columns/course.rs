//! How far a job is, why, and before whom it goes.

use proto::v1::JobState;

use super::{Listed, restarts, state, whole, word};
use crate::show::or_null;
use crate::table::{Column, Cut, NO_LETTER};

pub(super) const COLUMNS: &[Column<Listed>] = &[
    word('T', &["state"], "STATE", |it| state(&it.row).0.into()),
    word('t', &["statecompact"], "ST", |it| state(&it.row).1.into()),
    word('r', &["reason"], "REASON", |it| it.row.reason.clone()),
    Column { cut: Cut::NodesStay, ..whole('R', &["reasonlist"], "NODELIST(REASON)", nodes_or_reason) },
    whole('N', &["nodelist", "nodes"], "NODELIST", |it| it.row.nodes.clone()),
    word('B', &["batchhost"], "EXEC_HOST", |it| match it.row.batch_host.as_str() {
        "" => "n/a".into(),
        host => host.into(),
    }),
    whole('Y', &["schednodes"], "SCHEDNODES", |it| or_null(&it.row.expected_nodes)),
    word('E', &["dependency"], "DEPENDENCY", |it| or_null(&it.row.dependency)),
    word('p', &["priority"], "PRIORITY", |it| format!("{:.14}", f64::from(it.row.priority) / f64::from(u32::MAX))),
    word('Q', &["prioritylong"], "PRIORITY", |it| it.row.priority.to_string()),
    word('y', &["nice"], "NICE", |it| it.row.nice.to_string()),
    word(NO_LETTER, &["exit_code"], "EXIT_CODE", |it| status(it.row.exit_code, it.row.exit_signal)),
    word(NO_LETTER, &["derivedec"], "DERIVED_EC", |it| status(it.row.derived_exit_code, it.row.derived_exit_signal)),
    word(NO_LETTER, &["restartcnt"], "RESTART_COUNT", |it| restarts(&it.row).to_string()),
    word(NO_LETTER, &["requeue"], "REQUEUE", |it| {
        u8::from(it.row.detail.as_ref().is_some_and(|detail| detail.requeue)).to_string()
    }),
];

/// As wait(2) tells it, which is how Slurm prints it: 768 for exit code 3.
fn status(code: u32, signal: u32) -> String {
    ((code << 8) | signal).to_string()
}

/// Where it is, or in parentheses why it waits or what went wrong.
fn nodes_or_reason(it: &Listed) -> String {
    let row = &it.row;
    let tells_why = matches!(
        row.state(),
        JobState::Pending | JobState::Failed | JobState::Timeout | JobState::OutOfMemory | JobState::Deadline
    );
    if tells_why && !row.completing { format!("({})", row.reason) } else { row.nodes.clone() }
}
