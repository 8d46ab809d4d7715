//! The name of a blob, relative to the prefix of its store.
//!
//! Names from a listing keep their exact text: blanks, `%`, `+`, `#` and any script are left alone. What a name can
//! never do is leave its prefix or break a line of output.

use std::fmt;
use std::str::FromStr;

use crate::BlobError;

/// Longest name in bytes, the limit of S3, Google and Azure; a longer one is refused.
pub const NAME_BYTES_MAX: usize = 1024;

/// Where a store is probed for being writable; listings leave it out.
pub(crate) const PROBE_NAME: &str = ".covey-probe";

/// A checked blob name: parts divided by `/`, none of them empty, `.` or `..`, and no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(Box<str>);

impl BlobName {
    /// Checks `text`; fails with [`BlobError::BadName`], which says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, BlobError> {
        let text = text.into();
        match fault_of(&text) {
            None => Ok(Self(text.into_boxed_str())),
            Some(fault) => Err(BlobError::BadName { name: text, fault }),
        }
    }

    /// The name exactly as the store spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the blob that proves a store writable.
    pub(crate) fn probe() -> Self {
        Self(PROBE_NAME.into())
    }
}

/// Why `text` is no blob name, if it is none.
pub(crate) fn fault_of(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > NAME_BYTES_MAX {
        return Some("it is longer than 1024 bytes");
    }
    if text.starts_with('/') {
        return Some("it starts with a slash: names are relative to the URL of their store");
    }
    if text.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    text.split('/').find_map(|part| match part {
        "" => Some("it has an empty part between or after its slashes"),
        "." | ".." => Some("it has a part that is only dots"),
        _ => None,
    })
}

impl FromStr for BlobName {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        Self::new(text)
    }
}

impl AsRef<str> for BlobName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_but_honest_names_keep_their_text() {
        for text in ["a", "a b.jpg", "50%.png", "%2F", "a+b#1.x", "Zoë/猫.jpg", "..a/b..", "C:\\x", "[1]{2}*?"] {
            assert_eq!(BlobName::new(text).expect("a good name").as_str(), text);
        }
    }

    #[test]
    fn names_that_could_leave_the_prefix_are_refused() {
        for text in ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\nb", "a\0", "a\u{85}b"] {
            assert!(matches!(BlobName::new(text), Err(BlobError::BadName { .. })), "{text:?}");
        }
        assert!(BlobName::new("a".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(BlobName::new("a".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn no_mix_of_dangerous_characters_gets_through() {
        let alphabet = ['a', '.', '/', '\n', '%'];
        for mut seed in 0..alphabet.len().pow(6) {
            let mut text = String::new();
            for _ in 0..6 {
                text.push(alphabet[seed % alphabet.len()]);
                seed /= alphabet.len();
            }
            let safe = !text.contains('\n') && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
            assert_eq!(BlobName::new(text.as_str()).is_ok(), safe, "{text:?}");
        }
    }
}
