//! `--constraint`: which features the nodes of a task must have.
//!
//! `a&b` and `a|b` (evaluated left to right, with parentheses) are asked of every node; `[a|b]` wants one alternative for all
//! nodes together; `a*2` wants so many nodes with it, several of them joined by `&`, with or without brackets around. Which nodes
//! those are is found in [`crate::candidates`]. Start at [`Constraint`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::Name;

/// The longest constraint, in bytes.
pub const CONSTRAINT_BYTES_MAX: usize = 1024;
/// The deepest parentheses.
const DEPTH_MAX: u32 = 16;
/// The most counted parts (`a*2&b*1`), and the most alternatives in brackets.
const PARTS_MAX: usize = 16;

/// A checked constraint. It is kept as the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    text: String,
    /// What every node must match.
    pub(crate) every: Option<Features>,
    /// Alternatives of which all nodes match the same one; empty for no such wish.
    pub(crate) same: Vec<Features>,
    /// How many nodes must match what.
    pub(crate) counted: Vec<(u32, Features)>,
}

/// An expression over the features of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    Has(Name),
    Both(Box<(Features, Features)>),
    Either(Box<(Features, Features)>),
}

/// Why a constraint was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("'{text}' is no constraint at character {at}: {wanted}")]
pub struct ConstraintError {
    /// The whole text.
    pub text: String,
    /// Where, from 1.
    pub at: usize,
    /// What was expected there.
    pub wanted: &'static str,
}

impl Constraint {
    /// The features that it names, in order, some more than once.
    #[must_use]
    pub fn names(&self) -> Vec<&Name> {
        let mut names = Vec::new();
        let parts = self.every.iter().chain(&self.same).chain(self.counted.iter().map(|(_, part)| part));
        parts.for_each(|part| part.name(&mut names));
        names
    }

    /// How many nodes its counted parts need together.
    #[must_use]
    pub fn nodes_counted(&self) -> u32 {
        self.counted.iter().fold(0, |sum, (count, _)| sum.saturating_add(*count))
    }
}

impl Features {
    /// Whether a node with these features matches.
    pub(crate) fn matches(&self, features: &[Name]) -> bool {
        match self {
            Features::Has(name) => features.contains(name),
            Features::Both(both) => both.0.matches(features) && both.1.matches(features),
            Features::Either(either) => either.0.matches(features) || either.1.matches(features),
        }
    }

    fn name<'a>(&'a self, names: &mut Vec<&'a Name>) {
        match self {
            Features::Has(name) => names.push(name),
            Features::Both(pair) | Features::Either(pair) => {
                pair.0.name(names);
                pair.1.name(names);
            }
        }
    }
}

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Constraint, ConstraintError> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > CONSTRAINT_BYTES_MAX {
            return Err(reader.error("it is longer than 1024 bytes"));
        }
        let mut found = Constraint { text: text.to_owned(), every: None, same: Vec::new(), counted: Vec::new() };
        reader.chain(&mut found)?;
        match reader.peek() {
            None => Ok(found),
            Some(_) => Err(reader.error("nothing more, or & or |")),
        }
    }
}

