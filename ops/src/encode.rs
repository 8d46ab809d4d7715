//! Writing a gray picture in the format that it came in.

use std::io::Cursor;

use image::{
    DynamicImage, ImageError,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use jpeg_encoder::{ColorType, Encoder, QuantizationTableType};

use crate::{error::OpError, format::Format, jpeg::Quantization};

/// The quality of a JPEG whose source had no readable quantization table.
const QUALITY_DEFAULT: u8 = 90;

/// What a format writes beside samples; more makes the output grow once.
const HEADER_BYTES: usize = 4096;

/// Where a quantization table in zigzag order has its values in rows (ITU-T T.81, figure A.6).
const ZIGZAG: [usize; 64] = zigzag();

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

fn jpeg(gray: &DynamicImage, table: Option<Quantization>) -> Result<Vec<u8>, OpError> {
    let too_wide = || OpError::Unsupported { what: "a JPEG with a side over 65535 pixels".into() };
    let width = u16::try_from(gray.width()).map_err(|_| too_wide())?;
    let height = u16::try_from(gray.height()).map_err(|_| too_wide())?;
    let mut out = Vec::with_capacity(gray.as_bytes().len() / 4);
    let mut encoder = Encoder::new(&mut out, QUALITY_DEFAULT);
    if let Some(table) = table {
        let luma = QuantizationTableType::Custom(Box::new(in_rows(table)));
        encoder.set_quantization_tables(luma.clone(), luma);
    }
    encoder
        .encode(gray.as_bytes(), width, height, ColorType::Luma)
        .map_err(|error| OpError::Encode { format: Format::Jpeg, source: error.into() })?;
    Ok(out)
}

/// Reorders a table for the encoder, which writes values of one byte.
fn in_rows(table: Quantization) -> [u16; 64] {
    let mut rows = [0; 64];
    for (value, at) in table.into_iter().zip(ZIGZAG) {
        rows[at] = value.clamp(1, 255);
    }
    rows
}

const fn zigzag() -> [usize; 64] {
    let mut order = [0; 64];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut i = 0;
    while i < 64 {
        order[i] = row * 8 + column;
        // Diagonals with an even sum run up to the right, the others down to the left; both turn at the edges.
        match ((row + column).is_multiple_of(2), row, column) {
            (true, _, 7) => row += 1,
            (true, 0, _) => column += 1,
            (true, ..) => (row, column) = (row - 1, column + 1),
            (false, 7, _) => column += 1,
            (false, _, 0) => row += 1,
            (false, ..) => (row, column) = (row + 1, column - 1),
        }
        i += 1;
    }
    order
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_turns_where_the_standard_does() {
        assert_eq!(ZIGZAG[..12], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25]);
        assert_eq!(ZIGZAG[60..], [61, 54, 47, 55, 62, 63][2..]);
        let mut sorted = ZIGZAG;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..64));
    }
}
