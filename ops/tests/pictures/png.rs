//! PNG: bit depths, palettes, transparency, interlacing, animation. All of it exact.

use std::borrow::Cow;

use image::{DynamicImage, ImageFormat, RgbaImage};
use ops::{Limits, Op};
use png::{BitDepth, ColorType, Encoder, Info, chunk};

use crate::paint;

const SIZE: (u32, u32) = (37, 29);

/// Rounding moves a sample by half a step, and weights of 16 bits one of 16 bits by a little more.
const ROUNDING_STEPS_MAX: f64 = 1.0;

/// Writes rows of packed samples.
pub(crate) fn png(info: Info<'_>, rows: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Encoder::with_info(&mut out, info).unwrap().write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    writer.finish().unwrap();
    out
}

/// A header of the size that most tests use.
fn header(depth: BitDepth, colours: ColorType) -> Info<'static> {
    let mut info = Info::with_size(SIZE.0, SIZE.1);
    (info.bit_depth, info.color_type) = (depth, colours);
    info
}

fn saved(picture: &DynamicImage) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

fn assert_gray_of(input: &[u8], colour: &DynamicImage) {
    let off = paint::furthest_off(&paint::gray(input), colour);
    assert!(off <= ROUNDING_STEPS_MAX, "off by {off}");
}

#[test]
fn colours_and_alpha_of_eight_and_sixteen_bits() {
    let narrow: [DynamicImage; 2] = [paint::colours(SIZE.0, SIZE.1).into(), paint::see_through(SIZE.0, SIZE.1).into()];
    for picture in narrow {
        assert_gray_of(&saved(&picture), &picture);
        let mut wide = if picture.color().has_alpha() {
            DynamicImage::ImageRgba16(picture.to_rgba16())
        } else {
            DynamicImage::ImageRgb16(picture.to_rgb16())
        };
        // Values that eight bits do not have.
        if let DynamicImage::ImageRgb16(wide) = &mut wide {
            wide.pixels_mut().for_each(|p| p.0[0] ^= 0x5A);
        }
        assert_gray_of(&saved(&wide), &wide);
        let facts = ops::inspect(&ops::run(Op::Grayscale, &saved(&wide), &Limits::default()).unwrap()).unwrap();
        assert_eq!((facts.bits, facts.has_alpha, facts.gray), (16, picture.color().has_alpha(), true));
    }
}

#[test]
fn palettes_of_every_depth_with_and_without_transparency() {
    for (depth, bits) in [(BitDepth::One, 1), (BitDepth::Two, 2), (BitDepth::Four, 4), (BitDepth::Eight, 8_usize)] {
        let colours = 1 << bits;
        let palette: Vec<u8> = (0..3 * colours).map(|i| (i * 83 % 256) as u8).collect();
        let alphas: Vec<u8> = (0..colours).map(|i| (i * 31 % 256) as u8).collect();
        let row_bytes = (SIZE.0 as usize * bits).div_ceil(8);
        let rows: Vec<u8> = (0..row_bytes * SIZE.1 as usize).map(|i| (i * 37 % 256) as u8).collect();
        for trns in [None, Some(Cow::from(&alphas))] {
            let mut info = header(depth, ColorType::Indexed);
            (info.palette, info.trns) = (Some(Cow::from(&palette)), trns.clone());
            let input = png(info, &rows);
            let colour = RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
                let bit = x as usize * bits;
                let byte = rows[y as usize * row_bytes + bit / 8];
                let index = usize::from(byte >> (8 - bits - bit % 8)) % colours;
                let alpha = if trns.is_some() { alphas[index] } else { 255 };
                image::Rgba([palette[3 * index], palette[3 * index + 1], palette[3 * index + 2], alpha])
            });
            assert_gray_of(&input, &colour.into());
        }
    }
}

