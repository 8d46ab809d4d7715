//! JPEG: colour codings, quality, orientation, files cut short.

use image::{DynamicImage, GrayImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use ops::{Limits, Op, OpError};

use crate::paint;

const SIZE: (u16, u16) = (75, 53);

type Settings<'a> = &'a dyn Fn(&mut Encoder<&mut Vec<u8>>);

/// Writes samples as they are, at the best quality, so that results stay comparable.
fn jpeg(samples: &[u8], coding: ColorType, settings: Settings<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 100);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    settings(&mut encoder);
    encoder.encode(samples, SIZE.0, SIZE.1, coding).unwrap();
    out
}

fn colours() -> Vec<u8> {
    paint::colours(SIZE.0.into(), SIZE.1.into()).into_raw()
}

/// Decoding, rounding and encoding at the best quality move a pixel by this much at most.
const CODING_STEPS_MAX: f64 = 3.0;

fn assert_gray_of_itself(input: &[u8]) {
    let off = paint::furthest_off(&paint::gray(input), &image::load_from_memory(input).unwrap());
    assert!(off <= CODING_STEPS_MAX, "off by {off}");
}

#[test]
fn the_colour_codings_that_cameras_and_browsers_write() {
    let settings: [Settings<'_>; 6] = [
        &|_| {},
        &|e| e.set_progressive(true),
        &|e| e.set_sampling_factor(SamplingFactor::F_2_2),
        &|e| e.set_sampling_factor(SamplingFactor::F_2_1),
        &|e| e.set_restart_interval(3),
        // One scan for each component.
        &|e| e.set_optimized_huffman_tables(true),
    ];
    for settings in settings {
        assert_gray_of_itself(&jpeg(&colours(), ColorType::Rgb, settings));
    }
}

#[test]
fn four_colours_as_printers_use_them() {
    let four: Vec<u8> = colours().as_chunks::<3>().0.iter().flat_map(|&[c, m, y]| [c, m, y, 30]).collect();
    assert_gray_of_itself(&jpeg(&four, ColorType::Cmyk, &|_| {}));
    assert_gray_of_itself(&jpeg(&four, ColorType::CmykAsYcck, &|_| {}));
}

#[test]
fn components_that_are_red_green_and_blue() {
    // The encoder is told that the samples are YCbCr already, and the Adobe segment that they are not: transform 0.
    let adobe = b"Adobe\0\x64\0\0\0\0\0".to_vec();
    let input = jpeg(&colours(), ColorType::Ycbcr, &|e| e.add_app_segment(14, adobe.clone()).unwrap());
    let colour = paint::colours(SIZE.0.into(), SIZE.1.into()).into();
    let off = paint::furthest_off(&paint::gray(&input), &colour);
    assert!(off <= CODING_STEPS_MAX, "off by {off}");
}

#[test]
fn gray_pictures_stay_as_they_are() {
    let samples: Vec<u8> = colours().as_chunks::<3>().0.iter().map(|rgb| rgb[0]).collect();
    let input = jpeg(&samples, ColorType::Luma, &|_| {});
    let facts = ops::inspect(&input).unwrap();
    assert!(facts.gray && !facts.has_alpha && facts.bits == 8);
    assert_gray_of_itself(&input);
}

/// The first quantization table of a file, in its order there.
fn first_table(jpeg: &[u8]) -> &[u8] {
    let at = jpeg.windows(2).position(|marker| marker == [0xFF, 0xDB]).unwrap();
    &jpeg[at + 5..][..64]
}

#[test]
fn the_quality_is_that_of_the_source() {
    for quality in [35, 60, 75, 92] {
        let input = jpeg(&colours(), ColorType::Rgb, &|e| e.set_quality(quality));
        let output = ops::run(Op::Grayscale, &input, &Limits::default()).unwrap();
        assert_eq!(first_table(&output), first_table(&input), "at quality {quality}");
    }
}

#[test]
fn a_colour_profile_is_left_behind() {
    let input = jpeg(&colours(), ColorType::Rgb, &|e| e.add_icc_profile(&[7; 3000]).unwrap());
    let output = ops::run(Op::Grayscale, &input, &Limits::default()).unwrap();
    assert!(!output.windows(11).any(|bytes| bytes == b"ICC_PROFILE"));
}

#[test]
fn all_eight_orientations_are_applied() {
    let size = (u32::from(SIZE.0), u32::from(SIZE.1));
    for orientation in 1..=8 {
        let input = jpeg(&colours(), ColorType::Rgb, &|e| e.add_exif_metadata(&paint::exif(orientation)).unwrap());
        let stored = image::load_from_memory(&input).unwrap().to_rgb8();
        let (width, height) = if orientation > 4 { (size.1, size.0) } else { size };
        let upright = image::RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = paint::stored_at(orientation, (x, y), size);
            *stored.get_pixel(x, y)
        });
        let off = paint::furthest_off(&paint::gray(&input), &upright.into());
        assert!(off <= CODING_STEPS_MAX, "orientation {orientation} is off by {off}");
        let facts = ops::inspect(&input).unwrap();
        assert_eq!((facts.width, facts.height), (width, height));
    }
}

#[test]
fn no_part_of_a_file_passes_for_the_whole() {
    let settings: [Settings<'_>; 2] = [&|_| {}, &|e| e.set_progressive(true)];
    let four: Vec<u8> = colours().into_iter().cycle().take(4 * usize::from(SIZE.0) * usize::from(SIZE.1)).collect();
    let inputs = settings.map(|settings| jpeg(&colours(), ColorType::Rgb, settings)).into_iter().chain([jpeg(
        &four,
        ColorType::Cmyk,
        &|_| {},
    )]);
    for input in inputs {
        for end in 0..input.len() {
            let refusal = ops::run(Op::Grayscale, &input[..end], &Limits::default()).unwrap_err();
            assert!(matches!(refusal, OpError::Truncated { .. }) || end < 3, "{end} bytes: {refusal}");
        }
    }
}

#[test]
fn what_follows_the_picture_is_ignored() {
    let input = jpeg(&colours(), ColorType::Rgb, &|_| {});
    let longer = [input.as_slice(), b"a second picture, as some phones append it"].concat();
    assert_eq!(paint::gray(&longer), paint::gray(&input));
}

#[test]
fn kinds_that_no_decoder_here_knows_are_named() {
    let input = jpeg(&colours(), ColorType::Rgb, &|_| {});
    let frame = input.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    for (at, value, what) in [(frame + 1, 0xC9, "process 9"), (frame + 4, 12, "12 bits")] {
        let mut input = input.clone();
        input[at] = value;
        let refusal = ops::cost_bytes(Op::Grayscale, &input, &Limits::default()).unwrap_err();
        assert!(refusal.to_string().contains(what), "{refusal}");
    }
}

#[test]
fn before_encoding_a_pixel_is_within_one_of_the_reference() {
    // A flat block loses nothing at the best quality, so that only decoding and weighing remain.
    for rgb in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [12, 200, 99], [255, 255, 255], [0, 0, 0]] {
        let flat: Vec<u8> = rgb.into_iter().cycle().take(colours().len()).collect();
        let input = jpeg(&flat, ColorType::Rgb, &|_| {});
        let gray: GrayImage = paint::gray(&input).to_luma8();
        let decoded = image::load_from_memory(&input).unwrap();
        let off = paint::furthest_off(&DynamicImage::ImageLuma8(gray), &decoded);
        assert!(off <= 1.0, "{rgb:?} is off by {off}");
    }
}
