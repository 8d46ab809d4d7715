//! Test pictures, and what gray they should become: written without a look at the code under test.

use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use ops::{Limits, Op};

/// A picture whose rows, columns and colours all differ.
pub(crate) fn colours(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, ((x * 3 + y * 5) % 256) as u8])
    })
}

/// The same with an alpha of its own everywhere.
pub(crate) fn see_through(width: u32, height: u32) -> RgbaImage {
    let colours = colours(width, height);
    RgbaImage::from_fn(width, height, |x, y| {
        let Rgb([r, g, b]) = *colours.get_pixel(x, y);
        Rgba([r, g, b, ((x + 7 * y) % 256) as u8])
    })
}

/// Converts with the default limits.
pub(crate) fn gray(input: &[u8]) -> DynamicImage {
    let output = ops::run(Op::Grayscale, input, &Limits::default()).unwrap();
    assert_eq!(image::guess_format(&output).unwrap(), image::guess_format(input).unwrap(), "the format stays");
    assert!(ops::inspect(&output).unwrap().gray, "the result is gray");
    image::load_from_memory(&output).unwrap()
}

/// Rec. 709 in floating point.
pub(crate) fn luma(rgb: [f64; 3]) -> f64 {
    0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
}

/// The furthest that a gray picture is off from what a colour picture should have become, over all pixels, in steps of
/// the bit depth; alpha has to be the same.
pub(crate) fn furthest_off(gray: &DynamicImage, colour: &DynamicImage) -> f64 {
    assert_eq!((gray.width(), gray.height()), (colour.width(), colour.height()));
    let (gray, colour) = (gray.to_rgba16(), colour.to_rgba16());
    let step = if gray.pixels().chain(colour.pixels()).all(|p| p.0.iter().all(|s| s % 257 == 0)) { 257.0 } else { 1.0 };
    let off = gray.pixels().zip(colour.pixels()).map(|(gray, colour)| {
        let [r, g, b, alpha] = colour.0;
        assert_eq!(gray.0[3], alpha, "alpha stays");
        (f64::from(gray.0[0]) - luma([r, g, b].map(f64::from))).abs() / step
    });
    off.fold(0.0, f64::max)
}

/// An EXIF block that says how to turn the picture, little-endian.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II\x2A\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

/// Where the pixel that an upright picture shows at (x, y) is stored (EXIF 2.32, 4.6.5), in a picture of w x h as stored.
pub(crate) fn stored_at(orientation: u8, (x, y): (u32, u32), (w, h): (u32, u32)) -> (u32, u32) {
    match orientation {
        1 => (x, y),
        2 => (w - 1 - x, y),
        3 => (w - 1 - x, h - 1 - y),
        4 => (x, h - 1 - y),
        5 => (y, x),
        6 => (y, h - 1 - x),
        7 => (w - 1 - y, h - 1 - x),
        8 => (w - 1 - y, x),
        _ => panic!("orientations are 1 to 8"),
    }
}
