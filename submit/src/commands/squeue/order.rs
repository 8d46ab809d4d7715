//! The order of squeue's rows: letters of columns, each perhaps with a sign, the first one first.

use std::collections::HashMap;

use proto::v1::{JobDetail, JobRow};

use crate::row::{array_or_job, elapsed_s, ends_ms, start_ms};

/// By partition, what waits before what runs, and the highest priority first.
pub(super) const DEFAULT: &str = "P,t,-p";

/// What of a row a key compares.
#[derive(Clone, Copy, Debug)]
pub(super) enum Compared {
    Number(fn(&JobRow) -> i64),
    Text(fn(&JobRow) -> &str),
}

/// A key, and whether it counts backwards.
pub(super) type Key = (Compared, bool);

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
    let text = without_cluster(text);
    signed(&text).map(|(letter, backwards)| Ok((compare(letter).ok_or(letter)?, backwards))).collect()
}

/// Slurm also takes this word, and there is only one cluster.
pub(super) fn without_cluster(text: &str) -> String {
    text.replace("cluster", "")
}

/// Sorts; rows that no key tells apart stay in the controller's order, which is that of their ids.
pub(super) fn sort(rows: &mut [JobRow], keys: &[Key]) {
    let mut order = Order::by(keys);
    rows.iter().for_each(|row| order.add(row));
    let mut sorted: Vec<JobRow> = order.places().into_iter().map(|at| std::mem::take(&mut rows[at])).collect();
    rows.swap_with_slice(&mut sorted);
}

/// Finds the order of rows that need not stay: all that is kept of one is a number for each key.
pub(super) struct Order<'a> {
    keys: &'a [Key],
    /// Of each row in turn, for each key: the number itself, or which of the texts.
    values: Vec<i64>,
    rows: usize,
    texts: Vec<String>,
    known: HashMap<String, i64>,
}

impl<'a> Order<'a> {
    pub(super) fn by(keys: &'a [Key]) -> Order<'a> {
        Order { keys, values: Vec::new(), rows: 0, texts: Vec::new(), known: HashMap::new() }
    }

    /// The next row.
    pub(super) fn add(&mut self, row: &JobRow) {
        self.rows += 1;
        for (compared, _) in self.keys {
            let value = match compared {
                Compared::Number(number) => number(row),
                Compared::Text(text) => self.known(text(row)),
            };
            self.values.push(value);
        }
    }

    fn known(&mut self, text: &str) -> i64 {
        // Neighbours are alike more often than not.
        let above = self.values.len().checked_sub(self.keys.len()).and_then(|at| usize::try_from(self.values[at]).ok());
        if let Some(above) = above.filter(|above| self.texts.get(*above).is_some_and(|known| known == text)) {
            return i64::try_from(above).unwrap_or(i64::MAX);
        }
        if let Some(place) = self.known.get(text) {
            return *place;
        }
        let place = i64::try_from(self.texts.len()).unwrap_or(i64::MAX);
        self.texts.push(text.to_owned());
        self.known.insert(text.to_owned(), place);
        place
    }

    /// Which row comes first, and so on; those that no key tells apart stay as they came.
    pub(super) fn places(mut self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.rows).collect();
        let width = self.keys.len();
        if width == 0 {
            return places;
        }
        let ranks = ranks(&self.texts);
        for row in self.values.chunks_exact_mut(width) {
            for (value, (compared, backwards)) in row.iter_mut().zip(self.keys) {
                if let Compared::Text(_) = compared {
                    *value = usize::try_from(*value).map_or(0, |text| ranks[text]);
                }
                // All bits turned round is the other way round.
                *value = if *backwards { !*value } else { *value };
            }
        }
        places.sort_by(|a, b| self.values[a * width..][..width].cmp(&self.values[b * width..][..width]));
        places
    }
}

/// The places of texts in the order of the alphabet.
fn ranks(texts: &[String]) -> Vec<i64> {
    let mut sorted: Vec<usize> = (0..texts.len()).collect();
    sorted.sort_unstable_by(|a, b| texts[*a].cmp(&texts[*b]));
    let mut ranks = vec![0; texts.len()];
    for (rank, text) in sorted.into_iter().enumerate() {
        ranks[text] = i64::try_from(rank).unwrap_or(i64::MAX);
    }
    ranks
}

fn compare(letter: char) -> Option<Compared> {
    use Compared::{Number, Text};
    Some(match letter {
        'A' => Number(|row| row.id.into()),
        'a' => Text(|row| &row.account),
        'C' => Number(|row| row.cpus.into()),
        'c' => Number(|row| row.cpus_per_process.into()),
        'D' => Number(|row| row.node_count.into()),
        'E' => Text(|row| &row.dependency),
        // What has no end comes first.
        'e' => Number(|row| ends_ms(row).unwrap_or(i64::MIN)),
        'F' | 'i' => Number(array_key),
        'G' => Number(|row| row.gid.into()),
        'g' => Text(|row| &row.group),
        'j' => Text(|row| &row.name),
        'K' => Number(|row| row.index.map_or(-1, i64::from)),
        'L' | 'l' => Number(|row| row.time_limit_minutes.map_or(i64::MAX, number)),
        // Seen from the end of all time, what started first has run longest.
        'M' => Number(|row| number(elapsed_s(row, i64::MAX))),
        'm' => Number(|row| number(row.memory_mib)),
        'N' | 'B' | 'R' => Text(|row| &row.nodes),
        'P' => Text(|row| &row.partition),
        'p' | 'Q' => Number(|row| row.priority.into()),
        'q' => Text(|row| &row.qos),
        'r' => Text(|row| &row.reason),
        // What has no time at all comes last.
        'S' => Number(|row| Some(start_ms(row)).filter(|at| *at != 0).unwrap_or(i64::MAX)),
        'T' | 't' => Number(|row| row.state.into()),
        'U' => Number(|row| row.uid.into()),
        'u' => Text(|row| &row.user),
        'V' => Number(|row| row.submitted_ms),
        'v' => Text(|row| &row.reservation),
        'w' => Text(|row| &row.wckey),
        'Y' => Text(|row| &row.expected_nodes),
        'y' => Number(|row| row.nice.into()),
        'b' => Text(|row| detail(row, |it| &it.gres_per_node)),
        'f' => Text(|row| detail(row, |it| &it.constraint)),
        'k' => Text(|row| detail(row, |it| &it.comment)),
        'n' => Text(|row| detail(row, |it| &it.nodes_asked)),
        'o' => Text(|row| detail(row, |it| &it.command)),
        'W' => Text(|row| detail(row, |it| &it.licenses)),
        'x' => Text(|row| detail(row, |it| &it.nodes_excluded)),
        'Z' => Text(|row| detail(row, |it| &it.work_dir)),
        // The same for every job.
        'd' | 'H' | 'h' | 'I' | 'J' | 'O' | 's' | 'X' | 'z' => Number(|_| 0),
        _ => return None,
    })
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn detail(row: &JobRow, field: fn(&JobDetail) -> &String) -> &str {
    row.detail.as_deref().map_or("", |detail| field(detail))
}

/// The tasks of an array by their indices, and after them what of it still waits together. No index is as large as that.
fn array_key(row: &JobRow) -> i64 {
    i64::from(array_or_job(row)) << 32 | i64::from(row.index.unwrap_or(u32::MAX))
}
