//! How large a picture may be.

use crate::error::{Bound, OpError};

/// Bounds on one picture, checked against its header before anything is allocated for its pixels.
///
/// A few kilobytes of PNG can announce 60,000 x 60,000 pixels; a picture over a bound is refused with
/// [`OpError::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels that the width and the height may have each.
    pub side_pixels_max: u32,
    /// Bytes of memory that one operation may need, as [`cost_bytes`](crate::cost_bytes) counts them.
    pub picture_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { side_pixels_max: 30_000, picture_bytes_max: 1 << 30 }
    }
}

impl Limits {
    /// Refuses a picture with a side, or a need of memory, over the bounds.
    pub(crate) fn admit(&self, width: u32, height: u32, needed_bytes: u64) -> Result<(), OpError> {
        let limit = if width.max(height) > self.side_pixels_max {
            Bound::Side { pixels_max: self.side_pixels_max }
        } else if needed_bytes > self.picture_bytes_max {
            Bound::Memory { needed_bytes, bytes_max: self.picture_bytes_max }
        } else {
            return Ok(());
        };
        Err(OpError::TooLarge { width, height, limit })
    }
}
