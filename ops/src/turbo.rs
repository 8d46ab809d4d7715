//! JPEG by libjpeg-turbo, in builds with the feature `turbojpeg`.
//!
//! Two things that the Rust decoder cannot: planes of brightness and colour as they are in the file ([`gray`]), so that no
//! RGB is made only to be added up again, and the brightness moved to a new file without being decoded ([`lossless`]).
//! What libjpeg-turbo warns of is an error here. The results are still written by [`baseline`](crate::baseline): the
//! interface of this library takes a quality, and what is wanted is the source's own quantization table.

use image::{DynamicImage, GrayImage, metadata::Orientation};
use turbojpeg::{Colorspace, Decompressor, Subsamp, Transform, Transformer, YuvImage};

use crate::{
    error::OpError,
    format::Format,
    jpeg::{Jpeg, SCANS_MAX, exif},
    luma,
};

/// Decodes a picture whose colours have as many samples as its brightness, and weighs them by Rec. 709.
///
/// Gives none for any other picture, and for one that libjpeg-turbo has something against: the caller has a second, strict
/// decoder to ask, so that both builds accept the same files.
pub(crate) fn gray(jpeg: &Jpeg<'_>) -> Option<DynamicImage> {
    if !jpeg.has_luma() || jpeg.is_gray() || jpeg.scans > SCANS_MAX {
        return None;
    }
    let mut decoder = Decompressor::new().ok()?;
    let header = decoder.read_header(jpeg.bytes).ok()?;
    if header.subsamp != Subsamp::None || header.colorspace != Colorspace::YCbCr {
        return None;
    }
    let (width, height) = (header.width, header.height);
    let mut samples = vec![0; 3 * width * height];
    let planes = YuvImage { pixels: &mut samples[..], width, align: 1, height, subsamp: header.subsamp };
    decoder.decompress_to_yuv(jpeg.bytes, planes).ok()?;
    luma::from_planes(&mut samples);
    GrayImage::from_raw(jpeg.width.into(), jpeg.height.into(), samples).map(DynamicImage::ImageLuma8)
}

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
