//! The columns of sinfo, by Slurm's letters and names and under Slurm's headers, as 22.05 prints them: those that speak of a
//! partition, those that speak of nodes, and those that count. Start at [`COLUMNS`].

pub(super) mod counts;
mod nodes;
mod partition;

use super::group::Line;
use crate::table::{Column, Columns, Cut, Value};

/// Every column that `-o` and `-O` take.
pub(super) const COLUMNS: Columns<Line> = &[partition::COLUMNS, nodes::COLUMNS, counts::COLUMNS];

/// What `%all` stands for: every letter, in Slurm's order and with its blanks.
pub(super) const ALL: &str = "%a|%b|%c|%d|%e|%f|%g|%h|%l|%m|%n|%o|%p|%r|%s|%t|%u|%v|%w|%z|%A |%B |%C |%D |%E |%F |\
    %G |%H |%I |%L |%M |%N |%O |%P |%R |%S |%T |%U |%V |%X |%Y |%Z ";

const fn column(
    letter: char,
    names: &'static [&'static str],
    header: &'static str,
    value: fn(&Line) -> String,
) -> Column<Line> {
    Column { letter, names, header, cut: Cut::Always, value: Value::Made(value) }
}

/// Whether different values in this column put nodes on different lines.
pub(super) fn parts_nodes(column: &Column<Line>, exact: bool) -> bool {
    let name = column.names.first().copied().unwrap_or_default();
    match name {
        "nodeai" | "cpusstate" | "nodes" | "nodeaiot" | "nodelist" | "cluster" => false,
        "cpus" | "disk" | "freemem" | "memory" | "weight" | "sockets" | "cores" | "threads" | "socketcorethread"
        | "cpusload" | "port" => exact,
        _ => true,
    }
}

/// Whether a column is the same for all nodes of a partition. The cluster is the same for all partitions, too.
pub(super) fn tells_of_partition(column: &Column<Line>) -> bool {
    let is_it = |known: &Column<Line>| known.names == column.names;
    partition::COLUMNS.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_letter_and_no_name_is_there_twice() {
        let all = || COLUMNS.iter().copied().flatten();
        let letters: Vec<char> = all().map(|column| column.letter).filter(|letter| *letter != '\0').collect();
        let names: Vec<&str> = all().flat_map(|column| column.names).copied().collect();
        assert!(letters.iter().all(|letter| letters.iter().filter(|other| *other == letter).count() == 1));
        assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
        assert!(ALL.chars().filter(char::is_ascii_alphabetic).all(|letter| letters.contains(&letter)));
    }
}