#[test]
fn few_shades_of_gray_and_a_transparent_one() {
    for (depth, bits) in [(BitDepth::One, 1), (BitDepth::Two, 2), (BitDepth::Four, 4), (BitDepth::Eight, 8_u32)] {
        let row_bytes = (SIZE.0 * bits).div_ceil(8);
        let rows: Vec<u8> = (0..row_bytes * SIZE.1).map(|i| (i * 29 % 256) as u8).collect();
        for trns in [None, Some(Cow::from(&[0_u8, 1][..]))] {
            let mut info = header(depth, ColorType::Grayscale);
            info.trns.clone_from(&trns);
            let input = png(info, &rows);
            let expected = RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
                let byte = u32::from(rows[(y * row_bytes + x * bits / 8) as usize]);
                let sample = (byte >> (8 - bits - x * bits % 8)) % (1 << bits);
                let shade = (sample * 255 / ((1 << bits) - 1)) as u8;
                image::Rgba([shade, shade, shade, if trns.is_some() && sample == 1 { 0 } else { 255 }])
            });
            assert_gray_of(&input, &expected.into());
        }
    }
}

#[test]
fn all_eight_orientations_are_applied() {
    let stored = paint::colours(SIZE.0, SIZE.1);
    for orientation in 1..=8 {
        let mut info = header(BitDepth::Eight, ColorType::Rgb);
        info.exif_metadata = Some(paint::exif(orientation).into());
        let input = png(info, stored.as_raw());
        let (width, height) = if orientation > 4 { (SIZE.1, SIZE.0) } else { SIZE };
        let upright = image::RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = paint::stored_at(orientation, (x, y), SIZE);
            *stored.get_pixel(x, y)
        });
        assert_gray_of(&input, &upright.into());
    }
}

/// Where the seven passes of Adam7 start, and how far apart their pixels are (PNG, 8.2).
const PASSES: [(usize, usize, usize, usize); 7] =
    [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

#[test]
fn interlaced_pictures() {
    let picture = paint::colours(SIZE.0, SIZE.1);
    let mut rows = Vec::new();
    for (x, y, across, down) in PASSES {
        for y in (y as u32..SIZE.1).step_by(down) {
            rows.push(0);
            rows.extend((x as u32..SIZE.0).step_by(across).flat_map(|x| picture.get_pixel(x, y).0));
        }
    }
    let mut info = header(BitDepth::Eight, ColorType::Rgb);
    info.interlaced = true;
    let mut input = Vec::new();
    let mut writer = Encoder::with_info(&mut input, info).unwrap().write_header().unwrap();
    writer.write_chunk(chunk::IDAT, &stored_zlib(&rows)).unwrap();
    drop(writer);
    assert_gray_of(&input, &picture.into());
}

/// A zlib stream of one block that is not compressed (RFC 1950 and 1951).
fn stored_zlib(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let (a, b) = content.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    let (length, complement) = (length.to_le_bytes(), (!length).to_le_bytes());
    [&[0x78, 0x01, 0x01], &length[..], &complement, content, &(b << 16 | a).to_be_bytes()].concat()
}

#[test]
fn an_animation_becomes_its_first_picture() {
    let (first, second) = (paint::colours(SIZE.0, SIZE.1), vec![255; 3 * (SIZE.0 * SIZE.1) as usize]);
    let mut input = Vec::new();
    let mut encoder = Encoder::new(&mut input, SIZE.0, SIZE.1);
    encoder.set_color(ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(first.as_raw()).unwrap();
    writer.write_image_data(&second).unwrap();
    writer.finish().unwrap();
    assert_gray_of(&input, &first.into());
}

#[test]
fn no_part_of_a_file_passes_for_the_whole() {
    let input = saved(&paint::see_through(SIZE.0, SIZE.1).into());
    for end in 0..input.len() {
        ops::run(Op::Grayscale, &input[..end], &Limits::default()).expect_err("a part is no picture");
    }
}

#[test]
fn a_changed_byte_among_the_pixels_is_noticed() {
    let input = saved(&paint::colours(SIZE.0, SIZE.1).into());
    let pixels = input.windows(4).position(|kind| kind == b"IDAT").unwrap() + 4;
    for at in (pixels..input.len() - 16).step_by(7) {
        let mut changed = input.clone();
        changed[at] ^= 0x10;
        ops::run(Op::Grayscale, &changed, &Limits::default()).expect_err("the checksum tells");
    }
}
