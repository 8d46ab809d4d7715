//! GIF, WebP, BMP, TIFF and PNM.

use std::io::Cursor;

use image::{
    DynamicImage, Frame, ImageFormat, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use ops::{Limits, Op, OpError};

use crate::paint;

const SIZE: (u32, u32) = (41, 23);

fn saved(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

#[test]
fn what_a_format_can_hold_comes_back_exactly() {
    let (rgb, rgba) = (paint::colours(SIZE.0, SIZE.1), paint::see_through(SIZE.0, SIZE.1));
    let (rgb, rgba) = (DynamicImage::from(rgb), DynamicImage::from(rgba));
    let wide: DynamicImage = rgb.to_rgb16().into();
    let wide_alpha: DynamicImage = rgba.to_rgba16().into();
    let cases = [
        (ImageFormat::WebP, vec![&rgb, &rgba]),
        (ImageFormat::Bmp, vec![&rgb, &rgba]),
        (ImageFormat::Tiff, vec![&rgb, &rgba, &wide, &wide_alpha]),
        (ImageFormat::Pnm, vec![&rgb, &rgba]),
    ];
    for (format, pictures) in cases {
        for picture in pictures {
            let input = saved(picture, format);
            let off = paint::furthest_off(&paint::gray(&input), picture);
            assert!(off <= 1.0, "{format:?} of {:?} is off by {off}", picture.color());
            let (before, after) = (ops::inspect(&input).unwrap(), paint::gray(&input));
            assert_eq!(before.bits, 8 * (after.color().bytes_per_pixel() / after.color().channel_count()));
        }
    }
}

#[test]
fn pixmaps_of_two_bytes_a_sample() {
    let mut input = b"P6\n3 1\n65535\n".to_vec();
    input.extend([0x12, 0x34, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0, 0x12, 0x34]);
    let output = ops::run(Op::Grayscale, &input, &Limits::default()).unwrap();
    // 0x1234 is 4660, of which the weights leave 990.7, 3332.8 and 336.5.
    assert_eq!(output, b"P5\n3 1\n65535\n\x03\xDF\x0D\x05\x01\x50");
}

/// Few enough colours for a palette, with a hole.
fn drawing(shift: u32) -> RgbaImage {
    RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let step = ((x / 6 + y / 6 + shift) * 35 % 256) as u8;
        if x < 5 && y < 5 { image::Rgba([0; 4]) } else { image::Rgba([step, 255 - step, step / 2, 255]) }
    })
}

#[test]
fn a_gif_becomes_its_first_picture() {
    let mut input = Vec::new();
    let mut encoder = GifEncoder::new(&mut input);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    encoder.encode_frames([0, 3].map(|shift| Frame::new(drawing(shift)))).unwrap();
    drop(encoder);
    let off = paint::furthest_off(&paint::gray(&input), &drawing(0).into());
    assert!(off <= 1.0, "off by {off}");
}

#[test]
fn no_part_of_a_file_passes_for_the_whole() {
    let picture = DynamicImage::from(drawing(0));
    for format in [ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Pnm] {
        let input = saved(&picture, format);
        for end in 0..input.len() {
            // BMP and TIFF may end with bytes that no pixel needs.
            let spare = if matches!(format, ImageFormat::Bmp | ImageFormat::Tiff) { 64 } else { 0 };
            let result = ops::run(Op::Grayscale, &input[..end], &Limits::default());
            assert!(result.is_err() || end + spare > input.len(), "{end} of {} bytes of {format:?}", input.len());
        }
    }
}

#[test]
fn samples_that_are_no_integers_are_refused_by_name() {
    let input = saved(&paint::colours(SIZE.0, SIZE.1).into(), ImageFormat::Tiff);
    let floats: DynamicImage = image::load_from_memory(&input).unwrap().to_rgb32f().into();
    let refusal = ops::run(Op::Grayscale, &saved(&floats, ImageFormat::Tiff), &Limits::default()).unwrap_err();
    assert!(matches!(&refusal, OpError::Unsupported { what } if what.contains("Rgb32F")), "{refusal}");
}
