//! Why a picture was refused.

use std::{error::Error, fmt, io::ErrorKind};

use image::ImageError;

use crate::{format::Format, op::NotBuilt};

/// What a decoder or encoder said.
type Cause = Box<dyn Error + Send + Sync>;

/// Why an operation gave no picture.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// The first bytes are no picture's (nothing at all, text, SVG, ...).
    #[error("not a picture: the bytes begin as none of {}; check what the blob holds", Format::ALL.map(Format::name).join(", "))]
    NotAPicture,
    /// The bytes stop before the picture's end.
    #[error("the {format} picture ends too early: store the complete file again")]
    Truncated {
        /// What the bytes began as.
        format: Format,
    },
    /// The header announces more than the [`Limits`](crate::Limits) allow.
    #[error("the picture of {width}x{height} pixels is too large: {limit}; make it smaller or raise the limit")]
    TooLarge {
        /// Pixels, as the header says.
        width: u32,
        /// Pixels, as the header says.
        height: u32,
        /// Which limit it is over.
        limit: Bound,
    },
    /// A valid picture of a kind that is not read or cannot be written.
    #[error("{what} is not supported: convert the picture to an ordinary JPEG or PNG first")]
    Unsupported {
        /// The kind.
        what: String,
    },
    /// The bytes contradict their format.
    #[error("cannot decode the {format} picture: it is damaged, store it again")]
    Decode {
        /// What the bytes began as.
        format: Format,
        /// What the decoder said.
        #[source]
        source: Cause,
    },
    /// An operation that this build is without.
    #[error(transparent)]
    NotBuilt(#[from] NotBuilt),
    /// The result could not be written.
    #[error("cannot write the result as {format}: convert the picture to another format first")]
    Encode {
        /// The format of input and result.
        format: Format,
        /// What the encoder said.
        #[source]
        source: Cause,
    },
}

/// The limit that a picture is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`Limits::side_pixels_max`](crate::Limits::side_pixels_max).
    Side {
        /// Pixels allowed.
        pixels_max: u32,
    },
    /// [`Limits::picture_bytes_max`](crate::Limits::picture_bytes_max).
    Memory {
        /// Bytes that the operation would need.
        needed_bytes: u64,
        /// Bytes allowed.
        bytes_max: u64,
    },
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Side { pixels_max } => write!(f, "a side may have {pixels_max} pixels"),
            Self::Memory { needed_bytes, bytes_max } => {
                write!(f, "it needs {needed_bytes} bytes of memory where {bytes_max} are allowed")
            }
        }
    }
}

impl OpError {
    /// Whether another try with the same bytes ends the same way; if so the task fails at once.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::NotAPicture
            | Self::Truncated { .. }
            | Self::TooLarge { .. }
            | Self::Unsupported { .. }
            | Self::Decode { .. }
            | Self::NotBuilt(_)
            | Self::Encode { .. } => true,
        }
    }

    pub(crate) fn decoding(format: Format, error: ImageError) -> Self {
        match error {
            ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Self::Truncated { format },
            ImageError::Unsupported(error) => Self::Unsupported { what: format!("this {format} ({error})") },
            error => Self::Decode { format, source: error.into() },
        }
    }
}
