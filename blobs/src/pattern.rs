//! A glob over blob names: `*`, `?` and `[..]`, never crossing a `/`.
//!
//! It is the last part of a URL and keeps its text, so that the URL prints as it was written. A percent escape of a
//! glob character (`%2A`) is that character itself; braces and backslashes mean nothing special.

use glob::{MatchOptions, PatternError};
use percent_encoding::percent_decode_str;

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Escapes that stand for a character, not for a glob, and the class of one character that says so.
const LITERALS: [(&str, &str); 6] =
    [("%2A", "[*]"), ("%2a", "[*]"), ("%3F", "[?]"), ("%3f", "[?]"), ("%5B", "[[]"), ("%5b", "[[]")];

/// A compiled glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(glob::Pattern);

impl Pattern {
    /// True when the last part of a URL asks for a pattern rather than naming a folder.
    pub(crate) fn is_in(part: &str) -> bool {
        part.contains(['*', '?', '['])
    }

    /// Compiles the still percent-encoded `part` of a URL.
    pub(crate) fn parse(part: &str) -> Result<Self, PatternError> {
        let literal = LITERALS.iter().fold(part.to_owned(), |text, (escape, class)| text.replace(escape, class));
        glob::Pattern::new(&percent_decode_str(&literal).decode_utf8_lossy()).map(Self)
    }

    /// The decoded text, such as `*.jpg`.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// True for names in the prefix itself that match; a name with a `/` never does.
    pub(crate) fn matches(&self, name: &str) -> bool {
        !name.contains('/') && self.0.matches_with(name, OPTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        let cases = [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "in/a.jpg", false),
            ("*", "a b#1%.x", true),
            ("**", "a/b", false),
            ("?.png", "é.png", true),
            ("?.png", "ab.png", false),
            ("[a-c]*", "cat", true),
            ("[!a-c]*", "cat", false),
            ("{a,b}*", "a", false),
            ("{a,b}*", "{a,b}1", true),
            ("a%2A*", "a*b", true),
            ("a%2A*", "aab", false),
            ("a%20*", "a b", true),
            ("a\\*", "a\\b", true),
        ];
        for (text, name, expected) in cases {
            let pattern = Pattern::parse(text).expect("a good glob");
            assert_eq!(pattern.matches(name), expected, "{text} on {name}");
        }
        assert!(Pattern::parse("a[").is_err());
    }
}
