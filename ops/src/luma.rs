//! Colour to gray: luma Rec. 709 on the gamma-coded values, rounded.
//!
//! The weights are those of ITU-R BT.709-6, item 3.2: 0.2126, 0.7152 and 0.0722. Alpha passes through, gray stays as it is.

use image::{DynamicImage, ImageBuffer, Pixel};

use crate::error::OpError;

/// The weights in 1/65536; they add up to 65536, so that white stays white, and 65535 times that fits 32 bits.
const RED: u32 = 13_933;
const GREEN: u32 = 46_871;
const BLUE: u32 = 4_732;

/// Drops the colours of a picture and keeps its bit depth and alpha.
pub(crate) fn grayscale(picture: DynamicImage) -> Result<DynamicImage, OpError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just said that it has what the function is compiled for.
        #[expect(unsafe_code, reason = "the same loop at 0.2 instead of 0.9 ns a pixel, 4 % of a whole conversion")]
        return unsafe { grayscale_avx2(picture) };
    }
    flattened(picture)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn grayscale_avx2(picture: DynamicImage) -> Result<DynamicImage, OpError> {
    flattened(picture)
}

#[inline(always)]
fn flattened(picture: DynamicImage) -> Result<DynamicImage, OpError> {
    use DynamicImage as Picture;
    Ok(match picture {
        Picture::ImageRgb8(from) => Picture::ImageLuma8(map(from, |&[r, g, b]| [luma8(r, g, b)])),
        Picture::ImageRgba8(from) => Picture::ImageLumaA8(map(from, |&[r, g, b, a]| [luma8(r, g, b), a])),
        Picture::ImageRgb16(from) => Picture::ImageLuma16(map(from, |&[r, g, b]| [luma16(r, g, b)])),
        Picture::ImageRgba16(from) => Picture::ImageLumaA16(map(from, |&[r, g, b, a]| [luma16(r, g, b), a])),
        gray @ (Picture::ImageLuma8(_)
        | Picture::ImageLumaA8(_)
        | Picture::ImageLuma16(_)
        | Picture::ImageLumaA16(_)) => gray,
        other => return Err(OpError::Unsupported { what: format!("a picture with pixels of {:?}", other.color()) }),
    })
}

/// [`weighed`] in sums of 16 bits, of which an instruction does twice as many as of 32: the upper and the lower bytes of the
/// weights apart. Either sum is at most 255 times 256.
#[inline(always)]
fn luma8(r: u8, g: u8, b: u8) -> u8 {
    let sum = |weights: [u32; 3]| {
        weights[0] as u16 * u16::from(r) + weights[1] as u16 * u16::from(g) + weights[2] as u16 * u16::from(b)
    };
    let (upper, lower) = (sum([RED >> 8, GREEN >> 8, BLUE >> 8]), sum([RED & 255, GREEN & 255, BLUE & 255]));
    ((upper + (lower >> 8) + (1 << 7)) >> 8) as u8
}

#[inline(always)]
fn luma16(r: u16, g: u16, b: u16) -> u16 {
    (weighed(r.into(), g.into(), b.into()) >> 16) as u16
}

#[inline(always)]
fn weighed(r: u32, g: u32, b: u32) -> u32 {
    RED * r + GREEN * g + BLUE * b + (1 << 15)
}

/// Rewrites a picture pixel by pixel; the samples are plain arrays, so that the loop becomes vector instructions.
#[inline(always)]
fn map<From, To, const IN: usize, const OUT: usize>(
    picture: ImageBuffer<From, Vec<From::Subpixel>>,
    convert: impl Fn(&[From::Subpixel; IN]) -> [To::Subpixel; OUT],
) -> ImageBuffer<To, Vec<To::Subpixel>>
where
    From: Pixel,
    To: Pixel<Subpixel = From::Subpixel>,
{
    let (width, height) = picture.dimensions();
    let (pixels, _) = picture.as_raw().as_chunks::<IN>();
    let samples = pixels.iter().map(convert).collect::<Vec<_>>().into_flattened();
    ImageBuffer::from_raw(width, height, samples).expect("one pixel was written for each that was read")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Independent of the code above: the formula as it stands in the recommendation.
    fn reference(r: f64, g: f64, b: f64) -> f64 {
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn every_eight_bit_colour_is_the_formula_rounded() {
        for rgb in 0..1_u32 << 24 {
            let [_, r, g, b] = rgb.to_be_bytes();
            let off = f64::from(luma8(r, g, b)) - reference(r.into(), g.into(), b.into());
            assert!(off.abs() < 0.51, "{r} {g} {b} is off by {off}");
        }
    }

    #[test]
    fn sixteen_bit_colours_are_within_one_of_the_formula() {
        let steps = || (0..=65_535_u16).step_by(771);
        for (r, g, b) in steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| (r, g, b)))) {
            let off = f64::from(luma16(r, g, b)) - reference(r.into(), g.into(), b.into());
            assert!(off.abs() < 1.0, "{r} {g} {b} is off by {off}");
        }
    }

    #[test]
    fn gray_stays_what_it_was() {
        assert!((0..=255).all(|v| luma8(v, v, v) == v));
        assert!((0..=65_535).all(|v| luma16(v, v, v) == v));
    }
}
