//! The order of squeue's rows: letters of columns, each perhaps with a sign, the first one first.

use std::cmp::Ordering;

use proto::v1::{JobDetail, JobRow};

use crate::row::{array_or_job, elapsed_s, ends_ms, start_ms};

/// By partition, what waits before what runs, and the highest priority first.
pub(super) const DEFAULT: &str = "P,t,-p";

/// How two rows compare.
type Compare = fn(&JobRow, &JobRow) -> Ordering;

/// A key, and whether it counts backwards.
pub(super) type Key = (Compare, bool);

/// The letters of keys such as `P,t,-p` or `+i`, and whether each counts backwards.
pub(super) fn signed(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut backwards = false;
    text.chars().filter_map(move |letter| match letter {
        '-' => {
            backwards = true;
            None
        }
        '+' | ',' | ' ' => {
            backwards = false;
            None
        }
        letter => Some((letter, std::mem::take(&mut backwards))),
    })
}

/// Reads keys.
///
/// # Errors
/// The first letter by which nothing is sorted.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, char> {
    // Slurm also takes this word, and there is only one cluster.
    let text = text.replace("cluster", "");
    signed(&text).map(|(letter, backwards)| Ok((compare(letter).ok_or(letter)?, backwards))).collect()
}

/// Sorts; rows that no key tells apart stay in the controller's order, which is that of their ids.
pub(super) fn sort(rows: &mut [JobRow], keys: &[Key]) {
    let by_key = |a: &JobRow, b: &JobRow, (compare, backwards): &Key| {
        if *backwards { compare(b, a) } else { compare(a, b) }
    };
    rows.sort_by(|a, b| keys.iter().fold(Ordering::Equal, |so_far, key| so_far.then_with(|| by_key(a, b, key))));
}

fn compare(letter: char) -> Option<Compare> {
    Some(match letter {
        'A' => |a, b| a.id.cmp(&b.id),
        'a' => |a, b| a.account.cmp(&b.account),
        'C' => |a, b| a.cpus.cmp(&b.cpus),
        'c' => |a, b| a.cpus_per_process.cmp(&b.cpus_per_process),
        'D' => |a, b| a.node_count.cmp(&b.node_count),
        'E' => |a, b| a.dependency.cmp(&b.dependency),
        'e' => |a, b| ends_ms(a).cmp(&ends_ms(b)),
        'F' | 'i' => |a, b| array_key(a).cmp(&array_key(b)),
        'G' => |a, b| a.gid.cmp(&b.gid),
        'g' => |a, b| a.group.cmp(&b.group),
        'j' => |a, b| a.name.cmp(&b.name),
        'K' => |a, b| a.index.cmp(&b.index),
        'L' | 'l' => |a, b| a.time_limit_minutes.unwrap_or(u64::MAX).cmp(&b.time_limit_minutes.unwrap_or(u64::MAX)),
        // Seen from the end of all time, what started first has run longest.
        'M' => |a, b| elapsed_s(a, i64::MAX).cmp(&elapsed_s(b, i64::MAX)),
        'm' => |a, b| a.memory_mib.cmp(&b.memory_mib),
        'N' | 'B' | 'R' => |a, b| a.nodes.cmp(&b.nodes),
        'P' => |a, b| a.partition.cmp(&b.partition),
        'p' | 'Q' => |a, b| a.priority.cmp(&b.priority),
        'q' => |a, b| a.qos.cmp(&b.qos),
        'r' => |a, b| a.reason.cmp(&b.reason),
        // What has no time at all comes last.
        'S' => |a, b| start_key(a).cmp(&start_key(b)),
        'T' | 't' => |a, b| a.state.cmp(&b.state),
        'U' => |a, b| a.uid.cmp(&b.uid),
        'u' => |a, b| a.user.cmp(&b.user),
        'V' => |a, b| a.submitted_ms.cmp(&b.submitted_ms),
        'v' => |a, b| a.reservation.cmp(&b.reservation),
        'w' => |a, b| a.wckey.cmp(&b.wckey),
        'Y' => |a, b| a.expected_nodes.cmp(&b.expected_nodes),
        'y' => |a, b| a.nice.cmp(&b.nice),
        'b' => |a, b| by_detail(a, b, |it| &it.gres_per_node),
        'f' => |a, b| by_detail(a, b, |it| &it.constraint),
        'k' => |a, b| by_detail(a, b, |it| &it.comment),
        'n' => |a, b| by_detail(a, b, |it| &it.nodes_asked),
        'o' => |a, b| by_detail(a, b, |it| &it.command),
        'W' => |a, b| by_detail(a, b, |it| &it.licenses),
        'x' => |a, b| by_detail(a, b, |it| &it.nodes_excluded),
        'Z' => |a, b| by_detail(a, b, |it| &it.work_dir),
        // The same for every job.
        'd' | 'H' | 'h' | 'I' | 'J' | 'O' | 's' | 'X' | 'z' => |_, _| Ordering::Equal,
        _ => return None,
    })
}

fn by_detail(a: &JobRow, b: &JobRow, field: fn(&JobDetail) -> &String) -> Ordering {
    a.detail.as_deref().map(field).cmp(&b.detail.as_deref().map(field))
}

/// 0 is no time.
fn start_key(row: &JobRow) -> (bool, i64) {
    (start_ms(row) == 0, start_ms(row))
}

/// The tasks of an array by their indices, and after them what of it still waits together.
fn array_key(row: &JobRow) -> (u32, bool, Option<u32>) {
    (array_or_job(row), row.index.is_none(), row.index)
}
