//! The built-in operations on a blob: bytes in, bytes out.
//!
//! Pure functions on one picture. No files, no threads, no clock: whoever calls [`run`] downloads, uploads and decides
//! how many pictures are in memory at once, for which [`cost_bytes`] says beforehand what one will need.
//!
//! Start at [`run`]. What is read is a `source::Source`, what happens to its pixels is in `luma`, what is written is
//! in `encode`; [`made`] draws pictures to try it all on.

mod baseline;
mod encode;
mod error;
mod facts;
mod format;
mod jpeg;
mod limits;
mod luma;
pub mod made;
pub mod memory;
mod op;
mod source;
#[cfg(test)]
mod tests;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod whole;

pub use error::{Bound, OpError};
pub use facts::{PictureFacts, inspect};
pub use format::Format;
pub use limits::Limits;
pub use op::{NotBuilt, Op, UnknownOp};

use source::Source;

/// Converts one picture and gives the bytes of the result, in the format of the input.
///
/// Grayscale is luma Rec. 709 on the gamma-coded values. Alpha, bit depth (8 or 16) and a JPEG's luma quantization stay;
/// an orientation in the metadata is applied, and the metadata is dropped (an RGB colour profile would be wrong on gray).
/// Of an animation the first frame is kept; WebP is written lossless, JPEG baseline, a palette becomes gray samples.
///
/// [`Op::GrayscaleLossless`] differs for JPEG with a brightness of its own (not CMYK, not RGB): that brightness is Rec. 601,
/// is copied coefficient by coefficient, and keeps its orientation as a tag.
///
/// # Errors
/// Every [`OpError`]; all are properties of the input and the build, so that a second try ends the same way.
pub fn run(op: Op, input: &[u8], limits: &Limits) -> Result<Vec<u8>, OpError> {
    let source = Source::open(op.built()?, input, limits)?;
    #[cfg(feature = "turbojpeg")]
    if let Some(jpeg) = source.lossless() {
        return turbo::lossless(jpeg);
    }
    let (format, orientation, quantization) = (source.format, source.orientation, source.quantization());
    let mut picture = source.gray()?;
    picture.apply_orientation(orientation);
    encode::encode(format, picture, quantization)
}

/// Says how many bytes of memory [`run`] will need at most beside its input, from the header alone.
///
/// # Errors
/// [`OpError::TooLarge`] for a picture over `limits`, without having allocated for it, and what else the header shows.
pub fn cost_bytes(op: Op, input: &[u8], limits: &Limits) -> Result<u64, OpError> {
    Ok(Source::open(op.built()?, input, limits)?.cost_bytes())
}
