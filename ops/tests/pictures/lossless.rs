//! `grayscale:lossless`: the brightness of a JPEG as it is in the file, and of everything else what `grayscale` makes.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use ops::{Limits, Op, OpError};

use crate::paint;

const SIZE: (u16, u16) = (75, 53);

fn jpeg(coding: ColorType, settings: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let samples = paint::colours(SIZE.0.into(), SIZE.1.into()).into_raw();
    // Enough for four components; an encoder takes what it needs.
    let samples: Vec<u8> = samples.into_iter().cycle().take(4 * usize::from(SIZE.0) * usize::from(SIZE.1)).collect();
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 83);
    settings(&mut encoder);
    encoder.encode(&samples, SIZE.0, SIZE.1, coding).unwrap();
    out
}

fn lossless(input: &[u8]) -> Vec<u8> {
    ops::run(Op::GrayscaleLossless, input, &Limits::default()).unwrap()
}

/// The brightness as libjpeg-turbo decodes it, without a transform. zune-jpeg 0.5.15, asked for brightness alone, gives other
/// values for progressive pictures whose colours are halved downwards.
fn luma(jpeg: &[u8]) -> Vec<u8> {
    turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::GRAY).unwrap().pixels
}

#[test]
fn no_brightness_changes() {
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2] {
        for (progressive, restart) in [(false, 0), (false, 3), (true, 0)] {
            let input = jpeg(ColorType::Rgb, |encoder| {
                encoder.set_sampling_factor(sampling);
                encoder.set_progressive(progressive);
                encoder.set_restart_interval(restart);
            });
            let output = lossless(&input);
            let facts = ops::inspect(&output).unwrap();
            assert_eq!((facts.width, facts.height, facts.gray), (SIZE.0.into(), SIZE.1.into(), true));
            assert_eq!(luma(&output), luma(&input), "{sampling:?}, progressive: {progressive}");
            assert!(output.len() < input.len() + 512, "{} bytes became {}", input.len(), output.len());
        }
    }
}

#[test]
fn gray_pictures_stay_as_they_are() {
    let input = jpeg(ColorType::Luma, |_| {});
    assert_eq!(luma(&lossless(&input)), luma(&input));
}

#[test]
fn an_orientation_stays_and_other_metadata_does_not() {
    for orientation in 2..=8 {
        let input = jpeg(ColorType::Rgb, |encoder| {
            encoder.add_exif_metadata(&paint::exif(orientation)).unwrap();
            encoder.add_icc_profile(&[7; 3000]).unwrap();
        });
        let output = lossless(&input);
        let (before, after) = (ops::inspect(&input).unwrap(), ops::inspect(&output).unwrap());
        assert_eq!((after.width, after.height), (before.width, before.height), "orientation {orientation}");
        assert_eq!(luma(&output), luma(&input));
        assert!(!output.windows(11).any(|bytes| bytes == b"ICC_PROFILE"));
    }
}

#[test]
fn what_has_no_brightness_of_its_own_becomes_what_grayscale_makes() {
    let adobe = b"Adobe\0\x64\0\0\0\0\0".to_vec();
    let inputs = [
        jpeg(ColorType::Cmyk, |_| {}),
        jpeg(ColorType::CmykAsYcck, |_| {}),
        jpeg(ColorType::Ycbcr, |encoder| encoder.add_app_segment(14, adobe.clone()).unwrap()),
        ops::made::picture(ops::made::COUNT - 1).bytes,
    ];
    for input in inputs {
        assert_eq!(lossless(&input), ops::run(Op::Grayscale, &input, &Limits::default()).unwrap());
    }
}

#[test]
fn no_part_of_a_file_passes_for_the_whole() {
    for progressive in [false, true] {
        let input = jpeg(ColorType::Rgb, |encoder| encoder.set_progressive(progressive));
        for end in 4..input.len() {
            let refusal = ops::run(Op::GrayscaleLossless, &input[..end], &Limits::default()).unwrap_err();
            assert!(matches!(refusal, OpError::Truncated { .. }), "{end} bytes: {refusal}");
        }
        // The middle is missing, and the end is there.
        let (start, end) = (&input[..input.len() / 2], b"\xFF\xD9");
        let refusal = ops::run(Op::GrayscaleLossless, &[start, end].concat(), &Limits::default()).unwrap_err();
        assert!(matches!(refusal, OpError::Decode { .. }), "{refusal}");
    }
}

#[test]
fn the_cost_is_told_beforehand_and_kept_to() {
    let input = jpeg(ColorType::Rgb, |_| {});
    let limits = Limits::default();
    let cost_bytes = ops::cost_bytes(Op::GrayscaleLossless, &input, &limits).unwrap();
    let coefficients = 3 * 2 * u64::from(SIZE.0) * u64::from(SIZE.1);
    assert!(cost_bytes > coefficients && cost_bytes < 20 * coefficients + (1 << 19), "{cost_bytes} bytes");
    let refused = Limits { picture_bytes_max: cost_bytes - 1, ..limits };
    ops::run(Op::GrayscaleLossless, &input, &refused).unwrap_err();
}
