//! The order of sinfo's lines: letters of columns, each perhaps with a sign; `#P` is the controller's order of partitions.
//! As in Slurm, a letter by which nothing is sorted does nothing.

use std::cmp::Ordering;

use proto::v1::NodeRow;

use super::columns::COLUMNS;
use super::group::{Line, state_rank};

/// Sorts by keys such as `+P,-m`; lines that no key tells apart keep their order.
pub(super) fn sort(lines: &mut [Line], keys: &str) {
    let mut read = Vec::new();
    let (mut backwards, mut given) = (false, false);
    for letter in keys.chars() {
        match letter {
            '-' => backwards = true,
            '#' => given = true,
            '+' | ',' | ' ' => (backwards, given) = (false, false),
            letter => {
                read.push((letter, std::mem::take(&mut backwards), std::mem::take(&mut given)));
            }
        }
    }
    lines.sort_by(|a, b| {
        let by_key = |&(letter, backwards, given): &(char, bool, bool)| {
            let order = if given && letter == 'P' { a.rank.cmp(&b.rank) } else { compare(letter, a, b) };
            if backwards { order.reverse() } else { order }
        };
        read.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
}

fn compare(letter: char, a: &Line, b: &Line) -> Ordering {
    let least = |line: &Line, number: fn(&NodeRow) -> u64| line.nodes.iter().map(number).min();
    let by = |number: fn(&NodeRow) -> u64| least(a, number).cmp(&least(b, number));
    match letter {
        'c' | 'Y' | 'z' => by(|node| node.cpus.into()),
        'C' => by(|node| node.cpus_held.into()),
        'm' => by(|node| node.memory_mib),
        'e' => by(|node| node.memory_mib.saturating_sub(node.memory_held_mib)),
        'A' | 'D' | 'F' => a.nodes.len().cmp(&b.nodes.len()),
        't' | 'T' => a.nodes.first().map(state_rank).cmp(&b.nodes.first().map(state_rank)),
        'P' | 'R' => a.partition.name.cmp(&b.partition.name),
        'l' => a.partition.time_max_minutes.unwrap_or(u64::MAX).cmp(&b.partition.time_max_minutes.unwrap_or(u64::MAX)),
        'p' => a.partition.tier.cmp(&b.partition.tier),
        's' => a.partition.nodes_max.unwrap_or(u32::MAX).cmp(&b.partition.nodes_max.unwrap_or(u32::MAX)),
        'N' | 'n' | 'o' => a.nodes.first().map(|node| &node.name).cmp(&b.nodes.first().map(|node| &node.name)),
        letter => {
            let column = COLUMNS.iter().copied().flatten().find(|column| column.letter == letter);
            column.map_or(Ordering::Equal, |column| column.text(a).cmp(&column.text(b)))
        }
    }
}
