//! What is at a blob's name before an output is put there: the fence that keeps a late writer from changing it.
//!
//! Whoever makes an output asks once, at the beginning, and puts it only if nothing has changed since. So of two who make the
//! same output the later one changes nothing.

use std::fmt;
use std::str::FromStr;

use object_store::{ObjectMeta, PutMode, UpdateVersion};

use crate::Scheme;

/// The state of a name at a moment, which must still be its state when a blob is put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// There is no blob.
    Nothing,
    /// There is this version of a blob, by its store's own word for it.
    Version(String),
    /// The store takes no conditions (`AWS_CONDITIONAL_PUT=disabled`): whatever is there is replaced.
    Anything,
}

impl Before {
    /// The version that a store of this kind tells.
    pub(crate) fn of(scheme: Scheme, found: &ObjectMeta) -> Option<Before> {
        let word = if scheme == Scheme::Google { &found.version } else { &found.e_tag };
        word.clone().map(Before::Version)
    }

    /// The condition as the client wants it.
    pub(crate) fn mode(&self) -> PutMode {
        match self {
            Before::Nothing => PutMode::Create,
            // Each kind of store looks at the one that is its own.
            Before::Version(word) => {
                PutMode::Update(UpdateVersion { e_tag: Some(word.clone()), version: Some(word.clone()) })
            }
            Before::Anything => PutMode::Overwrite,
        }
    }

    /// The condition as a header of a plain PUT.
    pub(crate) fn header(&self, scheme: Scheme) -> Option<(&'static str, String)> {
        match (self, scheme) {
            (Before::Anything, _) => None,
            (Before::Nothing, Scheme::Google) => Some(("x-goog-if-generation-match", "0".into())),
            (Before::Version(word), Scheme::Google) => Some(("x-goog-if-generation-match", word.clone())),
            (Before::Nothing, _) => Some(("if-none-match", "*".into())),
            (Before::Version(word), _) => Some(("if-match", word.clone())),
        }
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Before::Nothing => f.write_str("nothing"),
            Before::Anything => f.write_str("anything"),
            Before::Version(word) => write!(f, "version {word}"),
        }
    }
}

/// The text is none that a [`Before`] prints.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} says nothing about a blob")]
pub struct BadBefore(String);

impl FromStr for Before {
    type Err = BadBefore;

    fn from_str(text: &str) -> Result<Before, BadBefore> {
        match text {
            "nothing" => Ok(Before::Nothing),
            "anything" => Ok(Before::Anything),
            _ => {
                let word = text.strip_prefix("version ").ok_or_else(|| BadBefore(text.to_owned()))?;
                Ok(Before::Version(word.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for before in [Before::Nothing, Before::Anything, Before::Version("\"0x8D-1\"".into())] {
            assert_eq!(before.to_string().parse::<Before>().expect("printed"), before);
        }
        assert!("versions".parse::<Before>().is_err());
    }

    #[test]
    fn each_kind_of_store_has_its_own_condition() {
        let version = Before::Version("7".into());
        assert_eq!(Before::Nothing.header(Scheme::S3), Some(("if-none-match", "*".into())));
        assert_eq!(version.header(Scheme::Azure), Some(("if-match", "7".into())));
        assert_eq!(version.header(Scheme::Google), Some(("x-goog-if-generation-match", "7".into())));
        assert_eq!(Before::Anything.header(Scheme::S3), None);
    }
}
