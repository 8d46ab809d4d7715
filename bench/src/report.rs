//! The table: rows of what was measured, with targets, in Markdown.

use std::fmt;

use crate::sample::Samples;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// So many in a second.
    PerSecond,
    /// One figure as a share or multiple of another.
    Ratio,
    /// Resident memory.
    MiB,
    /// Percent of one core.
    Percent,
}

impl Unit {
    /// A value with its unit, in as many digits as it deserves.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::Ms if value < 10.0 => format!("{value:.2} ms"),
            Unit::Ms => format!("{value:.0} ms"),
            Unit::S => format!("{value:.3} s"),
            Unit::PerSecond => format!("{}/s", thousands(value)),
            Unit::Ratio => format!("{value:.2}"),
            Unit::MiB => format!("{value:.0} MiB"),
            Unit::Percent => format!("{value:.1} %"),
        }
    }
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    item: String,
    what: String,
    unit: Unit,
    samples: Samples,
    target: Option<Target>,
}

impl Row {
    pub(crate) fn new(item: impl Into<String>, what: impl Into<String>, unit: Unit, samples: Samples) -> Row {
        Row { item: item.into(), what: what.into(), unit, samples, target: None }
    }

    pub(crate) fn at_least(mut self, least: f64) -> Row {
        self.target = Some(Target::AtLeast(least));
        self
    }

    pub(crate) fn at_most(mut self, most: f64) -> Row {
        self.target = Some(Target::AtMost(most));
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { item, what, unit, samples, target } = self;
        let (median, spread) = (samples.median(), samples.spread().map(|value| unit.show(value)));
        let (wanted, verdict) = match target {
            None => (String::new(), ""),
            Some(target) => {
                let (word, bound) = match target {
                    Target::AtLeast(least) => ("at least", least),
                    Target::AtMost(most) => ("at most", most),
                };
                let verdict = if target.is_reached(median) { "yes" } else { "**no**" };
                (format!("{word} {}", unit.show(*bound)), verdict)
            }
        };
        write!(f, "| {item} | {what} | {} | {} to {} | {wanted} | {verdict} |", unit.show(median), spread[0], spread[1])
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// Tables of their own, as text.
    others: Vec<String>,
}

impl Report {
    /// Adds a row, and tells whoever waits.
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// Adds another table below.
    pub(crate) fn add_table(&mut self, table: String) {
        eprintln!("{table}");
        self.others.push(table);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            writeln!(f, "| item | what | median | spread | target | reached |\n|---|---|---|---|---|---|")?;
        }
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        self.others.iter().try_for_each(|table| writeln!(f, "\n{table}"))
    }
}

/// A whole number, grouped as people read it.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let cut = |at: usize, digit: char| {
        let is_group = at > 0 && (digits.len() - at).is_multiple_of(3);
        [is_group.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(|(at, digit)| cut(at, digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_whether_the_target_is_reached() {
        let samples: Samples = [1_234.0, 900.0, 56_789.4].into_iter().collect();
        let row = Row::new("2", "an array", Unit::PerSecond, samples.clone()).at_least(1_000.0);
        assert_eq!(row.to_string(), "| 2 | an array | 1,234/s | 900/s to 56,789/s | at least 1,000/s | yes |");
        let row = Row::new("2", "an array", Unit::Ms, samples).at_most(1_000.0);
        assert!(row.to_string().ends_with("| at most 1000 ms | **no** |"), "{row}");
    }
}
