//! The brightness of a JPEG without decoding it, by libjpeg-turbo, in builds with the feature `turbojpeg`.
//!
//! Only this, because only this is out of reach of the Rust codecs. Decoding by libjpeg-turbo would save a tenth of
//! `grayscale`'s time, but rounds otherwise: one pixel in 5000 comes out two steps off, and results would depend on the build.
//! Encoding would not save anything, and takes a quality where the source's own table is wanted. What libjpeg-turbo warns of
//! is an error here.

use image::metadata::Orientation;
use turbojpeg::{Transform, Transformer};

use crate::{
    error::OpError,
    format::Format,
    jpeg::{Jpeg, SCANS_MAX, exif},
};

/// Writes the brightness (Rec. 601, as it is in the file) as a gray JPEG, without decoding: no pixel changes.
///
/// Turning would move blocks, which not every size allows, so that an orientation stays as the only metadata.
///
/// # Errors
/// [`OpError::Decode`] with what libjpeg-turbo said.
pub(crate) fn lossless(jpeg: &Jpeg<'_>) -> Result<Vec<u8>, OpError> {
    let damaged = |error: turbojpeg::Error| OpError::Decode { format: Format::Jpeg, source: error.into() };
    if jpeg.scans > SCANS_MAX {
        return Err(OpError::Unsupported { what: format!("a JPEG with more than {SCANS_MAX} scans") });
    }
    let mut to_gray = Transform::default();
    (to_gray.gray, to_gray.copy_none) = (true, true);
    let gray = Transformer::new().and_then(|mut transformer| transformer.transform_to_owned(&to_gray, jpeg.bytes));
    let gray = gray.map_err(damaged)?;
    Ok(if jpeg.orientation == Orientation::NoTransforms { gray.to_vec() } else { tagged(&gray, jpeg.orientation) })
}

/// Puts an EXIF segment with the orientation behind the first segment, the JFIF header, which has to stay the first.
fn tagged(gray: &[u8], orientation: Orientation) -> Vec<u8> {
    let content = [b"Exif\0\0", exif(orientation.to_exif()).as_slice()].concat();
    let [_, _, 0xFF, 0xE0, l1, l0, ..] = *gray else { unreachable!("libjpeg-turbo begins gray files with JFIF") };
    let (start, rest) = gray.split_at(4 + usize::from(u16::from_be_bytes([l1, l0])));
    let [length1, length0] = (2 + content.len() as u16).to_be_bytes();
    [start, &[0xFF, 0xE1, length1, length0], &content, rest].concat()
}
