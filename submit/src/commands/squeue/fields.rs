//! Which fields of a row are read: by columns, by keys of the order, and by what lets rows pass. The controller makes no others.

use proto::job_columns::{Fields, field};

use super::columns::{self, Listed};
use super::options::Asked;
use super::order;
use crate::table::{Column, Format};

/// How long a job has run.
const ELAPSED: &[u32] = &[field::ENDED_MS, field::SUSPENDED_MS, field::STARTED_MS, field::PAUSED_MS];
/// When it ends.
const END: &[u32] = &[field::ENDED_MS, field::STARTED_MS, field::PAUSED_MS, field::TIME_LIMIT_MINUTES];
/// What is shown as its state.
const STATE: &[u32] = &[field::STATE, field::COMPLETING, field::SPECIAL_EXIT];
/// What makes its name, and the rows of its tasks.
const NAMED: &[u32] = &[field::ID, field::ARRAY_ID, field::INDEX, field::REMAINDER, field::THROTTLE];

/// What a table of jobs reads; none where it reads what has no column.
pub(super) fn of(format: &Format<Listed>, keys: &str, asked: &Asked) -> Option<Fields> {
    let shown = format.columns().try_fold(Fields::NONE, |fields, column| Some(fields.and(of_column(column)?)))?;
    let keys = order::without_cluster(keys);
    let sorted = order::signed(&keys).try_fold(shown, |fields, (key, _)| Some(fields.and(of_key(key)?)))?;
    Some(sorted.and(of_filters(asked)))
}

/// What the value of a column is made of; none where that is more than plain fields.
pub(super) fn of_column(column: &Column<Listed>) -> Option<Fields> {
    let name = column.names.first().copied().unwrap_or_default();
    let fields = match name {
        "jobid" => &[field::ID][..],
        "jobarrayid" | "arrayjobid" | "arraytaskid" => NAMED,
        "name" => &[field::NAME],
        "username" => &[field::USER],
        "userid" => &[field::UID],
        "groupname" => &[field::GROUP],
        "groupid" => &[field::GID],
        "account" => &[field::ACCOUNT],
        "qos" => &[field::QOS],
        "wckey" => &[field::WCKEY],
        "reservation" => &[field::RESERVATION],
        "partition" => &[field::PARTITION],
        "state" | "statecompact" => STATE,
        "reason" => &[field::REASON],
        "reasonlist" => &[field::STATE, field::COMPLETING, field::REASON, field::NODES],
        "nodelist" => &[field::NODES],
        "batchhost" => &[field::BATCH_HOST],
        "schednodes" => &[field::EXPECTED_NODES],
        "dependency" => &[field::DEPENDENCY],
        "priority" | "prioritylong" => &[field::PRIORITY],
        "nice" => &[field::NICE],
        "exit_code" => &[field::EXIT_CODE, field::EXIT_SIGNAL],
        "derivedec" => &[field::DERIVED_EXIT_CODE, field::DERIVED_EXIT_SIGNAL],
        "restartcnt" => &[field::ATTEMPTS, field::STATE, field::STARTED_MS],
        "starttime" => &[field::STARTED_MS, field::EXPECTED_START_MS],
        "endtime" => END,
        "submittime" => &[field::SUBMITTED_MS],
        "timeused" => ELAPSED,
        "timelimit" => &[field::TIME_LIMIT_MINUTES],
        "timeleft" => return Some(Fields::of(ELAPSED).with(field::TIME_LIMIT_MINUTES)),
        "eligibletime" | "accruetime" => &[field::ELIGIBLE_MS],
        "deadline" => &[field::DEADLINE_MS],
        "lastschedeval" => &[field::STARTED_MS],
        "pendingtime" => &[field::STARTED_MS, field::SUBMITTED_MS],
        "numnodes" | "maxnodes" => &[field::NODE_COUNT],
        "numcpus" | "maxcpus" => &[field::CPUS],
        "mincpus" | "cpus-per-task" => &[field::CPUS_PER_PROCESS],
        "numtasks" => &[field::PROCESSES],
        "minmemory" => &[field::MEMORY_MIB],
        "tres-alloc" => &[
            field::STARTED_MS,
            field::STATE,
            field::CPUS,
            field::NODE_COUNT,
            field::MEMORY_MIB,
            field::MEMORY_PER_CPU,
            field::MEMORY_HELD_MIB,
        ],
        // The same for every job.
        "cluster" | "system_comment" | "delayboot" | "preempttime" | "resizetime" => &[],
        _ if columns::is_absent(column) => &[],
        _ => return None,
    };
    Some(Fields::of(fields))
}

/// What a key of the order compares.
pub(super) fn of_key(key: char) -> Option<Fields> {
    let fields = match key {
        'A' => &[field::ID][..],
        'a' => &[field::ACCOUNT],
        'C' => &[field::CPUS],
        'c' => &[field::CPUS_PER_PROCESS],
        'D' => &[field::NODE_COUNT],
        'E' => &[field::DEPENDENCY],
        'e' => END,
        'F' | 'i' => &[field::ID, field::ARRAY_ID, field::INDEX],
        'G' => &[field::GID],
        'g' => &[field::GROUP],
        'j' => &[field::NAME],
        'K' => &[field::INDEX],
        'L' | 'l' => &[field::TIME_LIMIT_MINUTES],
        'M' => ELAPSED,
        'm' => &[field::MEMORY_MIB],
        'N' | 'B' | 'R' => &[field::NODES],
        'P' => &[field::PARTITION],
        'p' | 'Q' => &[field::PRIORITY],
        'q' => &[field::QOS],
        'r' => &[field::REASON],
        'S' => &[field::STARTED_MS, field::EXPECTED_START_MS],
        'T' | 't' => &[field::STATE],
        'U' => &[field::UID],
        'u' => &[field::USER],
        'V' => &[field::SUBMITTED_MS],
        'v' => &[field::RESERVATION],
        'w' => &[field::WCKEY],
        'Y' => &[field::EXPECTED_NODES],
        'y' => &[field::NICE],
        'd' | 'H' | 'h' | 'I' | 'J' | 'O' | 's' | 'X' | 'z' => &[],
        _ => return None,
    };
    Some(Fields::of(fields))
}

/// What [`Asked::keeps`] and the parts of a row look at.
fn of_filters(asked: &Asked) -> Fields {
    let when = |is: bool, fields: &[u32]| if is { Fields::of(fields) } else { Fields::NONE };
    let request = &asked.request;
    when(true, &[field::STATE, field::COMPLETING])
        .and(when(asked.not_uid.is_some(), &[field::UID]))
        .and(when(!request.accounts.is_empty(), &[field::ACCOUNT]))
        .and(when(!request.qos.is_empty(), &[field::QOS]))
        .and(when(!request.reservations.is_empty(), &[field::RESERVATION]))
        .and(when(asked.by_task, NAMED))
        .and(when(asked.by_partition, &[field::PARTITION]))
}
