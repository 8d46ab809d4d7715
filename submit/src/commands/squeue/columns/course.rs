//! How far a job is, why, and before whom it goes.

use proto::v1::JobState;

use super::{Listed, known, lent, restarts, state, whole, word, written};
use crate::show::{or_null, push_number};
use crate::table::{Column, Cut, NO_LETTER};

pub(super) const COLUMNS: &[Column<Listed>] = &[
    lent('T', &["state"], "STATE", |it| state(&it.row).0),
    lent('t', &["statecompact"], "ST", |it| state(&it.row).1),
    lent('r', &["reason"], "REASON", |it| &it.row.reason),
    Column { cut: Cut::NodesStay, ..written('R', &["reasonlist"], "NODELIST(REASON)", nodes_or_reason) },
    Column { cut: Cut::OnlyLeft, ..lent('N', &["nodelist", "nodes"], "NODELIST", |it| &it.row.nodes) },
    word('B', &["batchhost"], "EXEC_HOST", |it| match it.row.batch_host.as_str() {
        "" => "n/a".into(),
        host => host.into(),
    }),
    whole('Y', &["schednodes"], "SCHEDNODES", |it| or_null(&it.row.expected_nodes)),
    lent('E', &["dependency"], "DEPENDENCY", |it| known(&it.row.dependency)),
    word('p', &["priority"], "PRIORITY", |it| format!("{:.14}", f64::from(it.row.priority) / f64::from(u32::MAX))),
    written('Q', &["prioritylong"], "PRIORITY", |it, text| push_number(text, it.row.priority.into())),
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
fn nodes_or_reason(it: &Listed, text: &mut String) {
    let row = &it.row;
    let tells_why = matches!(
        row.state(),
        JobState::Pending | JobState::Failed | JobState::Timeout | JobState::OutOfMemory | JobState::Deadline
    );
    if tells_why && !row.completing {
        text.push('(');
        text.push_str(&row.reason);
        text.push(')');
    } else {
        text.push_str(&row.nodes);
    }
}