/// A place in the text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The whole: parts joined by & and |, of which one may be in brackets and some counted.
    fn chain(&mut self, found: &mut Constraint) -> Result<(), ConstraintError> {
        let mut operator = '&';
        loop {
            if self.peek() == Some('[') {
                self.alone(operator)?;
                self.brackets(found)?;
            } else {
                let part = self.part(0)?;
                match self.count()? {
                    Some(count) => {
                        self.alone(operator)?;
                        self.counted(found, count, part)?;
                    }
                    None => found.every = Some(join(found.every.take(), operator, part)),
                }
            }
            match self.peek() {
                Some(next @ ('&' | '|')) => operator = next,
                _ => return Ok(()),
            }
            if operator == '|' && (found.every.is_none() || !found.same.is_empty() || !found.counted.is_empty()) {
                return Err(self.error("& here: what is in brackets or counted cannot be one side of |"));
            }
            self.at += 1;
        }
    }

    /// What is in brackets or counted stands beside the rest, not instead of it.
    fn alone(&self, operator: char) -> Result<(), ConstraintError> {
        if operator == '&' { Ok(()) } else { Err(self.error("a feature: brackets and counts follow &, not |")) }
    }

    fn counted(&self, found: &mut Constraint, count: u32, part: Features) -> Result<(), ConstraintError> {
        if found.counted.len() == PARTS_MAX {
            return Err(self.error("at most 16 counted parts"));
        }
        found.counted.push((count, part));
        Ok(())
    }

    /// `[a|b]`, or `[a*1&b*2]`.
    fn brackets(&mut self, found: &mut Constraint) -> Result<(), ConstraintError> {
        if !found.same.is_empty() {
            return Err(self.error("one pair of brackets is enough"));
        }
        self.at += 1;
        loop {
            let mut part = self.part(0)?;
            let count = self.count()?;
            if let Some(count) = count {
                self.counted(found, count, part)?;
            } else {
                // `&` inside of an alternative: `[a&b|c]`.
                while self.take('&') {
                    part = join(Some(part), '&', self.part(0)?);
                }
                if found.same.len() == PARTS_MAX {
                    return Err(self.error("at most 16 alternatives"));
                }
                found.same.push(part);
            }
            let mixed = !found.same.is_empty() && !found.counted.is_empty();
            match (self.peek(), count) {
                (Some(']'), _) if !mixed => {
                    self.at += 1;
                    return Ok(());
                }
                (Some('|'), None) | (Some('&'), Some(_)) if !mixed => self.at += 1,
                _ => return Err(self.error("] or the next part: [a|b], or [a*1&b*2]")),
            }
        }
    }

    /// A feature, or an expression in parentheses.
    fn part(&mut self, depth: u32) -> Result<Features, ConstraintError> {
        if depth > DEPTH_MAX {
            return Err(self.error("at most 16 parentheses inside of each other"));
        }
        if !self.take('(') {
            return self.feature();
        }
        let mut found = self.part(depth + 1)?;
        loop {
            match self.peek() {
                Some(')') => break,
                Some(operator @ ('&' | '|')) => {
                    self.at += 1;
                    found = join(Some(found), operator, self.part(depth + 1)?);
                }
                _ => return Err(self.error("& or | or )")),
            }
        }
        self.at += 1;
        Ok(found)
    }

    fn feature(&mut self) -> Result<Features, ConstraintError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| "&|()[]*,".contains(c) || c.is_whitespace() || c.is_control());
        match end.unwrap_or(rest.len()) {
            0 => Err(self.error("the name of a feature")),
            end => {
                self.at += end;
                Ok(Features::Has(rest[..end].into()))
            }
        }
    }

    /// `*2`, if it is there.
    fn count(&mut self) -> Result<Option<u32>, ConstraintError> {
        if !self.take('*') {
            return Ok(None);
        }
        let rest = &self.text[self.at..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count = rest[..digits].parse::<u32>().ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| self.error("a number of nodes, at least 1"))?;
        self.at += digits;
        Ok(Some(count))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn error(&self, wanted: &'static str) -> ConstraintError {
        let text: String = self.text.chars().take(CONSTRAINT_BYTES_MAX).collect();
        ConstraintError { text, at: self.text[..self.at].chars().count() + 1, wanted }
    }
}

