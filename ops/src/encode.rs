//! Writing a gray picture in the format that it came in.

use std::io::Cursor;

use image::{
    DynamicImage, ImageError,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use crate::{baseline, error::OpError, format::Format, jpeg::Quantization};

/// The table of a JPEG whose own was not readable, in zigzag order: quality 90 of ITU-T T.81, table K.1.
#[rustfmt::skip]
const TABLE_DEFAULT: Quantization = [
     3,  2,  2,  3,  2,  2,  3,  3,  3,  3,  4,  3,  3,  4,  5,  8,  5,  5,  4,  4,  5, 10,  7,  7,  6,  8, 12, 10, 12, 12, 11, 10,
    11, 11, 13, 14, 18, 16, 13, 14, 17, 14, 11, 11, 16, 22, 16, 17, 19, 20, 21, 21, 21, 12, 15, 23, 24, 22, 20, 24, 18, 20, 21, 20,
];

/// What a format writes beside samples; more makes the output grow once.
const HEADER_BYTES: usize = 4096;

/// Writes a gray picture, in the same format and as near to it as the format allows.
pub(crate) fn encode(format: Format, gray: DynamicImage, table: Option<Quantization>) -> Result<Vec<u8>, OpError> {
    let failed = |error: ImageError| OpError::Encode { format, source: error.into() };
    match format {
        Format::Jpeg => jpeg(&gray, table),
        Format::Pnm => Ok(pnm(&gray)),
        Format::Png => {
            let mut out = Vec::with_capacity(gray.as_bytes().len() / 2);
            let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive);
            gray.write_with_encoder(encoder).map_err(failed)?;
            Ok(out)
        }
        Format::Gif | Format::WebP | Format::Tiff | Format::Bmp => {
            let picture = widened(format, gray);
            let mut out = Cursor::new(Vec::with_capacity(picture.as_bytes().len() + HEADER_BYTES));
            picture.write_to(&mut out, format.image_format()).map_err(failed)?;
            Ok(out.into_inner())
        }
    }
}

/// Repeats gray as red, green and blue where the format has no gray with alpha, or (GIF) no gray at all.
fn widened(format: Format, gray: DynamicImage) -> DynamicImage {
    match (format, gray) {
        (Format::Gif, gray) => gray.into_rgba8().into(),
        (Format::Tiff | Format::Bmp, gray @ DynamicImage::ImageLumaA8(_)) => gray.into_rgba8().into(),
        (Format::Tiff, gray @ DynamicImage::ImageLumaA16(_)) => gray.into_rgba16().into(),
        (_, gray) => gray,
    }
}

/// Writes with the table of the source, so that it keeps the quality that it came with.
fn jpeg(gray: &DynamicImage, table: Option<Quantization>) -> Result<Vec<u8>, OpError> {
    let too_wide = || OpError::Unsupported { what: "a JPEG with a side over 65535 pixels".into() };
    let width = u16::try_from(gray.width()).map_err(|_| too_wide())?;
    let height = u16::try_from(gray.height()).map_err(|_| too_wide())?;
    Ok(baseline::encode(gray.as_bytes(), width, height, &table.unwrap_or(TABLE_DEFAULT)))
}

/// A graymap, or the arbitrary map that alpha needs; samples of two bytes are big-endian.
fn pnm(gray: &DynamicImage) -> Vec<u8> {
    let (width, height, colour) = (gray.width(), gray.height(), gray.color());
    let wide = colour.bytes_per_pixel() / colour.channel_count() == 2;
    let sample_max = if wide { 65_535 } else { 255 };
    let mut out = if colour.has_alpha() {
        format!("P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 2\nMAXVAL {sample_max}\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n")
    } else {
        format!("P5\n{width} {height}\n{sample_max}\n")
    }
    .into_bytes();
    out.reserve_exact(gray.as_bytes().len());
    if wide {
        let (samples, _) = gray.as_bytes().as_chunks();
        out.extend(samples.iter().flat_map(|sample| u16::from_ne_bytes(*sample).to_be_bytes()));
    } else {
        out.extend_from_slice(gray.as_bytes());
    }
    out
}
