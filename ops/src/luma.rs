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
        Picture::ImageRgb8(from) => Picture::ImageLuma8(map(from, |[r, g, b]| [luma8(r, g, b)])),
        Picture::ImageRgba8(from) => Picture::ImageLumaA8(map(from, |[r, g, b, a]| [luma8(r, g, b), a])),
        Picture::ImageRgb16(from) => Picture::ImageLuma16(map(from, |[r, g, b]| [luma16(r, g, b)])),
        Picture::ImageRgba16(from) => Picture::ImageLumaA16(map(from, |[r, g, b, a]| [luma16(r, g, b), a])),
        gray @ (Picture::ImageLuma8(_)
        | Picture::ImageLumaA8(_)
        | Picture::ImageLuma16(_)
        | Picture::ImageLumaA16(_)) => gray,
        other => return Err(OpError::Unsupported { what: format!("a picture with pixels of {:?}", other.color()) }),
    })
}

/// In products of 16 bits, whose upper halves are 1/256 of a step: twice as many fit an instruction as of 32 bits. What
/// the three lose in their lower halves is made up for by one, on average.
#[inline(always)]
fn luma8(r: u8, g: u8, b: u8) -> u8 {
    let part = |sample: u8, weight: u32| (((u32::from(sample) << 8) * weight) >> 16) as u16;
    ((part(r, RED) + part(g, GREEN) + part(b, BLUE) + 129) >> 8) as u8
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
    convert: impl Fn([From::Subpixel; IN]) -> [To::Subpixel; OUT],
) -> ImageBuffer<To, Vec<To::Subpixel>>
where
    From: Pixel,
    To: Pixel<Subpixel = From::Subpixel>,
{
    let (width, height) = picture.dimensions();
    let (pixels, _) = picture.as_raw().as_chunks::<IN>();
    let samples = pixels.iter().map(|pixel| convert(*pixel)).collect::<Vec<_>>().into_flattened();
    ImageBuffer::from_raw(width, height, samples).expect("one pixel was written for each that was read")
}

/// Writes the gray of three planes of equal length (YCbCr of JFIF 1.02, full range) over the first one, and drops the others.
#[cfg(feature = "turbojpeg")]
pub(crate) fn from_planes(planes: &mut Vec<u8>) {
    let length = planes.len() / 3;
    let (luma, colours) = planes.split_at_mut(length);
    let (blue, red) = colours.split_at(length);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just said that it has what the function is compiled for.
        #[expect(unsafe_code, reason = "the same loop, several times as fast")]
        unsafe {
            weighed_planes_avx2(luma, blue, red);
        }
        planes.truncate(length);
        return;
    }
    weighed_planes(luma, blue, red);
    planes.truncate(length);
}

#[cfg(all(feature = "turbojpeg", target_arch = "x86_64"))]
#[target_feature(enable = "avx2")]
fn weighed_planes_avx2(luma: &mut [u8], blue: &[u8], red: &[u8]) {
    weighed_planes(luma, blue, red);
}

#[cfg(feature = "turbojpeg")]
#[inline(always)]
fn weighed_planes(luma: &mut [u8], blue: &[u8], red: &[u8]) {
    for ((luma, blue), red) in luma.iter_mut().zip(blue).zip(red) {
        *luma = from_ycbcr(*luma, *blue, *red);
    }
}

/// Red, green and blue in 1/16 of a step, clipped to what a sample can be, and then weighed: JFIF 1.02, page 3.
#[cfg(any(feature = "turbojpeg", test))]
#[inline(always)]
fn from_ycbcr(luma: u8, blue: u8, red: u8) -> u8 {
    // The colours are centred on zero and scaled to the upper bits, the factors by 2^13, and the upper half of the product
    // is taken, which leaves 1/16.
    let scaled = |sample: u8, factor: f32| {
        let centred = (i16::from(sample) - 128) << 7;
        ((i32::from(centred) * (factor * 8192.0) as i32) >> 16) as i16
    };
    let luma = (i16::from(luma) << 4) + 1;
    let r = luma + scaled(red, 1.402);
    let g = luma - scaled(blue, 0.344_136) - scaled(red, 0.714_136);
    let b = luma + scaled(blue, 1.772);
    let part = |sample: i16, weight: u32| ((((sample.clamp(0, 4080) as u32) << 4) * weight) >> 16) as u16;
    ((part(r, RED) + part(g, GREEN) + part(b, BLUE) + 129) >> 8) as u8
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

    #[test]
    fn every_ycbcr_is_its_rgb_weighed() {
        for ycbcr in 0..1_u32 << 24 {
            let [_, y, blue, red] = ycbcr.to_be_bytes();
            let (luma, cb, cr) = (f64::from(y), f64::from(blue) - 128.0, f64::from(red) - 128.0);
            let rgb = [luma + 1.402 * cr, luma - 0.344_136 * cb - 0.714_136 * cr, luma + 1.772 * cb];
            let [r, g, b] = rgb.map(|sample| sample.clamp(0.0, 255.0));
            let off = f64::from(from_ycbcr(y, blue, red)) - reference(r, g, b);
            assert!(off.abs() < 0.6, "{y} {blue} {red} is off by {off}");
        }
    }
}