fn join(left: Option<Features>, operator: char, right: Features) -> Features {
    match left {
        None => right,
        Some(left) if operator == '&' => Features::Both(Box::new((left, right))),
        Some(left) => Features::Either(Box::new((left, right))),
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Constraint {
    type Error = ConstraintError;

    fn try_from(text: String) -> Result<Constraint, ConstraintError> {
        text.parse()
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> String {
        constraint.text
    }
}

/// The most features that a node may have.
pub const FEATURES_MAX: usize = 64;
/// The longest feature, in bytes.
const FEATURE_BYTES_MAX: usize = 64;

/// Why a list of features was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FeaturesError {
    /// A name that cannot stand in a constraint.
    #[error("'{0}' is no feature: write up to {FEATURE_BYTES_MAX} letters and signs, none of & | ( ) [ ] *")]
    Word(String),
    /// More than [`FEATURES_MAX`].
    #[error("{0} features; at most {FEATURES_MAX} are allowed")]
    TooMany(usize),
}

/// Reads what a node is: `a,b`; nothing for nothing.
///
/// # Errors
/// A name that no constraint could contain, or too many.
pub fn read_features(text: &str) -> Result<Vec<Name>, FeaturesError> {
    let words: Vec<&str> = if text.is_empty() { Vec::new() } else { text.split(',').collect() };
    if words.len() > FEATURES_MAX {
        return Err(FeaturesError::TooMany(words.len()));
    }
    let bad = |c: char| "&|()[]*".contains(c) || c.is_whitespace() || c.is_control();
    let fits = |word: &str| (1..=FEATURE_BYTES_MAX).contains(&word.len()) && !word.contains(bad);
    match words.iter().find(|word| !fits(word)) {
        Some(word) => Err(FeaturesError::Word((*word).to_owned())),
        None => Ok(words.into_iter().map(Into::into).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(text: &str, features: &str) -> bool {
        let constraint: Constraint = text.parse().expect(text);
        let features: Vec<Name> = features.split(' ').map(Into::into).collect();
        constraint.every.expect("asked of every node").matches(&features)
    }

    #[test]
    fn expressions_are_evaluated_left_to_right() {
        for (text, features, holds) in [
            ("a", "a b", true),
            ("a", "b", false),
            ("a&b", "a", false),
            ("a|b", "b", true),
            ("a|b&c", "a", false),
            ("a|b&c", "a c", true),
            ("a|(b&c)", "a", true),
            ("(a|b)&(c|d)", "b d", true),
            ("((a))", "a", true),
            ("a&b|c", "c", true),
        ] {
            assert_eq!(matches(text, features), holds, "{text} on {features}");
        }
    }

    #[test]
    fn brackets_and_counts_are_told_apart() {
        let read = |text: &str| text.parse::<Constraint>().expect(text);
        let shape = |text: &str| {
            let found = read(text);
            let counts: Vec<u32> = found.counted.iter().map(|(count, _)| *count).collect();
            (found.every.is_some(), found.same.len(), counts)
        };
        assert_eq!(shape("[a|b|c]"), (false, 3, vec![]));
        assert_eq!(shape("[a&d|b]"), (false, 2, vec![]));
        assert_eq!(shape("d&[a|b]&e"), (true, 2, vec![]));
        assert_eq!(shape("a*2"), (false, 0, vec![2]));
        assert_eq!(shape("a*2&b*1&c"), (true, 0, vec![2, 1]));
        assert_eq!(shape("[(a|b)*1&c*2]"), (false, 0, vec![1, 2]));
        assert_eq!(read("[(a|b)*1&c*2]").nodes_counted(), 3);
        assert_eq!(read("[a|b]&c*1").names().len(), 3);
        assert_eq!(read("a|b").to_string(), "a|b");
    }

    #[test]
    fn what_is_none_is_refused_with_its_place() {
        for (text, at) in [
            ("", 1),
            ("a&", 3),
            ("a||b", 3),
            ("(a", 3),
            ("a)", 2),
            ("[a", 3),
            ("[a|b]|c", 6),
            ("a|[b|c]", 3),
            ("a*0", 3),
            ("a*", 3),
            ("a b", 2),
            ("a,b", 2),
            ("[a|b]&[c|d]", 7),
            ("[a*1|b]", 5),
            ("[a|b*2]", 7),
        ] {
            let error = text.parse::<Constraint>().expect_err(text);
            assert_eq!(error.at, at, "{error}");
        }
        assert!("(".repeat(100).parse::<Constraint>().is_err());
        assert!("a".repeat(1025).parse::<Constraint>().is_err());
        assert_eq!(read_features("gpu-a100_x,b").map(|all| all.len()), Ok(2));
        for text in ["a b", ",", "a|b", &"x".repeat(65)] {
            assert!(matches!(read_features(text), Err(FeaturesError::Word(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_stays(text in "[ab&|()\\[\\]*12]{0,16}|\\PC{0,8}") {
            if let Ok(constraint) = text.parse::<Constraint>() {
                prop_assert_eq!(constraint.to_string(), text);
                prop_assert!(!constraint.names().is_empty());
            }
        }
    }
}
