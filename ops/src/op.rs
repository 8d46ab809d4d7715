//! The operations that have a name.

use std::{fmt, str::FromStr};

/// A built-in operation on a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Luma Rec. 709; the picture's format, size, bit depth and alpha stay.
    Grayscale,
    /// The same but for JPEG, whose own brightness (Rec. 601) is kept as it is coded, so that no pixel changes. Needs a
    /// build with the feature `turbojpeg`.
    GrayscaleLossless,
}

impl Op {
    /// Every operation, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::Grayscale, Self::GrayscaleLossless];

    /// The name that users type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grayscale => "grayscale",
            Self::GrayscaleLossless => "grayscale:lossless",
        }
    }

    /// Says whether this build can run it. Names are known in every build, so that whoever submits hears of the build at
    /// once, and not of an unknown name.
    ///
    /// # Errors
    /// [`NotBuilt`] for an operation that needs a feature which was left out.
    pub const fn built(self) -> Result<Self, NotBuilt> {
        match self {
            Self::GrayscaleLossless if !cfg!(feature = "turbojpeg") => Err(NotBuilt { op: self }),
            Self::Grayscale | Self::GrayscaleLossless => Ok(self),
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

/// An operation that was left out of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this covey was built without {op}: take the container image's, build it with --features turbojpeg, or use {}",
    Op::Grayscale
)]
pub struct NotBuilt {
    /// What was asked for.
    pub op: Op,
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
        assert_eq!(refusal.to_string(), r#"unknown op "sepia": known are grayscale, grayscale:lossless"#);
    }

    #[cfg(not(feature = "turbojpeg"))]
    #[test]
    fn what_was_left_out_is_told_with_the_way_to_get_it() {
        let refusal = Op::GrayscaleLossless.built().expect_err("this build is without it");
        assert_eq!(
            refusal.to_string(),
            "this covey was built without grayscale:lossless: take the container image's, build it with \
             --features turbojpeg, or use grayscale"
        );
    }
}
