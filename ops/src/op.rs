//! The operations that have a name.

use std::{fmt, str::FromStr};

/// A built-in operation on a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Luma Rec. 709; the picture's format, size, bit depth and alpha stay.
    Grayscale,
}

impl Op {
    /// Every operation, in the order in which messages list them.
    pub const ALL: [Self; 1] = [Self::Grayscale];

    /// The name that users type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grayscale => "grayscale",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no operation's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown op {name:?}: known are {}", Op::ALL.map(Op::name).join(", "))]
pub struct UnknownOp {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Op {
    type Err = UnknownOp;

    fn from_str(name: &str) -> Result<Self, UnknownOp> {
        Self::ALL.into_iter().find(|op| op.name() == name).ok_or_else(|| UnknownOp { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_is_found_by_the_name_it_prints() {
        for op in Op::ALL {
            assert_eq!(op.to_string().parse(), Ok(op));
        }
    }

    #[test]
    fn an_unknown_op_is_answered_with_the_known_ones() {
        let refusal = "sepia".parse::<Op>().expect_err("there is no such op");
        assert_eq!(refusal.to_string(), r#"unknown op "sepia": known are grayscale"#);
    }
}
