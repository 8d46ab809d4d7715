//! The one engine behind every table: format strings over columns that are known by a letter or by a name.
//!
//! `-o` takes `%[[.]WIDTH]LETTER` and keeps all other characters; `-O` takes `NAME[:[.][WIDTH][SUFFIX]]` with commas
//! between. A width pads, and cuts what may be cut; a dot aligns right; no width prints as it is. Which columns there
//! are is each command's. Start at [`Format`]; the strings are read in `table/read`.

mod read;
#[cfg(test)]
mod tests;

/// What a `#` column is wide at least, as in sinfo.
const WIDEST_MIN: usize = 9;

/// A value of a row that a format can ask for.
#[derive(Debug)]
pub(crate) struct Column<R: 'static> {
    /// The letter behind `%`; [`NO_LETTER`] for what only a name asks for.
    pub(crate) letter: char,
    /// Its names behind `-O`, in small letters.
    pub(crate) names: &'static [&'static str],
    /// What stands above it.
    pub(crate) header: &'static str,
    /// What becomes of a value that is too long.
    pub(crate) cut: Cut,
    /// The text for one row.
    pub(crate) value: Value<R>,
}

/// How the text of a column comes about. What stands in long tables is lent or written, so that no row needs memory of its own.
#[derive(Debug)]
pub(crate) enum Value<R: 'static> {
    /// It is made.
    Made(fn(&R) -> String),
    /// The row has it, or it is always the same.
    Lent(fn(&R) -> &str),
    /// It is added to what is there.
    Written(fn(&R, &mut String)),
}

impl<R> Column<R> {
    /// The text for one row.
    pub(crate) fn text(&self, row: &R) -> String {
        match self.value {
            Value::Made(make) => make(row),
            Value::Lent(lend) => lend(row).to_owned(),
            Value::Written(write) => {
                let mut text = String::new();
                write(row, &mut text);
                text
            }
        }
    }
}

/// The letter of a column that has none.
pub(crate) const NO_LETTER: char = '\0';

/// What becomes of a value that is wider than its column. What is aligned left is always cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It loses its end: names.
    Always,
    /// Aligned right it stays whole: durations and lists of nodes.
    OnlyLeft,
    /// The same, but what stands in parentheses loses its end: nodes, or a reason.
    NodesStay,
    /// It loses its end but for a star in the last place: partitions.
    KeepStar,
}

/// The columns of a command, by theme.
pub(crate) type Columns<R> = &'static [&'static [Column<R>]];

/// A format string, read.
#[derive(Debug)]
pub(crate) struct Format<R: 'static> {
    pieces: Vec<Piece<R>>,
}

#[derive(Debug)]
enum Piece<R: 'static> {
    Literal(String),
    Field { column: &'static Column<R>, width: Width, right: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Free,
    Widest,
    Characters(usize),
}

impl<R> Format<R> {
    /// Reads what stands behind `-o`, and gives the codes that no column has. Slurm names those, and prints them as they are.
    pub(crate) fn letters(text: &str, columns: Columns<R>) -> (Format<R>, Vec<String>) {
        let mut unknown = Vec::new();
        let pieces = read::letters(text, columns, &mut unknown);
        (Format { pieces }, unknown)
    }

    /// Reads what stands behind `-O`, and gives the names that no column has. Slurm names those, and leaves them out.
    pub(crate) fn names(text: &str, columns: Columns<R>) -> (Format<R>, Vec<String>) {
        let mut unknown = Vec::new();
        let pieces = read::names(text, columns, &mut unknown);
        (Format { pieces }, unknown)
    }

    /// The columns that are shown, in their order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static Column<R>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field { column, .. } => Some(*column),
            Piece::Literal(_) => None,
        })
    }

    /// Fixes the `#` widths for these rows.
    pub(crate) fn fit(&mut self, rows: &[R]) {
        for piece in &mut self.pieces {
            if let Piece::Field { column, width: width @ Width::Widest, .. } = piece {
                let widest = rows.iter().map(|row| column.text(row).chars().count()).max().unwrap_or(0);
                *width = Width::Characters(widest.max(column.header.len()).max(WIDEST_MIN));
            }
        }
    }

    /// The line above the rows. Headers are always cut to their column.
    pub(crate) fn header(&self) -> String {
        let mut line = String::new();
        self.write(&mut line, |line, column, width, right| place(line, column.header, width, right, Cut::Always));
        line
    }

    /// The line of a row.
    pub(crate) fn row(&self, row: &R) -> String {
        // A line of a terminal, mostly.
        let mut line = String::with_capacity(96);
        self.add_row(row, &mut line, &mut String::new());
        line
    }

    /// Adds the line of a row, without a line end. `cell` is room for one value, which long tables use again and again.
    pub(crate) fn add_row(&self, row: &R, line: &mut String, cell: &mut String) {
        self.write(line, |line, column, width, right| match column.value {
            Value::Made(make) => place(line, &make(row), width, right, column.cut),
            Value::Lent(lend) => place(line, lend(row), width, right, column.cut),
            Value::Written(write) => {
                cell.clear();
                write(row, cell);
                place(line, cell, width, right, column.cut);
            }
        });
    }

    fn write(&self, line: &mut String, mut field: impl FnMut(&mut String, &Column<R>, Width, bool)) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => line.push_str(text),
                Piece::Field { column, width, right } => field(line, column, *width, *right),
            }
        }
    }
}

/// Adds a text in its column.
fn place(line: &mut String, text: &str, width: Width, right: bool, cut: Cut) {
    let Width::Characters(width) = width else { return line.push_str(text) };
    let length = if text.is_ascii() { text.len() } else { text.chars().count() };
    let gap = width.saturating_sub(length);
    let stays = cut == Cut::OnlyLeft || (cut == Cut::NodesStay && !text.starts_with('('));
    let fits = length <= width || (right && stays);
    match (fits, cut) {
        (true, _) if right => {
            pad(line, gap);
            line.push_str(text);
        }
        (true, _) => {
            line.push_str(text);
            pad(line, gap);
        }
        (false, Cut::KeepStar) if text.ends_with('*') => {
            line.push_str(start(text, width.saturating_sub(1)));
            line.push('*');
        }
        (false, _) => line.push_str(start(text, width)),
    }
}

fn pad(line: &mut String, mut gap: usize) {
    const BLANKS: &str = "                                ";
    while gap > 0 {
        let some = gap.min(BLANKS.len());
        line.push_str(&BLANKS[..some]);
        gap -= some;
    }
}

/// The first characters of a text.
fn start(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| &text[..at])
}
