//! Format strings become pieces. Start at [`letters`] and [`names`].

use std::iter::Peekable;
use std::str::Chars;

use super::{Column, Columns, Piece, Width};

/// The widest column; a larger width counts as this one.
const WIDTH_MAX: usize = 4096;
/// The width of a name without one.
const NAME_WIDTH: usize = 20;

/// The pieces of `%.18i %j`. Several `%` count as one, as scripts that quote for two shells rely on, and one at the end
/// as none.
pub(super) fn letters<R>(text: &str, columns: Columns<R>, unknown: &mut Vec<String>) -> Vec<Piece<R>> {
    let mut pieces = Vec::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let literal: String = std::iter::from_fn(|| rest.next_if(|c| *c != '%')).collect();
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        while rest.next_if_eq(&'%').is_some() {}
        if rest.peek().is_some() {
            pieces.push(letter(&mut rest, columns, unknown));
        }
    }
    pieces
}

fn letter<R>(rest: &mut Peekable<Chars<'_>>, columns: Columns<R>, unknown: &mut Vec<String>) -> Piece<R> {
    let right = rest.next_if_eq(&'.').is_some();
    let widest = rest.next_if_eq(&'#').is_some();
    let digits: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_digit)).collect();
    let letter = rest.next_if(|c| *c != '%').map(String::from).unwrap_or_default();
    let known = columns.iter().copied().flatten().find(|column| letter.chars().eq([column.letter]));
    let Some(column) = known else {
        let (dot, hash) = (if right { "." } else { "" }, if widest { "#" } else { "" });
        let literal = format!("%{dot}{hash}{digits}{letter}");
        unknown.push(letter);
        return Piece::Literal(literal);
    };
    let width = if widest { Width::Widest } else { width(&digits) };
    Piece::Field { column, width, right }
}

/// The pieces of `JobID:.8,Name`. A colon without a width takes as much as is needed.
pub(super) fn names<R>(text: &str, columns: Columns<R>, unknown: &mut Vec<String>) -> Vec<Piece<R>> {
    let mut pieces = Vec::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (name, form) = item.split_once(':').map_or((item, None), |(name, form)| (name, Some(form)));
        let Some(column) = named(name, columns) else {
            unknown.push(name.to_owned());
            continue;
        };
        let Some(form) = form else {
            pieces.push(Piece::Field { column, width: Width::Characters(NAME_WIDTH), right: false });
            continue;
        };
        let (right, form) = form.strip_prefix('.').map_or((false, form), |form| (true, form));
        let suffix = form.trim_start_matches(|c: char| c.is_ascii_digit());
        pieces.push(Piece::Field { column, width: width(&form[..form.len() - suffix.len()]), right });
        if !suffix.is_empty() {
            pieces.push(Piece::Literal(suffix.to_owned()));
        }
    }
    pieces
}

fn named<R>(name: &str, columns: Columns<R>) -> Option<&'static Column<R>> {
    let is_its = |column: &&Column<R>| column.names.iter().any(|known| known.eq_ignore_ascii_case(name));
    columns.iter().copied().flatten().find(is_its)
}

/// Nothing and 0 mean as much as is needed.
fn width(digits: &str) -> Width {
    match digits.trim_start_matches('0') {
        "" => Width::Free,
        digits => Width::Characters(digits.parse().unwrap_or(WIDTH_MAX).min(WIDTH_MAX)),
    }
}
