//! The lines of `sacct`: columns of fixed widths, or fields with a delimiter. `name[%[-]WIDTH]` says which and how wide.

use super::entry::Entry;
use super::fields::{FIELDS, Field, find};

/// The widest column; a larger width counts as this one.
const WIDTH_MAX: usize = 4096;

/// How fields become a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Padded and cut, a blank behind each.
    Columns,
    /// As they are, with something between them, or behind each.
    Delimited { delimiter: String, behind_each: bool },
}

/// Which fields are shown, and how.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    style: Style,
}

#[derive(Debug)]
struct Column {
    field: &'static Field,
    width: usize,
    left: bool,
}

impl Table {
    /// Reads a list of fields; empty items do not count.
    ///
    /// # Errors
    /// The first name that no field has.
    pub(super) fn parse(list: &str, style: Style) -> Result<Table, String> {
        let mut columns = Vec::new();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if item.eq_ignore_ascii_case("all") {
                columns.extend(FIELDS.iter().map(|field| Column::of(field, "")));
                continue;
            }
            let (name, width) = item.split_once('%').unwrap_or((item, ""));
            columns.push(Column::of(find(name).ok_or(name)?, width));
        }
        Ok(Table { columns, style })
    }

    /// Whether a field is shown.
    pub(super) fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.field.name == name)
    }

    /// The names of the fields, and dashes below them where there are columns.
    pub(super) fn heading(&self) -> Vec<String> {
        let names = self.joined(|column| column.field.name.to_owned());
        match &self.style {
            Style::Columns => vec![names, self.joined(|column| "-".repeat(column.width))],
            Style::Delimited { .. } => vec![names],
        }
    }

    /// The line of an entry.
    pub(super) fn line(&self, entry: &Entry<'_>) -> String {
        self.joined(|column| (column.field.value)(entry))
    }

    fn joined(&self, text: impl Fn(&Column) -> String) -> String {
        let texts = self.columns.iter().map(|column| (column, text(column)));
        match &self.style {
            Style::Columns => texts.map(|(column, text)| column.placed(&text) + " ").collect(),
            Style::Delimited { delimiter, behind_each } => {
                let mut line = texts.map(|(_, text)| text).collect::<Vec<_>>().join(delimiter);
                if *behind_each {
                    line.push_str(delimiter);
                }
                line
            }
        }
    }
}

impl Column {
    /// A width that is no number, or none, leaves the field its own.
    fn of(field: &'static Field, width: &str) -> Column {
        let given = width.parse::<i64>().ok().filter(|width| *width != 0);
        let signed = given.unwrap_or_else(|| field.width.into());
        let width = usize::try_from(signed.unsigned_abs()).unwrap_or(WIDTH_MAX).min(WIDTH_MAX);
        Column { field, width, left: signed < 0 }
    }

    /// What is too long ends in a plus.
    fn placed(&self, text: &str) -> String {
        let width = self.width;
        let mut text = text.to_owned();
        if text.chars().count() > width {
            text = text.chars().take(width - 1).collect::<String>() + "+";
        }
        if self.left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}
