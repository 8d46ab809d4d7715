//! For whom a node calls: what it adds to the calls of users of its machine.
//!
//! It stands in the metadata of each call. The controller looks for it only where a node has shown its certificate, and how far
//! it believes it then is decided there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The key of the metadata.
pub const BEHALF_KEY: &str = "covey-on-behalf-of";

/// A user of the node's machine, by the word of its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behalf {
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

/// No such text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{BEHALF_KEY} has to be UID:GID")]
pub struct BehalfError;

impl fmt::Display for Behalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl FromStr for Behalf {
    type Err = BehalfError;

    fn from_str(text: &str) -> Result<Behalf, BehalfError> {
        let (uid, gid) = text.split_once(':').ok_or(BehalfError)?;
        let number = |text: &str| text.parse().map_err(|_| BehalfError);
        Ok(Behalf { uid: number(uid)?, gid: number(gid)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_written_and_read() {
        let ada = Behalf { uid: 1000, gid: 100 };
        assert_eq!((ada.to_string().as_str(), "1000:100".parse()), ("1000:100", Ok(ada)));
        for text in ["", "1000", "1000:", ":100", "-1:0", "root:root", "1:2:3", "4294967296:0"] {
            assert_eq!(text.parse::<Behalf>(), Err(BehalfError), "{text}");
        }
    }
}
