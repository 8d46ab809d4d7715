//! What a picture is, for whoever checks results.

use image::DynamicImage;

use crate::{error::OpError, format::Format, limits::Limits, op::Op, source::Source};

/// What [`inspect`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureFacts {
    /// The format, from the bytes.
    pub format: Format,
    /// Pixels, standing upright.
    pub width: u32,
    /// Pixels, standing upright.
    pub height: u32,
    /// Whether no pixel has a colour, however the picture is coded.
    pub gray: bool,
    /// Whether there is an alpha channel, or a transparent colour.
    pub has_alpha: bool,
    /// Bits of a sample as decoded: 8 or 16 (or 32 in a TIFF).
    pub bits: u8,
}

/// Decodes a picture within the default [`Limits`] and says what it is.
///
/// # Errors
/// As [`run`](crate::run), but for those of writing.
pub fn inspect(bytes: &[u8]) -> Result<PictureFacts, OpError> {
    let source = Source::open(Op::Grayscale, bytes, &Limits::default())?;
    let (format, orientation) = (source.format, source.orientation);
    let mut picture = source.decode()?;
    let gray = is_gray(&picture);
    picture.apply_orientation(orientation);
    let colour = picture.color();
    Ok(PictureFacts {
        format,
        width: picture.width(),
        height: picture.height(),
        gray,
        has_alpha: colour.has_alpha(),
        bits: 8 * (colour.bytes_per_pixel() / colour.channel_count()),
    })
}

fn is_gray(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageRgb8(picture) => picture.pixels().all(|p| equal(p.0)),
        DynamicImage::ImageRgba8(picture) => picture.pixels().all(|p| equal(p.0)),
        DynamicImage::ImageRgb16(picture) => picture.pixels().all(|p| equal(p.0)),
        DynamicImage::ImageRgba16(picture) => picture.pixels().all(|p| equal(p.0)),
        other => !other.color().has_color(),
    }
}

fn equal<S: PartialEq, const N: usize>(pixel: [S; N]) -> bool {
    pixel[0] == pixel[1] && pixel[1] == pixel[2]
}
