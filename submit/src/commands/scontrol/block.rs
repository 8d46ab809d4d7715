//! The blocks of `scontrol show`: lines of `Key=value` groups, or all of them on one line.

/// How a block is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// The first line flush, the others indented, and an empty one at the end.
    Lines,
    /// `-o`.
    OneLine,
}

impl Style {
    pub(super) fn of(oneliner: bool) -> Style {
        if oneliner { Style::OneLine } else { Style::Lines }
    }
}

/// A record: groups of keys with their values, a group for each line.
#[derive(Debug, Default)]
pub(super) struct Block {
    lines: Vec<String>,
}

impl Block {
    /// Adds a line. An empty value is printed as Slurm's word for nothing: programs cannot read `Key=`.
    pub(super) fn line(&mut self, pairs: &[(&str, &dyn std::fmt::Display)]) {
        let pair = |(key, value): &(&str, &dyn std::fmt::Display)| {
            let value = value.to_string();
            format!("{key}={}", if value.is_empty() { "(null)" } else { &value })
        };
        self.lines.push(pairs.iter().map(pair).collect::<Vec<_>>().join(" "));
    }

    /// Leaves a blank behind the last line, as Slurm does behind some: `-o` then shows two.
    pub(super) fn blank(&mut self) {
        if let Some(last) = self.lines.last_mut() {
            last.push(' ');
        }
    }

    /// Adds a line as it is.
    pub(super) fn text_line(&mut self, line: String) {
        self.lines.push(line);
    }

    /// The text, with its last line break.
    pub(super) fn text(&self, style: Style) -> String {
        match style {
            Style::Lines => self.lines.join("\n   ") + "\n\n",
            Style::OneLine => self.lines.join(" ") + "\n",
        }
    }
}
