//! The tables of Slurm's accounting commands (`sacct`, `sacctmgr`, `sshare`, `sreport`, `sstat`): fields by name, in columns of fixed
//! widths or with a delimiter. `name[%[-]WIDTH]` says which field, and how wide.
//!
//! What a field shows is its command's; here is how it is asked for and printed. Start at [`Table`].

use clap::Args;

/// The widest column; a larger width counts as this one.
const WIDTH_MAX: usize = 4096;

/// One field: `value` makes its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<V> {
    /// By which it is asked for, whole or cut short, in any case.
    pub(crate) name: &'static str,
    /// What stands above it.
    pub(crate) header: &'static str,
    /// Characters; less than nothing aligns left.
    pub(crate) width: i16,
    /// How its text is made.
    pub(crate) value: V,
}

impl<V> Field<V> {
    /// A field under its own name.
    pub(crate) const fn new(name: &'static str, width: i16, value: V) -> Field<V> {
        Field { name, header: name, width, value }
    }

    /// A field under another header.
    pub(crate) const fn titled(name: &'static str, header: &'static str, width: i16, value: V) -> Field<V> {
        Field { name, header, width, value }
    }
}

/// How fields become a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Padded and cut, a blank behind each.
    Columns,
    /// As they are, with something between them, or behind each.
    Delimited { delimiter: String, behind_each: bool },
}

/// What every command of accounting takes for its table.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StyleOptions {
    /// No lines above the rows
    #[arg(short, long)]
    pub(crate) noheader: bool,
    /// Fields with a | behind each, not cut
    #[arg(short, long)]
    parsable: bool,
    /// Fields with a | between them, not cut
    #[arg(short = 'P', long)]
    parsable2: bool,
}

impl StyleOptions {
    /// The style that these ask for; `delimiter` stands in for the bar.
    pub(crate) fn style(&self, delimiter: Option<&str>) -> Style {
        match (self.parsable, self.parsable2) {
            (false, false) => Style::Columns,
            (_, between) => Style::Delimited { delimiter: delimiter.unwrap_or("|").to_owned(), behind_each: !between },
        }
    }
}

/// Which fields are shown, and how.
#[derive(Debug)]
pub(crate) struct Table<V: 'static> {
    columns: Vec<Column<V>>,
    style: Style,
}

#[derive(Debug)]
struct Column<V: 'static> {
    field: &'static Field<V>,
    width: usize,
    left: bool,
}

impl<V> Table<V> {
    /// Reads a list of fields; empty items do not count, and `all` is all of them.
    ///
    /// # Errors
    /// The first name that no field has.
    pub(crate) fn parse(list: &str, fields: &'static [Field<V>], style: Style) -> Result<Table<V>, String> {
        let mut columns = Vec::new();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if item.eq_ignore_ascii_case("all") {
                columns.extend(fields.iter().map(|field| Column::of(field, "")));
                continue;
            }
            let (name, width) = item.split_once('%').unwrap_or((item, ""));
            columns.push(Column::of(find(fields, name).ok_or(name)?, width));
        }
        Ok(Table { columns, style })
    }

    /// Whether a field is shown.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.field.name == name)
    }

    /// Makes a column at least so wide.
    pub(crate) fn widen(&mut self, name: &str, width: usize) {
        self.columns
            .iter_mut()
            .filter(|column| column.field.name == name)
            .for_each(|it| it.width = it.width.max(width));
    }

    /// The names of the fields, and dashes below them where there are columns.
    pub(crate) fn heading(&self) -> Vec<String> {
        match &self.style {
            Style::Columns => {
                let dashes = self.columns.iter().map(|column| "-".repeat(column.width) + " ").collect();
                vec![self.columns.iter().map(|column| column.headed() + " ").collect(), dashes]
            }
            Style::Delimited { .. } => vec![self.joined(|field| field.header.to_owned())],
        }
    }

    /// A line.
    pub(crate) fn line(&self, text: impl Fn(&V) -> String) -> String {
        self.joined(|field| text(&field.value))
    }

    fn joined(&self, text: impl Fn(&Field<V>) -> String) -> String {
        let texts = self.columns.iter().map(|column| (column, text(column.field)));
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

impl<V> Column<V> {
    /// A width that is no number, or none, leaves the field its own.
    fn of(field: &'static Field<V>, width: &str) -> Column<V> {
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

    /// Slurm cuts a header without a plus, and one on the left not at all.
    fn headed(&self) -> String {
        let (header, width) = (self.field.header, self.width);
        if self.left { format!("{header:<width$}") } else { format!("{header:>width$.width$}") }
    }
}

/// The field that a name, or the beginning of one, means: the first that begins so.
pub(crate) fn find<V>(fields: &'static [Field<V>], name: &str) -> Option<&'static Field<V>> {
    let begins = |field: &&Field<V>| field.name.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let exact = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    exact.or_else(|| fields.iter().find(begins).filter(|_| !name.is_empty()))
}

/// All names, so many a line, each in a column of this width: `--helpformat`.
pub(crate) fn overview<V>(fields: &[Field<V>], a_line: usize, width: usize) -> String {
    let line = |fields: &[Field<V>]| {
        let names: String = fields.iter().map(|field| format!("{:<width$}", field.name)).collect();
        names.trim_end().to_owned() + "\n"
    };
    fields.chunks(a_line).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Value = fn(&u32) -> String;

    const FIELDS: &[Field<Value>] = &[
        Field::new("Start", 6, |it| it.to_string()),
        Field::titled("State", "The State", -5, |it| "x".repeat(*it as usize)),
    ];

    #[test]
    fn columns_are_cut_as_slurm_cuts_them() {
        let print = |list: &str, style| {
            let table = Table::parse(list, FIELDS, style).expect("known fields");
            [table.heading(), vec![table.line(|value| value(&7))]].concat()
        };
        assert_eq!(print("st,stat", Style::Columns), [" Start The State ", "------ ----- ", "     7 xxxx+ "]);
        assert_eq!(print("START%3,state%9", Style::Columns), ["Sta The State ", "--- --------- ", "  7   xxxxxxx "]);
        assert_eq!(
            print("all", StyleOptions { parsable: true, ..StyleOptions::default() }.style(None)),
            ["Start|The State|", "7|xxxxxxx|"]
        );
        assert_eq!(
            print("all", StyleOptions { parsable: true, parsable2: true, ..StyleOptions::default() }.style(Some(";"))),
            ["Start;The State", "7;xxxxxxx"]
        );
        assert_eq!(Table::parse("start,bogus%3", FIELDS, Style::Columns).err().as_deref(), Some("bogus"));
    }
}
