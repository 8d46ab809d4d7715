//! The one engine behind every table: format strings such as `%.18i %.9P` over columns that are known by a letter.
//!
//! `%[[.]WIDTH]LETTER`: a width pads, and cuts what may be cut; a dot aligns right; no width prints as it is; `#` is
//! the width of the widest value. All other characters stay. Which letters there are is each command's. Start at
//! [`Format`].

use std::iter::Peekable;
use std::str::Chars;

/// What a `#` column is wide at least, as in sinfo.
const WIDEST_MIN: usize = 9;
/// The widest column; a larger width counts as this one.
const WIDTH_MAX: usize = 4096;

/// A value of a row that a format can ask for.
#[derive(Debug)]
pub(crate) struct Column<R: 'static> {
    /// The letter behind `%`.
    pub(crate) letter: char,
    /// What stands above it.
    pub(crate) header: &'static str,
    /// Whether a value that is too long is cut even where it is aligned right: names are, numbers, times and node lists
    /// are not.
    pub(crate) cut: bool,
    /// The text for one row.
    pub(crate) value: fn(&R) -> String,
}

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
    /// Reads a format string. Several `%` count as one, as scripts that quote for two shells rely on.
    ///
    /// # Errors
    /// The first letter that no column has.
    pub(crate) fn parse(text: &str, columns: &'static [Column<R>]) -> Result<Format<R>, String> {
        let mut pieces = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(&first) = rest.peek() {
            if first == '%' {
                pieces.push(read_field(&mut rest, columns)?);
            } else {
                let literal = std::iter::from_fn(|| rest.next_if(|c| *c != '%')).collect();
                pieces.push(Piece::Literal(literal));
            }
        }
        Ok(Format { pieces })
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
                let widest = rows.iter().map(|row| (column.value)(row).chars().count()).max().unwrap_or(0);
                *width = Width::Characters(widest.max(column.header.len()).max(WIDEST_MIN));
            }
        }
    }

    /// The line above the rows. Headers are always cut to their column.
    pub(crate) fn header(&self) -> String {
        self.line(|column| (column.header.to_owned(), true))
    }

    /// The line of a row.
    pub(crate) fn row(&self, row: &R) -> String {
        self.line(|column| ((column.value)(row), column.cut))
    }

    fn line(&self, value: impl Fn(&Column<R>) -> (String, bool)) -> String {
        let mut line = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => line.push_str(text),
                Piece::Field { column, width, right } => {
                    let (text, cut) = value(column);
                    line.push_str(&placed(&text, *width, *right, cut));
                }
            }
        }
        line
    }
}

fn read_field<R>(rest: &mut Peekable<Chars<'_>>, columns: &'static [Column<R>]) -> Result<Piece<R>, String> {
    while rest.next_if_eq(&'%').is_some() {}
    let right = rest.next_if_eq(&'.').is_some();
    let widest = rest.next_if_eq(&'#').is_some();
    let digits: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_digit)).collect();
    let letter = rest.next().ok_or("%")?;
    let column = columns.iter().find(|column| column.letter == letter).ok_or_else(|| letter.to_string())?;
    let width = match digits.as_str() {
        _ if widest => Width::Widest,
        "" | "0" => Width::Free,
        digits => Width::Characters(digits.parse().unwrap_or(WIDTH_MAX).min(WIDTH_MAX)),
    };
    Ok(Piece::Field { column, width, right })
}

/// A text in its column. What is aligned left is always cut, what is aligned right only where it may be.
fn placed(text: &str, width: Width, right: bool, cut: bool) -> String {
    let Width::Characters(width) = width else { return text.to_owned() };
    let text: String = if cut || !right { text.chars().take(width).collect() } else { text.to_owned() };
    if right { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<(&str, u32)>] = &[
        Column { letter: 'n', header: "NAME", cut: true, value: |row| row.0.to_owned() },
        Column { letter: 'c', header: "COUNT", cut: false, value: |row| row.1.to_string() },
    ];

    #[test]
    fn formats_place_cut_and_keep() {
        for (format, header, row) in [
            ("%n %c", "NAME COUNT", "linux 12345"),
            ("%.8n|%8n|", "    NAME|NAME    |", "   linux|linux   |"),
            ("%.3n %3n", "NAM NAM", "lin lin"),
            ("%.4c %4c", "COUN COUN", "12345 1234"),
            ("id=%c,%%n", "id=COUNT,NAME", "id=12345,linux"),
            (" é%0n", " éNAME", " élinux"),
            ("%#n|", "NAME     |", "linux    |"),
            ("", "", ""),
        ] {
            let mut format = Format::parse(format, COLUMNS).expect(format);
            format.fit(&[("linux", 12345)]);
            assert_eq!((format.header(), format.row(&("linux", 12345))), (header.into(), row.into()));
        }
        for (format, letter) in [("%n %q", "q"), ("%", "%"), ("%5", "%"), ("%-5n", "-")] {
            assert_eq!(Format::parse(format, COLUMNS).expect_err(format), letter);
        }
    }
}
